//! The training step of a denoiser, or of a ControlNet branch of a frozen one.

use std::borrow::Cow;
use std::path::Path as FilePath;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::checkpoint::{NamedTensor, Storage};
use lacuna::flow::{CONTROL_PREFIX, Control, Flow, FlowFile, FlowStart};
use lacuna_nets::Denoiser;
use lacuna_nets::weights::{self, NamedWeight};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::cache::LatentCache;
use super::generator::{with_autodiff, without_autodiff};
use super::hint::{HintSource, Shown};
use super::latents::{LatentMaker, Latents};
use super::model::{FlowModel, Velocities};
use super::{Path, mean_start};
use crate::config::FlowRecipe;
use crate::data::{Batch, sample_rng};
use crate::loss::Term;
use crate::loss::velocity::{KnownCells, mse};
use crate::optim::{Adam, Ema, Gradients};
use crate::step::{StepReport, clip};
use crate::{Error, Result};

/// The epoch number of times and noise; no epoch of photos has it.
const NOISE_EPOCH: u64 = u64::MAX - 1;
/// The epoch number of hints.
const HINT_EPOCH: u64 = u64::MAX - 2;

/// The state of a run. With the statistics, checkpoints contain all of it.
#[derive(Clone, Debug)]
pub struct FlowParts {
    /// The network.
    pub model: FlowModel,
    /// Its optimizer.
    pub adam: Adam,
    /// Its average.
    pub ema: Option<Ema<FlowModel>>,
    /// Finished steps.
    pub step: u64,
}

/// What a branch steers, and by what.
#[derive(Clone, Debug)]
pub(super) struct Steered {
    /// Frozen, with autodiff: gradients pass through it.
    pub denoiser: Denoiser,
    /// The same without autodiff.
    pub validated: Denoiser,
    /// What the flow file will say of the branch.
    pub control: Control,
    /// How hints are made.
    pub hints: HintSource,
    /// Hash of the flow file.
    pub sha256: String,
}

/// A denoiser or a branch in training, with its constant inputs.
#[derive(Debug)]
pub struct FlowLearner {
    recipe: FlowRecipe,
    steered: Option<Steered>,
    maker: LatentMaker,
    cache: Option<LatentCache>,
    device: Device,
    /// The state of the run.
    pub parts: FlowParts,
}

impl FlowLearner {
    /// The initial state of a run that trains `model`.
    pub(super) fn with_model(
        recipe: FlowRecipe,
        model: FlowModel,
        steered: Option<Steered>,
        maker: LatentMaker,
        device: &Device,
    ) -> Self {
        let ema = recipe.ema.on.then(|| Ema::new(&model, recipe.ema.decay));
        let parts = FlowParts { model, adam: Adam::new(recipe.optimizer.betas), ema, step: 0 };
        Self { recipe, steered, maker, cache: None, device: with_autodiff(device), parts }
    }

