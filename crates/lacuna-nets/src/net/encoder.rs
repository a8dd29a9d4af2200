//! The encoder: from pixels to the latent at an eighth of the resolution.

use burn::module::Module;
use burn::tensor::Tensor;
use lacuna_network::Layer;

use crate::Features;
use crate::block::{Init, LayerBlock};
use crate::error::Result;

/// A layer at full resolution, then some that halve the sides and double the channels.
#[derive(Module, Debug)]
pub struct Encoder {
    stem: LayerBlock,
    down: Vec<LayerBlock>,
}

impl Encoder {
    /// PyTorch's default values.
    ///
    /// # Errors
    /// As [`LayerBlock::new`].
    ///
    /// # Panics
    /// Without layers.
    pub fn new(layers: &[Layer], init: &mut Init) -> Result<Self> {
        let (stem, down) = layers.split_first().expect("an encoder begins with a convolution");
        Ok(Self {
            stem: LayerBlock::new(stem, init)?,
            down: down.iter().map(|layer| LayerBlock::new(layer, init)).collect::<Result<_>>()?,
        })
    }

    /// Encodes `x`, adding `added` (from mask control) behind each level.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - `added`: for level `i`: `[batch, 2^i width, height / 2^i, width / 2^i]`, sides rounded up
    /// - the result: parts `[batch, channels, height / 8, width / 8]`, sides rounded up
    pub fn forward(&self, x: Tensor<4>, added: Option<Vec<Tensor<4>>>) -> Features {
        self.levels(x, added).last().expect("an encoder has levels")
    }

    /// What comes out behind each level, one after the other; the last is what [`Encoder::forward`] returns.
    ///
    /// # Shapes
    /// As [`Encoder::forward`]; level `i` has sides `height / 2^i`, `width / 2^i`, rounded up.
    pub fn levels(&self, x: Tensor<4>, added: Option<Vec<Tensor<4>>>) -> impl Iterator<Item = Features> {
        let mut added = added.into_iter().flatten();
        let layers = std::iter::once(&self.stem).chain(&self.down);
        layers.scan(Features::local(x), move |x, layer| {
            let mut out = layer.forward(x.clone());
            if let Some(added) = added.next() {
                let channels = out.channels();
                out = out + Features::split(added, channels);
            }
            *x = out.clone();
            Some(out)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, seeded};
    use lacuna_network::{Delta, Family, Shape};

    #[test]
    fn sides_are_an_eighth_rounded_up() {
        struct Case {
            height: usize,
            width: usize,
            expected: [usize; 2],
        }
        for family in Family::ALL {
            let shape = Shape { channels_in: 3, width: 2, blocks: 1, control: false, delta: Delta::None };
            let layers = family.network(shape).layers();
            let encoder = Encoder::new(&layers.encoder, &mut seeded(1)).unwrap();
            for Case { height, width, expected } in [
                Case { height: 9, width: 16, expected: [2, 2] },
                Case { height: 17, width: 24, expected: [3, 3] },
                Case { height: 250, width: 9, expected: [32, 2] },
            ] {
                let latent = encoder.forward(random([2, 3, height, width], 1), None);
                assert_eq!(latent.channels(), layers.latent());
                let [batch, _, rows, columns] = latent.local.dims();
                assert_eq!((batch, [rows, columns]), (2, expected), "{family:?} {height} x {width}");
            }
        }
    }
}
