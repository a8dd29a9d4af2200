//! The run file's tables `network` and `start`.

use std::path::PathBuf;

use lacuna_network::geometry::{IMAGE_CHANNELS, MASKED_CHANNELS};
use lacuna_network::{Architecture, ContextEncoder, Delta, Family, Shape};
use serde::{Deserialize, Serialize};

/// The network: its family under `family`, beside the options of that family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
pub enum Network {
    /// LaMa's generator of fast Fourier convolutions.
    Fourier(GeneratorOptions),
    /// The pix2pixHD global generator.
    Regular(GeneratorOptions),
    /// LaMa's generator with several answers for each hole.
    Sampled(GeneratorOptions),
    /// A context encoder.
    ContextEncoder(ContextEncoder),
}

/// A generator with encoder, refiner and decoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorOptions {
    /// Channels after the first convolution.
    pub width: usize,
    /// Residual blocks of the refiner.
    pub blocks: usize,
    /// How the network receives the mask.
    pub conditioning: Conditioning,
    /// Delta variant of the refiner.
    #[serde(default)]
    pub delta: Delta,
}

/// How the network receives the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conditioning {
    /// Not at all: for autoencoders, and to measure what the mask is worth. The hole is black.
    None,
    /// As a fourth input channel, as in LaMa.
    Alpha,
    /// Mask control at all levels of the encoder (thesis, section 4.1.1).
    Control,
    /// Mask features added only at the latent: mask control whose first three zero convolutions stay zero.
    LatentAdd,
}

impl Network {
    /// The network's configuration.
    pub fn config(&self) -> Architecture {
        match self {
            Self::Fourier(options) => Family::Fourier.network(options.shape()),
            Self::Regular(options) => Family::Regular.network(options.shape()),
            Self::Sampled(options) => Family::Sampled.network(options.shape()),
            Self::ContextEncoder(network) => Architecture::ContextEncoder(*network),
        }
    }

    /// The options of a generator; `None` for a context encoder.
    pub fn generator(&self) -> Option<&GeneratorOptions> {
        match self {
            Self::Fourier(options) | Self::Regular(options) | Self::Sampled(options) => Some(options),
            Self::ContextEncoder(_) => None,
        }
    }

    /// The options of a generator, to change them; `None` for a context encoder.
    pub fn generator_mut(&mut self) -> Option<&mut GeneratorOptions> {
        match self {
            Self::Fourier(options) | Self::Regular(options) | Self::Sampled(options) => Some(options),
            Self::ContextEncoder(_) => None,
        }
    }
}

impl GeneratorOptions {
    fn shape(&self) -> Shape {
        Shape {
            channels_in: match self.conditioning {
                Conditioning::Alpha => MASKED_CHANNELS,
                Conditioning::None | Conditioning::Control | Conditioning::LatentAdd => IMAGE_CHANNELS,
            },
            width: self.width,
            blocks: self.blocks,
            control: matches!(self.conditioning, Conditioning::Control | Conditioning::LatentAdd),
            delta: self.delta,
        }
    }
}

/// Initial weights and frozen parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Weights file of an autoencoder of the same width. Its encoder gives the targets of the latent loss.
    #[serde(default)]
    pub autoencoder: Option<PathBuf>,
    /// Whether encoder and decoder are initialised from the autoencoder.
    #[serde(default = "yes")]
    pub autoencoder_init: bool,
    /// Weights file of the same network to continue from, with new optimizers. A network of the sampled family may also start
    /// from the plain network: its modulation then starts without effect.
    #[serde(default)]
    pub network: Option<PathBuf>,
    /// Frozen parts: neither parameters nor statistics change. With a fourth input channel the encoder's first
    /// convolution is still trained.
    #[serde(default)]
    pub freeze: Vec<Part>,
}

fn yes() -> bool {
    true
}

/// A part of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// From pixels to the latent.
    Encoder,
    /// Mask control.
    Control,
    /// From the latent of a masked image to that of a complete one.
    Refiner,
    /// From a latent to pixels.
    Decoder,
}

impl Part {
    /// The beginning of its tensors' names.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Encoder => "encoder.",
            Self::Control => "control.",
            Self::Refiner => "refiner.",
            Self::Decoder => "decoder.",
        }
    }
}

/// Training of a network with several answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Answers for each photo.
    pub answers: usize,
    /// The learning rate of the mapping from codes, as a multiple of the others'.
    pub mapping_rate: f64,
    /// The noise of a photo's answers in training.
    #[serde(default)]
    pub noise: Noise,
    /// How often, 0 to 1, another answer of a photo than the best is held to the ground truth by features and latents. At 0 an answer that is
    /// never the best is held by nothing in the hole.
    #[serde(default)]
    pub others: f64,
}

/// The noise of a photo's answers in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// Each answer has its own, as in use: losses that want answers to differ are also satisfied by noise.
    #[default]
    Own,
    /// All have the same: only their codes make answers differ.
    Common,
}
