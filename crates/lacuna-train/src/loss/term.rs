//! Loss terms by name, and their weighted sum.

use std::fmt;

use burn::tensor::Tensor;

/// A loss term. Its name is the same in code, run files, logs and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// Mean absolute error of pixels.
    PixelL1,
    /// Mean squared error of pixels.
    PixelMse,
    /// Mean absolute error of latents.
    LatentL1,
    /// Mean squared error of a classifier's features.
    PerceptualMse,
    /// Mean absolute error of feature correlations.
    StyleL1,
    /// The generator's adversarial loss.
    Adversarial,
    /// Mean squared error of the discriminator's features.
    FeatureMatchingMse,
    /// The generator's adversarial loss on latents.
    LatentAdversarial,
    /// Weighted squared error of a context encoder's prediction, of values in `[-1, 1]`.
    ContextMse,
    /// Mean absolute error in the hole of the best of several answers.
    BestOfL1,
    /// Hinge on the mean absolute difference of answers.
    SpreadL1,
    /// Inverse of how far answers move, by mean absolute difference, when their codes move.
    ModeSeekingL1,
    /// Mean absolute difference in the hole of two answers; logged, not minimised.
    AnswerDifferenceL1,
    /// Fraction of the photos whose first answer is the best; logged, not minimised.
    FirstIsBest,
    /// Mean squared error of a flow's velocity, over generated cells.
    VelocityMse,
    /// The discriminator's loss on real images.
    DiscriminatorReal,
    /// The discriminator's loss on predicted images.
    DiscriminatorFake,
    /// The discriminator's R1 penalty.
    DiscriminatorR1,
    /// The latent discriminator's loss on encodings of real images.
    LatentDiscriminatorReal,
    /// The latent discriminator's loss on refined latents.
    LatentDiscriminatorFake,
    /// The latent discriminator's R1 penalty.
    LatentDiscriminatorR1,
}

impl Term {
    /// Its name, such as `latent_l1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PixelL1 => "pixel_l1",
            Self::PixelMse => "pixel_mse",
            Self::LatentL1 => "latent_l1",
            Self::PerceptualMse => "perceptual_mse",
            Self::StyleL1 => "style_l1",
            Self::Adversarial => "adversarial",
            Self::FeatureMatchingMse => "feature_matching_mse",
            Self::LatentAdversarial => "latent_adversarial",
            Self::ContextMse => "context_mse",
            Self::BestOfL1 => "best_of_l1",
            Self::SpreadL1 => "spread_l1",
            Self::ModeSeekingL1 => "mode_seeking_l1",
            Self::AnswerDifferenceL1 => "answer_difference_l1",
            Self::FirstIsBest => "first_is_best",
            Self::VelocityMse => "velocity_mse",
            Self::DiscriminatorReal => "discriminator_real",
            Self::DiscriminatorFake => "discriminator_fake",
            Self::DiscriminatorR1 => "discriminator_r1",
            Self::LatentDiscriminatorReal => "latent_discriminator_real",
            Self::LatentDiscriminatorFake => "latent_discriminator_fake",
            Self::LatentDiscriminatorR1 => "latent_discriminator_r1",
        }
    }

    /// Whether it is only logged: it has no weight and may have any size.
    pub fn is_diagnostic(self) -> bool {
        matches!(self, Self::AnswerDifferenceL1 | Self::FirstIsBest)
    }
}

/// What a loss term of the generator is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The decoded image.
    Pixels,
    /// Several decoded images for each photo.
    Answers,
    /// The latent, and the autoencoder's encoding of the ground truth.
    TargetLatent,
}

impl fmt::Display for Term {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The terms of one step.
#[derive(Debug, Default)]
pub struct Losses {
    values: Vec<(Term, Tensor<1>)>,
    total: Option<Tensor<1>>,
}

impl Losses {
    /// Adds a scalar term with its weight to the total.
    pub fn add(&mut self, term: Term, value: Tensor<1>, weight: f64) {
        self.add_apart(term, value.clone().detach(), value.mul_scalar(weight));
    }

    /// Adds a term whose reported value differs from what is differentiated: `value` is reported, `summand` is added to
    /// the total.
    pub fn add_apart(&mut self, term: Term, value: Tensor<1>, summand: Tensor<1>) {
        self.values.push((term, value));
        self.total = Some(match self.total.take() {
            None => summand,
            Some(total) => total + summand,
        });
    }

    /// Adds a value that is only logged.
    pub fn observe(&mut self, diagnostic: Term, value: Tensor<1>) {
        assert!(diagnostic.is_diagnostic(), "{diagnostic} is a loss");
        self.values.push((diagnostic, value.detach()));
    }

    /// The weighted sum, to be differentiated; `None` without terms.
    pub fn total(&self) -> Option<Tensor<1>> {
        self.total.clone()
    }

    /// The terms of the sum.
    pub fn terms(&self) -> impl Iterator<Item = Term> {
        self.values.iter().map(|(term, _)| *term).filter(|term| !term.is_diagnostic())
    }

    /// The terms without their weights, and the diagnostics.
    pub fn values(&self) -> Vec<(Term, f32)> {
        self.values.iter().map(|(term, value)| (*term, value.clone().into_scalar::<f32>())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};

    #[test]
    fn values_are_plain_and_the_total_is_weighted() {
        let mut losses = Losses::default();
        assert!(losses.total().is_none());
        losses.add(Term::PixelL1, tensor([1], vec![2.0]), 10.0);
        losses.add(Term::LatentL1, tensor([1], vec![3.0]), 0.5);
        losses.add_apart(Term::DiscriminatorR1, tensor([1], vec![7.0]), tensor([1], vec![1.0]));
        assert_eq!(values(losses.total().unwrap()), [22.5]);
        let expected = [(Term::PixelL1, 2.0), (Term::LatentL1, 3.0), (Term::DiscriminatorR1, 7.0)];
        assert_eq!(losses.values(), expected);
        assert_eq!(Term::LatentL1.to_string(), "latent_l1");
        losses.observe(Term::FirstIsBest, tensor([1], vec![9.0]));
        assert_eq!(values(losses.total().unwrap()), [22.5]);
        assert_eq!(losses.terms().collect::<Vec<_>>(), expected.map(|(term, _)| term));
        assert_eq!(losses.values().len(), 4);
    }
}
