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
    /// Not at all: for autoencoders.
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
            Self::ContextEncoder(network) => Architecture::ContextEncoder(*network),
        }
    }

    /// The options of a generator; `None` for a context encoder.
    pub fn generator(&self) -> Option<&GeneratorOptions> {
        match self {
            Self::Fourier(options) | Self::Regular(options) => Some(options),
            Self::ContextEncoder(_) => None,
        }
    }

    /// The options of a generator, to change them; `None` for a context encoder.
    pub fn generator_mut(&mut self) -> Option<&mut GeneratorOptions> {
        match self {
            Self::Fourier(options) | Self::Regular(options) => Some(options),
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
    /// Weights file of the same network to continue from, with new optimizers.
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
    /// From a latent to pixels.
    Decoder,
}
