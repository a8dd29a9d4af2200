//! One image from file to file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyhow::{Result, bail};
use lacuna::error::panic_text;
use lacuna::job::Prepared;
use lacuna::picture::{Format, SaveOptions};
use lacuna::{FillJob, Watch};

use super::args::InpaintArgs;
use super::further::Further;
use super::place::Output;
use super::row::{Fill, Planned, Row, Status};
use super::task::Task;
use crate::hints::message;
use crate::usage::bail_usage;

/// Fills images one by one.
pub struct Filler<'a> {
    /// The arguments.
    pub args: &'a InpaintArgs,
    /// How each image is filled, except for its output format.
    pub job: FillJob,
    /// Files besides photo and mask.
    pub further: Further,
    /// Cancels fills, or asks for the best result so far.
    pub watch: Watch,
}

impl Filler<'_> {
    /// Runs or plans one task; `replace` allows an existing output.
    pub fn row(&self, task: &Task, replace: bool) -> Row {
        self.row_into(task, replace, |bytes| task.output.write(bytes))
    }

    /// Runs or plans one task whose result `write` takes.
    pub fn row_into(&self, task: &Task, replace: bool, write: impl FnOnce(&[u8]) -> Result<()>) -> Row {
        let start = Instant::now();
        let mut notes = Vec::new();
        let fill = AssertUnwindSafe(|| self.fill(task, replace, write, &mut notes));
        let status = match catch_unwind(fill) {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => Status::Failed { error: message(&error) },
            Err(panic) => Status::Failed { error: format!("internal error: {}", panic_text(panic.as_ref())) },
        };
        Row { seconds: start.elapsed().as_secs_f64(), notes, ..Row::of(task, status) }
    }

    fn fill(
        &self,
        task: &Task,
        replace: bool,
        write: impl FnOnce(&[u8]) -> Result<()>,
        notes: &mut Vec<String>,
    ) -> Result<Status> {
        if !replace && task.output.exists() {
            bail!("{} exists (--overwrite replaces it)", task.output);
        }
        let save = SaveOptions { format: self.format(&task.output)?, quality: self.args.quality };
        let memory = self.job.memory.map(|bytes| bytes.saturating_sub(task.held_bytes()));
        let seed = self.job.seed.wrapping_add(task.answer);
        let job = FillJob { save, memory, seed, ..self.job.clone() };
        let prepared = job.prepare(self.further.with(task.inputs()))?;
        notes.extend_from_slice(prepared.notes());
        let fill = self.describe(&prepared);
        if self.args.dry_run {
            let forecast = prepared.forecast();
            let (forecast_bytes, forecast_seconds) = (forecast.bytes, forecast.seconds);
            return Ok(Status::Planned(Planned { fill, forecast_bytes, forecast_seconds }));
        }
        let filled = prepared.run(&self.watch)?;
        notes.extend(filled.notes);
        write(&filled.bytes)?;
        Ok(fill.map_or(Status::Copied, Status::Filled))
    }

    /// The format to write; `None` for the input's.
    ///
    /// # Errors
    /// A usage error if the output's name says another one than the arguments.
    pub fn format(&self, output: &Output) -> Result<Option<Format>> {
        match (output, self.args.format) {
            (Output::File(path) | Output::Member(path), None) => Ok(Format::of_output(path)?),
            (Output::File(path) | Output::Member(path), Some(format)) => match Format::of_output(path)? {
                Some(other) if other != format => {
                    bail_usage!("{} is a name for {other}, but --format {format} was given", path.display())
                }
                _ => Ok(Some(format)),
            },
            (Output::Stream, format) => Ok(format),
        }
    }

    fn describe(&self, prepared: &Prepared<'_>) -> Option<Fill> {
        prepared.plan().map(|plan| Fill {
            hole_share: prepared.hole_fraction(),
            method: self.job.predictor.name(),
            strategy: plan.strategy.clone(),
        })
    }
}
