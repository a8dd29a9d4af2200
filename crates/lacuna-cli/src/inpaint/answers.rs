//! `--samples`: several fills of one hole, and all of them on one sheet.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use image::{DynamicImage, Rgb, RgbImage};
use lacuna::atomic::write_bytes_atomically;
use lacuna::job::Prepared;
use lacuna::picture::{Format, SaveOptions};
use lacuna::{Picture, Planes, Rect};
use lacuna_eval::report::sheet::arrange;

use super::fill::Filler;
use super::place::Output;
use super::task::Task;
use crate::usage::ensure_usage;

/// Longest side of an image on the sheet, in pixels.
const TILE: u32 = 384;

/// Images in a row of the sheet.
const COLUMNS: usize = 4;

/// Tasks for `count` answers each, named NAME-1 to NAME-`count`. A single one keeps its name.
///
/// # Errors
/// If an answer would go to standard output.
pub fn several(tasks: Vec<Task>, count: u16) -> Result<Vec<Task>> {
    if count == 1 {
        return Ok(tasks);
    }
    let is_file = |task: &Task| matches!(task.output, Output::File(_));
    ensure_usage!(tasks.iter().all(is_file), "standard output takes one photo, --samples is {count}");
    let answers = tasks.iter().flat_map(|task| {
        (0..count).map(|answer| Task {
            output: numbered(task.output.path(), answer + 1).into(),
            answer: answer.into(),
            ..task.clone()
        })
    });
    Ok(answers.collect())
}

/// A path with a number before its extension.
fn numbered(path: &Path, number: u16) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Checks that a sheet can be written.
///
/// # Errors
/// If its name has no extension of a format that can be written, it exists, or it is one of the outputs.
pub fn check_sheet(path: &Path, tasks: &[Task], overwrite: bool) -> Result<()> {
    let format = Format::of_output(path)?;
    ensure_usage!(format.is_some(), "the contact sheet {} needs an extension, such as .png", path.display());
    ensure_usage!(
        !tasks.iter().any(|task| task.output.path() == path),
        "the contact sheet {} would replace an answer",
        path.display()
    );
    ensure_usage!(overwrite || !path.exists(), "{} exists (--overwrite replaces it)", path.display());
    Ok(())
}

/// Writes the photo with its hole and all answers, around the hole, in rows from left to right.
///
/// # Errors
/// If a file cannot be read or written.
pub fn write_sheet(filler: &Filler<'_>, tasks: &[Task], path: &Path) -> Result<()> {
    let first = tasks.first().context("no answers")?;
    let prepared = filler.job.prepare(first.inputs())?;
    let view = view(&prepared);
    let mut tiles = vec![tile(with_hole(&prepared, view))];
    for task in tasks {
        let answer = Picture::open(task.output.path(), &filler.job.limits)?;
        tiles.push(tile(cropped(&answer, view)));
    }
    let rows: Vec<Vec<Planes>> = tiles.chunks(COLUMNS).map(<[Planes]>::to_vec).collect();
    let sheet = DynamicImage::ImageRgb8(arrange(&rows));
    let sheet = Picture::from_pixels(path.display().to_string(), sheet, Format::Png);
    let save = SaveOptions { format: Format::of_output(path)?, quality: None };
    Ok(write_bytes_atomically(path, &sheet.encode(&save)?)?)
}

/// What the sheet shows: the hole with half of its size around it; everything without a hole.
fn view(prepared: &Prepared<'_>) -> Rect {
    let (width, height) = (prepared.picture().width(), prepared.picture().height());
    let whole = Rect::whole(width, height);
    prepared.hole().bounds().map_or(whole, |hole| hole.grown(hole.long_side() / 2, width, height))
}

fn cropped(picture: &Picture, view: Rect) -> RgbImage {
    let [x, y, width, height] = [view.x, view.y, view.width, view.height].map(|length| length as u32);
    picture.pixels().crop_imm(x, y, width, height).to_rgb8()
}

/// The photo with a black hole.
fn with_hole(prepared: &Prepared<'_>, view: Rect) -> RgbImage {
    let mut photo = cropped(prepared.picture(), view);
    for (x, y, pixel) in photo.enumerate_pixels_mut() {
        if prepared.hole().is_hole(view.x + x as usize, view.y + y as usize) {
            *pixel = Rgb([0; 3]);
        }
    }
    photo
}

/// An image of the sheet.
fn tile(image: RgbImage) -> Planes {
    let picture = |pixels| Picture::from_pixels("tile", pixels, Format::Png);
    let small = picture(picture(DynamicImage::ImageRgb8(image)).preview(TILE));
    small.planes(Rect::whole(small.width(), small.height()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_the_extension() {
        for (path, expected) in [("a/b.c.png", "a/b.c-3.png"), ("clean", "clean-3"), (".png", ".png-3")] {
            assert_eq!(numbered(Path::new(path), 3), Path::new(expected));
        }
    }

    #[test]
    fn answers_have_names_and_seeds_of_their_own() {
        let file = |name: &str| PathBuf::from(name);
        let task = |output| Task::new(file("a").into(), file("m").into(), output);
        let tasks = several(vec![task(file("b.png").into())], 2).unwrap();
        let named: Vec<_> = tasks.iter().map(|task| (task.output.to_string(), task.answer)).collect();
        assert_eq!(named, [("b-1.png".into(), 0), ("b-2.png".into(), 1)]);
        let one = vec![task(Output::Stream)];
        assert_eq!(several(one.clone(), 1).unwrap(), one);
        let error = several(one, 3).unwrap_err().to_string();
        assert_eq!(error, "standard output takes one photo, --samples is 3");
        assert!(
            check_sheet(Path::new("b-2.png"), &tasks, true)
                .unwrap_err()
                .to_string()
                .contains("would replace")
        );
        assert!(check_sheet(Path::new("sheet"), &tasks, true).is_err());
    }
}
