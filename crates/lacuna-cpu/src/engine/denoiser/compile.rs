//! A denoiser and a ControlNet branch with their weights packed for the kernels.

use lacuna_network::{
    Border, ControlNet, Denoiser, DenoiserEncoder, GroupNorm, Layer, Linear, MiddleBlock, ResidualBlock,
    SpectralMix, time_features,
};

use super::norm::{Change, Norm};
use crate::Isa;
use crate::engine::conv::{Conv, Taps};
use crate::engine::dense;
use crate::engine::source::{Source, Weights};
use crate::error::{Error, Result};
use crate::simd::LANES;
use crate::tiles::channels::Channels;
use crate::tiles::winograd::{Blocks, Winograd};

/// A compiled denoiser.
#[derive(Debug)]
pub(super) struct Network {
    pub isa: Isa,
    /// Channels of the inputs, each of which starts a block: noisy latent, latent of the masked image, fraction of hole pixels, and
    /// the latent of a fill.
    pub inputs: Channels,
    /// Channels of the latent.
    pub latent: Channels,
    pub encoder: Encoder,
    /// The first of these is the last to run.
    pub up: Vec<(Conv3, Vec<Residual>)>,
    pub norm_out: Norm,
    pub conv_out: Conv3,
}

/// The half of a denoiser that a ControlNet branch copies.
#[derive(Debug)]
pub(super) struct Encoder {
    time: [Dense; 2],
    pub conv_in: Conv3,
    pub down: Vec<(Vec<Residual>, Biased)>,
    pub middle: Vec<Middle>,
    width: usize,
}

/// A compiled ControlNet branch.
#[derive(Debug)]
pub(super) struct Branch {
    pub isa: Isa,
    /// Channels of a hint.
    pub hint: Channels,
    /// From the hint to what is added to the first map. All but the last are followed by SiLU.
    pub hint_layers: Vec<HintLayer>,
    pub encoder: Encoder,
    /// For each skip connection, then the middle.
    pub zero: Vec<Biased>,
}

/// A layer of the encoder of hints.
#[derive(Debug)]
pub(super) enum HintLayer {
    Same(Conv3),
    Halving(Biased),
}

/// Full connections.
#[derive(Debug)]
struct Dense {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// A 3x3 convolution that keeps the resolution.
#[derive(Debug)]
pub(super) struct Conv3 {
    pub winograd: Winograd,
    /// Lanes of the bias.
    pub bias: Vec<f32>,
    /// Blocks of its output.
    pub blocks: usize,
}

/// A convolution whose bias is added afterwards.
#[derive(Debug)]
pub(super) struct Biased {
    pub conv: Conv,
    /// Lanes of the bias.
    pub bias: Vec<f32>,
}

impl Biased {
    /// Blocks of its output.
    pub fn blocks(&self) -> usize {
        self.bias.len() / LANES
    }

    fn bytes(&self) -> usize {
        self.conv.bytes() + size_of_val(self.bias.as_slice())
    }
}

/// A residual block.
#[derive(Debug)]
pub(super) struct Residual {
    pub norm1: Norm,
    pub conv1: Conv3,
    time: Dense,
    pub norm2: Norm,
    /// With the bias of the skip connection.
    pub conv2: Conv3,
    pub skip: Option<Conv>,
}

/// A spectral mix.
#[derive(Debug)]
pub(super) struct Mix {
    pub norm: Norm,
    pub reduce: Biased,
    /// Of the spectrum, with ReLU.
    pub fourier: Conv,
    pub expand: Biased,
    /// Half of the channels.
    pub half: Channels,
}

/// A block of the middle.
#[derive(Debug)]
pub(super) enum Middle {
    Residual(Residual),
    Mix(Mix),
}

impl Dense {
    fn run(&self, x: &[f32]) -> Vec<f32> {
        let sums = dense::rows(x, &self.weights);
        sums.iter().zip(&self.bias).map(|(sum, bias)| sum + bias).collect()
    }

    fn numbers(&self) -> usize {
        self.weights.len() + self.bias.len()
    }
}

impl Residual {
    fn numbers(&self) -> usize {
        let norms = [&self.norm1, &self.norm2].map(|norm| 2 * norm.weight.len());
        norms.iter().sum::<usize>() + self.time.numbers()
    }

    fn bytes(&self) -> usize {
        self.conv1.bytes()
            + self.conv2.bytes()
            + self.skip.as_ref().map_or(0, Conv::bytes)
            + self.numbers() * size_of::<f32>()
    }
}

impl Middle {
    /// A residual block.
    pub fn residual(&self) -> Option<&Residual> {
        match self {
            Self::Residual(block) => Some(block),
            Self::Mix(_) => None,
        }
    }
}

impl Conv3 {
    fn bytes(&self) -> usize {
        self.winograd.bytes() + size_of_val(self.bias.as_slice())
    }
}

impl Network {
    /// Packs the weights that `weights` gives by name.
    ///
    /// # Errors
    /// If there is no such denoiser, or a tensor is missing or has another size.
    pub fn compile<'w>(config: &Denoiser, isa: Isa, weights: impl Weights<'w>) -> Result<Self> {
        config.check().map_err(|problem| Error::Structure {
            layer: "the denoiser".into(),
            problem: problem.to_string(),
        })?;
        Compiler { isa, source: Source::new(weights) }.network(config)
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let up = self.up.iter().map(|(conv, blocks)| conv.bytes() + bytes_of(blocks));
        self.encoder.bytes() + self.conv_out.bytes() + up.sum::<usize>()
    }

