//! The parts of a layer that have parameters: kernels, biases and norms.

use crate::{Layer, Operation, Split};

/// The parts of a layer that have parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "one at a time, while a network is built")
)]
pub enum Pieces {
    /// Of a convolution or a transposed one.
    Plain(Plain),
    /// Of a fast Fourier convolution.
    FastFourier(FastFourier),
    /// Of a channel-wise full connection.
    ChannelWise(ChannelWise),
}

/// The parts of a convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// Its weights.
    pub kernel: Kernel,
    /// Its offsets.
    pub bias: Option<Bias>,
    /// BatchNorm of its output.
    pub norm: Option<Norm>,
}

/// The parts of a fast Fourier convolution: `local = norm(l2l(local) + g2l(global))` and
/// `global = norm(l2g(local) + spectral(global))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FastFourier {
    /// From local to local channels.
    pub local_to_local: Kernel,
    /// From local to global channels.
    pub local_to_global: Option<Kernel>,
    /// From global to local channels.
    pub global_to_local: Option<Kernel>,
    /// From global to global channels.
    pub spectral: Option<Spectral>,
    /// BatchNorm of the local output.
    pub norm_local: Norm,
    /// BatchNorm of the global output.
    pub norm_global: Option<Norm>,
}

/// The parts of the spectral path: `expand(y + irfft2(relu(norm(mix(rfft2(y))))))` with `y = relu(norm(reduce(x)))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spectral {
    /// To half of the output's channels, which are transformed.
    pub reduce: Kernel,
    /// BatchNorm of these.
    pub reduce_norm: Norm,
    /// Applied to the spectrum, whose channels are real and imaginary parts.
    pub mix: Kernel,
    /// BatchNorm of the spectrum.
    pub mix_norm: Norm,
    /// To all channels of the output.
    pub expand: Kernel,
}

/// A full connection within each channel: the tensors `path.weight`, `[channels, places, places]` (output places first), and
/// `path.bias`, `[channels, places]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelWise {
    /// The path of the layer.
    pub path: String,
    /// Channels of input and output.
    pub channels: usize,
    /// Pixels of a map.
    pub places: usize,
}

/// The weights of a plain convolution: the tensor `path.weight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The path of the convolution.
    pub path: String,
    /// Channels of its input.
    pub inputs: usize,
    /// Channels of its output.
    pub outputs: usize,
    /// Rows and columns.
    pub size: usize,
    /// What it is applied to.
    pub domain: Domain,
}

/// What a kernel is applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// The feature map; the result has the layer's resolution.
    Map,
    /// The feature map before it is enlarged: for transposed convolutions, whose weights begin with the inputs.
    Transposed,
    /// The half spectrum of the feature map: `width / 2 + 1` columns.
    Spectrum,
}

/// An offset per channel: the tensor `path.bias`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bias {
    /// The path of the convolution.
    pub path: String,
    /// Number of channels.
    pub channels: usize,
}

/// BatchNorm: `path.weight` and `path.bias`, and the statistics `path.running_mean` and `path.running_var`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Norm {
    /// The path of the norm.
    pub path: String,
    /// Number of channels.
    pub channels: usize,
}

/// Any part of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Kernel(&'a Kernel),
    Bias(&'a Bias),
    Norm(&'a Norm),
    ChannelWise(&'a ChannelWise),
}

impl Kernel {
    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.inputs * self.outputs * self.size * self.size
    }

    /// The dimensions of its tensor, outermost first.
    pub fn shape(&self) -> [usize; 4] {
        let [first, second] = match self.domain {
            Domain::Transposed => [self.inputs, self.outputs],
            Domain::Map | Domain::Spectrum => [self.outputs, self.inputs],
        };
        [first, second, self.size, self.size]
    }
}

impl FastFourier {
    /// The spatial convolutions: all kernels except those of the spectral path.
    pub fn neighbourhood(&self) -> impl Iterator<Item = &Kernel> {
        [&self.local_to_local].into_iter().chain(&self.local_to_global).chain(&self.global_to_local)
    }
}

impl Pieces {
    /// All parts in the order of the computation.
    pub(crate) fn iter(&self) -> Vec<Piece<'_>> {
        match self {
            Self::Plain(Plain { kernel, bias, norm }) => {
                let (bias, norm) = (bias.iter().map(Piece::Bias), norm.iter().map(Piece::Norm));
                [Piece::Kernel(kernel)].into_iter().chain(bias).chain(norm).collect()
            }
            Self::FastFourier(layer) => {
                let spectral = layer.spectral.iter().flat_map(|path| {
                    [
                        Piece::Kernel(&path.reduce),
                        Piece::Norm(&path.reduce_norm),
                        Piece::Kernel(&path.mix),
                        Piece::Norm(&path.mix_norm),
                        Piece::Kernel(&path.expand),
                    ]
                });
                let norms = [&layer.norm_local].into_iter().chain(&layer.norm_global).map(Piece::Norm);
                layer.neighbourhood().map(Piece::Kernel).chain(spectral).chain(norms).collect()
            }
            Self::ChannelWise(layer) => vec![Piece::ChannelWise(layer)],
        }
    }

    /// All kernels in the order of the computation.
    pub fn kernels(&self) -> impl Iterator<Item = &Kernel> {
        self.iter().into_iter().filter_map(|piece| match piece {
            Piece::Kernel(kernel) => Some(kernel),
            Piece::Bias(_) | Piece::Norm(_) | Piece::ChannelWise(_) => None,
        })
    }
}

