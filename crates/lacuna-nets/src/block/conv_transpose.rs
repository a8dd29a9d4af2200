//! The transposed convolution, which enlarges both sides.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lacuna_network::Layer;

use super::Init;
use crate::ops::{self, Padding, padding};

/// The shape of a [`ConvTranspose2d`]; square kernels.
#[derive(Clone, Copy, Debug)]
pub struct ConvTransposeConfig {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Output pixels between inputs.
    pub stride: usize,
    /// The border that is cut off: none or zeros.
    pub padding: Padding,
    /// Whether each output channel has an offset.
    pub bias: bool,
}

impl ConvTransposeConfig {
    /// The transposed convolution of a layer.
    pub fn of(layer: &Layer) -> Self {
        let Layer { inputs, outputs, form, .. } = layer;
        Self {
            channels_in: inputs.total(),
            channels_out: outputs.total(),
            kernel: form.kernel,
            stride: form.stride,
            padding: padding::of(form.border, form.kernel),
            bias: form.bias,
        }
    }

    /// With PyTorch's default initialisation. PyTorch computes the fan-in from the weight's *second* dimension, which
    /// is the output here: uniform in `±1/sqrt(kernel² channels_out)`.
    pub fn init(&self, init: &mut Init) -> ConvTranspose2d {
        let Self { channels_in, channels_out, kernel, stride, padding, bias } = *self;
        let fan_in = channels_out * kernel * kernel;
        ConvTranspose2d {
            weight: init.uniform([channels_in, channels_out, kernel, kernel], fan_in),
            bias: bias.then(|| init.uniform([channels_out], fan_in)),
            stride,
            padding,
        }
    }
}

/// The transpose of a convolution. With padding, sides grow by exactly the stride.
///
/// # Shapes
/// `weight`: `[channels_in, channels_out, kernel, kernel]`; `bias`: `[channels_out]`.
#[derive(Module, Debug)]
pub struct ConvTranspose2d {
    /// Kernels.
    pub weight: Param<Tensor<4>>,
    /// Offsets.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    padding: Padding,
}

impl ConvTranspose2d {
    /// Enlarges `x`.
    ///
    /// # Shapes
    /// `x`: `[batch, channels_in, height, width]`; the result: `[batch, channels_out, rows, columns]`, with
    /// `rows = stride height` with padding, else `stride (height - 1) + kernel`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::val);
        ops::conv_transposed(x, self.weight.val(), bias, self.stride, self.padding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded, tensor, values};
    use testkit::assert_close;

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    fn config(
        channels_in: usize,
        channels_out: usize,
        kernel: usize,
        stride: usize,
        padding: Padding,
    ) -> ConvTransposeConfig {
        ConvTransposeConfig { channels_in, channels_out, kernel, stride, padding, bias: true }
    }

    /// A layer of the decoder.
    fn doubling(channels_in: usize, channels_out: usize) -> ConvTranspose2d {
        config(channels_in, channels_out, 3, 2, Padding::Zero(1)).init(&mut seeded(1))
    }

    #[test]
    fn one_pixel_by_hand() {
        let mut conv = doubling(1, 1);
        conv.weight = Param::from_tensor(tensor([1, 1, 3, 3], (1..=9).map(|k| k as f32).collect()));
        conv.bias = Some(Param::from_tensor(tensor([1], vec![0.5])));
        // Padding 1 cuts the first row and column of the pixel's 3x3 footprint.
        let y = conv.forward(tensor([1, 1, 1, 1], vec![2.0]));
        assert_close(&values(y), &[10.5, 12.5, 16.5, 18.5], 1e-6);
    }

    #[test]
    fn sides_double_and_values_keep_the_published_bound() {
        let conv = doubling(512, 256);
        let largest =
            values(conv.weight.val()).iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        // Reference specification 1.6, for 512 -> 256.
        assert!(largest <= 0.020_834 && largest > 0.0208, "{largest}");
        let conv = doubling(3, 2);
        for batch in [1, 2] {
            assert_eq!(conv.forward(random([batch, 3, 5, 4], 2)).dims(), [batch, 2, 10, 8]);
        }
    }

    #[test]
    fn it_has_the_right_gradient() {
        let conv = doubling(3, 2);
        assert_block_gradient(conv, ConvTranspose2d::forward, [2, 3, 3, 2], GRADIENT_TOLERANCE);
    }

    /// Those of a context encoder's decoder.
    #[test]
    fn kernels_of_four_double_the_sides_or_enlarge_a_pixel() {
        let doubling = config(3, 2, 4, 2, Padding::Zero(1));
        let from_pixel = config(3, 2, 4, 1, Padding::None);
        for batch in [1, 2] {
            let x = random([batch, 3, 5, 4], 2);
            assert_eq!(doubling.init(&mut seeded(1)).forward(x).dims(), [batch, 2, 10, 8]);
            let x = random([batch, 3, 1, 1], 2);
            assert_eq!(from_pixel.init(&mut seeded(1)).forward(x).dims(), [batch, 2, 4, 4]);
        }
        let conv = doubling.init(&mut seeded(1));
        assert_block_gradient(conv, ConvTranspose2d::forward, [2, 3, 3, 2], GRADIENT_TOLERANCE);
        let conv = from_pixel.init(&mut seeded(1));
        assert_block_gradient(conv, ConvTranspose2d::forward, [2, 3, 1, 1], GRADIENT_TOLERANCE);
    }
}
