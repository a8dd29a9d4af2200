//! The Fourier unit: a 1x1 convolution of the spectrum.
//!
//! Chi, Jiang and Mu, "Fast Fourier Convolution", NeurIPS 2020; as LaMa uses it (Suvorov et al. 2022,
//! <https://arxiv.org/abs/2109.07161>): `irfft2(relu(norm(conv(rfft2(x)))))`.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{BatchNorm, Conv2d, Conv2dConfig, Init};
use crate::ops;

/// Mixes all channels at every frequency, and so has a global receptive field.
#[derive(Module, Debug)]
pub struct FourierUnit {
    conv: Conv2d,
    norm: BatchNorm,
}

impl FourierUnit {
    /// A unit for maps of `channels`; the spectrum has twice as many.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        let parts = 2 * channels;
        Self { conv: Conv2dConfig::pointwise(parts, parts).init(init), norm: BatchNorm::new(parts, init) }
    }

    /// Filters `x`.
    ///
    /// # Shapes
    /// `x` and the result: `[batch, channels, height, width]`, any height and width.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let width = x.dims()[3];
        let spectrum = ops::spectrum(x); // [batch, 2 channels, height, width / 2 + 1]
        let spectrum = self.norm.forward_relu(self.conv.forward(spectrum));
        ops::plane(spectrum, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, from_fixture, load_fixture, random, seeded, values};
    use testkit::{assert_close, fixtures};

    /// Reference values of `oracle/make_fixtures.py`; PyTorch's own FFT rounds differently by 1e-6.
    const TOLERANCE: f32 = 1e-5;
    const GRADIENT_TOLERANCE: f64 = 1e-4;

    fn rename(name: &str) -> String {
        format!("unit.{}", name.replace("conv.", "conv_layer.").replace("norm.", "bn."))
    }

    #[test]
    fn it_equals_the_reference_at_every_parity() {
        for size in ["8x8", "7x9", "16x5", "6x11"] {
            let numbers = fixtures::load(&format!("fourier/{size}.safetensors"));
            let unit = load_fixture(FourierUnit::new(3, &mut seeded(1)), &numbers, rename);
            let y = unit.forward(from_fixture(numbers.get("x")));
            assert_close(&values(y), &numbers.get("y").values, TOLERANCE);

            let unit = unit.freeze().train();
            let x = Tensor::<4>::from_inner(from_fixture(numbers.get("x"))).require_grad();
            let gradients = unit.forward(x.clone()).square().sum().backward();
            assert_close(&values(x.grad(&gradients).unwrap()), &numbers.get("grad_x").values, TOLERANCE);
        }
    }

    #[test]
    fn sizes_stay() {
        let unit = FourierUnit::new(2, &mut seeded(1));
        for shape in [[1, 2, 1, 1], [2, 2, 1, 2], [1, 2, 5, 1], [2, 2, 3, 7]] {
            assert_eq!(unit.forward(random(shape, 2)).dims(), shape);
        }
    }

    #[test]
    fn it_has_the_right_gradient() {
        let unit = FourierUnit::new(2, &mut seeded(1));
        assert_block_gradient(unit, FourierUnit::forward, [2, 2, 3, 4], GRADIENT_TOLERANCE);
    }
}
