//! Half of a residual block: one convolution of the latent, with a path through the spectrum if it is a fast Fourier one.

use lacuna_network::{Activation, Border, FastFourier, Layer, Pieces};

use super::compile::Compiler;
use crate::engine::conv::Conv;
use crate::engine::source::Weights;
use crate::error::Result;
use crate::tiles::channels::Channels;
use crate::tiles::winograd::{Blocks, Winograd};
use crate::{After, Isa};

/// A convolution of the latent with norm and activation.
#[derive(Debug)]
pub(crate) struct Half {
    /// The spectral path to the global channels.
    pub spectral: Option<SpectralPath>,
    /// The spatial convolutions.
    pub convolve: Winograd,
    /// Bias lanes of the sum.
    pub bias: Vec<f32>,
    /// The first block to which the spectral path has already written a summand.
    pub add_from: usize,
    /// What follows the sum.
    pub after: After,
}

/// The spectral path.
#[derive(Debug)]
pub(crate) struct SpectralPath {
    /// From the global channels to half as many.
    pub reduce: Conv,
    /// The 1x1 convolution of the spectrum.
    pub mix: Conv,
    /// From half of the global channels back to all.
    pub expand: Conv,
    /// Half of the global channels.
    pub reduced: Channels,
}

impl Half {
    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let spectral = self.spectral.iter().flat_map(|path| [&path.reduce, &path.mix, &path.expand]);
        self.convolve.bytes() + spectral.map(Conv::bytes).sum::<usize>()
    }

    /// Bytes of the packed weights that a style scales.
    pub fn styled_bytes(&self) -> usize {
        self.convolve.bytes() + self.spectral.as_ref().map_or(0, |path| path.reduce.bytes())
    }
}

/// The blocks of channels that the spatial convolutions connect.
pub(super) fn blocks(latent: &Channels, layer: &Layer, has_spectral: bool) -> Vec<Blocks> {
    let all = latent.blocks();
    if !has_spectral {
        return vec![Blocks { inputs: 0..all, outputs: 0..all }];
    }
    let local = Channels::parts([layer.outputs.local]).blocks();
    // Global to global channels go through the spectral path only.
    vec![Blocks { inputs: 0..all, outputs: 0..local }, Blocks { inputs: 0..local, outputs: local..all }]
}

/// The spatial convolutions with the weights that `weight` gives for output channel, input channel and tap.
pub(super) fn convolution(
    isa: Isa,
    latent: &Channels,
    border: Border,
    blocks: Vec<Blocks>,
    weight: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Winograd {
    Winograd::new(isa, (latent, latent), border, blocks, weight)
}

impl<'w, W: Weights<'w>> Compiler<W> {
    /// Packs half of a residual block.
    pub(super) fn half(&self, layer: &Layer, latent: &Channels) -> Result<Half> {
        let folded = self.source.folded(layer)?;
        let spectral = match layer.pieces() {
            Pieces::FastFourier(pieces) => self.spectral(layer, &pieces)?,
            Pieces::Plain(_) | Pieces::ChannelWise(_) => None,
        };
        let blocks = blocks(latent, layer, spectral.is_some());
        let weight = |output: usize, input: usize, tap: usize| folded.weight(output, input, tap);
        Ok(Half {
            add_from: if spectral.is_some() { blocks[0].outputs.end } else { latent.blocks() },
            spectral,
            convolve: convolution(self.isa, latent, layer.form.border, blocks, weight),
            bias: latent.spread(|channel| folded.offset(channel)),
            after: match layer.form.activation {
                Activation::Relu => After::Relu,
                // `check` has refused all others.
                _ => After::Nothing,
            },
        })
    }

    fn spectral(&self, layer: &Layer, pieces: &FastFourier) -> Result<Option<SpectralPath>> {
        let (Some(path), Some(norm_global)) = (&pieces.spectral, &pieces.norm_global) else {
            return Ok(None);
        };
        let reduced = path.reduce.outputs;
        let (globals, halves) = (Channels::parts([layer.inputs.global]), Channels::parts([reduced]));
        let spectrum = Channels::spectrum(reduced);
        let reduce = self.source.normed(&path.reduce, &path.reduce_norm)?;
        let mix = self.source.normed(&path.mix, &path.mix_norm)?;
        let (expand, norm) = (self.source.kernel(&path.expand)?, self.source.norm(norm_global)?);
        Ok(Some(SpectralPath {
            reduce: self.pointwise_relu((&globals, &halves), &reduce),
            mix: self.pointwise_relu((&spectrum, &spectrum), &mix),
            // The norm's offsets are part of the sum's bias.
            expand: self.pointwise((&halves, &Channels::parts([layer.outputs.global])), |output, input| {
                norm.scale[output] * expand.at(output, input, 0)
            }),
            reduced: halves,
        }))
    }
}
