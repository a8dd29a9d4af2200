//! Everything that learns in a run, and the step that it learns by.
//!
//! LaMa's order: the generator steps first, then its discriminators.
//! Differs from it in: discriminators see the pictures that the generator made before its step, instead of running it a
//! second time.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use lacuna_nets::{Generator, weights};

use super::pass::{Made, Pass};
use super::{Adversary, Fixed, Pictures};
use crate::config::RunConfig;
use crate::data::Batch;
use crate::loss::{Losses, Term};
use crate::optim::{Adam, Ema, Gradients};
use crate::{Error, Result};

/// A loss term is taken to explode when it is this many times its own running mean.
const EXPLOSION: f32 = 1e4;
/// Steps after which a term's mean is worth comparing with.
const SETTLED: u64 = 20;
/// Weight of the newest value in a term's running mean.
const MEAN_MOMENTUM: f32 = 0.05;

/// What a run changes. A checkpoint holds all of it.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The network.
    pub generator: Generator,
    /// Its optimizer.
    pub adam: Adam,
    /// Its average.
    pub ema: Option<Ema>,
    /// The discriminator of pictures.
    pub pixels: Option<Adversary>,
    /// The discriminator of latents.
    pub latents: Option<Adversary>,
    /// Running means of the loss terms, to see an explosion by.
    pub means: BTreeMap<String, f32>,
    /// Steps done.
    pub step: u64,
}

/// Everything that learns in a run, and what it needs for that.
#[derive(Debug)]
pub struct Learner {
    pub(super) config: RunConfig,
    /// What the run changes.
    pub parts: Parts,
    pub(super) fixed: Fixed,
    pub(super) devices: Vec<Device>,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The step, from 1.
    pub step: u64,
    /// Loss terms without their weights, averaged over the step's batches.
    pub terms: Vec<(Term, f32)>,
    /// The norm of the generator's gradients before they were clipped.
    pub gradient_norm: f64,
    /// The generator's learning rate.
    pub learning_rate: f64,
}

/// What one batch gave.
struct Share {
    made: Made,
    pictures: Pictures,
    gradients: Gradients,
    generator: Generator,
}

