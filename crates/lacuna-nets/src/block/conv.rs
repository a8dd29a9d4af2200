//! Convolution.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lacuna_network::Layer;

use super::Init;
use crate::ops::{self, Padding, padding};

/// The shape of a [`Conv2d`]; square kernels and strides.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dConfig {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Steps between outputs, in pixels.
    pub stride: usize,
    /// The border.
    pub padding: Padding,
    /// Whether an offset is added to every output channel.
    pub bias: bool,
}

impl Conv2dConfig {
    /// A 1x1 convolution without bias.
    pub fn pointwise(channels_in: usize, channels_out: usize) -> Self {
        Self { channels_in, channels_out, kernel: 1, stride: 1, padding: Padding::None, bias: false }
    }

    /// The convolution of a layer.
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

    /// The convolution, with PyTorch's default values: uniform in `±1/sqrt(channels_in * kernel²)`.
    pub fn init(&self, init: &mut Init) -> Conv2d {
        let Self { channels_in, channels_out, kernel, stride, padding, bias } = *self;
        let fan_in = channels_in * kernel * kernel;
        Conv2d {
            weight: init.uniform([channels_out, channels_in, kernel, kernel], fan_in),
            bias: bias.then(|| init.uniform([channels_out], fan_in)),
            stride,
            padding,
        }
    }

    /// The convolution that gives zero whatever comes in.
    pub fn init_zero(&self, init: &mut Init) -> Conv2d {
        let Self { channels_in, channels_out, kernel, stride, padding, bias } = *self;
        Conv2d {
            weight: init.constant([channels_out, channels_in, kernel, kernel], 0.0),
            bias: bias.then(|| init.constant([channels_out], 0.0)),
            stride,
            padding,
        }
    }
}

/// A 2-D convolution (cross-correlation, as everywhere in the field).
///
/// # Shapes
/// `weight`: `[channels_out, channels_in, kernel, kernel]`; `bias`: `[channels_out]`.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// Kernels.
    pub weight: Param<Tensor<4>>,
    /// Offsets.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    padding: Padding,
}

impl Conv2d {
    /// Convolves `x`.
    ///
    /// # Shapes
    /// `x`: `[batch, channels_in, height, width]`; the result: `[batch, channels_out, rows, columns]`, where
    /// `rows = (height + 2 padding - kernel) / stride + 1`, rounded down.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), self.stride, self.padding)
    }

    /// The derivative of the output when `x` moves along `tangent`: the convolution without its offsets.
    ///
    /// # Shapes
    /// As [`Conv2d::forward`].
    pub fn forward_tangent(&self, tangent: Tensor<4>) -> Tensor<4> {
        ops::conv2d(tangent, self.weight.val(), None, self.stride, self.padding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded, tensor, values};
    use testkit::assert_close;

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    fn config(kernel: usize, stride: usize, padding: Padding) -> Conv2dConfig {
        Conv2dConfig { channels_in: 2, channels_out: 3, kernel, stride, padding, bias: true }
    }

    #[test]
    fn three_taps_by_hand() {
        let mut conv = Conv2dConfig { channels_in: 1, channels_out: 1, ..config(3, 1, Padding::Reflect(1)) }
            .init(&mut seeded(1));
        let kernel = vec![0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 0.0, 0.0, 0.0];
        conv.weight =
            Param::from_data(tensor([1, 1, 3, 3], kernel).into_data(), &burn::tensor::Device::flex());
        conv.bias = Some(Param::from_tensor(tensor([1], vec![0.5])));
        let x = tensor([1, 1, 2, 3], vec![1.0, 2.0, 3.0, 0.0, 0.0, 1.0]);
        // Row 0 reflected: 2 | 1 2 3 | 2.
        let expected = [2.0 + 2.0 + 8.0, 1.0 + 4.0 + 12.0, 2.0 + 6.0 + 8.0, 0.0, 4.0, 2.0].map(|y| y + 0.5);
        assert_close(&values(conv.forward(x.clone())), &expected, 1e-6);
        conv.padding = Padding::Zero(1);
        let expected = [2.0 + 8.0, 1.0 + 4.0 + 12.0, 2.0 + 6.0, 0.0, 4.0, 2.0].map(|y| y + 0.5);
        assert_close(&values(conv.forward(x)), &expected, 1e-6);
    }

    #[test]
    fn sizes_of_odd_inputs() {
        struct Case {
            config: Conv2dConfig,
            expected: [usize; 4],
        }
        for Case { config, expected } in [
            Case { config: config(3, 2, Padding::Reflect(1)), expected: [2, 3, 5, 4] },
            Case { config: config(3, 2, Padding::Zero(1)), expected: [2, 3, 5, 4] },
            Case { config: config(7, 1, Padding::Reflect(3)), expected: [2, 3, 9, 7] },
            Case { config: config(4, 1, Padding::Zero(2)), expected: [2, 3, 10, 8] },
            Case { config: config(1, 1, Padding::None), expected: [2, 3, 9, 7] },
        ] {
            let y = config.init(&mut seeded(1)).forward(random([2, 2, 9, 7], 2));
            assert_eq!(y.dims(), expected, "{config:?}");
        }
    }

    #[test]
    fn every_value_is_within_the_bound() {
        let conv = config(3, 1, Padding::None).init(&mut seeded(1));
        let bound = 1.0 / 18f32.sqrt();
        let all = [values(conv.weight.val()), values(conv.bias.unwrap().val())].concat();
        assert!(all.iter().all(|value| value.abs() <= bound && *value != 0.0));
    }

    #[test]
    fn it_has_the_right_gradient() {
        for padding in [Padding::Reflect(1), Padding::Zero(1)] {
            for stride in [1, 2] {
                let conv = config(3, stride, padding).init(&mut seeded(1));
                assert_block_gradient(conv, Conv2d::forward, [2, 2, 5, 4], GRADIENT_TOLERANCE);
            }
        }
    }
}
