//! Whole tables with several seeds, of the thesis and of ours: the autoencoder once per seed, then every row from it, then
//! validation of all rows on the same photos and masks. Finished work is not repeated.

mod history;
mod report;
mod rows;
mod scale;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::module::Module;
use burn::tensor::Device;
use image::RgbImage;
use lacuna::Method;
use lacuna::atomic::write_bytes_atomically;
use lacuna::checkpoint::Checkpoint;
use lacuna::method::Build;
use lacuna_eval::report::sheet::{arrange, masked};
use lacuna_nets::Network;
use serde::{Deserialize, Serialize};

pub use rows::{Printed, Row, Table, Work};
pub use scale::Scale;

use crate::collective::Alone;
use crate::config::{RunConfig, Task};
use crate::data::Source;
use crate::fit::{Event, FitOptions, fit};
use crate::validate::{Validation, ValidationResult, fill};
use crate::{Error, Result};

/// Options of a study.
#[derive(Clone, Debug)]
pub struct StudyOptions {
    /// The table.
    pub table: Table,
    /// Its size.
    pub scale: Scale,
    /// Number of seeds, at least 1.
    pub seeds: u64,
    /// Training photos.
    pub photos: PathBuf,
    /// Validation photos.
    pub validation: PathBuf,
    /// Weights of VGG16, for tables with a perceptual loss.
    pub vgg16: Option<PathBuf>,
    /// Weights of LPIPS, for validation by LPIPS as well.
    pub lpips: Option<PathBuf>,
    /// Output folder.
    pub folder: PathBuf,
    /// The devices.
    pub devices: Vec<Device>,
}

/// The result of one row with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowResult {
    /// Validation over all photos.
    pub judgement: ValidationResult,
    /// Steps of the row's own training.
    pub steps: u64,
    /// Seconds of that training.
    pub seconds: f64,
    /// Trained parameters.
    pub learning: usize,
}

/// An event of a study.
#[derive(Debug)]
pub enum StudyEvent<'a> {
    /// A run starts.
    Run {
        /// The run's name.
        name: &'a str,
        /// The seed.
        seed: u64,
        /// Number of steps.
        steps: u64,
    },
    /// An event of the run.
    Event(Event<'a>),
    /// A row is validated.
    Validated {
        /// The row's name.
        name: &'a str,
        /// The seed.
        seed: u64,
        /// Its result.
        reached: &'a RowResult,
    },
}

/// File name of a row's result in its run folder.
const RESULT: &str = "reached.json";
/// Photos on the example sheet.
const EXAMPLES: usize = 6;

/// Runs a study and writes its report: `report.md`, `report.json` and `examples.png`. Returns the report's text, or
/// `None` if it was stopped.
///
/// # Errors
/// As [`crate::fit()`].
pub fn study(
    options: &StudyOptions,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(StudyEvent) + Send),
) -> Result<Option<String>> {
    let rows = options.table.rows();
    if !options.table.is_printed() && options.scale == Scale::Paper {
        let problem =
            "context encoders have images of at most 128 pixels: choose the scale tiny, smoke or small";
        return Err(Error::Config(format!("{}: {problem}", options.table)));
    }
    for row in &rows {
        // Reject invalid settings before the first hour of computing.
        options.row_config(row, 1, Path::new("autoencoder"))?;
    }
    let mut reached: Vec<Vec<RowResult>> = vec![Vec::new(); rows.len()];
    for seed in 1..=options.seeds {
        let folder = options.folder.join(format!("seed-{seed}"));
        let autoencoder = folder.join("autoencoder");
        let weights = autoencoder.join("last.safetensors");
        let changes = options.table.autoencoder_changes();
        let config = options.config("autoencoder", changes, seed, &weights)?;
        if !done(&config, &autoencoder)
            && !options.train("autoencoder", &config, &autoencoder, stop, watch)?
        {
            return Ok(None);
        }
        for (row, reached) in rows.iter().zip(&mut reached) {
            let folder = folder.join(row.name);
            let config = options.row_config(row, seed, &weights)?;
            // Validation does not depend on the seed: what is not trained has one result.
            let result = match (row.work, reached.first()) {
                (Work::Fill(_), Some(first)) => Some(first.clone()),
                _ => options.row(row, &config, &folder, stop, watch)?,
            };
            let Some(result) = result else { return Ok(None) };
            watch(StudyEvent::Validated { name: row.name, seed, reached: &result });
            reached.push(result);
        }
    }
    let text = report::markdown(options, &rows, &reached);
    write_bytes_atomically(&options.folder.join("report.md"), text.as_bytes())?;
    let json = serde_json::to_string_pretty(&report::json(&rows, &reached)).expect("plain data");
    write_bytes_atomically(&options.folder.join("report.json"), json.as_bytes())?;
    options.examples(&rows)?;
    Ok(Some(text))
}

/// Whether a run with this file is finished.
fn done(config: &RunConfig, folder: &Path) -> bool {
    let same = fs::read_to_string(folder.join("config.toml")).is_ok_and(|text| text == config.to_toml());
    same && folder.join("last.safetensors").exists() && fs::read_to_string(folder.join("done")).is_ok()
}

impl StudyOptions {
    /// The run file of a row, at this scale; of a row that is not trained, the one whose photos and masks it is validated
    /// on.
    fn row_config(&self, row: &Row, seed: u64, autoencoder: &Path) -> Result<RunConfig> {
        match row.work {
            Work::Train { file, changes } => self.config(file, changes, seed, autoencoder),
            Work::Fill(_) => self.config("autoencoder", self.table.autoencoder_changes(), seed, autoencoder),
        }
    }