    /// What a time does in each residual block, in the order of computation.
    pub fn changes(&self, time: f64) -> Vec<Change> {
        self.encoder.changes(time, self.up.iter().rev().flat_map(|(_, blocks)| blocks))
    }
}

impl Encoder {
    /// Bytes of packed weights.
    fn bytes(&self) -> usize {
        let time = self.time.iter().map(Dense::numbers).sum::<usize>() * size_of::<f32>();
        let down = self.down.iter().map(|(blocks, halve)| bytes_of(blocks) + halve.bytes());
        let middle = self.middle.iter().map(|block| match block {
            Middle::Residual(block) => block.bytes(),
            Middle::Mix(mix) => mix.reduce.bytes() + mix.fourier.bytes() + mix.expand.bytes(),
        });
        time + self.conv_in.bytes() + down.sum::<usize>() + middle.sum::<usize>()
    }

    /// What a time does in each of its residual blocks, then in those of `further`, in the order of computation.
    pub fn changes<'r>(&'r self, time: f64, further: impl Iterator<Item = &'r Residual>) -> Vec<Change> {
        let silu = |values: Vec<f32>| -> Vec<f32> {
            values.iter().map(|&value| value / (1.0 + libm::expf(-value))).collect()
        };
        let [first, second] = &self.time;
        let values = silu(second.run(&silu(first.run(&time_features(time, self.width)))));
        let change = |block: &Residual| {
            let mut scale = block.time.run(&values);
            let offset = scale.split_off(scale.len() / 2);
            scale.iter_mut().for_each(|scale| *scale += 1.0);
            Change { scale, offset }
        };
        let down = self.down.iter().flat_map(|(blocks, _)| blocks);
        let middle = self.middle.iter().filter_map(Middle::residual);
        down.chain(middle).chain(further).map(change).collect()
    }
}

impl Branch {
    /// Packs the weights that `weights` gives by name.
    ///
    /// # Errors
    /// If there is no such branch, or a tensor is missing or has another size.
    pub fn compile<'w>(config: &ControlNet, isa: Isa, weights: impl Weights<'w>) -> Result<Self> {
        config.check().map_err(|problem| Error::Structure {
            layer: "the ControlNet branch".into(),
            problem: problem.to_string(),
        })?;
        Compiler { isa, source: Source::new(weights) }.branch(config)
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let hint = self.hint_layers.iter().map(|layer| match layer {
            HintLayer::Same(conv) => conv.bytes(),
            HintLayer::Halving(conv) => conv.bytes(),
        });
        self.encoder.bytes() + hint.sum::<usize>() + self.zero.iter().map(Biased::bytes).sum::<usize>()
    }
}

fn bytes_of(blocks: &[Residual]) -> usize {
    blocks.iter().map(Residual::bytes).sum()
}

struct Compiler<W> {
    isa: Isa,
    source: Source<W>,
}

impl<'w, W: Weights<'w>> Compiler<W> {
    fn network(&self, config: &Denoiser) -> Result<Network> {
        let layers = config.layers();
        let up = layers.up.iter();
        let up = up.map(|level| Ok((self.conv3(&level.upsample)?, self.residuals(&level.blocks)?)));
        Ok(Network {
            isa: self.isa,
            inputs: inputs(config),
            latent: Channels::parts([config.latent]),
            encoder: self.encoder(config, &layers.encoder)?,
            up: up.collect::<Result<_>>()?,
            norm_out: self.norm(&layers.norm_out)?,
            conv_out: self.conv3(&layers.conv_out)?,
        })
    }

    fn branch(&self, config: &ControlNet) -> Result<Branch> {
        let layers = config.layers();
        let hint_layers = layers.hint.iter().map(|layer| {
            Ok(match layer.form.stride {
                1 => HintLayer::Same(self.conv3(layer)?),
                _ => HintLayer::Halving(self.biased(layer)?),
            })
        });
        Ok(Branch {
            isa: self.isa,
            hint: Channels::parts([config.hint]),
            hint_layers: hint_layers.collect::<Result<_>>()?,
            encoder: self.encoder(&config.denoiser, &layers.encoder)?,
            zero: layers.zero.iter().map(|layer| self.biased(layer)).collect::<Result<_>>()?,
        })
    }

