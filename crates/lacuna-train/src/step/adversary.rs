//! A discriminator and its optimizer, trained in turn with the generator.

use burn::tensor::{Device, Tensor};
use lacuna_nets::block::Init;
use rand_pcg::Pcg64;

use crate::loss::{Losses, Term, adversarial, r1};
use crate::net::{Discriminator, Kind};
use crate::optim::Adam;

/// A discriminator, its optimizer and the terms of its loss.
#[derive(Clone, Debug)]
pub struct Adversary {
    /// The discriminator.
    pub network: Discriminator,
    /// Its optimizer.
    pub adam: Adam,
    pub(super) rate: f64,
    r1: f64,
    terms: [Term; 3],
}

impl Adversary {
    /// A discriminator with fresh weights.
    pub(super) fn new(kind: Kind, r1: f64, rate: f64, adam: Adam, rng: Pcg64, device: &Device) -> Self {
        let terms = match kind {
            Kind::Pixels { .. } | Kind::Context { .. } => {
                [Term::DiscriminatorReal, Term::DiscriminatorFake, Term::DiscriminatorR1]
            }
            Kind::Latent { .. } => {
                [Term::LatentDiscriminatorReal, Term::LatentDiscriminatorFake, Term::LatentDiscriminatorR1]
            }
        };
        let network = Discriminator::new(kind, &mut Init::drawn(rng, device));
        Self { network, adam, rate, r1, terms }
    }

    /// The discriminator's losses; `real` and `fake` are constants.
    pub(super) fn losses(&self, real: Tensor<4>, fake: Tensor<4>, mask: Tensor<4>) -> Losses {
        let [on_real, on_fake, on_r1] = self.terms;
        let mut losses = Losses::default();
        let real_logits = if self.r1 > 0.0 {
            let penalty = r1::penalty(&self.network, real, self.r1);
            losses.add_apart(on_r1, penalty.value, penalty.surrogate);
            penalty.output.logits
        } else {
            self.network.forward(real).logits
        };
        losses.add(on_real, adversarial::real(real_logits), 1.0);
        let fake_logits = self.network.forward(fake).logits;
        losses.add(on_fake, adversarial::fake(fake_logits, mask), 1.0);
        losses
    }
}
