//! Mask control: an encoder of the mask that adds to every level of the image encoder.
//!
//! "Image inpainting in latent space" (Babin 2024), section 4.1.1 and appendix B.1, after ControlNet (Zhang et
//! al. 2023, <https://arxiv.org/abs/2302.05543>): `level_i += zero_i(mask_encoder_i(mask))`, where the 1x1
//! convolutions `zero_i` start at zero, so that training starts from the network without control.
//! Differs from it in: the widths follow the generator's (the thesis fixes 8, 16, 32, 64, its width being 8).

use burn::module::Module;
use burn::tensor::Tensor;
use lacuna::checkpoint::NetworkConfig;

use super::LEVELS;
use crate::block::{Activation, Conv2d, Conv2dConfig, ConvNormAct, Init, Padding};

/// The mask encoder and its zero convolutions.
#[derive(Module, Debug)]
pub struct MaskControl {
    encoder: Vec<ConvNormAct>,
    zero: Vec<Conv2d>,
}

impl MaskControl {
    /// PyTorch's default values for the mask encoder, zeros for the zero convolutions.
    pub fn new(config: &NetworkConfig, init: &mut Init) -> Self {
        let layer = |level: usize| {
            let channels_out = config.width << level;
            match level {
                0 => Conv2dConfig { bias: true, ..Conv2dConfig::pointwise(1, channels_out) },
                _ => Conv2dConfig {
                    channels_in: channels_out / 2,
                    channels_out,
                    kernel: 3,
                    stride: 2,
                    padding: Padding::Zero(1),
                    bias: true,
                },
            }
        };
        let encoder =
            (0..=LEVELS).map(|level| ConvNormAct::new(&layer(level), Activation::Relu, init)).collect();
        let mut zero = |level: usize| {
            let channels = config.width << level;
            Conv2dConfig::pointwise(channels, channels).init_zero(init)
        };
        Self { encoder, zero: (0..=LEVELS).map(&mut zero).collect() }
    }

    /// What to add behind each level of the image encoder.
    ///
    /// # Shapes
    /// - `mask`: `[batch, 1, height, width]`, 1 = hole
    /// - the result, for level `i`: `[batch, 2^i width, height / 2^i, width / 2^i]`, sides rounded up
    pub fn forward(&self, mask: Tensor<4>) -> [Tensor<4>; LEVELS + 1] {
        let mut x = mask;
        std::array::from_fn(|level| {
            x = self.encoder[level].forward(x.clone());
            self.zero[level].forward(x.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Generator;
    use crate::testing::{from_fixture, random, seeded, values};
    use burn::tensor::Device;
    use lacuna::checkpoint::{Checkpoint, Delta, Family};
    use testkit::{assert_close, fixtures};

    /// Numbers of `oracle/make_fixtures.py`.
    const TOLERANCE: f32 = 2e-5;

    fn config(width: usize) -> NetworkConfig {
        let family = Family::Fourier;
        NetworkConfig { family, channels_in: 3, width, blocks: 2, control: true, delta: Delta::None }
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
        let control = MaskControl::new(&config(3), &mut seeded(1));
        let added = control.forward(random([2, 1, 17, 9], 1));
        let shapes = added.each_ref().map(|added| added.dims());
        assert_eq!(shapes, [[2, 3, 17, 9], [2, 6, 9, 5], [2, 12, 5, 3], [2, 24, 3, 2]]);
        assert!(added.into_iter().all(|added| values(added).iter().all(|&value| value == 0.0)));
    }
}
