//! The configuration of a denoiser: a U-Net that predicts the velocity of a flow, or the noise of a diffusion, in a latent space.
//!
//! It follows the U-Net of latent diffusion (Rombach et al. 2022, <https://arxiv.org/abs/2112.10752>; Dhariwal and Nichol 2021,
//! <https://arxiv.org/abs/2105.05233>): residual blocks with GroupNorm and SiLU that a time scales and shifts, and skip connections
//! from each level. Inputs are concatenated: the noisy latent, the latent of the masked image, the fraction of hole pixels in each
//! cell, and optionally the latent of a deterministic fill.
//! Differs from it in: LaMa's spectral transform instead of attention, at the lowest resolution alone; reflected borders; one skip
//! connection for each level; groups of 16 channels.

mod blocks;
mod control;
mod layers;
mod time;

use serde::{Deserialize, Serialize};

pub(crate) use blocks::Part;
pub use blocks::{GroupNorm, ResidualBlock, SpectralMix};
pub use control::{ControlLayers, ControlNet, HINT_CHANNELS, HINT_WIDTHS};
pub use layers::{DenoiserEncoder, DenoiserLayers, DownLevel, MiddleBlock, UpLevel};
pub use time::time_features;

/// Channels that are normalised together: a block of the CPU engine's layout.
pub const GROUP: usize = 16;

/// Added to a group's variance before its root is taken: PyTorch's default.
pub const GROUP_EPSILON: f64 = 1e-5;

/// Largest width. Limits of this file keep a hostile file from requesting an endless network.
pub const DENOISER_WIDTH_LIMIT: usize = 512;

/// Most channels of a latent: those of the widest generator.
pub const LATENT_LIMIT: usize = 1024;

/// Most levels, most blocks at a level, and the largest multiple of the width.
const DEPTH_LIMIT: usize = 8;

/// The options of a denoiser.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denoiser {
    /// Channels of the latent.
    pub latent: usize,
    /// Channels of the first level, a multiple of [`GROUP`].
    pub width: usize,
    /// Channels of each level, as multiples of the width. Each level has half the resolution of the one before; the last is the
    /// middle.
    pub levels: Vec<usize>,
    /// Residual blocks of each level but the middle, on the way down and again on the way up.
    pub blocks: usize,
    /// Whether the latent of a deterministic fill is an input. Where the latent of the masked image is already a fill (a generator's
    /// refined latent), it is not.
    pub mean: bool,
}

/// The sizes that are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DenoiserSize {
    /// 5.4 million parameters for a latent of 128 channels: can be trained on processors.
    S,
    /// 12.0 million.
    M,
    /// 15.5 million.
    B,
}

impl DenoiserSize {
    /// All sizes.
    pub const ALL: [Self; 3] = [Self::S, Self::M, Self::B];

    /// The denoiser of this size for a latent of `latent` channels, without a fill as input.
    pub fn denoiser(self, latent: usize) -> Denoiser {
        let (width, levels) = match self {
            Self::S => (64, [1, 2, 3]),
            Self::M => (96, [1, 2, 3]),
            Self::B => (128, [1, 2, 2]),
        };
        Denoiser { latent, width, levels: levels.into(), blocks: 2, mean: false }
    }
}

/// An invalid value of a [`Denoiser`] or [`ControlNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DenoiserError {
    /// The latent has no channels or too many.
    #[error("a latent of {0} channels, possible are 1 to {LATENT_LIMIT}")]
    Latent(usize),
    /// The width is no number of whole groups, or too large.
    #[error("a width of {0}, possible are multiples of {GROUP} up to {DENOISER_WIDTH_LIMIT}")]
    Width(usize),
    /// There are no levels or too many.
    #[error("{0} levels, possible are 1 to {DEPTH_LIMIT}")]
    Levels(usize),
    /// A level's width is 0 or too large.
    #[error("a level of {0} times the width, possible are 1 to {DEPTH_LIMIT}")]
    Multiple(usize),
    /// There are no blocks or too many.
    #[error("{0} blocks at each level, possible are 1 to {DEPTH_LIMIT}")]
    Blocks(usize),
    /// The hint has no channels or too many.
    #[error("a hint of {0} channels, possible are 1 to {LATENT_LIMIT}")]
    Hint(usize),
    /// A layer of the hint's encoder has no channels or too many.
    #[error("{0} channels in the hint's encoder, possible are 1 to {DENOISER_WIDTH_LIMIT}")]
    HintWidth(usize),
}

