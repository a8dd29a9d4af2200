//! The decoder: from a latent back to pixels.

use burn::module::Module;
use burn::tensor::Tensor;
use lacuna_network::{Activation, Layers};

use crate::Features;
use crate::block::activation::activate;
use crate::block::{Conv2d, Conv2dConfig, Init, LayerBlock};
use crate::error::Result;

/// Layers that double the sides and halve the channels, then the RGB head.
#[derive(Module, Debug)]
pub struct Decoder {
    up: Vec<LayerBlock>,
    out: Conv2d,
    #[module(skip)]
    activation: Activation,
}

impl Decoder {
    /// With PyTorch's default initialisation.
    ///
    /// # Errors
    /// As [`LayerBlock::new`].
    pub fn new(layers: &Layers, init: &mut Init) -> Result<Self> {
        Ok(Self {
            up: layers.decoder.iter().map(|layer| LayerBlock::new(layer, init)).collect::<Result<_>>()?,
            out: Conv2dConfig::of(&layers.head).init(init),
            activation: layers.head.form.activation,
        })
    }

    /// Decodes a latent.
    ///
    /// # Shapes
    /// `latent`: parts `[batch, channels, height, width]`; the result: `[batch, 3, 8 height, 8 width]` in
    /// `[0, 1]`.
    pub fn forward(&self, latent: Features) -> Tensor<4> {
        let latent = Features::local(latent.concat());
        let x = self.out.forward(self.up.iter().fold(latent, |x, up| up.forward(x)).local);
        activate(x, self.activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, seeded, values};
    use lacuna_network::{Delta, Family, Shape};

    #[test]
    fn an_image_at_eight_times_the_size() {
        for family in Family::ALL {
            let shape = Shape { channels_in: 3, width: 2, blocks: 1, control: false, delta: Delta::None };
            let layers = family.network(shape).layers();
            let decoder = Decoder::new(&layers, &mut seeded(1)).unwrap();
            for [batch, height, width] in [[1, 2, 3], [2, 1, 5]] {
                let latent = Features::split(random([batch, 16, height, width], 1), layers.latent());
                let predicted = decoder.forward(latent);
                assert_eq!(predicted.dims(), [batch, 3, 8 * height, 8 * width]);
                assert!(values(predicted).iter().all(|&value| value > 0.0 && value < 1.0));
            }
        }
    }
}
