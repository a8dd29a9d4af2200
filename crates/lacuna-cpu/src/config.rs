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
    /// refined = latent + refiner(latent), the thesis's literal form. As the refiner never takes away, this is at least twice
    /// the latent.
    Literal,
    /// The refiner's output without its own skip, which is a difference, added to the latent. Written out that is
    /// refined = refiner(latent) again; what the blocks lack for a true difference is a sign. So here the last block's output
    /// is not rectified, and may take away. In the regular family no block's is: nothing changes there.
    Signed,
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
