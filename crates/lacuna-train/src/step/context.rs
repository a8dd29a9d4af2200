//! The training step of a context encoder (Pathak et al. 2016, <https://arxiv.org/abs/1604.07379>).
//!
//! In the published order: the discriminator steps first, then the network, whose adversarial term is computed with the
//! discriminator after its step. Both see the same prediction. Values are in `[-1, 1]`.
//! Differs from it in: the published program keeps the discriminator's activations from before its step for the network's
//! term, which mixes old activations with new weights; holes differ within a batch; gradients can be clipped.

use burn::tensor::Tensor;
use lacuna_nets::ContextEncoder;
use lacuna_nets::net::context_encoder::{erase, signed};
use lacuna_nets::weights::{is_statistic, set_learning};

use super::learner::clip;
use super::{Learner, Pictures, StepReport};
use crate::config::RunConfig;
use crate::loss::{Losses, Term, adversarial, context};
use crate::optim::Gradients;
use crate::{Error, Result};

impl Learner {
    /// One step on one batch.
    pub(super) fn context_step(
        &mut self,
        network: ContextEncoder,
        batches: &[Pictures],
        names: &[String],
    ) -> Result<StepReport> {
        let RunConfig { optimizer, run, loss, .. } = self.config.clone();
        let loss =
            loss.context.ok_or_else(|| Error::Config("loss.context: required by context encoders".into()))?;
        let [Pictures { image, mask }] = batches else {
            let problem = format!("context encoders take one batch per step, got {}", batches.len());
            return Err(Error::Config(problem));
        };
        let factor = optimizer.schedule.factor(self.parts.step, run.steps);
        let image = signed(image.clone());
        let truth = network.answer_part(image.clone());
        let hole = network.answer_part(mask.clone());
        let answer = network.forward(erase(image, mask.clone()))?;

        let mut terms = Vec::new();
        if let Some(adversary) = &mut self.parts.pixels {
            let everything = Tensor::ones_like(&hole);
            let losses = adversary.losses(truth.clone(), answer.clone().detach(), everything);
            let total = losses.total().expect("a discriminator has terms");
            let gradients = Gradients::of(&adversary.network, &total.backward());
            terms.extend(losses.values());
            let (gradients, _) = clip(gradients, optimizer.clip);
            let (network, rate) = (adversary.network.clone(), factor * adversary.rate);
            adversary.network = adversary.adam.step(network, &gradients, rate);
        }

        let mut losses = Losses::default();
        losses.add(
            Term::ContextMse,
            context::mse(answer.clone(), truth, hole, loss.known),
            loss.reconstruction,
        );
        if let Some((adversary, weights)) = self.parts.pixels.as_mut().zip(loss.adversarial) {
            // The discriminator only passes gradients through here; its norms count this batch too.
            let critic = set_learning(adversary.network.clone(), |_| false);
            let logits = critic.forward(answer).logits;
            losses.add(Term::Adversarial, adversarial::generator(logits), weights.weight);
            adversary.network = set_learning(critic, |name| !is_statistic(name));
        }
        let total = losses.total().expect("a run file has terms");
        let gradients = Gradients::of(&network, &total.backward());
        terms.extend(losses.values());
        let (gradients, gradient_norm) = clip(gradients, optimizer.clip);
        self.check(&terms, gradient_norm, names)?;
        let learning_rate = factor * optimizer.learning_rate;
        self.parts.generator = self.parts.adam.step(network, &gradients, learning_rate).into();
        Ok(self.finish_step(terms, gradient_norm, learning_rate))
    }
}
