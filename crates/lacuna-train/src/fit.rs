//! The training loop: from a run file to a trained network in a run folder.
//!
//! ```text
//! RUN/config.toml              the run file, complete
//! RUN/run.json                 seed, version, device
//! RUN/metrics.jsonl            one line for each logged step and each validation
//! RUN/events.out.tfevents.…    the same for TensorBoard, with images
//! RUN/grids/step-….png         image grids
//! RUN/checkpoints/step-….safetensors
//! RUN/skipped.txt              photos that could not be read
//! RUN/last.safetensors         the network after the last step, for `lacuna inpaint`
//! RUN/best.safetensors         the network with the best validation score
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use lacuna::hash::sha256;

use crate::checkpoint::{self, Checkpoints, Progress};
use crate::collective::Collective;
use crate::config::{RunConfig, RunFile};
use crate::data::{LoadedStep, Loader, Part, Photos, Skipped};
use crate::flow::FlowScores;
pub use crate::run_folder::export;
use crate::run_folder::{RunFolder, newest_intact, same_run};
use crate::run_logs::Interval;
use crate::step::{Learner, StepReport};
use crate::validate::Scores;
use crate::{Error, Result};

/// Options of a run.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// The run folder.
    pub folder: PathBuf,
    /// Whether to resume from the newest checkpoint in it. If there is none, the run starts from the beginning.
    pub resume: bool,
    /// The devices; several split the batches of a step.
    pub devices: Vec<Device>,
    /// The processes; several split the batches of a step, and rank 0 alone writes and reports events.
    pub ranks: Arc<dyn Collective>,
}

