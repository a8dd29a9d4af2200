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

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use lacuna::atomic::write_bytes_atomically;
use lacuna::checkpoint::{NamedTensor, Storage, save};
use lacuna_nets::Generator;
use serde_json::{Map, Value, json};

use crate::checkpoint::{self, Best, Checkpoints, Progress};
use crate::config::RunConfig;
use crate::data::{Loader, Photos, Skipped, loader_of, photos_of};
use crate::grid;
use crate::log::{EventFile, MetricsFile};
use crate::step::{Learner, StepReport, count_parameters};
use crate::validate::{Scores, Validation};
use crate::{Error, Result};

/// Rows of an image grid.
const EXAMPLES: usize = 6;

/// Options of a run.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// The run folder.
    pub folder: PathBuf,
    /// Whether to resume from the newest checkpoint in it. If there is none, the run starts from the beginning.
    pub resume: bool,
    /// The devices; several split the batches of a step.
    pub devices: Vec<Device>,
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
        /// Photos that it used.
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
    /// The last validation.
    pub scores: Option<Scores>,
    /// Seconds of training, without validation and writing.
    pub seconds: f64,
}

/// Runs `config` until its last step, or until `stop` is set; then it writes a checkpoint first.
///
/// # Errors
/// All errors of [`Error`]. The run folder then still has its last checkpoint.
pub fn fit(
    config: &RunConfig,
    options: &FitOptions,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Outcome> {
    let photos = photos_of(config)?;
    if !config.run.accumulate.is_multiple_of(options.devices.len().max(1)) {
        return Err(Error::Config(format!(
            "run.accumulate is {}: {} devices cannot split these batches evenly",
            config.run.accumulate,
            options.devices.len()
        )));
    }
    lacuna_nets::ops::among_workers(|| Fit::start(config, options, photos, watch)?.run(stop, watch))
}

struct Fit<'a> {
    config: &'a RunConfig,
    folder: &'a Path,
    learner: Learner,
    loader: Loader,
    progress: Progress,
    validation: Validation,
    checkpoints: Checkpoints,
    metrics: MetricsFile,
    events: EventFile,
    listed: usize,
    interval: Interval,
}

/// Values that are logged together.
#[derive(Default)]
struct Interval {
    steps: u64,
    sums: BTreeMap<&'static str, f64>,
    took: Duration,
    waited: Duration,
}

