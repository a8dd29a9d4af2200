//! The training loop of a flow: from a run file to a flow file in a run folder.
//!
//! The folder is that of [`crate::fit()`]; `last.safetensors` and `best.safetensors` are flow files, `latents.cache` keeps latents of crops. Frozen generator, statistics and
//! validation latents are computed at the start; a resumed run takes the statistics from its checkpoint.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::Device;
use lacuna::flow::Statistics;
use lacuna_nets::weights::read_tensor;
use serde_json::{Value, json};

use super::cache::LatentCache;
use super::checkpoint::{FlowSaved, encode};
use super::generator::FrozenGenerator;
use super::learner::FlowLearner;
use super::run::FlowRun;
use super::statistics::LatentSums;
use super::validate::{FlowScores, FlowValidation};
use crate::checkpoint::{Best, Checkpoints, Progress};
use crate::config::{ControlConfig, FlowConfig, FlowRecipe};
use crate::data::{LoadedStep, Loader, Part, Photos, Position, Skipped};
use crate::fit::{Event, FitOptions, Outcome};
use crate::run_folder::{EXAMPLES, newest_intact, same_run};
use crate::run_logs::{Interval, Logs};
use crate::step::{Pictures, count_parameters};
use crate::{Error, Result};

/// Runs `config`, which trains a denoiser, until its last step, or until `stop` is set; then it writes a checkpoint first.
///
/// # Errors
/// All errors of [`Error`]. The run folder then still has its last checkpoint.
pub fn fit_flow(
    config: &FlowConfig,
    options: &FitOptions,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Outcome> {
    fit(&FlowRun::Denoiser(config.clone()), options, stop, watch)
}

/// [`fit_flow`] for a run that trains a ControlNet branch of a trained denoiser.
///
/// # Errors
/// As [`fit_flow`]; if the flow file cannot be read, or [`Error::Config`] if it has a branch already or crops are too small for it.
pub fn fit_control(
    config: &ControlConfig,
    options: &FitOptions,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Outcome> {
    fit(&FlowRun::branch(config)?, options, stop, watch)
}

fn fit(
    run: &FlowRun,
    options: &FitOptions,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Outcome> {
    let photos = run.recipe().batches().photos()?;
    let device = single_device(&options.devices, options.ranks.size())?;
    lacuna_nets::ops::among_workers(|| Fit::start(run, options, photos, device, watch)?.run(stop, watch))
}

/// The device of a run.
///
/// # Errors
/// [`Error::Config`] if there are several: one trains a denoiser.
pub(crate) fn single_device(devices: &[Device], processes: usize) -> Result<&Device> {
    match devices {
        [device] if processes == 1 => Ok(device),
        _ => Err(Error::Config(format!(
            "a flow is trained on one device in one process, got {} devices and {processes} processes",
            devices.len()
        ))),
    }
}

/// Mean and deviation of the latents of a run's first crops.
///
/// # Errors
/// If a photo cannot be read or the generator fails.
pub(crate) fn statistics_of(
    config: &FlowConfig,
    photos: Arc<Photos>,
    generator: &FrozenGenerator,
) -> Result<Statistics> {
    let recipe = config.recipe();
    let mut loader = recipe.batches().loader(photos, Position::default(), Part::WHOLE)?;
    let mut sums = LatentSums::new(generator.channels());
    let mut crops = 0;
    while crops < config.flow.statistics {
        let batch = loader.next()?.batch;
        let Pictures { image, mask } = Pictures::new(&batch, &generator.device());
        let latent = generator.refined(image, mask.zeros_like())?;
        let [_, _, height, width] = latent.dims();
        sums.add(&read_tensor(latent)?.values, height * width);
        crops += batch.names.len();
    }
    sums.statistics()
}

struct Fit<'a> {
    recipe: FlowRecipe,
    folder: &'a Path,
    learner: FlowLearner,
    loader: Loader,
    progress: Progress,
    validation: FlowValidation,
    checkpoints: Checkpoints,
    logs: Logs,
    interval: Interval,
    skipped: BTreeSet<Skipped>,
}

impl<'a> Fit<'a> {
    fn start(
        run: &FlowRun,
        options: &'a FitOptions,
        photos: Arc<Photos>,
        device: &Device,
        watch: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Self> {
        let folder = options.folder.as_path();
        if options.resume {
            same_run(&run.run_file(), folder)?;
        }
        let recipe = run.recipe();
        let generator = run.generator(device)?;
        let checkpoints = Checkpoints::of_run(folder, recipe.run.keep);
        let channels = generator.channels();
        let saved = newest_intact(&checkpoints, options, |path| FlowSaved::open(path, channels), watch)?;
        let statistics = saved.as_ref().map(|saved| saved.statistics().clone());
        let mut learner = run.learner(generator, statistics, Arc::clone(&photos), device)?;
        let mut progress = Progress::default();
        if let Some(saved) = saved {
            progress = saved.progress();
            saved.restore(&mut learner)?;
        }
        if recipe.crops.is_some() {
            let cache = LatentCache::open(&folder.join("latents.cache"), learner.maker(), recipe.data.side)?;
            learner = learner.with_cache(cache);
        }
        let validation = FlowValidation::open(&learner)?;
        let about = json!({
            "lacuna": env!("CARGO_PKG_VERSION"),
            "seed": recipe.seed,
            "devices": [format!("{device:?}")],
            "generator": learner.maker().generator().fingerprint(),
            "denoiser": learner.parts.model.denoiser().label(),
            "parameters": count_parameters(&learner.parts.model, |_| true),
        });
        let logs = Logs::open(folder, &run.to_toml(), &about, learner.parts.step)?;
        watch(Event::Started { step: learner.parts.step, photos: photos.len() });
        let loader = recipe.batches().loader(photos, progress.position, Part::WHOLE)?;
        let (interval, skipped) = (Interval::default(), BTreeSet::new());
        Ok(Self {
            recipe,
            folder,
            learner,
            loader,
            progress,
            validation,
            checkpoints,
            logs,
            interval,
            skipped,
        })
    }

    fn run(mut self, stop: &AtomicBool, watch: &mut (dyn FnMut(Event) + Send)) -> Result<Outcome> {
        let run = self.recipe.run.clone();
        let (mut scores, mut saved_at) = (None, None);
        while self.learner.parts.step < run.steps && !stop.load(Ordering::Relaxed) {
            self.step(watch)?;
            let step = self.learner.parts.step;
            let due = |every: u64| every > 0 && (step.is_multiple_of(every) || step == run.steps);
            if due(run.log_every) {
                let means = self.interval.take_means();
                self.logs.record("train", step, means)?;
            }
            if due(run.grid_every) && !self.validation.is_empty() {
                self.logs.draw(&self.validation.sheet(&self.learner, EXAMPLES)?, step)?;
            }
            if due(run.validate_every) && !self.validation.is_empty() {
                scores = Some(self.validate(watch)?);
            }
            if due(run.checkpoint_every) {
                self.save(watch)?;
                saved_at = Some(step);
            }
        }
        let step = self.learner.parts.step;
        if saved_at != Some(step) {
            self.save(watch)?;
        }
        self.learner.export(&self.folder.join("last.safetensors"))?;
        let scores = scores.map(|scores: FlowScores| scores.fills);
        Ok(Outcome { step, stopped: step < run.steps, scores, seconds: self.progress.seconds })
    }

    fn step(&mut self, watch: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let start = Instant::now();
        let LoadedStep { batches, position, waited } = self.loader.step(self.recipe.run.accumulate)?;
        self.progress.position = position;
        let report = self.learner.step(&batches)?;
        let took = start.elapsed();
        self.progress.seconds += took.as_secs_f64();
        self.interval.add(&report, took, waited);
        let photos = batches.iter().map(|batch| batch.names.len()).sum();
        watch(Event::Step { report: &report, photos, took, waited });
        self.list_skipped(watch)
    }

    /// Lists photos that could not be read since the last call.
    fn list_skipped(&mut self, watch: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let before = self.skipped.len();
        for photo in self.loader.skipped() {
            if self.skipped.insert(photo.clone()) {
                watch(Event::Skipped(&photo));
            }
        }
        if self.skipped.len() > before { self.logs.list_skipped(self.skipped.iter()) } else { Ok(()) }
    }

    /// Scores the model, and writes it if it is the best so far.
    fn validate(&mut self, watch: &mut (dyn FnMut(Event) + Send)) -> Result<FlowScores> {
        let step = self.learner.parts.step;
        let scores = self.validation.evaluate(&self.learner)?;
        let by = self.recipe.run.best_by;
        let value = scores.fills.value(by);
        let best = self.progress.best.is_none_or(|best| by.is_better(value, best.value));
        if best {
            self.learner.export(&self.folder.join("best.safetensors"))?;
            self.progress.best = Some(Best { step, value });
        }
        let Value::Object(values) = json!(scores) else { unreachable!("scores are a table") };
        self.logs.record("validation", step, values)?;
        watch(Event::FlowValidated { step, scores, best });
        Ok(scores)
    }

    fn save(&self, watch: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let bytes = encode(&self.learner, self.progress)?;
        let path = self.checkpoints.save(self.learner.parts.step, &bytes)?;
        watch(Event::Saved(&path));
        Ok(())
    }
}
