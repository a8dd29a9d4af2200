//! A run file of any task.

use std::path::Path;

use super::{ControlConfig, Data, FlowConfig, Run, RunConfig};
use crate::{Error, Result};

/// A run file.
#[derive(Clone, Debug, PartialEq)]
pub enum RunFile {
    /// Trains a network.
    Network(Box<RunConfig>),
    /// Trains a denoiser of a network's latents.
    Flow(Box<FlowConfig>),
    /// Trains a ControlNet branch of a denoiser.
    Control(Box<ControlConfig>),
}

/// The value of `task` in the run file of a denoiser.
const FLOW: &str = "flow";

/// … and in that of a ControlNet branch.
const CONTROL: &str = "control";

impl RunFile {
    /// Reads and checks a run file, with the changes of `--set`.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Config`], which names the file and the key.
    pub fn open(path: &Path, changes: &[String]) -> Result<Self> {
        read(path, |text| Self::parse(text, changes))
    }

    /// Parses and checks the text of a run file, with the changes of `--set`.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn parse(text: &str, changes: &[String]) -> Result<Self> {
        let table: toml::Table = toml::from_str(text).map_err(|error| Error::Config(error.to_string()))?;
        match table.get("task").and_then(toml::Value::as_str) {
            Some(FLOW) => Ok(Self::Flow(Box::new(FlowConfig::parse(text, changes)?))),
            Some(CONTROL) => Ok(Self::Control(Box::new(ControlConfig::parse(text, changes)?))),
            _ => Ok(Self::Network(Box::new(RunConfig::parse(text, changes)?))),
        }
    }

    /// Duration, and when to write what.
    pub fn run(&self) -> &Run {
        match self {
            Self::Network(config) => &config.run,
            Self::Flow(config) => &config.run,
            Self::Control(config) => &config.run,
        }
    }

    /// Threads that load photos.
    pub(crate) fn workers(&self) -> usize {
        match self {
            Self::Network(config) => config.data.workers,
            Self::Flow(config) => config.data.workers,
            Self::Control(config) => config.data.workers,
        }
    }

    /// What a resumed run may change.
    pub(crate) fn run_and_data(&mut self) -> (&mut Run, &mut Data) {
        match self {
            Self::Network(config) => (&mut config.run, &mut config.data),
            Self::Flow(config) => (&mut config.run, &mut config.data),
            Self::Control(config) => (&mut config.run, &mut config.data),
        }
    }
}

/// What `parse` makes of the text of a run file. Its errors get the file's name.
///
/// # Errors
/// [`Error::Read`]; those of `parse`.
pub(super) fn read<C>(path: &Path, parse: impl FnOnce(&str) -> Result<C>) -> Result<C> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|error| Error::Config(format!("{}: {error}", path.display())))
}
