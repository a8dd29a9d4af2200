//! The configuration of a network: everything besides weights that is needed to build it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::context::{BOTTLENECK_LIMIT, CONTEXT_SIDES, ContextEncoder};
use crate::geometry::{IMAGE_CHANNELS, MASKED_CHANNELS};

/// Largest width. LaMa caps channels at 1024, which the latent (eight times the width) reaches at 128: a wider network
/// would have another layout. Published networks have 64.
pub const WIDTH_LIMIT: usize = 128;

/// Most refiner blocks; big-lama has 18. Prevents a hostile file from requesting an endless layout.
pub const BLOCK_LIMIT: usize = 64;

/// The name of [`Architecture::ContextEncoder`] in files.
pub const CONTEXT_ENCODER: &str = "context-encoder";

/// A network's configuration: its family, with the options of that family.
///
/// Weights files store it as JSON, with the family's name under `family` beside the fields of its variant. A family
/// with other options is a variant with its own struct.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
pub enum Architecture {
    /// LaMa's generator of fast Fourier convolutions (`ffc_resnet`, Suvorov et al. 2022).
    Fourier(Shape),
    /// The pix2pixHD global generator, LaMa's "regular" baseline (Wang et al. 2018).
    Regular(Shape),
    /// A context encoder (Pathak et al. 2016): a small square image in one pass, without a latent at an eighth of the
    /// resolution.
    ContextEncoder(ContextEncoder),
    /// LaMa's generator with a refiner that is modulated by random codes: several answers for one hole.
    Sampled(Shape),
}

/// A family of generators with encoder, refiner and decoder, whose options are a [`Shape`]: the name of that
/// [`Architecture`]'s variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// [`Architecture::Fourier`].
    Fourier,
    /// [`Architecture::Regular`].
    Regular,
    /// [`Architecture::Sampled`].
    Sampled,
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

/// The options of a network with encoder, refiner and decoder.
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

/// An invalid value.
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
    /// [`ContextEncoder::side`] has no layers.
    #[error(
        "a side of {side} pixels with a prediction of {answer}, both must be one of {sides}",
        sides = CONTEXT_SIDES.map(|side| side.to_string()).join(", ")
    )]
    ContextSide {
        /// The side.
        side: usize,
        /// The side of the prediction.
        answer: usize,
    },
    /// No pixel is left between both overlaps.
    #[error("an overlap of {overlap} pixels on each side of a prediction of {answer}")]
    Overlap {
        /// The overlap.
        overlap: usize,
        /// The side of the prediction.
        answer: usize,
    },
    /// The bottleneck has no channels or too many.
    #[error("a bottleneck of {0} channels, possible are 1 to {BOTTLENECK_LIMIT}")]
    Bottleneck(usize),
}

/// An unknown family name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown family {0:?}: expected one of {names}", names = Family::ALL.map(Family::name).join(", "))]
pub struct UnknownFamily(String);

