//! `--frames`: a folder of frames as a video whose camera stands still.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lacuna::frames::{Clip, FilledFrame, FrameFiles};
use lacuna::hash::sha256;
use lacuna::picture::SaveOptions;

use super::args::InpaintArgs;
use super::fill::Filler;
use super::manifest::Manifest;
use super::place::Input;
use super::progress::Progress;
use super::row::{Fill, Row, Status};
use super::task::{Task, Tasks, output_name};
use crate::Outcome;
use crate::usage::ensure_usage;

/// The bar of the survey: frames read, speed, time left.
const TEMPLATE: &str = "{bar:30} {pos}/{len} frames compared  {per_sec}  {eta} left";

/// The tasks of a folder as frames: in the order of their names, each with one mask, written under its own name.
///
/// # Errors
/// A usage error if the photo is no folder; else if frames are in several folders, or lack a mask or have two.
pub fn in_order(args: &InpaintArgs, tasks: &mut Tasks, folder: &Path, output: &Path) -> Result<()> {
    ensure_usage!(folder.is_dir(), "--frames takes a folder of frames, {} is a file", folder.display());
    let jobs = args.jobs;
    ensure_usage!(jobs == 1, "frames depend on each other and are filled in turn, but --jobs is {jobs}");
    if let [(path, reason), rest @ ..] = tasks.unmatched.as_slice() {
        let more = if rest.is_empty() { String::new() } else { format!(" (and {} more files)", rest.len()) };
        bail!(
            "{}: {reason}{more}: each frame needs a mask, a black one where nothing is to be filled",
            path.display()
        );
    }
    tasks.tasks.sort_by_cached_key(|task| natural(&task.image.to_string()));
    for pair in tasks.tasks.windows(2) {
        let folders = [0, 1].map(|i| file(&pair[i].image).parent().unwrap_or(Path::new("")).to_owned());
        ensure!(
            folders[0] == folders[1],
            "{} and {} both have frames: a video is one folder",
            folders[0].display(),
            folders[1].display()
        );
        let masks = [0, 1].map(|i| pair[i].mask.file().map(ToString::to_string).unwrap_or_default());
        ensure!(
            pair[0].image != pair[1].image,
            "{} has two masks, {} and {}",
            pair[0].image,
            masks[0],
            masks[1]
        );
    }
    for task in &mut tasks.tasks {
        let relative = file(&task.image).strip_prefix(folder).unwrap_or(file(&task.image));
        task.output = output.join(output_name(relative.into(), None)).into();
    }
    Ok(())
}

/// What decides the pixels of every frame, as text: the contents of all frames and masks.
///
/// # Errors
/// If one cannot be read.
pub fn identity(tasks: &[Task]) -> Result<String> {
    let mut hashes = String::new();
    let mut last: Option<(&Input, String)> = None;
    for task in tasks {
        hashes += &task.image.sha256()?;
        if let Some(mask) = task.mask.file() {
            // One mask for all is read once.
            let hash = match last {
                Some((same, hash)) if same == mask => hash,
                _ => mask.sha256()?,
            };
            hashes += &hash;
            last = Some((mask, hash));
        }
    }
    Ok(format!("frames {}", sha256(hashes.as_bytes())))
}

/// Fills the frames.
///
/// # Errors
/// If a frame cannot be read, compared or written: a video with a gap is of no use.
pub fn run(filler: &Filler<'_>, tasks: &[Task], manifest: &Manifest) -> Result<Outcome> {
    let args = filler.args;
    let keys: Vec<String> = tasks.iter().map(|task| manifest.key(task)).collect::<Result<_>>()?;
    let finished: Vec<bool> =
        tasks.iter().zip(&keys).map(|(task, key)| args.resume && manifest.is_finished(task, key)).collect();
    for (task, _) in tasks.iter().zip(&finished).filter(|(_, finished)| !**finished) {
        let replace = args.overwrite || (args.resume && manifest.is_ours(task.output.path()));
        ensure!(replace || !task.output.exists(), "{} exists (--overwrite replaces it)", task.output);
    }
    let files = tasks.iter().map(|task| {
        let save = SaveOptions { format: filler.format(&task.output)?, quality: args.quality };
        Ok(FrameFiles { inputs: filler.further.with(task.inputs()), save })
    });
    let files: Vec<FrameFiles<'_>> = files.collect::<Result<_>>()?;
    let progress = Progress::new(Some(tasks.len()), args.json);
    for (task, _) in tasks.iter().zip(&finished).filter(|(_, finished)| **finished) {
        progress.report(&Row::of(task, Status::Finished))?;
    }
    if finished.iter().all(|finished| *finished) {
        return Ok(progress.finish());
    }
    let bar = ProgressBar::with_draw_target(Some(tasks.len() as u64), ProgressDrawTarget::stderr())
        .with_style(ProgressStyle::with_template(TEMPLATE).expect("a valid template"));
    let clip = Clip::survey(&filler.job, &files, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    clip.notes().iter().for_each(|note| eprintln!("note: {note}"));
    let mut start = std::time::Instant::now();
    clip.fill(
        |index| finished[index],
        |frame| -> Result<()> {
            let FilledFrame { index, filled, .. } = &frame;
            let task = &tasks[*index];
            manifest.start(task)?;
            task.output.write(&filled.bytes)?;
            manifest.finish(task, keys[*index].clone())?;
            let seconds = start.elapsed().as_secs_f64();
            start = std::time::Instant::now();
            let notes = filled.notes.clone();
            progress.report(&Row { seconds, notes, ..Row::of(task, status(filler, &frame)) })
        },
    )?;
    Ok(progress.finish())
}

fn status(filler: &Filler<'_>, frame: &FilledFrame<'_>) -> Status {
    if frame.hole_fraction == 0.0 {
        return Status::Copied;
    }
    let unseen = 100.0 * frame.unseen_fraction;
    Status::Filled(Fill {
        hole_share: frame.hole_fraction,
        method: filler.job.predictor.name(),
        strategy: format!("frames ({unseen:.0} % of the hole in no other frame)"),
    })
}

/// The path of a frame.
fn file(input: &Input) -> &Path {
    match input {
        Input::File(path) => path,
        Input::Bytes { name, .. } => Path::new(name.as_ref()),
    }
}

/// A part of a name. Numbers are compared as numbers, so that frame 9 comes before frame 10.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u128),
    Text(String),
}

/// What names are ordered by: their parts, then themselves.
fn natural(name: &str) -> (Vec<Part>, String) {
    /// Digits of the longest number that is compared as one.
    const MOST_DIGITS: usize = 38;
    let parts = name.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let parts = parts.map(|part| {
        let text = String::from_utf8_lossy(part).into_owned();
        match text.parse() {
            Ok(number) if part[0].is_ascii_digit() && part.len() <= MOST_DIGITS => Part::Number(number),
            _ => Part::Text(text),
        }
    });
    (parts.collect(), name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_in_the_order_of_their_numbers() {
        let mut names = ["a10.png", "a9.png", "b1.png", "a009.png", "a9-2.png", "a.png"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["a9-2.png", "a009.png", "a9.png", "a10.png", "a.png", "b1.png"]);
        let long = "9".repeat(60);
        assert_eq!(natural(&long).0, [Part::Text(long)]);
    }
}