    /// A run file with some changes, at this scale.
    fn config(&self, file: &str, changes: &[&str], seed: u64, autoencoder: &Path) -> Result<RunConfig> {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        let mut config = RunConfig::parse(rows::text(file), &changes)?;
        config.seed = seed;
        self.scale.apply(&mut config);
        config.data.train = vec![Source::Folder { path: self.photos.clone() }];
        config.data.validation = vec![Source::Folder { path: self.validation.clone() }];
        if config.task == Task::Inpainting {
            let needs = config.network.generator().is_some()
                && (config.start.autoencoder_init || config.loss.needs_target_latent());
            config.start.autoencoder = needs.then(|| autoencoder.to_owned());
        }
        if let Some(vgg) = &mut config.loss.vgg16 {
            vgg.weights = self.vgg16.clone().ok_or_else(|| {
                Error::Config(format!(
                    "{}: {file} has a perceptual loss, which needs the weights of VGG16",
                    self.table
                ))
            })?;
        }
        Ok(config)
    }

    /// Trains; returns whether the run finished.
    fn train(
        &self,
        name: &str,
        config: &RunConfig,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut (dyn FnMut(StudyEvent) + Send),
    ) -> Result<bool> {
        let seed = config.seed;
        watch(StudyEvent::Run { name, seed, steps: config.run.steps });
        let options = FitOptions {
            folder: folder.to_owned(),
            resume: true,
            devices: self.devices.clone(),
            ranks: Arc::new(Alone),
        };
        let outcome = fit(config, &options, stop, &mut |event| watch(StudyEvent::Event(event)))?;
        if !outcome.stopped {
            let seconds = outcome.seconds.to_string();
            write_bytes_atomically(&folder.join("done"), seconds.as_bytes())?;
        }
        Ok(!outcome.stopped)
    }

    /// Trains and validates a row unless that was done; `None` if it was stopped.
    fn row(
        &self,
        row: &Row,
        config: &RunConfig,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut (dyn FnMut(StudyEvent) + Send),
    ) -> Result<Option<RowResult>> {
        if let Work::Fill(method) = row.work {
            return self.fill_row(method, config).map(Some);
        }
        let path = folder.join(RESULT);
        if done(config, folder)
            && let Some(reached) =
                fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok())
            && self.is_complete(&reached)
        {
            return Ok(Some(reached));
        }
        if !done(config, folder) && !self.train(row.name, config, folder, stop, watch)? {
            return Ok(None);
        }
        let seconds = fs::read_to_string(folder.join("done"))
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(f64::NAN);
        let about: serde_json::Value = fs::read_to_string(folder.join("run.json"))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let learning = about["learning"].as_u64().unwrap_or_default() as usize;
        let network = open(&folder.join("last.safetensors"), &self.devices[0])?;
        let judgement = lacuna_nets::ops::among_workers(|| self.validation(config)?.evaluate(&network))?;
        let reached = RowResult { judgement, steps: config.run.steps, seconds, learning };
        let text = serde_json::to_string_pretty(&reached).expect("plain data");
        write_bytes_atomically(&path, text.as_bytes())?;
        Ok(Some(reached))
    }

    /// Validates a method that is not trained.
    fn fill_row(&self, method: Method, config: &RunConfig) -> Result<RowResult> {
        let Build::Alone(build) = method.build else {
            return Err(Error::Config(format!("{}: {method} needs a network", self.table)));
        };
        let judgement = self.validation(config)?.evaluate_predictor(&*build())?;
        Ok(RowResult { judgement, steps: 0, seconds: 0.0, learning: 0 })
    }

    /// The photos and masks on which rows are compared.
    fn validation(&self, config: &RunConfig) -> Result<Validation> {
        let mut config = config.clone();
        config.data.validation_photos = self.scale.validation_photos();
        config.data.lpips_weights = self.lpips.clone();
        Validation::open(&config)
    }

    /// Whether a result has all requested values.
    fn is_complete(&self, reached: &RowResult) -> bool {
        self.lpips.is_none() || reached.judgement.scores.lpips.is_some()
    }

    /// A sheet with photos, masked photos and the fills of all trained rows, for the first seed.
    fn examples(&self, rows: &[Row]) -> Result<()> {
        let mut config = self.row_config(&rows[0], 1, Path::new("autoencoder"))?;
        config.data.validation_photos = EXAMPLES;
        let validation = Validation::open(&config)?;
        let networks: Vec<Network> = rows
            .iter()
            .filter(|row| matches!(row.work, Work::Train { .. }))
            .map(|row| {
                open(&self.folder.join("seed-1").join(row.name).join("last.safetensors"), &self.devices[0])
            })
            .collect::<Result<_>>()?;
        let mut pictures = Vec::new();
        for (photo, mask) in validation.examples(EXAMPLES) {
            let mut row = vec![photo.clone(), masked(photo, mask)];
            for network in &networks {
                row.push(fill(Task::Inpainting, network, 0, photo, mask)?);
            }
            pictures.push(row);
        }
        let sheet: RgbImage = arrange(&pictures);
        let mut png = std::io::Cursor::new(Vec::new());
        let path = self.folder.join("examples.png");
        sheet
            .write_to(&mut png, image::ImageFormat::Png)
            .map_err(|error| Error::Write { path: path.clone(), source: std::io::Error::other(error) })?;
        Ok(write_bytes_atomically(&path, png.get_ref())?)
    }
}

fn open(path: &Path, device: &Device) -> Result<Network> {
    let device = if device.is_autodiff() { device.clone().inner() } else { device.clone() };
    Ok(Network::from_checkpoint(&Checkpoint::open(path)?, &device)?.valid())
}
