//! The transposed convolution that doubles both sides.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Init;
use crate::ops;

const KERNEL: usize = 3;

/// Kernel 3, stride 2, padding 1, output padding 1: exactly twice the height and width.
///
/// # Shapes
/// `weight`: `[channels_in, channels_out, 3, 3]`; `bias`: `[channels_out]`.
#[derive(Module, Debug)]
pub struct ConvTranspose2d {
    /// Kernels.
    pub weight: Param<Tensor<4>>,
    /// Offsets.
    pub bias: Param<Tensor<1>>,
}

impl ConvTranspose2d {
    /// PyTorch's default values. PyTorch takes the fan-in from the weight's *second* side, which here is the
    /// output: uniform in `±1/sqrt(9 channels_out)`.
    pub fn new(channels_in: usize, channels_out: usize, init: &mut Init) -> Self {
        let fan_in = channels_out * KERNEL * KERNEL;
        Self {
            weight: init.uniform([channels_in, channels_out, KERNEL, KERNEL], fan_in),
            bias: init.uniform([channels_out], fan_in),
        }
    }

    /// Doubles both sides of `x`.
    ///
    /// # Shapes
    /// `x`: `[batch, channels_in, height, width]`; the result: `[batch, channels_out, 2 height, 2 width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv_transposed(x, self.weight.val(), self.bias.val())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded, tensor, values};
    use testkit::assert_close;

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    #[test]
    fn one_pixel_by_hand() {
        let mut conv = ConvTranspose2d::new(1, 1, &mut seeded(1));
        conv.weight = Param::from_tensor(tensor([1, 1, 3, 3], (1..=9).map(|k| k as f32).collect()));
        conv.bias = Param::from_tensor(tensor([1], vec![0.5]));
        // Padding 1 cuts the first row and column of the pixel's 3x3 stamp.
        let y = conv.forward(tensor([1, 1, 1, 1], vec![2.0]));
        assert_close(&values(y), &[10.5, 12.5, 16.5, 18.5], 1e-6);
    }

    #[test]
    fn sides_double_and_values_keep_the_published_bound() {
        let conv = ConvTranspose2d::new(512, 256, &mut seeded(1));
        let largest =
            values(conv.weight.val()).iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        // Reference specification 1.6, for 512 -> 256.
        assert!(largest <= 0.020_834 && largest > 0.0208, "{largest}");
        let conv = ConvTranspose2d::new(3, 2, &mut seeded(1));
        for batch in [1, 2] {
            assert_eq!(conv.forward(random([batch, 3, 5, 4], 2)).dims(), [batch, 2, 10, 8]);
        }
    }

    #[test]
    fn it_has_the_right_gradient() {
        let conv = ConvTranspose2d::new(3, 2, &mut seeded(1));
        assert_block_gradient(conv, ConvTranspose2d::forward, [2, 3, 3, 2], GRADIENT_TOLERANCE);
    }
}
