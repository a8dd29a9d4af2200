//! The training step of a denoiser.

use std::borrow::Cow;
use std::path::Path as FilePath;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::checkpoint::{NamedTensor, Storage};
use lacuna::flow::{Flow, FlowFile, FlowStart};
use lacuna_nets::Denoiser;
use lacuna_nets::weights;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::cache::LatentCache;
use super::generator::without_autodiff;
use super::latents::{LatentMaker, Latents};
use super::{Path, mean_start};
use crate::config::FlowConfig;
use crate::data::{Batch, sample_rng};
use crate::loss::Term;
use crate::loss::velocity::{KnownCells, mse};
use crate::optim::{Adam, Ema, Gradients};
use crate::step::{StepReport, clip};
use crate::{Error, Result};

/// The epoch number of times and noise; no epoch of photos has it.
const NOISE_EPOCH: u64 = u64::MAX - 1;
/// The random stream of a denoiser's initial weights.
const WEIGHTS_STREAM: u128 = 1;

/// The state of a run. With the statistics, checkpoints contain all of it.
#[derive(Clone, Debug)]
pub struct FlowParts {
    /// The network.
    pub denoiser: Denoiser,
    /// Its optimizer.
    pub adam: Adam,
    /// Its average.
    pub ema: Option<Ema<Denoiser>>,
    /// Finished steps.
    pub step: u64,
}

/// A denoiser in training, with its constant inputs.
#[derive(Debug)]
pub struct FlowLearner {
    config: FlowConfig,
    maker: LatentMaker,
    cache: Option<LatentCache>,
    device: Device,
    /// The state of the run.
    pub parts: FlowParts,
}

impl FlowLearner {
    /// The initial state of the run in `config`, on `device`.
    ///
    /// # Errors
    /// [`Error::Nets`] if there is no such denoiser.
    pub fn new(config: FlowConfig, maker: LatentMaker, device: &Device) -> Result<Self> {
        let device = if device.is_autodiff() { device.clone() } else { device.clone().autodiff() };
        let network = config.flow.denoiser(maker.generator().channels());
        let rng = Pcg64::new(u128::from(config.seed), WEIGHTS_STREAM);
        let denoiser = Denoiser::new(&network, rng, &device)?;
        let ema = config.ema.on.then(|| Ema::new(&denoiser, config.ema.decay));
        let parts = FlowParts { denoiser, adam: Adam::new(config.optimizer.betas), ema, step: 0 };
        Ok(Self { config, maker, cache: None, device, parts })
    }