    /// The same with a cache of true latents.
    pub fn with_cache(self, cache: LatentCache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// What the run file says.
    pub fn recipe(&self) -> &FlowRecipe {
        &self.recipe
    }

    /// How hints are made, if a branch is trained.
    pub fn hints(&self) -> Option<&HintSource> {
        self.steered.as_ref().map(|steered| &steered.hints)
    }

    /// Hash of the flow file of a branch's denoiser.
    pub(super) fn steered_sha256(&self) -> Option<&str> {
        self.steered.as_ref().map(|steered| steered.sha256.as_str())
    }

    /// The source of latents.
    pub fn maker(&self) -> &LatentMaker {
        &self.maker
    }

    /// The model's device, with autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The model to validate, export and use: the average, if there is one. Without autodiff.
    pub fn averaged(&self) -> Velocities {
        let model = match &self.parts.ema {
            Some(ema) => ema.average().clone(),
            None => self.parts.model.valid(),
        };
        Velocities { model, base: self.steered.as_ref().map(|steered| steered.validated.clone()) }
    }

    /// One step on `batches`, whose gradients are averaged.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the loss or its gradient is not finite; the learner cannot be used afterwards.
    pub fn step(&mut self, batches: &[Batch]) -> Result<StepReport> {
        let names: Vec<String> = batches.iter().flat_map(|batch| batch.names.clone()).collect();
        let mut latents = Vec::with_capacity(batches.len());
        let mut rng = sample_rng(self.recipe.seed, HINT_EPOCH, self.parts.step);
        for batch in batches {
            let truth = match &mut self.cache {
                Some(cache) => cache.truth(&self.maker, batch)?,
                None => self.maker.truth(batch)?,
            };
            let device = self.maker.generator().device();
            let hint = self.steered.as_ref();
            let hint = hint.map(|steered| steered.hints.inputs(batch, Shown::Random(&mut rng), &device));
            latents.push(Latents { hint, ..self.maker.latents_with(truth, batch)? });
        }
        self.step_on(latents, &names)
    }

    /// One step on latents that were computed before; `names` are those of the photos.
    ///
    /// # Errors
    /// As [`FlowLearner::step`].
    pub fn step_on(&mut self, batches: Vec<Latents>, names: &[String]) -> Result<StepReport> {
        let mut rng = sample_rng(self.recipe.seed, NOISE_EPOCH, self.parts.step);
        let count = batches.len();
        let (mut sum, mut gradients) = (0.0, Gradients::default());
        for latents in batches {
            let latents = latents.for_autodiff();
            let path = self.path(&latents, &mut rng);
            let model = &self.parts.model;
            let base = self.steered.as_ref().map(|steered| &steered.denoiser);
            let loss = mse(&path, &latents.free, KnownCells::Clean, |x| {
                model.velocity(base, x, &path.times, &latents)
            })?;
            gradients = gradients.plus(Gradients::of(model, &loss.backward()));
            sum += loss.into_scalar::<f32>();
        }
        let loss = sum / count as f32;
        let gradients = gradients.scale(1.0 / count as f64);
        let (gradients, gradient_norm) = clip(gradients, self.recipe.optimizer.clip);
        let step = self.parts.step + 1;
        for (term, value) in
            [(Term::VelocityMse.name(), loss), ("the norm of the gradients", gradient_norm as f32)]
        {
            if !value.is_finite() {
                return Err(Error::Diverged { step, term: term.to_owned(), value, names: names.to_vec() });
            }
        }
        let optimizer = &self.recipe.optimizer;
        let factor = optimizer.schedule.factor(self.parts.step, self.recipe.run.steps);
        let learning_rate = factor * optimizer.learning_rate;
        let model = self.parts.model.clone();
        self.parts.model = self.parts.adam.step(model, &gradients, learning_rate);
        if let Some(ema) = &mut self.parts.ema {
            ema.update(&self.parts.model);
        }
        self.parts.step = step;
        Ok(StepReport { step, terms: vec![(Term::VelocityMse, loss)], gradient_norm, learning_rate })
    }

    /// Draws the batch's starts and times.
    fn path(&self, latents: &Latents, rng: &mut Pcg64) -> Path {
        let shape = latents.data.dims();
        let times = self.recipe.times().draw(shape[0], rng);
        let noise: Vec<f32> = (0..shape.iter().product()).map(|_| StandardNormal.sample(rng)).collect();
        let noise: Tensor<4> =
            Tensor::from_data(TensorData::new(noise, shape), &without_autodiff(&self.device));
        let start = start_of(self.recipe.start, &latents.fill, Tensor::from_inner(noise));
        Path { data: latents.data.clone(), start, times }
    }

    /// What the flow file of this run says.
    pub fn flow(&self) -> Flow {
        Flow {
            denoiser: self.parts.model.denoiser().clone(),
            generator: self.maker.generator().fingerprint().to_owned(),
            start: self.recipe.start,
            halo: self.recipe.halo,
            statistics: self.maker.statistics().clone(),
            control: self.steered.as_ref().map(|steered| steered.control),
        }
    }

    /// Writes a flow file, with the run as its provenance; that of a branch holds its denoiser, too.
    ///
    /// # Errors
    /// If a tensor cannot be read from its device or the file cannot be written.
    pub fn export(&self, path: &FilePath) -> Result<()> {
        let named = |prefix: &'static str, weights: Vec<NamedWeight>| {
            weights.into_iter().map(move |NamedWeight { name, weight }| NamedTensor {
                name: format!("{prefix}{name}"),
                shape: weight.shape,
                values: Cow::Owned(weight.values),
            })
        };
        let Velocities { model, base } = self.averaged();
        let (task, prefix) = match base {
            None => ("flow", ""),
            Some(_) => ("control", CONTROL_PREFIX),
        };
        let base = base.map(|base| weights::read(&base)).transpose()?.unwrap_or_default();
        let tensors = named(prefix, weights::read(&model)?).chain(named("", base));
        let provenance =
            format!("lacuna train, task {task}, seed {}, step {}", self.recipe.seed, self.parts.step);
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
    use crate::config::ControlConfig;
    use crate::flow::run::FlowRun;
    use crate::testing::{small_batch, small_control, small_flow, values, values_of};

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
        let [average, network] = [learner.averaged().model, learner.parts.model.valid()];
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
        learner.parts.model = weights::replace(learner.parts.model, broken).unwrap();
        let error = learner.step(&[small_batch()]).unwrap_err().to_string();
        assert_eq!(error, "step 1: velocity_mse is NaN; the batch was a, b");
    }