/// An event of a run, for progress displays.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run starts or resumes.
    Started {
        /// Steps that are already done.
        step: u64,
        /// Training photos.
        photos: usize,
    },
    /// A checkpoint is damaged; an older one is used.
    Damaged(&'a Error),
    /// A step is finished.
    Step {
        /// Its report.
        report: &'a StepReport,
        /// Photos that it used, in all processes.
        photos: usize,
        /// Its duration, including the wait for data.
        took: Duration,
        /// Its wait for data.
        waited: Duration,
    },
    /// The network was validated.
    Validated {
        /// The step.
        step: u64,
        /// Its scores.
        scores: Scores,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A denoiser was validated.
    FlowValidated {
        /// The step.
        step: u64,
        /// Its scores.
        scores: FlowScores,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A checkpoint was written.
    Saved(&'a Path),
    /// A photo could not be read.
    Skipped(&'a Skipped),
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Finished steps.
    pub step: u64,
    /// Whether it was stopped before its last step.
    pub stopped: bool,
    /// The last validation; in a run of several processes only rank 0 has it.
    pub scores: Option<Scores>,
    /// Seconds of training, without validation and writing.
    pub seconds: f64,
}

/// Runs `config` until its last step, or until `stop` is set in any of its processes; then it writes a checkpoint first.
///
/// # Errors
/// All errors of [`Error`]. The run folder then still has its last checkpoint. If one of several processes fails, the
/// caller has to end the others.
pub fn fit(
    config: &RunConfig,
    options: &FitOptions,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Outcome> {
    let photos = config.batches().photos()?;
    let batches = batches_of_each(config, options.devices.len(), options.ranks.size())?;
    let mut ignore = |_: Event| {};
    let watch = if options.ranks.is_writer() { watch } else { &mut ignore };
    lacuna_nets::ops::among_workers(|| Fit::start(config, options, photos, batches, watch)?.run(stop, watch))
}

/// The batches of a step that each of `processes` takes.
pub(crate) fn batches_of_each(config: &RunConfig, devices: usize, processes: usize) -> Result<usize> {
    let accumulate = config.run.accumulate;
    if accumulate.is_multiple_of((devices * processes).max(1)) {
        return Ok(accumulate / processes);
    }
    let devices = match processes {
        1 => format!("{devices} devices"),
        _ => format!("{processes} processes with {devices} devices each"),
    };
    Err(Error::Config(format!("run.accumulate is {accumulate}: {devices} cannot split these batches evenly")))
}

struct Fit<'a> {
    config: &'a RunConfig,
    ranks: &'a dyn Collective,
    learner: Learner,
    loader: Loader,
    /// Batches of a step in this process.
    batches: usize,
    progress: Progress,
    /// In the process that writes.
    folder: Option<RunFolder<'a>>,
    skipped: BTreeSet<Skipped>,
    interval: Interval,
}

impl<'a> Fit<'a> {
    fn start(
        config: &'a RunConfig,
        options: &'a FitOptions,
        photos: Arc<Photos>,
        batches: usize,
        watch: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Self> {
        let ranks = &*options.ranks;
        if ranks.size() > 1 {
            ranks.agree(&identity(config, options, &photos))?;
        }
        let mut learner = Learner::new(config.clone(), &options.devices)?.among(Arc::clone(&options.ranks));
        let mut progress = Progress::default();
        if ranks.is_writer() {
            progress = restore(config, options, &mut learner, watch)?;
        }
        if ranks.size() > 1 {
            progress = equalise(ranks, &mut learner, progress)?;
        }
        let folder = match ranks.is_writer() {
            true => Some(RunFolder::open(config, options, &learner)?),
            false => None,
        };
        watch(Event::Started { step: learner.parts.step, photos: photos.len() });
        let part = Part::of_rank(ranks.rank(), ranks.size(), options.devices.len());
        let loader = config.batches().loader(photos, progress.position, part)?;
        let (skipped, interval) = (BTreeSet::new(), Interval::default());
        Ok(Self { config, ranks, learner, loader, batches, progress, folder, skipped, interval })
    }

    fn run(mut self, stop: &AtomicBool, watch: &mut (dyn FnMut(Event) + Send)) -> Result<Outcome> {
        let steps = self.config.run.steps;
        let mut scores = None;
        let mut saved_at = None;
        while self.learner.parts.step < steps && !self.is_set(stop) {
            self.step(watch)?;
            let step = self.learner.parts.step;
            let due = |every: u64| every > 0 && (step.is_multiple_of(every) || step == steps);
            let run = &self.config.run;
            if due(run.log_every) {
                self.log(step)?;
            }
            let Some(folder) = &mut self.folder else { continue };
            if due(run.grid_every) {
                folder.draw(&self.learner)?;
            }
            if due(run.validate_every) && folder.validates() {
                scores = Some(folder.validate(&self.learner, &mut self.progress, watch)?);
            }
            if due(run.checkpoint_every) {
                folder.save(&self.learner, self.progress, watch)?;
                saved_at = Some(step);
            }
        }
        let step = self.learner.parts.step;
        if let Some(folder) = &self.folder {
            if saved_at != Some(step) {
                folder.save(&self.learner, self.progress, watch)?;
            }
            folder.finish(&self.learner)?;
        }
        // No process reports success before the files are there.
        self.ranks.barrier();
        Ok(Outcome { step, stopped: step < steps, scores, seconds: self.progress.seconds })
    }

    /// Whether any process was told to stop. All of them stop after the same step.
    fn is_set(&self, stop: &AtomicBool) -> bool {
        let mut stops = [f32::from(stop.load(Ordering::Relaxed))];
        self.ranks.sum(&mut stops);
        stops[0] > 0.0
    }

    fn step(&mut self, watch: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let start = Instant::now();
        let LoadedStep { batches, position, waited } = self.loader.step(self.batches)?;
        self.progress.position = position;
        let report = self.learner.step(&batches)?;
        let took = start.elapsed();
        self.progress.seconds += took.as_secs_f64();
        self.interval.add(&report, took, waited);
        let own: usize = batches.iter().map(|batch| batch.names.len()).sum();
        watch(Event::Step { report: &report, photos: own * self.ranks.size(), took, waited });
        self.list_skipped(watch)
    }

    /// Lists photos that a process could not read since the last call.
    fn list_skipped(&mut self, watch: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let own = self.loader.skipped();
        let new: Vec<&Skipped> = own.iter().filter(|photo| !self.skipped.contains(photo)).collect();
        let mut count = [new.len() as f32];
        self.ranks.sum(&mut count);
        if count[0] == 0.0 {
            return Ok(());
        }
        for new in self.ranks.gather(serde_json::to_vec(&new).expect("plain data")) {
            let new: Vec<Skipped> = serde_json::from_slice(&new).expect("what another rank has written");
            for photo in new {
                if !self.skipped.contains(&photo) {
                    watch(Event::Skipped(&photo));
                    self.skipped.insert(photo);
                }
            }
        }
        match &self.folder {
            Some(folder) => folder.list_skipped(self.skipped.iter()),
            None => Ok(()),
        }
    }

    /// Checks that the processes have equal networks, and logs the means since the last call.
    fn log(&mut self, step: u64) -> Result<()> {
        if self.ranks.size() > 1 {
            self.ranks.agree(&format!("network {} after step {step}", digest(&self.learner)?))?;
        }
        let means = self.interval.take_means();
        let Some(folder) = &mut self.folder else { return Ok(()) };
        folder.record("train", step, means)
    }
}

/// What has to be the same in all processes.
fn identity(config: &RunConfig, options: &FitOptions, photos: &Photos) -> String {
    let names: String = (0..photos.len()).map(|index| photos.name(index) + "\n").collect();
    format!(
        "{}\nlacuna {}\n{} devices\n{} photos with names of SHA-256 {}",
        config.to_toml(),
        env!("CARGO_PKG_VERSION"),
        options.devices.len(),
        photos.len(),
        sha256(names.as_bytes())
    )
}

/// Hash of the network's tensors.
fn digest(learner: &Learner) -> Result<String> {
    let weights = learner.parts.generator.weights()?.into_iter();
    let values: Vec<f32> = weights.flat_map(|named| named.weight.values).collect();
    Ok(sha256(bytemuck::cast_slice(&values)))
}

/// Restores the newest intact checkpoint of the run folder, if it is to be resumed.
fn restore(
    config: &RunConfig,
    options: &FitOptions,
    learner: &mut Learner,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Progress> {
    if options.resume {
        same_run(&RunFile::Network(Box::new(config.clone())), &options.folder)?;
    }
    let checkpoints = Checkpoints::of_run(&options.folder, config.run.keep);
    let Some(saved) = newest_intact(&checkpoints, options, checkpoint::open, watch)? else {
        return Ok(Progress::default());
    };
    let progress = saved.progress();
    saved.restore(learner)?;
    Ok(progress)
}

/// Gives every process the state of rank 0, which alone reads the run folder.
fn equalise(ranks: &dyn Collective, learner: &mut Learner, progress: Progress) -> Result<Progress> {
    let mut bytes = match ranks.is_writer() {
        true => checkpoint::encode(learner, progress)?,
        false => Vec::new(),
    };
    ranks.broadcast(0, &mut bytes);
    if ranks.is_writer() {
        return Ok(progress);
    }
    let saved = checkpoint::decode(Path::new("the state of rank 0"), &bytes)?;
    let progress = saved.progress();
    saved.restore(learner)?;
    Ok(progress)
}
