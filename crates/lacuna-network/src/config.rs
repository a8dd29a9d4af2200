//! Which network it is: all that is needed, besides weights, to build one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::geometry::{IMAGE_CHANNELS, MASKED_CHANNELS};

/// The widest network. LaMa caps channels at 1024, which the latent (eight times the width) reaches at 128: a wider network
/// would have another layout. Published ones have 64.
pub const WIDTH_LIMIT: usize = 128;

/// The most refiner blocks; big-lama has 18. Keeps a hostile file from asking for an endless layout.
pub const BLOCK_LIMIT: usize = 64;

/// A network's configuration: its family, with what the family lets one choose.
///
/// This is what a weights file stores as JSON, with the family's name under `family` beside the fields of its variant. A
/// family with other choices is a variant with a struct of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
pub enum Architecture {
    /// LaMa's generator of fast Fourier convolutions (`ffc_resnet`, Suvorov et al. 2022).
    Fourier(Shape),
    /// The pix2pixHD global generator, LaMa's "regular" baseline (Wang et al. 2018).
    Regular(Shape),
}

/// The name of an [`Architecture`]'s variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// [`Architecture::Fourier`].
    Fourier,
    /// [`Architecture::Regular`].
    Regular,
}

/// Whether the refiner's output is added to its input once more (thesis, appendix A).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delta {
    /// refined = refiner(latent).
    #[default]
    None,
    /// refined = latent + refiner(latent), the thesis's literal form. As the refiner never subtracts, this is at least twice
    /// the latent.
    Literal,
    /// The refiner's output without its own skip connection is a difference; added to the latent it gives
    /// refined = refiner(latent) again. What keeps the blocks from giving a true difference is their last ReLU: here the last
    /// block of the Fourier family has none, so that it can subtract. The regular family's blocks never have one.
    Signed,
}

/// What one chooses of a network with encoder, refiner and decoder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Input channels: 3 (masked image) or 4 (masked image and mask).
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

/// A value that no network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// [`Shape::width`] is 0 or too large.
    #[error("a width of {0}, possible are 1 to {WIDTH_LIMIT}")]
    Width(usize),
    /// [`Shape::blocks`] is 0 or too large.
    #[error("{0} refiner blocks, possible are 1 to {BLOCK_LIMIT}")]
    Blocks(usize),
    /// [`Shape::channels_in`] is neither 3 nor 4.
    #[error(
        "{0} input channels, possible are {IMAGE_CHANNELS} (image) and {MASKED_CHANNELS} (image and mask)"
    )]
    Inputs(usize),
}

/// A name that no family has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown family {0:?}: expected one of {names}", names = Family::ALL.map(Family::name).join(", "))]
pub struct UnknownFamily(String);

impl Architecture {
    /// The family.
    pub fn family(&self) -> Family {
        match self {
            Self::Fourier(_) => Family::Fourier,
            Self::Regular(_) => Family::Regular,
        }
    }

    /// What was chosen within the family.
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Fourier(shape) | Self::Regular(shape) => shape,
        }
    }

    /// Whether there is such a network.
    ///
    /// # Errors
    /// The value that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Shape { channels_in, width, blocks, .. } = *self.shape();
        if !(1..=WIDTH_LIMIT).contains(&width) {
            return Err(ConfigError::Width(width));
        }
        if !(1..=BLOCK_LIMIT).contains(&blocks) {
            return Err(ConfigError::Blocks(blocks));
        }
        if !matches!(channels_in, IMAGE_CHANNELS | MASKED_CHANNELS) {
            return Err(ConfigError::Inputs(channels_in));
        }
        Ok(())
    }

    /// The network of the same family with other choices.
    pub fn with(&self, change: impl FnOnce(&mut Shape)) -> Self {
        let mut shape = self.shape().clone();
        change(&mut shape);
        self.family().network(shape)
    }

    /// A short name, such as `fourier-w64-b18`.
    pub fn label(&self) -> String {
        let Shape { width, blocks, .. } = self.shape();
        format!("{}-w{width}-b{blocks}", self.family())
    }
}

impl Shape {
    /// Whether the network sees the mask as a fourth channel of its input.
    pub fn sees_mask(&self) -> bool {
        self.channels_in == MASKED_CHANNELS
    }
}

impl Family {
    /// All families.
    pub const ALL: [Self; 2] = [Self::Fourier, Self::Regular];

    /// The network of this family with these choices.
    pub fn network(self, shape: Shape) -> Architecture {
        match self {
            Self::Fourier => Architecture::Fourier(shape),
            Self::Regular => Architecture::Regular(shape),
        }
    }

    /// Its name in files, arguments and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fourier => "fourier",
            Self::Regular => "regular",
        }
    }

    /// One line for help texts.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Fourier => "LaMa's fast Fourier convolutions",
            Self::Regular => "The pix2pixHD generator",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Family {
    type Err = UnknownFamily;

    fn from_str(name: &str) -> Result<Self, UnknownFamily> {
        Self::ALL
            .into_iter()
            .find(|family| family.name() == name)
            .ok_or_else(|| UnknownFamily(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { channels_in: 4, width: 64, blocks: 18, control: false, delta: Delta::None };

    /// What files of the first version hold.
    const JSON: &str =
        r#"{"family":"fourier","channels_in":4,"width":64,"blocks":18,"control":false,"delta":"none"}"#;

    #[test]
    fn json_is_that_of_the_first_files() {
        let network = Architecture::Fourier(SHAPE);
        assert_eq!(serde_json::to_string(&network).unwrap(), JSON);
        assert_eq!(serde_json::from_str::<Architecture>(JSON).unwrap(), network);
        // Written before there were deltas, and in another order.
        let older = r#"{"width":64,"blocks":18,"control":false,"channels_in":4,"family":"fourier"}"#;
        assert_eq!(serde_json::from_str::<Architecture>(older).unwrap(), network);
        for (wrong, problem) in [
            (JSON.replace("control", "controls"), "controls"),
            (JSON.replace("fourier", "wavelet"), "wavelet"),
            (JSON.replace(r#""family":"fourier","#, ""), "family"),
            (JSON.replace("none", "some"), "some"),
        ] {
            let error = serde_json::from_str::<Architecture>(&wrong).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn names_come_back() {
        for family in Family::ALL {
            assert_eq!(family.to_string().parse(), Ok(family));
            assert_eq!(serde_json::to_value(family).unwrap(), family.name());
            assert_eq!(family.network(SHAPE).family(), family);
        }
        let error = "wavelet".parse::<Family>().unwrap_err().to_string();
        for family in Family::ALL {
            assert!(error.contains(family.name()), "{error}");
        }
        assert_eq!(Architecture::Fourier(SHAPE).label(), "fourier-w64-b18");
    }

    #[test]
    fn networks_that_do_not_exist_are_refused() {
        assert_eq!(Architecture::Regular(SHAPE).check(), Ok(()));
        for (shape, expected) in [
            (Shape { width: 0, ..SHAPE }, ConfigError::Width(0)),
            (Shape { width: 129, ..SHAPE }, ConfigError::Width(129)),
            (Shape { blocks: 0, ..SHAPE }, ConfigError::Blocks(0)),
            (Shape { blocks: usize::MAX, ..SHAPE }, ConfigError::Blocks(usize::MAX)),
            (Shape { channels_in: 1, ..SHAPE }, ConfigError::Inputs(1)),
        ] {
            for family in Family::ALL {
                assert_eq!(family.network(shape.clone()).check(), Err(expected));
            }
        }
    }
}