impl Denoiser {
    /// Checks the options.
    ///
    /// # Errors
    /// The value that is out of range.
    pub fn check(&self) -> Result<(), DenoiserError> {
        let Self { latent, width, ref levels, blocks, mean: _ } = *self;
        if !(1..=LATENT_LIMIT).contains(&latent) {
            return Err(DenoiserError::Latent(latent));
        }
        if !(GROUP..=DENOISER_WIDTH_LIMIT).contains(&width) || width % GROUP != 0 {
            return Err(DenoiserError::Width(width));
        }
        if !(1..=DEPTH_LIMIT).contains(&levels.len()) {
            return Err(DenoiserError::Levels(levels.len()));
        }
        if let Some(&multiple) = levels.iter().find(|multiple| !(1..=DEPTH_LIMIT).contains(*multiple)) {
            return Err(DenoiserError::Multiple(multiple));
        }
        if !(1..=DEPTH_LIMIT).contains(&blocks) {
            return Err(DenoiserError::Blocks(blocks));
        }
        Ok(())
    }

    /// Channels of all inputs together.
    pub fn channels_in(&self) -> usize {
        self.latent * if self.mean { 3 } else { 2 } + 1
    }

    /// Channels of the first level, to which a ControlNet branch adds its encoded hint.
    pub fn first_channels(&self) -> usize {
        self.width * self.levels[0]
    }

    /// The smallest side of a latent, in cells: the middle reflects its border, for which it needs two.
    pub fn smallest_side(&self) -> usize {
        (1 << (self.levels.len() - 1)) + 1
    }

    /// A short name, such as `denoiser-c128-w96-1-2-3-n2`.
    pub fn label(&self) -> String {
        let Self { latent, width, levels, blocks, mean } = self;
        let levels: Vec<String> = levels.iter().map(usize::to_string).collect();
        let mean = if *mean { "-mean" } else { "" };
        format!("denoiser-c{latent}-w{width}-{}-n{blocks}{mean}", levels.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::side;

    fn tiny() -> Denoiser {
        Denoiser { latent: 4, width: 16, levels: vec![1, 2], blocks: 1, mean: true }
    }

    #[test]
    fn json_comes_back() {
        let text = r#"{"latent":4,"width":16,"levels":[1,2],"blocks":1,"mean":true}"#;
        assert_eq!(serde_json::from_str::<Denoiser>(text).unwrap(), tiny());
        assert_eq!(serde_json::to_string(&tiny()).unwrap(), text);
        let wrong = text.replace("blocks", "block");
        assert!(serde_json::from_str::<Denoiser>(&wrong).unwrap_err().to_string().contains("block"));
    }

    #[test]
    fn inputs_sides_and_labels() {
        let medium = DenoiserSize::M.denoiser(128);
        assert_eq!((medium.channels_in(), tiny().channels_in()), (257, 13));
        assert_eq!(medium.label(), "denoiser-c128-w96-1-2-3-n2");
        assert_eq!(tiny().label(), "denoiser-c4-w16-1-2-n1-mean");
        for (levels, smallest) in [(1, 2), (2, 3), (3, 5), (4, 9)] {
            let network = Denoiser { levels: vec![1; levels], ..tiny() };
            assert_eq!(network.smallest_side(), smallest);
            assert_eq!(side(smallest, levels - 1), 2);
            assert_eq!(side(smallest - 1, levels - 1), 1);
        }
    }

    #[test]
    fn denoisers_that_do_not_exist_are_refused() {
        assert_eq!(tiny().check(), Ok(()));
        for size in DenoiserSize::ALL {
            assert_eq!(size.denoiser(128).check(), Ok(()));
        }
        for (network, expected) in [
            (Denoiser { latent: 0, ..tiny() }, DenoiserError::Latent(0)),
            (Denoiser { width: 24, ..tiny() }, DenoiserError::Width(24)),
            (Denoiser { width: 0, ..tiny() }, DenoiserError::Width(0)),
            (Denoiser { width: 528, ..tiny() }, DenoiserError::Width(528)),
            (Denoiser { levels: vec![], ..tiny() }, DenoiserError::Levels(0)),
            (Denoiser { levels: vec![1, 0], ..tiny() }, DenoiserError::Multiple(0)),
            (Denoiser { levels: vec![1, 9], ..tiny() }, DenoiserError::Multiple(9)),
            (Denoiser { blocks: 0, ..tiny() }, DenoiserError::Blocks(0)),
        ] {
            assert_eq!(network.check(), Err(expected));
        }
        let message = DenoiserError::Width(24).to_string();
        assert_eq!(message, "a width of 24, possible are multiples of 16 up to 512");
    }
}
