//! The blocks of a denoiser.

use super::GROUP;
use crate::pieces::{Domain, Kernel};
use crate::{Activation, Border, Form, Layer, Linear, Operation, Split};

/// `h = conv1(silu(norm1(x)))`, `scale, shift = time(silu(t))`, `y = conv2(silu(norm2(h) (1 + scale) + shift)) + skip(x)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResidualBlock {
    /// Of the input.
    pub norm1: GroupNorm,
    /// To the channels of the output.
    pub conv1: Layer,
    /// To a scale, then a shift, for each channel.
    pub time: Linear,
    /// Of the first convolution's output.
    pub norm2: GroupNorm,
    /// Zero in a new network.
    pub conv2: Layer,
    /// 1x1, where input and output have different channels.
    pub skip: Option<Layer>,
}

/// `y = silu(reduce(norm(x)))`, `x + expand(y + irfft2(relu(fourier(rfft2(y)))))`: LaMa's spectral transform (Suvorov et al. 2022,
/// <https://arxiv.org/abs/2109.07161>) as a residual. It sees the whole map, at any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpectralMix {
    /// Of the input.
    pub norm: GroupNorm,
    /// 1x1 to half of the channels.
    pub reduce: Layer,
    /// 1x1 on the spectrum, whose channels are real and imaginary parts.
    pub fourier: Kernel,
    /// 1x1 to all channels; zero in a new network.
    pub expand: Layer,
}

/// Normalises groups of [`GROUP`] channels that follow each other: the tensors `path.weight` and `path.bias`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupNorm {
    /// The path of the norm.
    pub path: String,
    /// Number of channels.
    pub channels: usize,
}

/// Any part of a denoiser that has parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Layer(&'a Layer),
    Linear(&'a Linear),
    Norm(&'a GroupNorm),
    /// With the level at whose resolution its spectrum is.
    Fourier(&'a Kernel, usize),
}

/// A 3x3 convolution with a reflected border and a bias.
const CONV: Form = Form {
    operation: Operation::Convolution,
    kernel: 3,
    stride: 1,
    border: Border::Reflect,
    bias: true,
    norm: false,
    activation: Activation::Identity,
};

/// A 1x1 convolution with a bias.
const POINTWISE: Form = Form { kernel: 1, ..CONV };

/// A convolution of a form.
pub(super) fn conv(path: String, channels: [usize; 2], level: usize, form: Form) -> Layer {
    let [inputs, outputs] = channels.map(Split::local);
    Layer { path, inputs, outputs, level, form }
}

/// A 3x3 convolution that keeps the resolution.
pub(super) fn conv3(path: String, channels: [usize; 2], level: usize) -> Layer {
    conv(path, channels, level, CONV)
}

/// A 3x3 convolution that halves the resolution.
pub(super) fn halving(path: String, channels: [usize; 2], level: usize) -> Layer {
    conv(path, channels, level, Form { stride: 2, ..CONV })
}

/// A 1x1 convolution.
pub(super) fn pointwise(path: String, channels: [usize; 2], level: usize) -> Layer {
    conv(path, channels, level, POINTWISE)
}

impl GroupNorm {
    pub(super) fn new(path: String, channels: usize) -> Self {
        Self { path, channels }
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        (self.channels / GROUP).max(1)
    }
}

impl ResidualBlock {
    pub(super) fn new(path: &str, channels: [usize; 2], time: usize, level: usize) -> Self {
        let [inputs, outputs] = channels;
        let field = |name: &str| format!("{path}.{name}");
        Self {
            norm1: GroupNorm::new(field("norm1"), inputs),
            conv1: conv3(field("conv1"), channels, level),
            time: Linear { path: field("time"), inputs: time, outputs: 2 * outputs },
            norm2: GroupNorm::new(field("norm2"), outputs),
            conv2: conv3(field("conv2"), [outputs; 2], level),
            skip: (inputs != outputs).then(|| pointwise(field("skip"), channels, level)),
        }
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let Self { norm1, conv1, time, norm2, conv2, skip } = self;
        [Part::Norm(norm1), Part::Layer(conv1), Part::Linear(time), Part::Norm(norm2), Part::Layer(conv2)]
            .into_iter()
            .chain(skip.iter().map(Part::Layer))
    }
}

impl SpectralMix {
    pub(super) fn new(path: &str, channels: usize, level: usize) -> Self {
        let field = |name: &str| format!("{path}.{name}");
        let half = channels / 2;
        Self {
            norm: GroupNorm::new(field("norm"), channels),
            reduce: pointwise(field("reduce"), [channels, half], level),
            fourier: Kernel {
                path: field("fourier"),
                inputs: 2 * half,
                outputs: 2 * half,
                size: 1,
                domain: Domain::Spectrum,
            },
            expand: pointwise(field("expand"), [half, channels], level),
        }
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let Self { norm, reduce, fourier, expand } = self;
        [Part::Norm(norm), Part::Layer(reduce), Part::Fourier(fourier, reduce.level), Part::Layer(expand)]
            .into_iter()
    }
}

impl Part<'_> {
    pub(super) fn tensors(self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Layer(layer) => layer.tensors(),
            Self::Linear(linear) => linear.tensors().into(),
            Self::Norm(GroupNorm { path, channels }) => {
                ["weight", "bias"].map(|part| (format!("{path}.{part}"), vec![*channels])).into()
            }
            Self::Fourier(kernel, _) => vec![(format!("{}.weight", kernel.path), kernel.shape().to_vec())],
        }
    }
}
