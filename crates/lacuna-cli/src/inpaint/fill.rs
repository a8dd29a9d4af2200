//! One image from file to file.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use lacuna::atomic::write_bytes_atomically;
use lacuna::error::panic_text;
use lacuna::job::{Prepared, Source};
use lacuna::picture::{Format, SaveOptions};
use lacuna::words::names;
use lacuna::{FillJob, Watch};

use super::args::InpaintArgs;
use super::row::{Fill, Planned, Row, Status};
use super::task::Task;
use crate::hints::message;

/// Fills images one by one.
pub struct Filler<'a> {
    /// The arguments.
    pub args: &'a InpaintArgs,
    /// How each image is filled, except for its output format.
    pub job: FillJob,
}

impl Filler<'_> {
    /// Runs or plans one task; `replace` allows an existing output.
    pub fn row(&self, task: &Task, replace: bool) -> Row {
        let start = Instant::now();
        let mut notes = Vec::new();
        let fill = AssertUnwindSafe(|| self.fill(task, replace, &mut notes));
        let status = match catch_unwind(fill) {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => Status::Failed { error: message(&error) },
            Err(panic) => Status::Failed { error: format!("internal error: {}", panic_text(panic.as_ref())) },
        };
        Row { seconds: start.elapsed().as_secs_f64(), notes, ..Row::of(task, status) }
    }

    fn fill(&self, task: &Task, replace: bool, notes: &mut Vec<String>) -> Result<Status> {
        if !replace && fs::symlink_metadata(&task.output).is_ok() {
            bail!("{} exists (--overwrite replaces it)", task.output.display());
        }
        let save = SaveOptions { format: output_format(&task.output)?, quality: self.args.quality };
        let job = FillJob { save, ..self.job.clone() };
        let prepared = job.prepare(Source::File(&task.image), Source::File(&task.mask))?;
        notes.extend_from_slice(prepared.notes());
        let fill = self.describe(&prepared);
        if self.args.dry_run {
            let forecast = prepared.forecast();
            let (forecast_bytes, forecast_seconds) = (forecast.bytes, forecast.seconds);
            return Ok(Status::Planned(Planned { fill, forecast_bytes, forecast_seconds }));
        }
        if let Some(folder) = task.output.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let filled = prepared.run(&Watch::default())?;
        notes.extend(filled.notes);
        write_bytes_atomically(&task.output, &filled.bytes)?;
        Ok(fill.map_or(Status::Copied, Status::Filled))
    }

    fn describe(&self, prepared: &Prepared<'_>) -> Option<Fill> {
        prepared.plan().map(|plan| Fill {
            hole_share: prepared.hole_fraction(),
            method: self.job.predictor.name(),
            strategy: plan.strategy.clone(),
        })
    }
}

/// The format that an output's extension names; `None` without an extension.
fn output_format(output: &Path) -> Result<Option<Format>> {
    match (Format::from_extension(output), output.extension()) {
        (None, Some(extension)) => bail!(
            "{}: cannot write .{} files (supported: {})",
            output.display(),
            extension.display(),
            names::<Format>().join(", ")
        ),
        (format, _) => Ok(format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_choose_the_format() {
        assert_eq!(output_format(Path::new("a.TIF")).unwrap(), Some(Format::Tiff));
        assert_eq!(output_format(Path::new("a")).unwrap(), None);
        assert!(output_format(Path::new("a.gif")).is_err());
    }
}
