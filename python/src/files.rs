//! Fills from the bytes of files to the bytes of files, as the program makes them.

use std::io::ErrorKind;
use std::path::PathBuf;

use lacuna::atomic::write_bytes_atomically;
use lacuna::hash;
use lacuna::job::{Inputs, MaskSource, Prepared, Source};
use lacuna::picture::{Format, read_file};
use lacuna::words::Word;
use lacuna::{Error, FillJob, Result};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::errors::raise;
use crate::loaded::{Loaded, loaded};
use crate::run::run;
use crate::settings::{FileOptions, Settings, word};

/// The bytes of a file, with a name for messages.
#[derive(FromPyObject)]
pub struct NamedBytes {
    name: String,
    data: PyBackedBytes,
}

/// The files of a fill. Without a mask the image's alpha channel says where the hole is.
#[derive(FromPyObject)]
pub struct Files {
    image: NamedBytes,
    mask: Option<NamedBytes>,
    avoid: Option<NamedBytes>,
}

/// How a file was filled.
#[derive(IntoPyObject)]
pub struct Summary {
    /// Whether the mask was empty, so that the file was copied.
    is_copy: bool,
    /// The predictor's name.
    method: String,
    /// How the image was cut into frames; none for an empty mask.
    strategy: Option<String>,
    /// The fraction of the image that is filled, 0 to 1.
    hole_fraction: f64,
    /// Notes for the user.
    notes: Vec<String>,
}

impl NamedBytes {
    fn source(&self) -> Source<'_> {
        Source::Bytes { name: &self.name, bytes: &self.data }
    }
}

impl Files {
    fn inputs(&self) -> Inputs<'_> {
        let mask = match &self.mask {
            Some(mask) => MaskSource::File(mask.source()),
            None => MaskSource::Alpha,
        };
        let avoid = self.avoid.as_ref().map(NamedBytes::source);
        // No model of the package takes a hint.
        Inputs { image: self.image.source(), mask, avoid, hint: None }
    }

    /// A hash of everything that decides the result's bytes.
    fn key(&self, job: &FillJob, identity: &str) -> String {
        let FillJob { memory, mask, fit, expand, feather, sizing, seed, save, .. } = job;
        let settings = format!(
            "{identity}; memory {memory:?}; {mask:?}; {fit:?}; expand {expand}; feather {feather}; {sizing:?}; seed {seed}; \
             {save:?}"
        );
        let hashed =
            |file: &Option<NamedBytes>| file.as_ref().map_or(String::new(), |file| hash::sha256(&file.data));
        let (image, mask, avoid) = (hash::sha256(&self.image.data), hashed(&self.mask), hashed(&self.avoid));
        hash::sha256(format!("{image}\n{mask}\n{avoid}\n{settings}").as_bytes())
    }
}

impl Summary {
    fn of(job: &FillJob, prepared: &Prepared<'_>) -> Self {
        Self {
            is_copy: prepared.plan().is_none(),
            method: job.predictor.name(),
            strategy: prepared.plan().map(|plan| plan.strategy.clone()),
            hole_fraction: prepared.hole_fraction(),
            notes: prepared.notes().to_vec(),
        }
    }
}

fn job(settings: &Settings, options: &FileOptions, loaded: &Loaded) -> Result<FillJob> {
    options.apply(settings.job(loaded.predictor.clone())?)
}

/// Fills the hole of an image file. Returns the bytes of the result, and how it was filled.
#[pyfunction]
pub fn fill_bytes<'py>(
    py: Python<'py>,
    settings: Settings,
    options: FileOptions,
    files: Files,
) -> PyResult<(Bound<'py, PyBytes>, Summary)> {
    let loaded = loaded(py, &settings)?;
    let job = job(&settings, &options, &loaded).map_err(|error| raise(py, &error))?;
    let (bytes, summary) = run(py, &loaded, settings.timeout, |watch| {
        let prepared = job.prepare(files.inputs())?;
        let mut summary = Summary::of(&job, &prepared);
        let filled = prepared.run(watch)?;
        summary.notes.extend(filled.notes);
        Ok((filled.bytes, summary))
    })?;
    Ok((PyBytes::new(py, &bytes), summary))
}

/// Peak bytes of memory and seconds that the fill of an image file is expected to take.
#[pyfunction]
pub fn forecast(
    py: Python<'_>,
    settings: Settings,
    options: FileOptions,
    files: Files,
) -> PyResult<(u64, f64)> {
    let loaded = loaded(py, &settings)?;
    let job = job(&settings, &options, &loaded).map_err(|error| raise(py, &error))?;
    run(py, &loaded, settings.timeout, |_| {
        let forecast = job.prepare(files.inputs())?.forecast();
        Ok((forecast.bytes, forecast.seconds))
    })
}

/// A hash of everything that decides the bytes of the result: the files, the settings, the weights and the version.
#[pyfunction]
pub fn key(py: Python<'_>, settings: Settings, options: FileOptions, files: Files) -> PyResult<String> {
    let loaded = loaded(py, &settings)?;
    let job = job(&settings, &options, &loaded).map_err(|error| raise(py, &error))?;
    let key = py.detach(|| loaded.identity().map(|identity| files.key(&job, &identity)));
    key.map_err(|error| raise(py, &error))
}

/// The format in which a file is written: that of the options, else that of its extension; none for the image's own.
#[pyfunction]
pub fn output_format(py: Python<'_>, path: PathBuf, options: FileOptions) -> PyResult<Option<&'static str>> {
    let format = || -> Result<Option<Format>> {
        let given = options.format.as_deref().map(word::<Format>).transpose()?;
        match (given, Format::of_output(&path)?) {
            (Some(given), Some(named)) if given != named => {
                let text = format!("{} is a name for {named}, but format {given} was given", path.display());
                Err(Error::Argument(text))
            }
            (given, named) => Ok(given.or(named)),
        }
    };
    format().map(|format| format.map(Word::name)).map_err(|error| raise(py, &error))
}

/// Reads a file within the limits.
#[pyfunction]
pub fn read<'py>(py: Python<'py>, path: PathBuf, options: FileOptions) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = py.detach(|| read_file(&path, &options.limits())).map_err(|error| raise(py, &error))?;
    Ok(PyBytes::new(py, &bytes))
}

/// Writes a file under a temporary name, syncs and renames it. A crash leaves the old file or the new one.
#[pyfunction]
pub fn write(py: Python<'_>, path: PathBuf, data: PyBackedBytes) -> PyResult<()> {
    py.detach(|| write_bytes_atomically(&path, &data)).map_err(|error| raise(py, &error))
}

/// The SHA-256 of a file; none if there is no such file.
#[pyfunction]
pub fn sha256(py: Python<'_>, path: PathBuf) -> PyResult<Option<String>> {
    match py.detach(|| hash::sha256_of_file(&path)) {
        Ok(hash) => Ok(Some(hash)),
        Err(Error::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(raise(py, &error)),
    }
}
