//! What a run writes into its folder.

use std::fs;
use std::path::Path;

use lacuna::atomic::write_bytes_atomically;
use lacuna::checkpoint::{NamedTensor, Storage, save};
use lacuna_nets::Network;
use serde_json::{Map, Value, json};

use crate::checkpoint::{Best, Checkpoints, Progress};
use crate::config::RunConfig;
use crate::data::Skipped;
use crate::fit::{Event, FitOptions};
use crate::grid;
use crate::log::{EventFile, MetricsFile};
use crate::step::{Learner, count_parameters};
use crate::validate::{Scores, Validation};
use crate::{Error, Result};

/// Rows of an image grid.
const EXAMPLES: usize = 6;

/// The open run folder. In a run of several processes only rank 0 has it.
pub(crate) struct RunFolder<'a> {
    config: &'a RunConfig,
    path: &'a Path,
    validation: Validation,
    checkpoints: Checkpoints,
    metrics: MetricsFile,
    events: EventFile,
}

/// The checkpoints in a run folder.
pub(crate) fn checkpoints(config: &RunConfig, folder: &Path) -> Checkpoints {
    Checkpoints::new(folder.join("checkpoints"), config.run.keep)
}

impl<'a> RunFolder<'a> {
    /// Creates the folder, or opens it to resume after the learner's step.
    pub fn open(config: &'a RunConfig, options: &'a FitOptions, learner: &Learner) -> Result<Self> {
        let path = options.folder.as_path();
        let validation = Validation::open(config)?;
        for folder in [path.join("checkpoints"), path.join("grids")] {
            fs::create_dir_all(&folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
        }
        write_bytes_atomically(&path.join("config.toml"), config.to_toml().as_bytes())?;
        let about = json!({
            "lacuna": env!("CARGO_PKG_VERSION"),
            "seed": config.seed,
            "processes": options.ranks.size(),
            "devices": options.devices.iter().map(|device| format!("{device:?}")).collect::<Vec<_>>(),
            "parameters": count_parameters(&learner.parts.generator, |_| true),
            "learning": count_parameters(&learner.parts.generator, |learns| learns),
        });
        write_bytes_atomically(&path.join("run.json"), format!("{about:#}\n").as_bytes())?;
        let metrics = MetricsFile::open_to_resume(&path.join("metrics.jsonl"), learner.parts.step)?;
        let events = EventFile::create(path)?;
        let checkpoints = checkpoints(config, path);
        Ok(Self { config, path, validation, checkpoints, metrics, events })
    }

    /// Whether the run is validated.
    pub fn validates(&self) -> bool {
        !self.validation.is_empty()
    }

    /// Lists all photos that could not be read so far.
    pub fn list_skipped<'s>(&self, skipped: impl Iterator<Item = &'s Skipped>) -> Result<()> {
        let lines: String = skipped.map(|photo| format!("{}: {}\n", photo.name, photo.problem)).collect();
        Ok(write_bytes_atomically(&self.path.join("skipped.txt"), lines.as_bytes())?)
    }

    /// Writes the same values to both logs.
    pub fn record(&mut self, kind: &str, step: u64, values: Map<String, Value>) -> Result<()> {
        for (name, value) in &values {
            if let Some(value) = value.as_f64() {
                self.events.scalar(&format!("{kind}/{name}"), value as f32, step)?;
            }
        }
        let mut line = Map::from_iter([("step".to_owned(), json!(step)), ("kind".to_owned(), json!(kind))]);
        line.extend(values);
        self.metrics.append(&Value::Object(line))
    }

    /// Writes a grid of example images.
    pub fn draw(&mut self, learner: &Learner) -> Result<()> {
        let examples = self.validation.examples(EXAMPLES);
        if examples.is_empty() {
            return Ok(());
        }
        let step = learner.parts.step;
        let sheet = grid::sheet(self.config.task, &learner.averaged(), examples)?;
        let mut png = std::io::Cursor::new(Vec::new());
        let path = self.path.join(format!("grids/step-{step:09}.png"));
        sheet
            .write_to(&mut png, image::ImageFormat::Png)
            .map_err(|error| Error::Write { path: path.clone(), source: std::io::Error::other(error) })?;
        let png = png.into_inner();
        write_bytes_atomically(&path, &png)?;
        self.events.picture("examples", [sheet.width(), sheet.height()], png, step)
    }

    /// Scores the network, and writes it if it is the best so far.
    pub fn validate(
        &mut self,
        learner: &Learner,
        progress: &mut Progress,
        watch: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Scores> {
        let (network, step) = (learner.averaged(), learner.parts.step);
        let scores = self.validation.evaluate(&network)?.scores;
        let by = self.config.run.best_by;
        let value = scores.value(by);
        let best = progress.best.is_none_or(|best| by.is_better(value, best.value));
        if best {
            export(&network, &self.path.join("best.safetensors"), self.config, step)?;
            progress.best = Some(Best { step, value });
        }
        let Value::Object(values) = json!(scores) else { unreachable!("scores are a table") };
        self.record("validation", step, values)?;
        watch(Event::Validated { step, scores, best });
        Ok(scores)
    }

    /// Writes a checkpoint.
    pub fn save(
        &self,
        learner: &Learner,
        progress: Progress,
        watch: &mut (dyn FnMut(Event) + Send),
    ) -> Result<()> {
        let path = self.checkpoints.save(learner, progress)?;
        watch(Event::Saved(&path));
        Ok(())
    }

    /// Writes the network of the last step.
    pub fn finish(&self, learner: &Learner) -> Result<()> {
        export(&learner.averaged(), &self.path.join("last.safetensors"), self.config, learner.parts.step)
    }
}

/// Refuses to resume another run than the one in the folder. Its length and its intervals of writing may change.
pub(crate) fn same_run(config: &RunConfig, folder: &Path) -> Result<()> {
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
pub fn export(network: &Network, path: &Path, config: &RunConfig, step: u64) -> Result<()> {
    let tensors = network.weights()?.into_iter().map(|named| NamedTensor {
        name: named.name,
        shape: named.weight.shape,
        values: named.weight.values.into(),
    });
    let provenance = format!("lacuna train, seed {}, step {step}", config.seed);
    Ok(save(path, network.config(), &provenance, tensors, Storage::F32)?)
}
