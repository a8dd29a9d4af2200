//! Whole tables of the thesis, several seeds each: the autoencoder once a seed, then every row from it, then all rows judged
//! on the same photos and holes. Whatever is done already is not done again.

mod report;
mod rows;
mod scale;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::module::Module;
use burn::tensor::Device;
use image::RgbImage;
use lacuna::atomic::write_bytes_atomically;
use lacuna::checkpoint::Checkpoint;
use lacuna_nets::Generator;
use serde::{Deserialize, Serialize};

pub use rows::{Printed, Row, Table};
pub use scale::Scale;

use crate::config::{RunConfig, Task};
use crate::data::Source;
use crate::fit::{Event, FitOptions, fit};
use crate::validate::{Judgement, Validation, fill};
use crate::{Error, Result};

/// What a study runs on.
#[derive(Clone, Debug)]
pub struct StudyOptions {
    /// The table.
    pub table: Table,
    /// How large everything is.
    pub scale: Scale,
    /// How many seeds, from 1.
    pub seeds: u64,
    /// Photos to learn from.
    pub photos: PathBuf,
    /// Photos to judge by.
    pub judged_by: PathBuf,
    /// VGG16's weights, for tables with a perceptual loss.
    pub vgg16: Option<PathBuf>,
    /// LPIPS's weights, to judge by it as well.
    pub lpips: Option<PathBuf>,
    /// Where everything is written.
    pub folder: PathBuf,
    /// Where to compute.
    pub devices: Vec<Device>,
}

/// What one row reached with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// Over all photos.
    pub judgement: Judgement,
    /// Steps of the row's own training.
    pub steps: u64,
    /// Seconds of it.
    pub seconds: f64,
    /// Parameters that learned.
    pub learning: usize,
}

/// What is told while a study runs.
#[derive(Debug)]
pub enum Told<'a> {
    /// A run starts.
    Run {
        /// The run's name.
        name: &'a str,
        /// The seed.
        seed: u64,
        /// Steps that it will have.
        steps: u64,
    },
    /// Something happens in it.
    Event(Event<'a>),
    /// A row is judged.
    Reached {
        /// The row's name.
        name: &'a str,
        /// The seed.
        seed: u64,
        /// What it reached.
        reached: &'a Reached,
    },
}

/// Name of a row's result in its run folder.
const RESULT: &str = "reached.json";
/// Photos on the sheet of examples.
const EXAMPLES: usize = 6;

