//! The same operations by Burn's own: for GPUs, for float64, and to compare with.

use burn::tensor::Tensor;
use burn::tensor::module::{batch_norm_train, conv_transpose2d, conv2d as burn_conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use super::{After, Normalised};
use crate::block::Padding;

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
        padding => (padding.apply(x), 0),
    };
    burn_conv2d(x, weight, bias, ConvOptions::new([stride; 2], [zeros; 2], [1, 1], 1))
}

pub(super) fn conv_transposed(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let options = ConvTransposeOptions::new([2, 2], [1, 1], [1, 1], [1, 1], 1);
    conv_transpose2d(x, weight, Some(bias), options)
}

pub(super) fn normalise(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    after: After,
) -> Normalised {
    let normalised = batch_norm_train(x, weight, bias, epsilon);
    Normalised {
        output: after.apply(normalised.output),
        mean: normalised.mean.detach(),
        variance: normalised.variance.detach(),
    }
}

pub(super) fn affine(x: Tensor<4>, scale: Tensor<1>, offset: Tensor<1>, after: After) -> Tensor<4> {
    let channels = x.dims()[1];
    after.apply(x * scale.reshape([1, channels, 1, 1]) + offset.reshape([1, channels, 1, 1]))
}