impl Architecture {
    /// The name of the family, as in files.
    pub fn family_name(&self) -> &'static str {
        match self.generator() {
            Some((family, _)) => family.name(),
            None => CONTEXT_ENCODER,
        }
    }

    /// Family and options of a generator with encoder, refiner and decoder; `None` for a network without these parts.
    pub fn generator(&self) -> Option<(Family, &Shape)> {
        match self {
            Self::Fourier(shape) => Some((Family::Fourier, shape)),
            Self::Regular(shape) => Some((Family::Regular, shape)),
            Self::Sampled(shape) => Some((Family::Sampled, shape)),
            Self::ContextEncoder(_) => None,
        }
    }

    /// The options of a context encoder; `None` for any other network.
    pub fn context_encoder(&self) -> Option<&ContextEncoder> {
        match self {
            Self::ContextEncoder(network) => Some(network),
            Self::Fourier(_) | Self::Regular(_) | Self::Sampled(_) => None,
        }
    }

    /// The family of a generator.
    ///
    /// # Panics
    /// If the network is none, see [`Architecture::generator`].
    pub fn family(&self) -> Family {
        self.expect_generator().0
    }

    /// The options of a generator within its family.
    ///
    /// # Panics
    /// If the network is none, see [`Architecture::generator`].
    pub fn shape(&self) -> &Shape {
        self.expect_generator().1
    }

    fn expect_generator(&self) -> (Family, &Shape) {
        self.generator().unwrap_or_else(|| panic!("{} has no encoder, refiner and decoder", self.label()))
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The value that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Fourier(shape) | Self::Regular(shape) | Self::Sampled(shape) => shape.check(),
            Self::ContextEncoder(network) => network.check(),
        }
    }

    /// The generator of the same family with other options.
    ///
    /// # Panics
    /// If the network is none, see [`Architecture::generator`].
    pub fn with(&self, change: impl FnOnce(&mut Shape)) -> Self {
        let mut shape = self.shape().clone();
        change(&mut shape);
        self.family().network(shape)
    }

    /// The network of which this one's answers are: without modulation.
    pub fn plain(&self) -> Self {
        match self {
            Self::Sampled(shape) => Self::Fourier(shape.clone()),
            Self::Fourier(_) | Self::Regular(_) | Self::ContextEncoder(_) => self.clone(),
        }
    }

    /// A short name, such as `fourier-w64-b18`.
    pub fn label(&self) -> String {
        match self {
            Self::ContextEncoder(network) => network.label(),
            Self::Fourier(shape) | Self::Regular(shape) | Self::Sampled(shape) => {
                format!("{}-w{}-b{}", self.family_name(), shape.width, shape.blocks)
            }
        }
    }
}

impl Shape {
    fn check(&self) -> Result<(), ConfigError> {
        let Self { channels_in, width, blocks, .. } = *self;
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

    /// Whether the mask is a fourth input channel.
    pub fn sees_mask(&self) -> bool {
        self.channels_in == MASKED_CHANNELS
    }
}

impl Family {
    /// All families of generators.
    pub const ALL: [Self; 3] = [Self::Fourier, Self::Regular, Self::Sampled];

    /// Families with one answer for each image.
    pub const PLAIN: [Self; 2] = [Self::Fourier, Self::Regular];

    /// The network of this family with these options.
    pub fn network(self, shape: Shape) -> Architecture {
        match self {
            Self::Fourier => Architecture::Fourier(shape),
            Self::Regular => Architecture::Regular(shape),
            Self::Sampled => Architecture::Sampled(shape),
        }
    }

    /// Its name in files, arguments and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fourier => "fourier",
            Self::Regular => "regular",
            Self::Sampled => "sampled",
        }
    }

    /// One line for help texts.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Fourier => "LaMa's fast Fourier convolutions",
            Self::Regular => "The pix2pixHD generator",
            Self::Sampled => "Fast Fourier convolutions modulated by random codes, for several answers",
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

    /// JSON in files of the first version.
    const JSON: &str =
        r#"{"family":"fourier","channels_in":4,"width":64,"blocks":18,"control":false,"delta":"none"}"#;

    #[test]
    fn json_is_that_of_the_first_files() {
        let network = Architecture::Fourier(SHAPE);
        assert_eq!(serde_json::to_string(&network).unwrap(), JSON);
        assert_eq!(serde_json::from_str::<Architecture>(JSON).unwrap(), network);
        // Written before deltas existed, and in another order.
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
    fn a_context_encoder_is_no_generator_and_comes_back() {
        let text = r#"{"family":"context-encoder","side":128,"hole":{"centre":{"overlap":4}},"width":64,"middle":{"bottleneck":{"channels":4000}}}"#;
        let network: Architecture = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&network).unwrap(), text);
        assert_eq!((network.family_name(), network.generator()), (CONTEXT_ENCODER, None));
        assert_eq!(network.check(), Ok(()));
        assert_eq!(network.context_encoder().unwrap().label(), network.label());
        let other = text.replace("side", "sides");
        assert!(serde_json::from_str::<Architecture>(&other).unwrap_err().to_string().contains("sides"));
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
