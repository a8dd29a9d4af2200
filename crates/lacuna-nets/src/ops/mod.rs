//! What the blocks compute with: on the processor, in float32, the kernels of `lacuna-cpu`, which training takes its
//! gradients from too; everywhere else (GPUs, float64) Burn's own operations and the DFT as matrix products.

mod autodiff;
mod backend;

use std::sync::OnceLock;

use burn::backend::Dispatch;
use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm_train, conv_transpose2d, conv2d as burn_conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{DType, Device, Tensor};
use lacuna_cpu::kernels::conv::Padding as KernelPadding;
use lacuna_cpu::kernels::fourier::Columns;

use crate::block::{Padding, dft};
use backend::Kernels;

/// The environment variable that, set to `burn`, keeps to Burn's own operations: to compare with.
pub const OPS_VARIABLE: &str = "LACUNA_OPS";

/// Whether our kernels can compute this.
fn has_kernels(x: &Tensor<4>) -> bool {
    static UNWANTED: OnceLock<bool> = OnceLock::new();
    if *UNWANTED.get_or_init(|| std::env::var_os(OPS_VARIABLE).is_some_and(|value| value == "burn")) {
        return false;
    }
    let device = x.device();
    let plain = if device.is_autodiff() { device.inner() } else { device };
    x.dtype() == DType::F32 && plain == Device::flex()
}

fn kernel_padding(padding: Padding) -> KernelPadding {
    match padding {
        Padding::None => KernelPadding::None,
        Padding::Zero(by) => KernelPadding::Zero(by),
        Padding::Reflect(by) => KernelPadding::Reflect(by),
    }
}

/// Convolution.
///
/// # Shapes
/// `x`: `[batch, channels_in, height, width]`; `weight`: `[channels_out, channels_in, kernel, kernel]`; `bias`:
/// `[channels_out]`.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: Padding,
) -> Tensor<4> {
    if has_kernels(&x) {
        padding.check(&x);
        let padding = kernel_padding(padding);
        let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
        return Tensor::from_dispatch(match bias {
            None => <Dispatch as Kernels>::conv(x, weight, stride, padding),
            Some(bias) => {
                <Dispatch as Kernels>::conv_biased(x, weight, bias.into_dispatch(), stride, padding)
            }
        });
    }
    // Burn's convolution pads with zeros itself, without a copy.
    let (x, zeros) = match padding {
        Padding::Zero(by) => (x, by),
        padding => (padding.apply(x), 0),
    };
    burn_conv2d(x, weight, bias, ConvOptions::new([stride; 2], [zeros; 2], [1, 1], 1))
}

/// The transposed convolution with kernel 3, stride 2, padding 1 and output padding 1.
///
/// # Shapes
/// `x`: `[batch, channels_in, height, width]`; `weight`: `[channels_in, channels_out, 3, 3]`; `bias`: `[channels_out]`; the
/// result: `[batch, channels_out, 2 height, 2 width]`.
pub fn conv_transposed(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    if has_kernels(&x) {
        let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
        return Tensor::from_dispatch(<Dispatch as Kernels>::conv_transposed(x, weight, bias));
    }
    let options = ConvTransposeOptions::new([2, 2], [1, 1], [1, 1], [1, 1], 1);
    conv_transpose2d(x, weight, Some(bias), options)
}

/// What follows a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// ReLU.
    Relu,
}

impl After {
    fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Nothing => x,
            Self::Relu => relu(x),
        }
    }
}

/// A normalised map, and what it was normalised with.
pub struct Normalised {
    /// `[batch, channels, height, width]`.
    pub output: Tensor<4>,
    /// Mean of each channel, `[channels]`, without gradient.
    pub mean: Tensor<1>,
    /// Biased variance of each channel, `[channels]`, without gradient.
    pub variance: Tensor<1>,
}

/// BatchNorm in train mode: with the statistics of `x` itself.
///
/// # Shapes
/// `x`: `[batch, channels, height, width]`; `weight` and `bias`: `[channels]`.
pub fn normalise(x: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64, after: After) -> Normalised {
    if has_kernels(&x) && epsilon as f32 == lacuna_cpu::kernels::batch_norm::EPSILON {
        let channels = x.dims()[1];
        let plain = if x.is_autodiff() { x.clone().inner() } else { x.clone() };
        let statistics = Tensor::<2>::from_dispatch(<Dispatch as Kernels>::statistics(plain.into_dispatch()));
        let statistics = if x.is_autodiff() { Tensor::from_inner(statistics) } else { statistics };
        let row = |row: usize| statistics.clone().narrow(0, row, 1).reshape([channels]);
        let (mean, variance) = (row(0), row(1));
        let [weight, bias] = [weight, bias].map(Tensor::into_dispatch);
        let after = after == After::Relu;
        let output = <Dispatch as Kernels>::normalise(
            x.into_dispatch(),
            weight,
            bias,
            statistics.into_dispatch(),
            after,
        );
        return Normalised { output: Tensor::from_dispatch(output), mean, variance };
    }
    let normalised = batch_norm_train(x, weight, bias, epsilon);
    Normalised {
        output: after.apply(normalised.output),
        mean: normalised.mean.detach(),
        variance: normalised.variance.detach(),
    }
}

/// `scale x + offset` for each channel: BatchNorm in eval mode.
///
/// # Shapes
/// `x`: `[batch, channels, height, width]`; `scale` and `offset`: `[channels]`.
pub fn affine(x: Tensor<4>, scale: Tensor<1>, offset: Tensor<1>, after: After) -> Tensor<4> {
    if has_kernels(&x) {
        let (scale, offset) = (scale.into_dispatch(), offset.into_dispatch());
        let relu = after == After::Relu;
        return Tensor::from_dispatch(<Dispatch as Kernels>::affine(x.into_dispatch(), scale, offset, relu));
    }
    let channels = x.dims()[1];
    after.apply(x * scale.reshape([1, channels, 1, 1]) + offset.reshape([1, channels, 1, 1]))
}

/// The half spectrum; see [`dft::real_dft`].
pub fn spectrum(x: Tensor<4>) -> Tensor<4> {
    if has_kernels(&x) {
        return Tensor::from_dispatch(<Dispatch as Kernels>::spectrum(x.into_dispatch(), Columns::Once));
    }
    dft::real_dft(x)
}

/// The map of a half spectrum, `width` pixels wide; see [`dft::inverse_real_dft`].
pub fn plane(spectrum: Tensor<4>, width: usize) -> Tensor<4> {
    if has_kernels(&spectrum) {
        return Tensor::from_dispatch(<Dispatch as Kernels>::plane(
            spectrum.into_dispatch(),
            width,
            Columns::Once,
        ));
    }
    dft::inverse_real_dft(spectrum, width)
}
