//! What a run writes into its folder.

use std::path::Path;

use lacuna::checkpoint::{NamedTensor, Storage, save};
use lacuna_nets::Network;
use serde_json::{Map, Value, json};

use crate::checkpoint::{self, Best, Checkpoints, Progress};
use crate::config::{RunConfig, RunFile};
use crate::data::Skipped;
use crate::fit::{Event, FitOptions};
use crate::grid;
use crate::run_logs::Logs;
use crate::step::{Learner, count_parameters};
use crate::validate::{Scores, Validation};
use crate::{Error, Result};

/// Rows of an image grid.
pub(crate) const EXAMPLES: usize = 6;

/// The open run folder. In a run of several processes only rank 0 has it.
pub(crate) struct RunFolder<'a> {
    config: &'a RunConfig,
    path: &'a Path,
    validation: Validation,
    checkpoints: Checkpoints,
    logs: Logs,
}

impl<'a> RunFolder<'a> {
    /// Creates the folder, or opens it to resume after the learner's step.
    pub fn open(config: &'a RunConfig, options: &'a FitOptions, learner: &Learner) -> Result<Self> {
        let path = options.folder.as_path();
        let validation = Validation::open(&config.data)?;
        let about = json!({
            "lacuna": env!("CARGO_PKG_VERSION"),
            "seed": config.seed,
            "processes": options.ranks.size(),
            "devices": options.devices.iter().map(|device| format!("{device:?}")).collect::<Vec<_>>(),
            "parameters": count_parameters(&learner.parts.generator, |_| true),
            "learning": count_parameters(&learner.parts.generator, |learns| learns),
        });
        let logs = Logs::open(path, &config.to_toml(), &about, learner.parts.step)?;
        let checkpoints = Checkpoints::of_run(path, config.run.keep);
        Ok(Self { config, path, validation, checkpoints, logs })
    }

    /// Whether the run is validated.
    pub fn validates(&self) -> bool {
        !self.validation.is_empty()
    }

    /// Lists all photos that could not be read so far.
    pub fn list_skipped<'s>(&self, skipped: impl Iterator<Item = &'s Skipped>) -> Result<()> {
        self.logs.list_skipped(skipped)
    }

    /// Writes the same values to both logs.
    pub fn record(&mut self, kind: &str, step: u64, values: Map<String, Value>) -> Result<()> {
        self.logs.record(kind, step, values)
    }

    /// Writes a grid of example images.
    pub fn draw(&mut self, learner: &Learner) -> Result<()> {
        let examples = self.validation.examples(EXAMPLES);
        if examples.is_empty() {
            return Ok(());
        }
        let sheet = grid::sheet(self.config.task, &learner.averaged(), examples)?;
        self.logs.draw(&sheet, learner.parts.step)
    }

    /// Scores the network, and writes it if it is the best so far.
    pub fn validate(
        &mut self,
        learner: &Learner,
        progress: &mut Progress,
        watch: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Scores> {
        let (network, step) = (learner.averaged(), learner.parts.step);
        let scores = self.validation.evaluate(self.config.task, &network)?.scores;
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
        let bytes = checkpoint::encode(learner, progress)?;
        let path = self.checkpoints.save(learner.parts.step, &bytes)?;
        watch(Event::Saved(&path));
        Ok(())
    }

    /// Writes the network of the last step.
    pub fn finish(&self, learner: &Learner) -> Result<()> {
        export(&learner.averaged(), &self.path.join("last.safetensors"), self.config, learner.parts.step)
    }
}

/// Refuses to resume another run than the one in the folder. Its length and its intervals of writing may change.
pub(crate) fn same_run(config: &RunFile, folder: &Path) -> Result<()> {
    let path = folder.join("config.toml");
    if !path.exists() {
        return Ok(());
    }
    let mut old = RunFile::open(&path, &[])?;
    let same_batches = old.run().same_batches(config.run());
    let (run, data) = old.run_and_data();
    *run = config.run().clone();
    data.workers = config.workers();
    if old == *config && same_batches {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{} contains another run: only run.steps, data.workers and the intervals of writing may change",
        path.display()
    )))
}

/// The newest intact checkpoint of a run folder, if the run is to be resumed and there is one. Damaged ones are reported.
///
/// # Errors
/// If there are checkpoints but none is intact, or the run is not to be resumed.
pub(crate) fn newest_intact<T>(
    checkpoints: &Checkpoints,
    options: &FitOptions,
    open: impl Fn(&Path) -> Result<T>,
    watch: &mut (dyn FnMut(Event) + Send),
) -> Result<Option<T>> {
    let folder = options.folder.display();
    let saved = checkpoints.newest_first()?;
    if !saved.is_empty() && !options.resume {
        return Err(Error::Config(format!(
            "{folder} already contains a run ({} checkpoints): continue it with --resume, or choose another folder",
            saved.len()
        )));
    }
    if saved.is_empty() {
        return Ok(None);
    }
    for path in saved {
        match open(&path) {
            Ok(saved) => return Ok(Some(saved)),
            Err(error) => watch(Event::Damaged(&error)),
        }
    }
    Err(Error::Checkpoint(format!("no checkpoint in {folder} is intact")))
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
