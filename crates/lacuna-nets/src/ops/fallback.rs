//! The same operations with Burn's own: for GPUs, for float64, and for comparison.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm_train, conv_transpose2d, conv2d as burn_conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use lacuna_network::geometry::EPSILON;

use super::{After, Normalised, Padding, padding};

pub(super) fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: Padding,
) -> Tensor<4> {
    // Burn's convolution pads with zeros itself, without a copy.
    let (x, zeros) = match padding {
        Padding::Zero(by) => (x, by),
        padding => (padding::apply(padding, x), 0),
    };
    burn_conv2d(x, weight, bias, ConvOptions::new([stride; 2], [zeros; 2], [1, 1], 1))
}

pub(super) fn conv_transposed(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: Padding,
) -> Tensor<4> {
    let (by, kernel) = (padding.width(), weight.dims()[2]);
    // With a border, sides grow by exactly the stride.
    let more = if by > 0 { stride + 2 * by - kernel } else { 0 };
    let options = ConvTransposeOptions::new([stride; 2], [by; 2], [more; 2], [1, 1], 1);
    conv_transpose2d(x, weight, bias, options)
}

pub(super) fn normalise(x: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, after: After) -> Normalised {
    let normalised = batch_norm_train(x, weight, bias, EPSILON);
    Normalised {
        output: then(after, normalised.output),
        mean: normalised.mean.detach(),
        variance: normalised.variance.detach(),
    }
}

pub(super) fn affine(x: Tensor<4>, scale: Tensor<1>, offset: Tensor<1>, after: After) -> Tensor<4> {
    let channels = x.dims()[1];
    then(after, x * scale.reshape([1, channels, 1, 1]) + offset.reshape([1, channels, 1, 1]))
}

fn then(after: After, x: Tensor<4>) -> Tensor<4> {
    match after {
        After::Nothing => x,
        After::Relu => relu(x),
    }
}
