//! Everything that is trained in a run, and the training step.
//!
//! In LaMa's order: the generator steps first, then its discriminators.
//! Differs from it in: discriminators see the images that the generator produced before its step, instead of running it
//! a second time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use lacuna_nets::{Generator, Network};

use super::pass::{Pass, PassOutput, Predicted, Seeds};
use super::sums::{NetworkSum, Statistics, StepSum};
use super::{Adversary, Fixed, Pictures, answers};
use crate::collective::Collective;
use crate::config::RunConfig;
use crate::data::{Batch, Part};
use crate::loss::Term;
use crate::optim::{Adam, Ema, Gradients};
use crate::{Error, Result};

/// A loss term has exploded when it exceeds its own running mean by this factor.
const EXPLOSION: f32 = 1e4;
/// Steps after which a term's running mean is reliable.
const SETTLED: u64 = 20;
/// Time between two looks at work of the pool while there is none: much shorter than a batch.
const POLL: Duration = Duration::from_micros(100);
/// Weight of the newest value in a term's running mean.
const MEAN_MOMENTUM: f32 = 0.05;

/// The state of a run. Checkpoints contain all of it.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The network.
    pub generator: Network,
    /// Its optimizer.
    pub adam: Adam,
    /// Its average.
    pub ema: Option<Ema>,
    /// The discriminator of images.
    pub pixels: Option<Adversary>,
    /// The discriminator of latents.
    pub latents: Option<Adversary>,
    /// Running means of the loss terms, to detect an explosion.
    pub means: BTreeMap<String, f32>,
    /// Finished steps.
    pub step: u64,
}

/// Everything that is trained in a run, with its constant inputs.
#[derive(Debug)]
pub struct Learner {
    pub(super) config: RunConfig,
    /// The state of the run.
    pub parts: Parts,
    pub(super) fixed: Fixed,
    pub(super) devices: Vec<Device>,
    pub(super) collective: Arc<dyn Collective>,
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The step, from 1.
    pub step: u64,
    /// Loss terms without their weights, averaged over the step's batches.
    pub terms: Vec<(Term, f32)>,
    /// Norm of the generator's gradients before clipping.
    pub gradient_norm: f64,
    /// The generator's learning rate.
    pub learning_rate: f64,
}

/// The result of one batch.
struct BatchResult {
    output: PassOutput,
    pictures: Pictures,
    gradients: Gradients,
    generator: Generator,
}

impl Learner {
    /// The network to validate, export and use: the average, if there is one. Without autodiff.
    pub fn averaged(&self) -> Network {
        match &self.parts.ema {
            Some(ema) => ema.average().clone(),
            None => self.parts.generator.valid(),
        }
    }

    /// The run file.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The device of the generator.
    pub fn device(&self) -> &Device {
        &self.devices[0]
    }

    /// The same as one of several processes, whose gradients and statistics are averaged in every step.
    pub fn among(self, collective: Arc<dyn Collective>) -> Self {
        Self { collective, ..self }
    }

    /// One step on `batches`, whose gradients are averaged. Several devices split the batches; of several processes each
    /// gets its own part of them.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a term is not finite or explodes; the learner cannot be used afterwards.
    pub fn step(&mut self, batches: &[Batch]) -> Result<StepReport> {
        let devices = self.devices.iter().cycle();
        let pictures: Vec<Pictures> =
            batches.iter().zip(devices).map(|(batch, device)| Pictures::new(batch, device)).collect();
        let names: Vec<String> = batches.iter().flat_map(|batch| batch.names.clone()).collect();
        self.step_on(&pictures, &names)
    }

    /// One step on images of any size that are already on their devices.
    pub(super) fn step_on(&mut self, batches: &[Pictures], names: &[String]) -> Result<StepReport> {
        if let Network::ContextEncoder(network) = &self.parts.generator {
            return self.context_step(network.clone(), batches, names);
        }
        let RunConfig { optimizer, run, .. } = self.config.clone();
        let factor = optimizer.schedule.factor(self.parts.step, run.steps);
        let mut results = self.run_batches(batches)?;
        let sum = self.sum(&results)?;
        let sum = if self.collective.size() > 1 { sum.over(&*self.collective)? } else { sum };
        let StepSum { terms, generator: mean, pixels, latents } =
            sum.mean(batches.len() * self.collective.size());

        for (adversary, mean) in [(&mut self.parts.pixels, pixels), (&mut self.parts.latents, latents)] {
            if let Some((adversary, mean)) = adversary.as_mut().zip(mean) {
                let network = mean.statistics.put_into(adversary.network.clone())?;
                let (gradients, _) = clip(mean.gradients, optimizer.clip);
                adversary.network = adversary.adam.step(network, &gradients, factor * adversary.rate);
            }
        }

        let (gradients, gradient_norm) = clip(mean.gradients, optimizer.clip);
        self.check(&terms, gradient_norm, names)?;
        let learning_rate = factor * optimizer.learning_rate;
        let generator = if self.averages_statistics() {
            mean.statistics.put_into(self.generator().clone())?
        } else {
            // The last batch continued from the statistics of those before it.
            results.pop().expect("at least one batch").generator
        };
        let rate = |name: &str| learning_rate * self.config.relative_rate(name);
        self.parts.generator = self.parts.adam.step_with(generator, &gradients, &rate).into();
        Ok(self.finish_step(terms, gradient_norm, learning_rate))
    }