    /// A new branch predicts what its denoiser does; a trained one less wrong. The denoiser stays as it is.
    #[test]
    fn a_branch_learns_and_its_denoiser_stays() {
        let mut base = small_flow(&[
            "flow.start=noise",
            "ema.on=false",
            "optimizer.learning_rate=5e-3",
            "run.steps=100",
        ]);
        let (batch, names) = (small_batch(), small_batch().names);
        for _ in 0..20 {
            base.step(std::slice::from_ref(&batch)).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let changes =
            ["control.hint.shown=1.0", "optimizer.learning_rate=1e-2", "run.steps=200", "ema.on=false"];
        let mut learner = small_control(&base, folder.path(), &changes);
        let before = values_of(&base.averaged().model, "encoder.conv_in.weight");
        let source = *learner.hints().unwrap();
        let device = learner.maker().generator().device();
        let hint = source.inputs::<Pcg64>(&batch, Shown::Always, &device);
        let latents = Latents { hint: Some(hint), ..learner.maker().latents(&batch).unwrap() };
        // The same times and noise for both.
        let mut rng = sample_rng(7, NOISE_EPOCH, 0);
        let path = learner.path(&latents.clone().for_autodiff(), &mut rng);
        let loss = |learner: &FlowLearner| {
            let model = learner.averaged();
            let path =
                Path { data: path.data.clone().inner(), start: path.start.clone().inner(), ..path.clone() };
            let loss =
                mse(&path, &latents.free, KnownCells::Clean, |x| model.predict(x, &path.times, &latents));
            values(loss.unwrap())[0]
        };
        let first = loss(&learner);
        assert_eq!(first, loss(&base), "a new branch changes nothing");
        for _ in 0..200 {
            learner.step_on(vec![latents.clone()], &names).unwrap();
        }
        let last = loss(&learner);
        assert!(last < 0.99 * first, "{last}, before {first}");
        let Velocities { base: Some(denoiser), .. } = learner.averaged() else { panic!("a branch steers") };
        assert_eq!(values_of(&denoiser, "encoder.conv_in.weight"), before);
    }

    #[test]
    fn a_branch_is_exported_with_its_denoiser() {
        let mut base = small_flow(&["ema.on=false"]);
        // The last layer of a new denoiser is zero: no gradient would pass it.
        base.step(&[small_batch()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let hint = "control.hint={ kind = \"guide\", blur = [1.0, 4.0] }";
        let mut learner = small_control(&base, folder.path(), &[hint, "ema.on=false"]);
        learner.step(&[small_batch(), small_batch()]).unwrap();
        let path = folder.path().join("steered.safetensors");
        learner.export(&path).unwrap();
        let file = FlowFile::open(&path).unwrap();
        let expected = Control { hint: lacuna::HintKind::Guide, hint_widths: [4, 8, 8, 16] };
        assert_eq!(*file.flow(), Flow { control: Some(expected), ..base.flow() });
        assert_eq!(file.provenance(), "lacuna train, task control, seed 1, step 1");
        let original = FlowFile::open(folder.path().join("flow.safetensors")).unwrap();
        for tensor in original.tensors() {
            assert_eq!(file.values(&tensor.name).unwrap(), tensor.values, "{}", tensor.name);
        }
        // A first step moves the zero convolutions.
        assert!(file.control_values("zero.0.weight").unwrap().iter().any(|&value| value != 0.0));
        let changes = [format!("control.flow={}", path.display())];
        let config = ControlConfig::parse(crate::config::CONTROL_SMALL, &changes).unwrap();
        let error = FlowRun::branch(&config).err().unwrap().to_string();
        assert!(error.contains("has a ControlNet branch already"), "{error}");
    }
}