impl Learner {
    /// The network to judge, to export and to use: the average, if there is one. Without autodiff.
    pub fn judged(&self) -> Generator {
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

    /// One step on `batches`, whose gradients are averaged. If there are several devices, batches are shared out among them.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a term is not finite or explodes; the learner is of no use then.
    pub fn step(&mut self, batches: &[Batch]) -> Result<StepReport> {
        let devices = self.devices.iter().cycle();
        let pictures: Vec<Pictures> =
            batches.iter().zip(devices).map(|(batch, device)| Pictures::new(batch, device)).collect();
        let names: Vec<String> = batches.iter().flat_map(|batch| batch.names.clone()).collect();
        self.step_on(&pictures, &names)
    }

    /// One step on pictures of any size that are on their devices already.
    pub(super) fn step_on(&mut self, batches: &[Pictures], names: &[String]) -> Result<StepReport> {
        let RunConfig { optimizer, run, .. } = self.config.clone();
        let factor = optimizer.schedule.factor(self.parts.step, run.steps);
        let shares = self.share_out(batches)?;
        let count = shares.len() as f64;
        let mut terms = Vec::new();
        add_terms(&mut terms, shares.iter().map(|share| &share.made.losses));

        let first = &self.devices[0].clone().inner();
        let gradients = shares
            .iter()
            .map(|share| share.gradients.clone().to_device(first))
            .reduce(Gradients::plus)
            .expect("at least one batch")
            .scale(1.0 / count);
        let (gradients, gradient_norm) = clip(gradients, optimizer.clip);

        let pixels = self.parts.pixels.take();
        let pixels = pixels.map(|adversary| {
            let seen = shares.iter().map(|share| {
                let Pictures { image, mask } = share.pictures.clone();
                let fake = share.made.predicted.clone().expect("a predicted picture");
                [image, fake, mask]
            });
            learn(adversary, seen, optimizer.clip, factor, &self.devices[0], &mut terms)
        });
        let latents = self.parts.latents.take();
        let latents = latents.map(|adversary| {
            let seen = shares.iter().map(|share| {
                let Made { refined, target, .. } = &share.made;
                let [target, refined] = [target, refined].map(|latent| latent.clone().expect("a latent"));
                let damaged = crate::loss::latent::damaged(share.pictures.mask.clone());
                [target, refined, damaged]
            });
            learn(adversary, seen, optimizer.clip, factor, &self.devices[0], &mut terms)
        });
        self.parts.pixels = pixels;
        self.parts.latents = latents;

        self.check(&terms, gradient_norm, names)?;
        let learning_rate = factor * optimizer.learning_rate;
        let mut replicas: Vec<Generator> = shares.into_iter().map(|share| share.generator).collect();
        let generator = match self.devices.len() {
            // The last batch went on with the statistics of those before it.
            1 => replicas.pop().expect("at least one batch"),
            _ => merge_replicas(replicas)?,
        };
        self.parts.generator = self.parts.adam.step(generator, &gradients, learning_rate);
        if let Some(ema) = &mut self.parts.ema {
            ema.update(&self.parts.generator);
        }
        self.parts.step += 1;
        self.remember(&terms);
        Ok(StepReport { step: self.parts.step, terms, gradient_norm, learning_rate })
    }

    /// Every batch through a copy of the generator on its device; one device takes its batches one after another.
    fn share_out(&self, batches: &[Pictures]) -> Result<Vec<Share>> {
        if self.devices.len() == 1 {
            let mut generator = self.parts.generator.clone();
            let mut shares = Vec::with_capacity(batches.len());
            for batch in batches {
                let share = self.share(generator, &self.fixed, batch, &self.devices[0])?;
                // The next batch goes on with this one's statistics.
                generator = share.generator.clone();
                shares.push(share);
            }
            return Ok(shares);
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = batches
                .iter()
                .zip(self.devices.iter().cycle())
                .map(|(batch, device)| {
                    scope.spawn(move || {
                        let generator = self.parts.generator.clone().fork(device);
                        self.share(generator, &self.fixed.to_device(device), batch, device)
                    })
                })
                .collect();
            let joined = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect()
        })
    }

    fn share(
        &self,
        generator: Generator,
        fixed: &Fixed,
        pictures: &Pictures,
        device: &Device,
    ) -> Result<Share> {
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
        let made = pass.run(&generator, pictures)?;
        let total = made.losses.total().expect("a run file has terms");
        let gradients = Gradients::of(&generator, &total.backward());
        Ok(Share { made, pictures: pictures.clone(), gradients, generator })
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

    fn remember(&mut self, terms: &[(Term, f32)]) {
        for (term, value) in terms {
            let mean = self.parts.means.entry(term.name().to_owned()).or_insert(*value);
            *mean += MEAN_MOMENTUM * (value - *mean);
        }
    }
}

/// The discriminator after its step on what the shares saw: true, made, and mask.
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
        let judged = adversary.judge(real, fake, mask);
        let total = judged.total().expect("a discriminator has terms");
        sum = sum.plus(Gradients::of(&adversary.network, &total.backward()));
        losses.push(judged);
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

/// The means of all terms over several batches.
fn add_terms<'a>(terms: &mut Vec<(Term, f32)>, losses: impl Iterator<Item = &'a Losses>) {
    let values: Vec<Vec<(Term, f32)>> = losses.map(Losses::values).collect();
    let Some(first) = values.first() else { return };
    for (index, (term, _)) in first.iter().enumerate() {
        let sum: f32 = values.iter().map(|batch| batch[index].1).sum();
        terms.push((*term, sum / values.len() as f32));
    }
}

/// The generator of the first device with the statistics of all replicas averaged.
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
                // Parameters are the same in all replicas.
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
