//! The shape of a network: all that is needed, besides weights, to build one.

use serde::{Deserialize, Serialize};

/// Which generator family a network belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// LaMa's generator of fast Fourier convolutions (`ffc_resnet`, Suvorov et al. 2022).
    Fourier,
    /// The pix2pixHD global generator, LaMa's "regular" baseline (Wang et al. 2018).
    Regular,
}

/// Whether the refiner's output is added to its input once more (thesis, appendix A).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delta {
    /// refined = refiner(latent).
    #[default]
    None,
    /// refined = latent + refiner(latent), the thesis's literal form.
    Literal,
}

/// The shape of a network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Generator family.
    pub family: Family,
    /// Input channels: 3 (masked picture) or 4 (masked picture and mask).
    pub channels_in: usize,
    /// Channels after the first convolution; the latent has eight times as many.
    pub width: usize,
    /// Residual blocks in the refiner.
    pub blocks: usize,
    /// Whether a mask encoder adds to the image encoder's levels (thesis, section 4.1.1).
    pub control: bool,
    /// Delta variant of the refiner.
    #[serde(default)]
    pub delta: Delta,
}