    /// Averages the network after its step, and counts it.
    pub(super) fn finish_step(
        &mut self,
        terms: Vec<(Term, f32)>,
        gradient_norm: f64,
        learning_rate: f64,
    ) -> StepReport {
        if let Some(ema) = &mut self.parts.ema {
            ema.update(&self.parts.generator);
        }
        self.parts.step += 1;
        self.update_means(&terms);
        StepReport { step: self.parts.step, terms, gradient_norm, learning_rate }
    }

    /// The network with encoder, refiner and decoder.
    fn generator(&self) -> &Generator {
        self.parts.generator.generator().expect("context encoders have steps of their own")
    }

    /// Whether each batch of a step starts from the same statistics, and their mean is kept. One device takes its batches
    /// one after another instead.
    fn averages_statistics(&self) -> bool {
        self.devices.len() * self.collective.size() > 1
    }

    /// Runs every batch through a copy of the generator on its device.
    fn run_batches(&self, batches: &[Pictures]) -> Result<Vec<BatchResult>> {
        if self.devices.len() == 1 {
            let mut generator = self.generator().clone();
            let mut results = Vec::with_capacity(batches.len());
            for (index, batch) in batches.iter().enumerate() {
                let result = self.run_batch(generator, &self.fixed, (index, batch), &self.devices[0])?;
                let next = if self.averages_statistics() { self.generator() } else { &result.generator };
                generator = next.clone();
                results.push(result);
            }
            return Ok(results);
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = batches
                .iter()
                .enumerate()
                .zip(self.devices.iter().cycle())
                .map(|(batch, device)| {
                    scope.spawn(move || {
                        let generator = self.generator().clone().fork(device);
                        self.run_batch(generator, &self.fixed.to_device(device), batch, device)
                    })
                })
                .collect();
            let joined = threads.into_iter().map(|thread| {
                compute_until(|| thread.is_finished());
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.collect()
        })
    }

    /// Runs a batch, whose number is that among those of this process.
    fn run_batch(
        &self,
        generator: Generator,
        fixed: &Fixed,
        (number, pictures): (usize, &Pictures),
        device: &Device,
    ) -> Result<BatchResult> {
        let moved = |adversary: &Option<Adversary>| {
            adversary.as_ref().map(|adversary| match self.devices.len() {
                1 => adversary.network.clone(),
                _ => adversary.network.clone().fork(device),
            })
        };
        let (pixels, latents) = (moved(&self.parts.pixels), moved(&self.parts.latents));
        let pass = Pass {
            task: self.config.task,
            loss: &self.config.loss,
            fixed,
            pixels: pixels.as_ref(),
            latents: latents.as_ref(),
            answers: self.seeds_of_answers(number, pictures),
        };
        let output = pass.run(&generator, pictures)?;
        let total = output.losses.total().expect("a run file has terms");
        let gradients = Gradients::of(&generator, &total.backward());
        Ok(BatchResult { output, pictures: pictures.clone(), gradients, generator })
    }

    /// The seeds of a batch's answers, in networks with several.
    fn seeds_of_answers(&self, number: usize, pictures: &Pictures) -> Option<Seeds> {
        let sampling = self.config.sampling?;
        let photos = pictures.mask.dims()[0];
        let part = Part::of_rank(self.collective.rank(), self.collective.size(), self.devices.len());
        let batch = part.number(number as u64);
        let seeds = answers::seeds(self.config.seed, self.parts.step, batch, sampling.answers * photos);
        Some(Seeds { seeds, noise: sampling.noise, others: sampling.others })
    }

    /// Sums over the batches of this process. The discriminators see them on the first device.
    fn sum(&self, results: &[BatchResult]) -> Result<StepSum> {
        let mut of_devices: Vec<Option<StepSum>> = vec![None; self.devices.len()];
        for (index, result) in results.iter().enumerate() {
            let sum = self.sum_of(result)?;
            let of_device = &mut of_devices[index % self.devices.len()];
            *of_device = Some(match of_device.take() {
                None => sum,
                Some(earlier) => earlier.plus(sum),
            });
        }
        Ok(of_devices.into_iter().flatten().reduce(StepSum::plus).expect("at least one batch"))
    }

    /// The values that one batch adds to the step's sums.
    fn sum_of(&self, result: &BatchResult) -> Result<StepSum> {
        let mut terms = result.output.losses.values();
        let statistics = match self.averages_statistics() {
            true => Statistics::after(&result.generator, self.generator())?,
            false => Statistics::default(),
        };
        let generator = NetworkSum { gradients: result.gradients.clone(), statistics };
        let generator = generator.on_device(&self.device().clone().inner());
        let Pictures { image, mask } = result.pictures.clone();
        let pixels = match &self.parts.pixels {
            Some(adversary) => {
                let Predicted { image: fake, mask } =
                    result.output.predicted.clone().expect("a predicted image");
                Some(self.sum_of_adversary(adversary, [image, fake, mask], &mut terms)?)
            }
            None => None,
        };
        let latents = match &self.parts.latents {
            Some(adversary) => {
                let PassOutput { refined, target, .. } = &result.output;
                let [target, refined] = [target, refined].map(|latent| latent.clone().expect("a latent"));
                let damaged = crate::loss::latent::damaged(mask);
                Some(self.sum_of_adversary(adversary, [target, refined, damaged], &mut terms)?)
            }
            None => None,
        };
        Ok(StepSum { terms, generator, pixels, latents })
    }

    /// A discriminator's part in that, from real and generated images with their masks. Adds its terms.
    fn sum_of_adversary(
        &self,
        adversary: &Adversary,
        pictures: [Tensor<4>; 3],
        terms: &mut Vec<(Term, f32)>,
    ) -> Result<NetworkSum> {
        let [real, fake, mask] = pictures.map(|tensor| tensor.to_device(self.device()));
        let copy = self.averages_statistics().then(|| adversary.clone());
        let seeing = copy.as_ref().unwrap_or(adversary);
        let losses = seeing.losses(real, fake, mask);
        let total = losses.total().expect("a discriminator has terms");
        let gradients = Gradients::of(&seeing.network, &total.backward());
        terms.extend(losses.values());
        let statistics = match &copy {
            Some(copy) => Statistics::after(&copy.network, &adversary.network)?,
            None => Statistics::default(),
        };
        Ok(NetworkSum { gradients, statistics })
    }

    pub(super) fn check(&self, terms: &[(Term, f32)], gradient_norm: f64, names: &[String]) -> Result<()> {
        let step = self.parts.step + 1;
        let names = || names.to_vec();
        for &(term, value) in terms {
            let mean = self.parts.means.get(term.name()).copied();
            let explodes = step > SETTLED
                && !term.is_diagnostic()
                && mean.is_some_and(|mean| value.abs() > EXPLOSION * mean.abs().max(1e-6));
            if !value.is_finite() || explodes {
                return Err(Error::Diverged { step, term: term.to_string(), value, names: names() });
            }
        }
        if !gradient_norm.is_finite() {
            let (term, value) = ("the norm of the gradients".to_owned(), gradient_norm as f32);
            return Err(Error::Diverged { step, term, value, names: names() });
        }
        Ok(())
    }

    fn update_means(&mut self, terms: &[(Term, f32)]) {
        for (term, value) in terms {
            let mean = self.parts.means.entry(term.name().to_owned()).or_insert(*value);
            *mean += MEAN_MOMENTUM * (value - *mean);
        }
    }
}

/// Waits, and meanwhile computes for the threads that are waited for if this is one of the pool's threads: otherwise the
/// pool lacks it, and a pool of one thread stands still.
fn compute_until(is_finished: impl Fn() -> bool) {
    while !is_finished() {
        if rayon::yield_now() != Some(rayon::Yield::Executed) {
            std::thread::park_timeout(POLL);
        }
    }
}

/// Gradients that are clipped to a norm, if there is one, and their norm before.
pub(crate) fn clip(gradients: Gradients, largest: Option<f64>) -> (Gradients, f64) {
    match largest {
        Some(largest) => gradients.clip(largest),
        None => {
            let norm = gradients.norm();
            (gradients, norm)
        }
    }
}
