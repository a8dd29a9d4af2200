//! The run file's table `loss`: terms, their weights, and what they are computed from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::loss::latent::Region;
use crate::loss::pixel::PixelWeights;
use crate::loss::spread::SpreadLoss;
use crate::loss::{Needs, Term};
use crate::net::Reach;

/// Loss terms and their weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// L1 of pixels.
    #[serde(default)]
    pub pixel_l1: Option<PixelWeights>,
    /// Mean squared error of pixels.
    #[serde(default)]
    pub pixel_mse: Option<Weighted>,
    /// L1 of latents.
    #[serde(default)]
    pub latent_l1: Option<LatentLoss>,
    /// The network of perceptual and style losses.
    #[serde(default)]
    pub vgg16: Option<VggConfig>,
    /// Mean squared error of VGG16 features.
    #[serde(default)]
    pub perceptual_mse: Option<Weighted>,
    /// L1 of Gram matrices of VGG16 features.
    #[serde(default)]
    pub style_l1: Option<Weighted>,
    /// A discriminator of images.
    #[serde(default)]
    pub adversarial: Option<AdversarialLoss>,
    /// Mean squared error of that discriminator's features.
    #[serde(default)]
    pub feature_matching_mse: Option<Weighted>,
    /// A discriminator of latents.
    #[serde(default)]
    pub latent_adversarial: Option<LatentAdversarialLoss>,
    /// The joint loss of context encoders, which have no other.
    #[serde(default)]
    pub context: Option<ContextLoss>,
    /// L1 in the hole of the best of several answers.
    #[serde(default)]
    pub best_of_l1: Option<Weighted>,
    /// Hinge on the difference of answers.
    #[serde(default)]
    pub spread_l1: Option<SpreadLoss>,
    /// Inverse of how far answers move with their codes.
    #[serde(default)]
    pub mode_seeking_l1: Option<Weighted>,
}

/// The joint loss of context encoders, of values in `[-1, 1]` (Pathak et al. 2016).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextLoss {
    /// Weight of the squared error; 0.999 as published.
    pub reconstruction: f64,
    /// Weight of a visible pixel's squared error, where one of the hole has 1. Published: 10 in the overlap of a central
    /// hole; 1 or 10 for any region.
    pub known: f64,
    /// A discriminator of predictions.
    #[serde(default)]
    pub adversarial: Option<ContextAdversarialLoss>,
}

/// A context encoder's discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextAdversarialLoss {
    /// Weight of the network's term; 0.001 as published. The discriminator's own loss has none.
    pub weight: f64,
    /// Channels of the discriminator's first layer; 64 as published.
    pub width: usize,
    /// The discriminator's learning rate; 0.0002 as published, a tenth of the network's.
    pub learning_rate: f64,
}

/// A term with only a weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// The weight.
    pub weight: f64,
}

/// The latent loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentLoss {
    /// The weight.
    pub weight: f64,
    /// Where it applies; everywhere equally by default.
    #[serde(default)]
    pub region: Option<Region>,
}

/// VGG16 for perceptual and style losses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VggConfig {
    /// Safetensors file with torchvision's names.
    pub weights: PathBuf,
    /// Receptive field of its features.
    #[serde(default)]
    pub reach: Reach,
}

/// A discriminator of images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialLoss {
    /// Weight of the generator's term. The discriminator's own loss has none.
    pub weight: f64,
    /// Coefficient of R1.
    pub r1: f64,
    /// Channels of the discriminator's first layer.
    pub width: usize,
    /// The discriminator's learning rate.
    pub learning_rate: f64,
}

/// A discriminator of latents.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentAdversarialLoss {
    /// The weight of the generator's term.
    pub weight: f64,
    /// Coefficient of R1.
    pub r1: f64,
    /// The discriminator's learning rate.
    pub learning_rate: f64,
}

impl Loss {
    /// The generator's terms in this run, with what each is computed from.
    ///
    /// This is the one table of terms. It takes the struct apart without `..`, so a new key does not compile until it is
    /// listed here. The step checks that it computes exactly these terms.
    pub fn terms(&self) -> Vec<(Term, Needs)> {
        let Self {
            pixel_l1,
            pixel_mse,
            latent_l1,
            vgg16: _,
            perceptual_mse,
            style_l1,
            adversarial,
            feature_matching_mse,
            latent_adversarial,
            context,
            best_of_l1,
            spread_l1,
            mode_seeking_l1,
        } = self;
        let context_adversarial = context.and_then(|loss| loss.adversarial).is_some();
        [
            (pixel_l1.is_some(), Term::PixelL1, Needs::Pixels),
            (pixel_mse.is_some(), Term::PixelMse, Needs::Pixels),
            (latent_l1.is_some(), Term::LatentL1, Needs::TargetLatent),
            (perceptual_mse.is_some(), Term::PerceptualMse, Needs::Pixels),
            (style_l1.is_some(), Term::StyleL1, Needs::Pixels),
            (adversarial.is_some() || context_adversarial, Term::Adversarial, Needs::Pixels),
            (feature_matching_mse.is_some(), Term::FeatureMatchingMse, Needs::Pixels),
            (latent_adversarial.is_some(), Term::LatentAdversarial, Needs::TargetLatent),
            (context.is_some(), Term::ContextMse, Needs::Pixels),
            (best_of_l1.is_some(), Term::BestOfL1, Needs::Answers),
            (spread_l1.is_some(), Term::SpreadL1, Needs::Answers),
            (mode_seeking_l1.is_some(), Term::ModeSeekingL1, Needs::Answers),
        ]
        .into_iter()
        .filter_map(|(is_set, term, needs)| is_set.then_some((term, needs)))
        .collect()
    }

    /// Whether a term needs the predicted image. If none does, the decoder does not run in training.
    pub fn needs_pixels(&self) -> bool {
        self.needs(Needs::Pixels)
    }

    /// Whether a term needs the encoding of the ground truth.
    pub fn needs_target_latent(&self) -> bool {
        self.needs(Needs::TargetLatent)
    }

    /// Whether a term compares several answers.
    pub fn needs_answers(&self) -> bool {
        self.needs(Needs::Answers)
    }

    fn needs(&self, what: Needs) -> bool {
        self.terms().iter().any(|(_, needs)| *needs == what)
    }
}