    fn encoder(&self, config: &Denoiser, layers: &DenoiserEncoder) -> Result<Encoder> {
        let [first, second] = &layers.time;
        let down = layers.down.iter();
        let down = down.map(|level| Ok((self.residuals(&level.blocks)?, self.biased(&level.downsample)?)));
        let middle = layers.middle.iter().map(|block| {
            Ok(match block {
                MiddleBlock::Residual(block) => Middle::Residual(self.residual(block)?),
                MiddleBlock::Mix(mix) => Middle::Mix(self.mix(mix)?),
            })
        });
        Ok(Encoder {
            time: [self.dense(first)?, self.dense(second)?],
            conv_in: self.conv3_between(&layers.conv_in, (&inputs(config), &outputs(&layers.conv_in)))?,
            down: down.collect::<Result<_>>()?,
            middle: middle.collect::<Result<_>>()?,
            width: config.width,
        })
    }

    fn dense(&self, Linear { path, inputs, outputs }: &Linear) -> Result<Dense> {
        Ok(Dense {
            weights: self.source.tensor(&format!("{path}.weight"), inputs * outputs)?.into_owned(),
            bias: self.source.tensor(&format!("{path}.bias"), *outputs)?.into_owned(),
        })
    }

    fn norm(&self, GroupNorm { path, channels }: &GroupNorm) -> Result<Norm> {
        let part = |part: &str| self.source.tensor(&format!("{path}.{part}"), *channels);
        Ok(Norm { weight: part("weight")?.into_owned(), bias: part("bias")?.into_owned() })
    }

    fn conv3(&self, layer: &Layer) -> Result<Conv3> {
        self.conv3_between(layer, (&Channels::parts([layer.inputs.total()]), &outputs(layer)))
    }

    fn conv3_between(&self, layer: &Layer, (inputs, outputs): (&Channels, &Channels)) -> Result<Conv3> {
        let folded = self.source.folded(layer)?;
        let all = Blocks { inputs: 0..inputs.blocks(), outputs: 0..outputs.blocks() };
        let weight = |output: usize, input: usize, tap: usize| folded.weight(output, input, tap);
        let winograd = Winograd::new(self.isa, (inputs, outputs), layer.form.border, vec![all], weight);
        let bias = outputs.spread(|channel| folded.offset(channel));
        Ok(Conv3 { winograd, bias, blocks: outputs.blocks() })
    }

    /// A convolution by register tiles.
    fn biased(&self, layer: &Layer) -> Result<Biased> {
        let folded = self.source.folded(layer)?;
        let (inputs, outputs) = (Channels::parts([layer.inputs.total()]), outputs(layer));
        let taps = Taps::square(layer.form.kernel, layer.form.stride, layer.form.border);
        let weight = |output: usize, input: usize, tap: usize| folded.weight(output, input, tap);
        let conv = Conv::new(self.isa, (inputs, &outputs), taps, None, weight);
        Ok(Biased { conv, bias: outputs.spread(|channel| folded.offset(channel)) })
    }

    fn residuals(&self, blocks: &[ResidualBlock]) -> Result<Vec<Residual>> {
        blocks.iter().map(|block| self.residual(block)).collect()
    }

    fn residual(&self, block: &ResidualBlock) -> Result<Residual> {
        let mut conv2 = self.conv3(&block.conv2)?;
        let skip = block.skip.as_ref().map(|skip| self.biased(skip)).transpose()?;
        if let Some(skip) = &skip {
            conv2.bias.iter_mut().zip(&skip.bias).for_each(|(bias, of_skip)| *bias += of_skip);
        }
        Ok(Residual {
            norm1: self.norm(&block.norm1)?,
            conv1: self.conv3(&block.conv1)?,
            time: self.dense(&block.time)?,
            norm2: self.norm(&block.norm2)?,
            conv2,
            skip: skip.map(|skip| skip.conv),
        })
    }

    fn mix(&self, mix: &SpectralMix) -> Result<Mix> {
        let half = Channels::parts([mix.reduce.outputs.total()]);
        let spectrum = Channels::spectrum(half.total());
        let kernel = self.source.kernel(&mix.fourier)?;
        let weight = |output: usize, input: usize, tap: usize| kernel.at(output, input, tap);
        let relu = Some(vec![0.0; spectrum.spread(|_| 0.0).len()]);
        let taps = Taps::square(1, 1, Border::Zero);
        Ok(Mix {
            norm: self.norm(&mix.norm)?,
            reduce: self.biased(&mix.reduce)?,
            fourier: Conv::new(self.isa, (spectrum.clone(), &spectrum), taps, relu, weight),
            expand: self.biased(&mix.expand)?,
            half,
        })
    }
}

/// Channels of a denoiser's inputs.
fn inputs(config: &Denoiser) -> Channels {
    let latent = config.latent;
    Channels::parts([latent, latent, 1].into_iter().chain(config.mean.then_some(latent)))
}

fn outputs(layer: &Layer) -> Channels {
    Channels::parts([layer.outputs.total()])
}
