//! The result of one image: a line of progress, and a line of `--json`.

use serde::Serialize;

use super::task::Task;

/// The result of one image.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The photo, as given.
    pub image: String,
    /// Its mask; none if no mask was found.
    pub mask: Option<String>,
    /// Where the result is or would be written; none if no output is known.
    pub output: Option<String>,
    /// What happened to it.
    #[serde(flatten)]
    pub status: Status,
    /// Seconds spent on it.
    pub seconds: f64,
    /// Notes for the user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Row {
    /// The row of a task, with no time spent and no notes.
    pub fn of(task: &Task, status: Status) -> Self {
        Self {
            image: task.image.to_string(),
            mask: task.mask.file().map(ToString::to_string),
            output: Some(task.output.to_string()),
            status,
            seconds: 0.0,
            notes: Vec::new(),
        }
    }

    /// The row of a photo for which there is no task.
    pub fn failed(image: String, error: String) -> Self {
        let status = Status::Failed { error };
        Self { image, mask: None, output: None, status, seconds: 0.0, notes: Vec::new() }
    }
}

/// What happened to an image.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// The hole was filled.
    Filled(Fill),
    /// The mask is empty; the image was copied unchanged.
    Copied,
    /// An earlier run finished it.
    Finished,
    /// What a run would do.
    Planned(Planned),
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
}

/// How a hole was or would be filled.
#[derive(Debug, Serialize)]
pub struct Fill {
    /// The fraction of the image that is filled, 0 to 1.
    pub hole_share: f64,
    /// The method that fills it.
    pub method: String,
    /// How the image is cut into frames.
    pub strategy: String,
}

/// A fill that was only planned.
#[derive(Debug, Serialize)]
pub struct Planned {
    /// How it would be filled; none if the mask is empty and the image would be copied.
    #[serde(flatten)]
    pub fill: Option<Fill>,
    /// Forecast peak memory in bytes.
    pub forecast_bytes: u64,
    /// Forecast time in seconds.
    pub forecast_seconds: f64,
}