impl Layer {
    /// Everything that has parameters.
    pub fn pieces(&self) -> Pieces {
        match self.form.operation {
            Operation::Convolution => Pieces::Plain(self.plain(Domain::Map)),
            Operation::Transposed => Pieces::Plain(self.plain(Domain::Transposed)),
            Operation::FastFourier => Pieces::FastFourier(self.fast_fourier()),
            Operation::ChannelWise => Pieces::ChannelWise(ChannelWise {
                path: self.path.clone(),
                channels: self.outputs.total(),
                places: self.form.kernel * self.form.kernel,
            }),
        }
    }

    /// A convolution is a field `conv` beside its `norm`, or the layer itself if it has no norm.
    fn plain(&self, domain: Domain) -> Plain {
        let path = if self.form.norm { self.field("conv") } else { self.path.clone() };
        let (inputs, channels) = (self.inputs.total(), self.outputs.total());
        let norm = self.form.norm.then(|| Norm { path: self.field("norm"), channels });
        let bias = self.form.bias.then(|| Bias { path: path.clone(), channels });
        Plain {
            kernel: Kernel { path, inputs, outputs: channels, size: self.form.kernel, domain },
            bias,
            norm,
        }
    }

    fn fast_fourier(&self) -> FastFourier {
        let (Split { local, global }, outputs, size) = (self.inputs, self.outputs, self.form.kernel);
        let kernel = |field: &str, inputs: usize, outputs: usize| {
            let path = self.field(field);
            (inputs > 0 && outputs > 0).then_some(Kernel { path, inputs, outputs, size, domain: Domain::Map })
        };
        let norm = |field: &str, channels: usize| Norm { path: self.field(field), channels };
        FastFourier {
            local_to_local: Kernel {
                path: self.field("ffc.local_to_local"),
                inputs: local,
                outputs: outputs.local,
                size,
                domain: Domain::Map,
            },
            local_to_global: kernel("ffc.local_to_global", local, outputs.global),
            global_to_local: kernel("ffc.global_to_local", global, outputs.local),
            spectral: (global > 0 && outputs.global > 0).then(|| self.spectral(global, outputs.global)),
            norm_local: norm("norm_local", outputs.local),
            norm_global: (outputs.global > 0).then(|| norm("norm_global", outputs.global)),
        }
    }

    fn spectral(&self, inputs: usize, outputs: usize) -> Spectral {
        let field = |name: &str| self.field(&format!("ffc.global_to_global.{name}"));
        let reduced = outputs / 2;
        let kernel = |name: &str, inputs: usize, outputs: usize, domain: Domain| Kernel {
            path: field(name),
            inputs,
            outputs,
            size: 1,
            domain,
        };
        Spectral {
            reduce: kernel("reduce", inputs, reduced, Domain::Map),
            reduce_norm: Norm { path: field("reduce_norm"), channels: reduced },
            mix: kernel("fourier.conv", 2 * reduced, 2 * reduced, Domain::Spectrum),
            mix_norm: Norm { path: field("fourier.norm"), channels: 2 * reduced },
            expand: kernel("expand", reduced, outputs, Domain::Map),
        }
    }

    fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Border, Form};

    fn layer(inputs: Split, outputs: Split) -> FastFourier {
        let form = Form {
            operation: Operation::FastFourier,
            kernel: 3,
            stride: 1,
            border: Border::Reflect,
            bias: false,
            norm: true,
            activation: Activation::Relu,
        };
        let layer = Layer { path: "layer".into(), inputs, outputs, level: 0, form };
        match layer.pieces() {
            Pieces::FastFourier(pieces) => pieces,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_path_exists_where_both_of_its_ends_do() {
        let both = Split { local: 2, global: 6 };
        let down = layer(Split::local(4), both);
        assert!(down.global_to_local.is_none() && down.spectral.is_none() && down.norm_global.is_some());
        assert_eq!(down.local_to_global.unwrap().shape(), [6, 4, 3, 3]);
        let local = layer(Split::local(4), Split::local(8));
        assert!(local.local_to_global.is_none() && local.norm_global.is_none());
        let half = layer(both, both);
        assert_eq!(half.neighbourhood().map(Kernel::weights).sum::<usize>(), 9 * (2 * 2 + 2 * 2 * 6));
        let spectral = half.spectral.unwrap();
        assert_eq!(spectral.mix.shape(), [6, 6, 1, 1]);
        assert_eq!((spectral.reduce.outputs, spectral.expand.inputs, spectral.mix_norm.channels), (3, 3, 6));
        assert_eq!(spectral.mix.path, "layer.ffc.global_to_global.fourier.conv");
    }
}