    /// The same with a cache of true latents.
    pub fn with_cache(self, cache: LatentCache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// The run file.
    pub fn config(&self) -> &FlowConfig {
        &self.config
    }

    /// The source of latents.
    pub fn maker(&self) -> &LatentMaker {
        &self.maker
    }

    /// The denoiser's device, with autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The denoiser to validate, export and use: the average, if there is one. Without autodiff.
    pub fn averaged(&self) -> Denoiser {
        match &self.parts.ema {
            Some(ema) => ema.average().clone(),
            None => self.parts.denoiser.valid(),
        }
    }

    /// One step on `batches`, whose gradients are averaged.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss or its gradient is not finite; the learner cannot be used afterwards.
    pub fn step(&mut self, batches: &[Batch]) -> Result<StepReport> {
        let names: Vec<String> = batches.iter().flat_map(|batch| batch.names.clone()).collect();
        let mut latents = Vec::with_capacity(batches.len());
        for batch in batches {
            let truth = match &mut self.cache {
                Some(cache) => cache.truth(&self.maker, batch)?,
                None => self.maker.truth(batch)?,
            };
            latents.push(self.maker.latents_with(truth, batch)?);
        }
        self.step_on(latents, &names)
    }

    /// One step on latents that were computed before; `names` are those of the photos.
    ///
    /// # Errors
    /// As [`FlowLearner::step`].
    pub fn step_on(&mut self, batches: Vec<Latents>, names: &[String]) -> Result<StepReport> {
        let mut rng = sample_rng(self.config.seed, NOISE_EPOCH, self.parts.step);
        let count = batches.len();
        let (mut sum, mut gradients) = (0.0, Gradients::default());
        for latents in batches {
            let latents = latents.for_autodiff();
            let path = self.path(&latents, &mut rng);
            let condition = latents.condition();
            let denoiser = &self.parts.denoiser;
            let loss = mse(&path, &latents.free, KnownCells::Clean, |x| {
                denoiser.forward(x, &path.times, &condition)
            })?;
            gradients = gradients.plus(Gradients::of(denoiser, &loss.backward()));
            sum += loss.into_scalar::<f32>();
        }
        let loss = sum / count as f32;
        let gradients = gradients.scale(1.0 / count as f64);
        let (gradients, gradient_norm) = clip(gradients, self.config.optimizer.clip);
        let step = self.parts.step + 1;
        for (term, value) in
            [(Term::VelocityMse.name(), loss), ("the norm of the gradients", gradient_norm as f32)]
        {
            if !value.is_finite() {
                return Err(Error::Diverged { step, term: term.to_owned(), value, names: names.to_vec() });
            }
        }
        let optimizer = &self.config.optimizer;
        let factor = optimizer.schedule.factor(self.parts.step, self.config.run.steps);
        let learning_rate = factor * optimizer.learning_rate;
        let denoiser = self.parts.denoiser.clone();
        self.parts.denoiser = self.parts.adam.step(denoiser, &gradients, learning_rate);
        if let Some(ema) = &mut self.parts.ema {
            ema.update(&self.parts.denoiser);
        }
        self.parts.step = step;
        Ok(StepReport { step, terms: vec![(Term::VelocityMse, loss)], gradient_norm, learning_rate })
    }

    /// Draws the batch's starts and times.
    fn path(&self, latents: &Latents, rng: &mut Pcg64) -> Path {
        let shape = latents.data.dims();
        let times = self.config.flow.times().draw(shape[0], rng);
        let noise: Vec<f32> = (0..shape.iter().product()).map(|_| StandardNormal.sample(rng)).collect();
        let noise: Tensor<4> =
            Tensor::from_data(TensorData::new(noise, shape), &without_autodiff(&self.device));
        let start = start_of(self.config.flow.start, &latents.fill, Tensor::from_inner(noise));
        Path { data: latents.data.clone(), start, times }
    }

    /// What the flow file of this run says.
    pub fn flow(&self) -> Flow {
        let FlowConfig { flow, .. } = &self.config;
        Flow {
            denoiser: self.parts.denoiser.config().clone(),
            generator: self.maker.generator().fingerprint().to_owned(),
            start: flow.start,
            halo: flow.halo,
            statistics: self.maker.statistics().clone(),
        }
    }

    /// Writes a flow file, with the run as its provenance.
    ///
    /// # Errors
    /// If a tensor cannot be read from its device or the file cannot be written.
    pub fn export(&self, path: &FilePath) -> Result<()> {
        let tensors = weights::read(&self.averaged())?.into_iter().map(|named| NamedTensor {
            name: named.name,
            shape: named.weight.shape,
            values: Cow::Owned(named.weight.values),
        });
        let provenance =
            format!("lacuna train, task flow, seed {}, step {}", self.config.seed, self.parts.step);
        Ok(FlowFile::save(path, &self.flow(), &provenance, tensors, Storage::F32)?)
    }
}

/// Where the flow of `fill` starts, with this noise.
///
/// # Shapes
/// All `[batch, channels, height, width]`.
pub(super) fn start_of(start: FlowStart, fill: &Tensor<4>, noise: Tensor<4>) -> Tensor<4> {
    match start {
        FlowStart::Noise => noise,
        FlowStart::Mean { deviation } => mean_start(fill.clone(), deviation, noise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{small_batch, small_flow, values, values_of};

    #[test]
    fn a_new_denoiser_predicts_zero_and_a_trained_one_less_wrong() {
        let mut learner = small_flow(&["flow.start=noise", "run.steps=150", "optimizer.learning_rate=5e-3"]);
        let latents = learner.maker().latents(&small_batch()).unwrap();
        let names = small_batch().names;
        // All cells are free: the loss is the mean square of start - data.
        let mut rng = sample_rng(1, NOISE_EPOCH, 0);
        let path = learner.path(&latents.clone().for_autodiff(), &mut rng);
        let velocity = values(path.velocity());
        let trivial = velocity.iter().map(|value| value * value).sum::<f32>() / velocity.len() as f32;
        let first = learner.step_on(vec![latents.clone()], &names).unwrap();
        assert!((first.terms[0].1 - trivial).abs() < 1e-4 * trivial, "{first:?}, trivial {trivial}");
        let mut last = first;
        for _ in 1..150 {
            last = learner.step_on(vec![latents.clone()], &names).unwrap();
        }
        assert!(last.terms[0].1 < 0.8 * trivial, "{last:?}, trivial {trivial}");
        assert_eq!((last.step, learner.parts.step), (150, 150));
        let [average, network] = [learner.averaged(), learner.parts.denoiser.valid()];
        assert_ne!(values_of(&average, "conv_out.bias"), values_of(&network, "conv_out.bias"));
    }

    #[test]
    fn the_mean_of_several_batches_is_one_step() {
        let gradient_norm = |count: usize| {
            let mut learner =
                small_flow(&["flow.start={ mean = { deviation = 0.0 } }", "optimizer.clip=1e9"]);
            let batches = vec![small_batch(); count];
            learner.step(&batches).unwrap()
        };
        // Without noise a new denoiser's loss does not depend on what is drawn.
        let [one, two] = [1, 2].map(gradient_norm);
        assert!((one.terms[0].1 - two.terms[0].1).abs() < 1e-6, "{one:?} {two:?}");
        assert_eq!((one.step, two.step), (1, 1));
    }

    #[test]
    fn a_loss_that_is_no_number_ends_the_run() {
        let mut learner = small_flow(&[]);
        let broken = |name: &str| {
            (name == "conv_out.bias").then(|| weights::Weight { shape: vec![32], values: vec![f32::NAN; 32] })
        };
        learner.parts.denoiser = weights::replace(learner.parts.denoiser, broken).unwrap();
        let error = learner.step(&[small_batch()]).unwrap_err().to_string();
        assert_eq!(error, "step 1: velocity_mse is NaN; the batch was a, b");
    }
}
