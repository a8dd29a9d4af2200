//! One picture from file to file.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use lacuna::atomic::write_bytes_atomically;
use lacuna::budget::{hole_bytes, pixel_bytes};
use lacuna::error::panic_text;
use lacuna::inpainter::check_sizes;
use lacuna::picture::{Format, SaveOptions, read_file};
use lacuna::{Hole, Inpainter, Mask, Picture};
use serde::Serialize;

use super::args::InpaintArgs;
use super::task::Task;

/// What became of a picture; also a line of `--json`.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The photo, as given.
    pub image: String,
    /// Its mask; none if no mask was found.
    pub mask: Option<String>,
    /// Where the result is or would be; none if nothing could be written.
    pub output: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub status: Status,
    /// Seconds spent on it.
    pub seconds: f64,
    /// What its owner may want to know of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Row {
    /// A task's row, with no time spent and nothing to note.
    pub fn of(task: &Task, status: Status) -> Self {
        Self {
            image: task.image.display().to_string(),
            mask: Some(task.mask.display().to_string()),
            output: Some(task.output.display().to_string()),
            status,
            seconds: 0.0,
            notes: Vec::new(),
        }
    }
}

/// What became of a picture.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// The hole was filled.
    Filled(Fill),
    /// The mask is empty; the picture was copied.
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
    /// Share of the picture that is hole, 0 to 1.
    pub hole_share: f64,
    /// What fills it.
    pub method: String,
    /// How the picture is cut into frames.
    pub strategy: String,
}

/// A fill that was not made.
#[derive(Debug, Serialize)]
pub struct Planned {
    /// How; none if the mask is empty and the picture would be copied.
    #[serde(flatten)]
    pub fill: Option<Fill>,
    /// Forecast peak memory in bytes.
    pub forecast_bytes: u64,
    /// Forecast time in seconds.
    pub forecast_seconds: f64,
}

/// Fills pictures one by one.
pub struct Filler<'a> {
    /// What was asked for.
    pub args: &'a InpaintArgs,
    /// What fills.
    pub inpainter: &'a Inpainter,
}

impl Filler<'_> {
    /// Does one task, or says what it would do; `replace` allows an output that exists.
    pub fn row(&self, task: &Task, replace: bool) -> Row {
        let start = Instant::now();
        let mut notes = Vec::new();
        let fill = AssertUnwindSafe(|| self.fill(task, replace, &mut notes));
        let status = match catch_unwind(fill) {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => Status::Failed { error: format!("{error:#}") },
            Err(panic) => Status::Failed { error: format!("internal error: {}", panic_text(panic.as_ref())) },
        };
        Row { seconds: start.elapsed().as_secs_f64(), notes, ..Row::of(task, status) }
    }

    fn fill(&self, task: &Task, replace: bool, notes: &mut Vec<String>) -> Result<Status> {
        let args = self.args;
        let mut limits = args.limits.limits();
        limits.memory = self.inpainter.budget();
        if !replace && fs::symlink_metadata(&task.output).is_ok() {
            bail!("{} exists (--overwrite replaces it)", task.output.display());
        }
        let format = output_format(&task.output)?;
        let mut picture = Picture::open(&task.image, &limits)?;
        notes.extend_from_slice(picture.notes());
        let options = SaveOptions { format, quality: args.quality };
        // What cannot be written is refused before the work is done.
        let target = format.unwrap_or(picture.format());
        picture.check_fits(target, args.quality)?;
        let lost = picture.writing_notes(&options);
        limits.memory = limits.memory.map(|budget| budget.holding(pixel_bytes(&picture)));
        let mask_image = Picture::open(&task.mask, &limits)?;
        let mask_options = args.mask_options.mask();
        notes.extend_from_slice(mask_image.notes());
        notes.extend(mask_options.notes(&mask_image));
        let mask = Mask::from_picture(&mask_image, &mask_options);
        drop(mask_image);
        if mask.looks_inverted() {
            notes.push(format!(
                "{}: nearly all of it is hole: if it shows what to keep, add --invert",
                task.mask.display()
            ));
        }
        check_sizes(&picture, &mask).with_context(|| task.mask.display().to_string())?;
        let growth = args.mask_options.hole();
        if let Some(budget) = limits.memory {
            let what = format!("growing the hole of {}", task.mask.display());
            budget.holding(mask.hole().len() as u64).check(what, hole_bytes(&mask, &growth))?;
        }
        let hole = Hole::new(&mask, &growth).with_context(|| task.mask.display().to_string())?;
        drop(mask);
        notes.extend_from_slice(&lost);
        let plan = self.inpainter.plan(&picture, hole.mask())?;
        let fill = plan.as_ref().map(|plan| Fill {
            hole_share: hole.mask().count() as f64 / hole.mask().hole().len() as f64,
            method: self.inpainter.predictor_name(),
            strategy: plan.strategy.clone(),
        });
        if args.dry_run {
            let forecast = plan.map(|plan| self.inpainter.forecast(&picture, hole.mask(), &plan));
            return Ok(Status::Planned(Planned {
                fill,
                forecast_bytes: forecast.map_or(picture.pixels().as_bytes().len() as u64, |f| f.bytes),
                forecast_seconds: forecast.map_or(0.0, |f| f.seconds),
            }));
        }
        if let Some(folder) = task.output.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let (Some(plan), Some(fill)) = (plan, fill) else {
            if target == picture.format() && !picture.is_converted() && args.quality.is_none() {
                write_bytes_atomically(&task.output, &read_file(&task.image, &limits)?)?;
            } else {
                picture.save(&task.output, &options)?;
            }
            return Ok(Status::Copied);
        };
        self.inpainter.follow(&plan, &mut picture, &hole, args.seed)?;
        // The palette may have no room for what was filled.
        notes.extend(picture.writing_notes(&options).into_iter().filter(|note| !lost.contains(note)));
        picture.save(&task.output, &options)?;
        Ok(Status::Filled(fill))
    }
}

/// The format that an output's extension names; `None` without an extension.
fn output_format(output: &Path) -> Result<Option<Format>> {
    match (Format::from_extension(output), output.extension()) {
        (None, Some(extension)) => bail!(
            "{}: .{} is not a format that can be written (png, jpg, webp, tiff and bmp are)",
            output.display(),
            extension.display()
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
