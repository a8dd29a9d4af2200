//! The run file's tables `network` and `start`.

use std::path::PathBuf;

use lacuna_network::geometry::{IMAGE_CHANNELS, MASKED_CHANNELS};
use lacuna_network::{Architecture, Delta, Family, Shape};
use serde::{Deserialize, Serialize};

/// The network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Generator family.
    pub family: Family,
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
        self.family.network(Shape {
            channels_in: match self.conditioning {
                Conditioning::Alpha => MASKED_CHANNELS,
                Conditioning::None | Conditioning::Control | Conditioning::LatentAdd => IMAGE_CHANNELS,
            },
            width: self.width,
            blocks: self.blocks,
            control: matches!(self.conditioning, Conditioning::Control | Conditioning::LatentAdd),
            delta: self.delta,
        })
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
