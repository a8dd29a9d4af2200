//! Mask control: an encoder of the mask that adds to every level of the image encoder.
//!
//! "Image inpainting in latent space" (Babin 2024), section 4.1.1 and appendix B.1, after ControlNet (Zhang et
//! al. 2023, <https://arxiv.org/abs/2302.05543>): `level_i += zero_i(mask_encoder_i(mask))`, where the 1x1
//! convolutions `zero_i` start at zero, so that training starts from the network without control.
//! Differs from it in: the widths follow the generator's (the thesis fixes 8, 16, 32, 64, its width being 8).

use burn::module::Module;
use burn::tensor::Tensor;
use lacuna_network::Control;

use crate::Features;
use crate::block::{Conv2d, Conv2dConfig, Init, LayerBlock};
use crate::error::Result;

/// The mask encoder and its zero convolutions.
#[derive(Module, Debug)]
pub struct MaskControl {
    encoder: Vec<LayerBlock>,
    zero: Vec<Conv2d>,
}

impl MaskControl {
    /// PyTorch's default values for the mask encoder, zeros for the zero convolutions.
    ///
    /// # Errors
    /// As [`LayerBlock::new`].
    pub fn new(layers: &Control, init: &mut Init) -> Result<Self> {
        let encoder =
            layers.encoder.iter().map(|layer| LayerBlock::new(layer, init)).collect::<Result<_>>()?;
        let zero = layers.zero.iter().map(|layer| Conv2dConfig::of(layer).init_zero(init)).collect();
        Ok(Self { encoder, zero })
    }

    /// What to add behind each level of the image encoder.
    ///
    /// # Shapes
    /// - `mask`: `[batch, 1, height, width]`, 1 = hole
    /// - the result, for level `i`: `[batch, 2^i width, height / 2^i, width / 2^i]`, sides rounded up
    pub fn forward(&self, mask: Tensor<4>) -> Vec<Tensor<4>> {
        let levels = self.encoder.iter().scan(Features::local(mask), |x, layer| {
            *x = layer.forward(x.clone());
            Some(x.local.clone())
        });
        levels.zip(&self.zero).map(|(level, zero)| zero.forward(level)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Generator;
    use crate::testing::{from_fixture, random, seeded, values};
    use burn::tensor::Device;
    use lacuna::checkpoint::Checkpoint;
    use lacuna_network::{Delta, Family, Shape};
    use testkit::{assert_close, fixtures};

    /// Numbers of `oracle/make_fixtures.py`.
    const TOLERANCE: f32 = 2e-5;

    fn layers(width: usize) -> Control {
        let shape = Shape { channels_in: 3, width, blocks: 2, control: true, delta: Delta::None };
        Family::Fourier.network(shape).layers().control.unwrap()
    }

    #[test]
    fn it_equals_the_reference() {
        let numbers = fixtures::load("control/io.safetensors");
        let checkpoint = Checkpoint::open(fixtures::path("control/weights.safetensors")).unwrap();
        let control = Generator::from_checkpoint(&checkpoint, &Device::flex()).unwrap().control.unwrap();
        let added = control.forward(from_fixture(numbers.get("mask")));
        for (level, added) in added.into_iter().enumerate() {
            let expected = numbers.get(&format!("added_{}", level + 1));
            assert_eq!(added.dims().to_vec(), expected.shape);
            assert_close(&values(added), &expected.values, TOLERANCE);
        }
    }

    #[test]
    fn it_starts_at_zero_with_the_encoder_levels_shapes() {
        let control = MaskControl::new(&layers(3), &mut seeded(1)).unwrap();
        let added = control.forward(random([2, 1, 17, 9], 1));
        let shapes: Vec<_> = added.iter().map(|added| added.dims()).collect();
        assert_eq!(shapes, [[2, 3, 17, 9], [2, 6, 9, 5], [2, 12, 5, 3], [2, 24, 3, 2]]);
        assert!(added.into_iter().all(|added| values(added).iter().all(|&value| value == 0.0)));
    }
}
