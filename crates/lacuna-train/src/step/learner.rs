//! Everything that is trained in a run, and the training step.
//!
//! In LaMa's order: the generator steps first, then its discriminators.
//! Differs from it in: discriminators see the images that the generator produced before its step, instead of running it
//! a second time.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use lacuna_nets::{Generator, weights};

use super::pass::{Pass, PassOutput};
use super::{Adversary, Fixed, Pictures};
use crate::config::RunConfig;
use crate::data::Batch;
use crate::loss::{Losses, Term};
use crate::optim::{Adam, Ema, Gradients};
use crate::{Error, Result};

/// A loss term has exploded when it exceeds its own running mean by this factor.
const EXPLOSION: f32 = 1e4;
/// Steps after which a term's running mean is reliable.
const SETTLED: u64 = 20;
/// Weight of the newest value in a term's running mean.
const MEAN_MOMENTUM: f32 = 0.05;

/// The state of a run. Checkpoints contain all of it.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The network.
    pub generator: Generator,
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
    pub fn averaged(&self) -> Generator {
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

    /// One step on `batches`, whose gradients are averaged. Several devices split the batches.
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
        let RunConfig { optimizer, run, .. } = self.config.clone();
        let factor = optimizer.schedule.factor(self.parts.step, run.steps);
        let results = self.run_batches(batches)?;
        let count = results.len() as f64;
        let mut terms = Vec::new();
        add_terms(&mut terms, results.iter().map(|result| &result.output.losses));

        let first = &self.devices[0].clone().inner();
        let gradients = results
            .iter()
            .map(|result| result.gradients.clone().to_device(first))
            .reduce(Gradients::plus)
            .expect("at least one batch")
            .scale(1.0 / count);
        let (gradients, gradient_norm) = clip(gradients, optimizer.clip);

        let pixels = self.parts.pixels.take();
        let pixels = pixels.map(|adversary| {
            let seen = results.iter().map(|result| {
                let Pictures { image, mask } = result.pictures.clone();
                let fake = result.output.predicted.clone().expect("a predicted image");
                [image, fake, mask]
            });
            learn(adversary, seen, optimizer.clip, factor, &self.devices[0], &mut terms)
        });
        let latents = self.parts.latents.take();
        let latents = latents.map(|adversary| {
            let seen = results.iter().map(|result| {
                let PassOutput { refined, target, .. } = &result.output;
                let [target, refined] = [target, refined].map(|latent| latent.clone().expect("a latent"));
                let damaged = crate::loss::latent::damaged(result.pictures.mask.clone());
                [target, refined, damaged]
            });
            learn(adversary, seen, optimizer.clip, factor, &self.devices[0], &mut terms)
        });
        self.parts.pixels = pixels;
        self.parts.latents = latents;

        self.check(&terms, gradient_norm, names)?;
        let learning_rate = factor * optimizer.learning_rate;
        let mut replicas: Vec<Generator> = results.into_iter().map(|result| result.generator).collect();
        let generator = match self.devices.len() {
            // The last batch continued from the statistics of those before it.
            1 => replicas.pop().expect("at least one batch"),
            _ => merge_replicas(replicas)?,
        };
        self.parts.generator = self.parts.adam.step(generator, &gradients, learning_rate);
        if let Some(ema) = &mut self.parts.ema {
            ema.update(&self.parts.generator);
        }
        self.parts.step += 1;
        self.update_means(&terms);
        Ok(StepReport { step: self.parts.step, terms, gradient_norm, learning_rate })
    }

    /// Runs every batch through a copy of the generator on its device; a single device takes its batches one after
    /// another.
    fn run_batches(&self, batches: &[Pictures]) -> Result<Vec<BatchResult>> {
        if self.devices.len() == 1 {
            let mut generator = self.parts.generator.clone();
            let mut results = Vec::with_capacity(batches.len());
            for batch in batches {
                let result = self.run_batch(generator, &self.fixed, batch, &self.devices[0])?;
                // The next batch continues from this one's statistics.
                generator = result.generator.clone();
                results.push(result);
            }
            return Ok(results);
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = batches
                .iter()
                .zip(self.devices.iter().cycle())
                .map(|(batch, device)| {
                    scope.spawn(move || {
                        let generator = self.parts.generator.clone().fork(device);
                        self.run_batch(generator, &self.fixed.to_device(device), batch, device)
                    })
                })
                .collect();
            let joined = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect()
        })
    }

    fn run_batch(
        &self,
        generator: Generator,
        fixed: &Fixed,
        pictures: &Pictures,
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
        };
        let output = pass.run(&generator, pictures)?;
        let total = output.losses.total().expect("a run file has terms");
        let gradients = Gradients::of(&generator, &total.backward());
        Ok(BatchResult { output, pictures: pictures.clone(), gradients, generator })
    }

    fn check(&self, terms: &[(Term, f32)], gradient_norm: f64, names: &[String]) -> Result<()> {
        let step = self.parts.step + 1;
        let names = || names.to_vec();
        for &(term, value) in terms {
            let mean = self.parts.means.get(term.name()).copied();
            let explodes =
                step > SETTLED && mean.is_some_and(|mean| value.abs() > EXPLOSION * mean.abs().max(1e-6));
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

/// Trains the discriminator for one step on real and generated images with their masks.
fn learn(
    mut adversary: Adversary,
    seen: impl ExactSizeIterator<Item = [burn::tensor::Tensor<4>; 3]>,
    largest: Option<f64>,
    factor: f64,
    device: &Device,
    terms: &mut Vec<(Term, f32)>,
) -> Adversary {
    let count = seen.len() as f64;
    let mut losses = Vec::new();
    let mut sum = Gradients::default();
    for pictures in seen {
        let [real, fake, mask] = pictures.map(|tensor| tensor.to_device(device));
        let batch_losses = adversary.losses(real, fake, mask);
        let total = batch_losses.total().expect("a discriminator has terms");
        sum = sum.plus(Gradients::of(&adversary.network, &total.backward()));
        losses.push(batch_losses);
    }
    add_terms(terms, losses.iter());
    let (gradients, _) = clip(sum.scale(1.0 / count), largest);
    adversary.network = adversary.adam.step(adversary.network, &gradients, factor * adversary.rate);
    adversary
}

fn clip(gradients: Gradients, largest: Option<f64>) -> (Gradients, f64) {
    match largest {
        Some(largest) => gradients.clip(largest),
        None => {
            let norm = gradients.norm();
            (gradients, norm)
        }
    }
}

/// Means of all terms over several batches.
fn add_terms<'a>(terms: &mut Vec<(Term, f32)>, losses: impl Iterator<Item = &'a Losses>) {
    let values: Vec<Vec<(Term, f32)>> = losses.map(Losses::values).collect();
    let Some(first) = values.first() else { return };
    for (index, (term, _)) in first.iter().enumerate() {
        let sum: f32 = values.iter().map(|batch| batch[index].1).sum();
        terms.push((*term, sum / values.len() as f32));
    }
}

/// The first device's generator with the statistics of all replicas averaged.
fn merge_replicas(replicas: Vec<Generator>) -> Result<Generator> {
    let count = replicas.len() as f32;
    let mut sums: BTreeMap<String, weights::Weight> = BTreeMap::new();
    for replica in &replicas {
        for named in weights::read(replica)? {
            match sums.get_mut(&named.name) {
                None => {
                    sums.insert(named.name, named.weight);
                }
                Some(sum) if weights::is_statistic(&named.name) => {
                    sum.values.iter_mut().zip(named.weight.values).for_each(|(sum, value)| *sum += value);
                }
                // Parameters are equal in all replicas.
                Some(_) => {}
            }
        }
    }
    let first = replicas.into_iter().next().expect("at least one batch");
    Ok(weights::load(first, |name| {
        let mut weight = sums.remove(name)?;
        if weights::is_statistic(name) {
            weight.values.iter_mut().for_each(|value| *value /= count);
        }
        Some(weight)
    })?)
}