/// Runs a study, and writes its report: `report.md`, `report.json` and `examples.png`. Returns the report's text, or nothing
/// if it was stopped.
///
/// # Errors
/// As [`crate::fit()`].
pub fn study(
    options: &StudyOptions,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(Told) + Send),
) -> Result<Option<String>> {
    let rows = options.table.rows();
    for row in &rows {
        // Everything that can be refused is refused before the first hour of computing.
        options.config(row.file, 1, Path::new("autoencoder"))?;
    }
    let mut reached: Vec<Vec<Reached>> = vec![Vec::new(); rows.len()];
    for seed in 1..=options.seeds {
        let folder = options.folder.join(format!("seed-{seed}"));
        let autoencoder = folder.join("autoencoder");
        let weights = autoencoder.join("last.safetensors");
        let config = options.config("autoencoder", seed, &weights)?;
        if !done(&config, &autoencoder)
            && !options.train("autoencoder", &config, &autoencoder, stop, watch)?
        {
            return Ok(None);
        }
        for (row, reached) in rows.iter().zip(&mut reached) {
            let folder = folder.join(row.file);
            let config = options.config(row.file, seed, &weights)?;
            let Some(result) = options.row(row, &config, &folder, stop, watch)? else { return Ok(None) };
            watch(Told::Reached { name: row.file, seed, reached: &result });
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

/// Whether a run with this file has come to its end.
fn done(config: &RunConfig, folder: &Path) -> bool {
    let same = fs::read_to_string(folder.join("config.toml")).is_ok_and(|text| text == config.to_toml());
    same && folder.join("last.safetensors").exists() && fs::read_to_string(folder.join("done")).is_ok()
}

impl StudyOptions {
    /// The run file of a row, at this scale.
    fn config(&self, file: &str, seed: u64, autoencoder: &Path) -> Result<RunConfig> {
        let mut config = RunConfig::parse(rows::text(file), &[])?;
        config.seed = seed;
        self.scale.apply(&mut config);
        config.data.train = vec![Source::Folder { path: self.photos.clone() }];
        config.data.validation = vec![Source::Folder { path: self.judged_by.clone() }];
        if config.task == Task::Inpainting {
            config.start.autoencoder = Some(autoencoder.to_owned());
        }
        if let Some(vgg) = &mut config.loss.vgg16 {
            vgg.weights = self.vgg16.clone().ok_or_else(|| {
                Error::Config(format!("{}: {file} has a perceptual loss, give --vgg16 FILE", self.table))
            })?;
        }
        Ok(config)
    }

    /// Trains, and says whether it came to its end.
    fn train(
        &self,
        name: &str,
        config: &RunConfig,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut (dyn FnMut(Told) + Send),
    ) -> Result<bool> {
        let seed = config.seed;
        watch(Told::Run { name, seed, steps: config.run.steps });
        let options = FitOptions { folder: folder.to_owned(), resume: true, devices: self.devices.clone() };
        let outcome = fit(config, &options, stop, &mut |event| watch(Told::Event(event)))?;
        if !outcome.stopped {
            let seconds = outcome.seconds.to_string();
            write_bytes_atomically(&folder.join("done"), seconds.as_bytes())?;
        }
        Ok(!outcome.stopped)
    }

    /// Trains and judges a row, unless that was done; `None` if it was stopped.
    fn row(
        &self,
        row: &Row,
        config: &RunConfig,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut (dyn FnMut(Told) + Send),
    ) -> Result<Option<Reached>> {
        let path = folder.join(RESULT);
        if done(config, folder)
            && let Some(reached) =
                fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok())
            && self.is_complete(&reached)
        {
            return Ok(Some(reached));
        }
        if !done(config, folder) && !self.train(row.file, config, folder, stop, watch)? {
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
        let mut judged = config.clone();
        judged.data.validation_photos = self.scale.judged_photos();
        judged.data.lpips_weights = self.lpips.clone();
        let judgement = lacuna_nets::ops::among_workers(|| Validation::open(&judged)?.judge(&network))?;
        let reached = Reached { judgement, steps: config.run.steps, seconds, learning };
        let text = serde_json::to_string_pretty(&reached).expect("plain data");
        write_bytes_atomically(&path, text.as_bytes())?;
        Ok(Some(reached))
    }

    /// Whether a judgement has all that is asked for.
    fn is_complete(&self, reached: &Reached) -> bool {
        self.lpips.is_none() || reached.judgement.scores.lpips.is_some()
    }

    /// A sheet with photos, masked photos and the fills of all rows, of the first seed.
    fn examples(&self, rows: &[Row]) -> Result<()> {
        let mut config = self.config(rows[0].file, 1, Path::new("autoencoder"))?;
        config.data.validation_photos = EXAMPLES;
        let validation = Validation::open(&config)?;
        let networks: Vec<Generator> = rows
            .iter()
            .map(|row| {
                open(&self.folder.join("seed-1").join(row.file).join("last.safetensors"), &self.devices[0])
            })
            .collect::<Result<_>>()?;
        let mut pictures = Vec::new();
        for (photo, mask) in validation.examples(EXAMPLES) {
            let mut row = vec![photo.clone(), crate::grid::masked(photo, mask)];
            for network in &networks {
                row.push(fill(Task::Inpainting, network, photo, mask)?);
            }
            pictures.push(row);
        }
        let sheet: RgbImage = crate::grid::arrange(&pictures);
        let mut png = std::io::Cursor::new(Vec::new());
        let path = self.folder.join("examples.png");
        sheet
            .write_to(&mut png, image::ImageFormat::Png)
            .map_err(|error| Error::Write { path: path.clone(), source: std::io::Error::other(error) })?;
        Ok(write_bytes_atomically(&path, png.get_ref())?)
    }
}

fn open(path: &Path, device: &Device) -> Result<Generator> {
    let device = if device.is_autodiff() { device.clone().inner() } else { device.clone() };
    Ok(Generator::from_checkpoint(&Checkpoint::open(path)?, &device)?.valid())
}
