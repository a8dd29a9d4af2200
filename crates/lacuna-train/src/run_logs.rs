//! The logs of a run, which both kinds of training write into their folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::RgbImage;
use lacuna::atomic::write_bytes_atomically;
use serde_json::{Map, Value, json};

use crate::data::Skipped;
use crate::log::{EventFile, MetricsFile};
use crate::step::StepReport;
use crate::{Error, Result};

/// `config.toml`, `run.json`, `metrics.jsonl`, event file, `grids/` and `skipped.txt` of a run folder.
pub(crate) struct Logs {
    path: PathBuf,
    metrics: MetricsFile,
    events: EventFile,
}

impl Logs {
    /// Creates the folder, or opens it to resume after `step`. `config` is the complete run file, `about` the content of `run.json`.
    pub fn open(path: &Path, config: &str, about: &Value, step: u64) -> Result<Self> {
        for folder in [path.join("checkpoints"), path.join("grids")] {
            fs::create_dir_all(&folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
        }
        write_bytes_atomically(&path.join("config.toml"), config.as_bytes())?;
        write_bytes_atomically(&path.join("run.json"), format!("{about:#}\n").as_bytes())?;
        let metrics = MetricsFile::open_to_resume(&path.join("metrics.jsonl"), step)?;
        Ok(Self { path: path.to_owned(), metrics, events: EventFile::create(path)? })
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
    pub fn draw(&mut self, sheet: &RgbImage, step: u64) -> Result<()> {
        let mut png = std::io::Cursor::new(Vec::new());
        let path = self.path.join(format!("grids/step-{step:09}.png"));
        sheet
            .write_to(&mut png, image::ImageFormat::Png)
            .map_err(|error| Error::Write { path: path.clone(), source: std::io::Error::other(error) })?;
        let png = png.into_inner();
        write_bytes_atomically(&path, &png)?;
        self.events.picture("examples", [sheet.width(), sheet.height()], png, step)
    }
}

/// Values that are logged together.
#[derive(Default)]
pub(crate) struct Interval {
    steps: u64,
    sums: BTreeMap<&'static str, f64>,
    took: Duration,
    waited: Duration,
}

impl Interval {
    /// Adds a step, its duration and its wait for data.
    pub fn add(&mut self, report: &StepReport, took: Duration, waited: Duration) {
        self.steps += 1;
        self.took += took;
        self.waited += waited;
        for (term, value) in &report.terms {
            *self.sums.entry(term.name()).or_default() += f64::from(*value);
        }
        *self.sums.entry("gradient_norm").or_default() += report.gradient_norm;
        *self.sums.entry("learning_rate").or_default() += report.learning_rate;
    }

    /// The means since the last call.
    pub fn take_means(&mut self) -> Map<String, Value> {
        let Self { steps, sums, took, waited } = std::mem::take(self);
        let count = steps.max(1) as f64;
        let mut means: Map<String, Value> =
            sums.iter().map(|(name, sum)| ((*name).to_owned(), json!(sum / count))).collect();
        means.insert("seconds_per_step".into(), json!(took.as_secs_f64() / count));
        means.insert("loader_wait".into(), json!(waited.as_secs_f64() / count));
        means
    }
}