impl<'a> Fit<'a> {
    fn start(
        config: &'a RunConfig,
        options: &'a FitOptions,
        photos: Arc<Photos>,
        watch: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Self> {
        let folder = options.folder.as_path();
        let checkpoints = Checkpoints::new(folder.join("checkpoints"), config.run.keep);
        let saved = checkpoints.newest_first()?;
        if !saved.is_empty() && !options.resume {
            return Err(Error::Config(format!(
                "{} already contains a run ({} checkpoints): continue it with --resume, or choose another folder",
                folder.display(),
                saved.len()
            )));
        }
        if options.resume {
            same_run(config, folder)?;
        }
        let mut learner = Learner::new(config.clone(), &options.devices)?;
        let mut progress = Progress::default();
        let mut restored = saved.is_empty();
        for path in saved {
            match checkpoint::open(&path) {
                Ok(saved) => {
                    progress = saved.progress();
                    saved.restore(&mut learner)?;
                    restored = true;
                    break;
                }
                Err(error) => watch(Event::Damaged(&error)),
            }
        }
        if !restored {
            return Err(Error::Checkpoint(format!("no checkpoint in {} is intact", folder.display())));
        }
        let step = learner.parts.step;
        let validation = Validation::open(config)?;
        for folder in [folder.join("checkpoints"), folder.join("grids")] {
            fs::create_dir_all(&folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
        }
        write_bytes_atomically(&folder.join("config.toml"), config.to_toml().as_bytes())?;
        let about = json!({
            "lacuna": env!("CARGO_PKG_VERSION"),
            "seed": config.seed,
            "devices": options.devices.iter().map(|device| format!("{device:?}")).collect::<Vec<_>>(),
            "parameters": count_parameters(&learner.parts.generator, |_| true),
            "learning": count_parameters(&learner.parts.generator, |learns| learns),
        });
        write_bytes_atomically(&folder.join("run.json"), format!("{about:#}\n").as_bytes())?;
        let metrics = MetricsFile::open_to_resume(&folder.join("metrics.jsonl"), step)?;
        let events = EventFile::create(folder)?;
        watch(Event::Started { step, photos: photos.len() });
        let loader = loader_of(config, photos, progress.position)?;
        let interval = Interval::default();
        Ok(Self {
            config,
            folder,
            learner,
            loader,
            progress,
            validation,
            checkpoints,
            metrics,
            events,
            listed: 0,
            interval,
        })
    }

    fn run(mut self, stop: &AtomicBool, watch: &mut (dyn FnMut(Event) + Send)) -> Result<Outcome> {
        let steps = self.config.run.steps;
        let mut scores = None;
        let mut saved_at = None;
        while self.learner.parts.step < steps && !stop.load(Ordering::Relaxed) {
            self.step(watch)?;
            let step = self.learner.parts.step;
            let due = |every: u64| every > 0 && (step.is_multiple_of(every) || step == steps);
            if due(self.config.run.log_every) {
                self.log(step)?;
            }
            if due(self.config.run.grid_every) {
                self.draw(step)?;
            }
            if due(self.config.run.validate_every) && !self.validation.is_empty() {
                scores = Some(self.validate(step, watch)?);
            }
            if due(self.config.run.checkpoint_every) {
                self.save(watch)?;
                saved_at = Some(step);
            }
        }
        let step = self.learner.parts.step;
        if saved_at != Some(step) {
            self.save(watch)?;
        }
        export(&self.learner.averaged(), &self.folder.join("last.safetensors"), self.config, step)?;
        Ok(Outcome { step, stopped: step < steps, scores, seconds: self.progress.seconds })
    }

    fn step(&mut self, watch: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let start = Instant::now();
        let mut waited = Duration::ZERO;
        let mut batches = Vec::with_capacity(self.config.run.accumulate);
        for _ in 0..self.config.run.accumulate {
            let loaded = self.loader.next()?;
            waited += loaded.waited;
            self.progress.position = loaded.position;
            batches.push(loaded.batch);
        }
        let report = self.learner.step(&batches)?;
        let took = start.elapsed();
        self.progress.seconds += took.as_secs_f64();
        self.interval.steps += 1;
        self.interval.took += took;
        self.interval.waited += waited;
        for (term, value) in &report.terms {
            *self.interval.sums.entry(term.name()).or_default() += f64::from(*value);
        }
        *self.interval.sums.entry("gradient_norm").or_default() += report.gradient_norm;
        *self.interval.sums.entry("learning_rate").or_default() += report.learning_rate;
        let photos = batches.iter().map(|batch| batch.names.len()).sum();
        watch(Event::Step { report: &report, photos, took, waited });
        self.list_skipped(watch)
    }

    fn list_skipped(&mut self, watch: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let skipped = self.loader.skipped();
        if skipped.len() == self.listed {
            return Ok(());
        }
        skipped[self.listed..].iter().for_each(|photo| watch(Event::Skipped(photo)));
        self.listed = skipped.len();
        let lines: String =
            skipped.iter().map(|photo| format!("{}: {}\n", photo.name, photo.problem)).collect();
        Ok(write_bytes_atomically(&self.folder.join("skipped.txt"), lines.as_bytes())?)
    }

    fn log(&mut self, step: u64) -> Result<()> {
        let Interval { steps, sums, took, waited } = std::mem::take(&mut self.interval);
        let count = steps.max(1) as f64;
        let mut means: Map<String, Value> =
            sums.iter().map(|(name, sum)| ((*name).to_owned(), json!(sum / count))).collect();
        means.insert("seconds_per_step".into(), json!(took.as_secs_f64() / count));
        means.insert("loader_wait".into(), json!(waited.as_secs_f64() / count));
        self.record("train", step, means)
    }

    /// Writes the same values to both logs.
    fn record(&mut self, kind: &str, step: u64, values: Map<String, Value>) -> Result<()> {
        for (name, value) in &values {
            if let Some(value) = value.as_f64() {
                self.events.scalar(&format!("{kind}/{name}"), value as f32, step)?;
            }
        }
        let mut line = Map::from_iter([("step".to_owned(), json!(step)), ("kind".to_owned(), json!(kind))]);
        line.extend(values);
        self.metrics.append(&Value::Object(line))
    }

    fn draw(&mut self, step: u64) -> Result<()> {
        let examples = self.validation.examples(EXAMPLES);
        if examples.is_empty() {
            return Ok(());
        }
        let sheet = grid::sheet(self.config.task, &self.learner.averaged(), examples)?;
        let mut png = std::io::Cursor::new(Vec::new());
        let path = self.folder.join(format!("grids/step-{step:09}.png"));
        sheet
            .write_to(&mut png, image::ImageFormat::Png)
            .map_err(|error| Error::Write { path: path.clone(), source: std::io::Error::other(error) })?;
        let png = png.into_inner();
        write_bytes_atomically(&path, &png)?;
        self.events.picture("examples", [sheet.width(), sheet.height()], png, step)
    }

    fn validate(&mut self, step: u64, watch: &mut (dyn FnMut(Event) + Send)) -> Result<Scores> {
        let network = self.learner.averaged();
        let scores = self.validation.evaluate(&network)?.scores;
        let by = self.config.run.best_by;
        let value = scores.value(by);
        let best = self.progress.best.is_none_or(|best| by.is_better(value, best.value));
        if best {
            export(&network, &self.folder.join("best.safetensors"), self.config, step)?;
            self.progress.best = Some(Best { step, value });
        }
        let Value::Object(values) = json!(scores) else { unreachable!("scores are a table") };
        self.record("validation", step, values)?;
        watch(Event::Validated { step, scores, best });
        Ok(scores)
    }

    fn save(&mut self, watch: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        let path = self.checkpoints.save(&self.learner, self.progress)?;
        watch(Event::Saved(&path));
        Ok(())
    }
}

/// Refuses to resume another run than the one in the folder. Its length and its intervals of writing may change.
fn same_run(config: &RunConfig, folder: &Path) -> Result<()> {
    let path = folder.join("config.toml");
    if !path.exists() {
        return Ok(());
    }
    let mut old = RunConfig::open(&path, &[])?;
    let batches = |config: &RunConfig| (config.run.batch, config.run.accumulate);
    let same_batches = batches(&old) == batches(config);
    old.run = config.run.clone();
    old.data.workers = config.data.workers;
    if old == *config && same_batches {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{} contains another run: only run.steps, data.workers and the intervals of writing may change",
        path.display()
    )))
}

/// Writes a network for filling holes, with the run as its provenance.
///
/// # Errors
/// If a tensor cannot be read from its device or the file cannot be written.
pub fn export(generator: &Generator, path: &Path, config: &RunConfig, step: u64) -> Result<()> {
    let tensors = generator.weights()?.into_iter().map(|named| NamedTensor {
        name: named.name,
        shape: named.weight.shape,
        values: named.weight.values.into(),
    });
    let provenance = format!("lacuna train, seed {}, step {step}", config.seed);
    Ok(save(path, generator.config(), &provenance, tensors, Storage::F32)?)
}
