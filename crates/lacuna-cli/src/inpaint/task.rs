//! The photos to fill: one, a folder, a table, or a tar file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lacuna::job::{Inputs, MaskSource};
use lacuna::mask::MaskFrom;
use lacuna::pairs::{Layout, Pair, Pairs, images_outside, is_same_file};
use lacuna::picture::Format;

use super::answers::{check_sheet, several};
use super::args::InpaintArgs;
use super::frames;
use super::further::Further;
use super::merge::MANIFEST;
use super::place::{Input, MaskInput, Output};
use super::table::Table;
use super::tar_file::TarFile;
use crate::usage::{bail_usage, ensure_usage};

/// One photo to fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The photo.
    pub image: Input,
    /// Its mask.
    pub mask: MaskInput,
    /// Where the filled photo is written.
    pub output: Output,
    /// The number of the answer, from 0, if there are several. It is added to the seed.
    pub answer: u64,
}

impl Task {
    /// A photo with one answer.
    pub fn new(image: Input, mask: MaskInput, output: Output) -> Self {
        Self { image, mask, output, answer: 0 }
    }

    /// Its photo and mask, for a fill.
    pub fn inputs(&self) -> Inputs<'_> {
        let mask = match &self.mask {
            MaskInput::File(mask) => MaskSource::File(mask.source()),
            MaskInput::Alpha => MaskSource::Alpha,
        };
        Inputs { image: self.image.source(), mask, avoid: None, hint: None }
    }

    /// The bytes of its inputs that are in memory all the time.
    pub fn held_bytes(&self) -> u64 {
        self.image.held_bytes() + self.mask.file().map_or(0, Input::held_bytes)
    }
}

/// What the arguments name.
#[derive(Debug)]
pub enum Work {
    /// A photo, or folders of photos.
    Tasks(Tasks),
    /// A table of photos.
    Table(Table),
    /// A tar file of photos.
    Tar(TarFile),
}

/// The photos of arguments that are paths.
#[derive(Debug, Default)]
pub struct Tasks {
    /// Photos to fill.
    pub tasks: Vec<Task>,
    /// Files without a partner, with the reason.
    pub unmatched: Vec<(PathBuf, String)>,
    /// Where a batch keeps its manifest; `None` for a single photo.
    pub manifest: Option<PathBuf>,
}

impl Work {
    /// Finds the photos and masks that the arguments name.
    ///
    /// # Errors
    /// If a path does not exist, a table is malformed, or two photos would be written to one file.
    pub fn find(args: &InpaintArgs, further: &Further) -> Result<Self> {
        match (&args.csv, &args.image, &args.output) {
            (Some(csv), ..) => {
                let shard =
                    args.shard.map(|shard| shard.resolve(|name| std::env::var(name).ok())).transpose()?;
                Ok(Self::Table(Table::open(csv, args.mask_options.mask_from, shard, further)?))
            }
            (None, Some(image), Some(output)) if TarFile::is_named(image) && !args.frames => {
                ensure_usage!(
                    args.samples == 1,
                    "--samples is for photos and folders, {} is a tar file",
                    image.display()
                );
                Ok(Self::Tar(TarFile::find(args, image, output)?))
            }
            (None, Some(image), Some(output)) => {
                ensure_usage!(
                    !TarFile::is_compressed(image),
                    "{} is a compressed tar file; only plain ones are read",
                    image.display()
                );
                let mut tasks = from_arguments(args, image, output)?;
                if args.frames {
                    frames::in_order(args, &mut tasks, image, output)?;
                }
                if let Some(format) = args.format.filter(|_| image.is_dir() || output.is_dir()) {
                    tasks.name_after(format);
                }
                let is_printed =
                    tasks.tasks.iter().any(|task| task.output == Output::Stream) && !args.dry_run;
                ensure_usage!(
                    !(is_printed && args.json),
                    "--json and the photo cannot both go to standard output"
                );
                tasks.tasks = several(tasks.tasks, args.samples)?;
                tasks.check(further)?;
                if let Some(sheet) = &args.contact_sheet {
                    ensure_usage!(
                        tasks.manifest.is_none(),
                        "--contact-sheet is for one photo, {} is a folder",
                        image.display()
                    );
                    check_sheet(sheet, &tasks.tasks, args.overwrite)?;
                }
                Ok(Self::Tasks(tasks))
            }
            _ => bail_usage!("give IMAGE, MASK and --output, or --csv"),
        }
    }
}

impl Tasks {
    /// One photo; an output folder gets the photo's name.
    fn single(image: Input, mask: MaskInput, output: &Path) -> Result<Self> {
        let output = match &image {
            Input::File(photo) if output.is_dir() => {
                output.join(written_name(photo.file_name().unwrap_or_default().into())).into()
            }
            _ => Output::checked(output)?,
        };
        Ok(Self { tasks: vec![Task::new(image, mask, output)], ..Self::default() })
    }

    /// These tasks as the batch of a folder of photos.
    fn of_folder(self, photos: &Path, output: &Path) -> Result<Self> {
        ensure_usage!(
            !output.is_file(),
            "{} is a file, {} a folder of photos",
            output.display(),
            photos.display()
        );
        ensure_usage!(
            !Input::is_stream(output),
            "standard output takes one photo, {} is a folder of photos",
            photos.display()
        );
        ensure!(
            !self.tasks.is_empty() || !self.unmatched.is_empty(),
            "{} has no {} files",
            photos.display(),
            Format::READ
        );
        Ok(Self { manifest: Some(output.join(MANIFEST)), ..self })
    }

    /// Gives outputs that are named after their photos the extension of a format.
    fn name_after(&mut self, format: Format) {
        for task in &mut self.tasks {
            if let Output::File(path) = &mut task.output {
                *path = output_name(std::mem::take(path), Some(format));
            }
        }
    }

    fn check(&self, further: &Further) -> Result<()> {
        let mut outputs = HashSet::new();
        for task in &self.tasks {
            ensure!(outputs.insert(task.output.path()), "two photos would be written to {}", task.output);
            let is_mask = |mask: &Input| *mask == Input::File(task.output.path().into());
            ensure_usage!(
                !task.mask.file().is_some_and(is_mask) && !further.is_one(task.output.path()),
                "{} is an input and would be overwritten",
                task.output
            );
        }
        Ok(())
    }
}

/// The tasks of a photo or a folder of photos.
fn from_arguments(args: &InpaintArgs, image: &Path, output: &Path) -> Result<Tasks> {
    let is_stream = Input::is_stream(image);
    let mask = match (&args.mask, args.mask_options.mask_from) {
        (Some(mask), MaskFrom::Alpha) => {
            bail_usage!("--mask-from alpha takes no mask, but {} was given", mask.display())
        }
        (None, MaskFrom::Alpha) => MaskInput::Alpha,
        (None, MaskFrom::File) => bail_usage!("give a mask, or --mask-from alpha"),
        (Some(mask), MaskFrom::File) if Input::is_stream(mask) => {
            ensure_usage!(!is_stream, "photo and mask cannot both come from standard input");
            MaskInput::File(Input::read_stream(&args.limits.limits())?)
        }
        (Some(mask), MaskFrom::File) if is_stream => {
            ensure_usage!(!mask.is_dir(), "{} is a folder, standard input a single photo", mask.display());
            mask.clone().into()
        }
        (Some(mask), MaskFrom::File) => return from_paths(image, mask, output),
    };
    if is_stream {
        return Tasks::single(Input::read_stream(&args.limits.limits())?, mask, output);
    }
    image.metadata().with_context(|| format!("cannot read {}", image.display()))?;
    if !image.is_dir() {
        return Tasks::single(image.to_path_buf().into(), mask, output);
    }
    let task = |relative: PathBuf| {
        let photo = image.join(&relative).into();
        Task::new(photo, mask.clone(), output.join(written_name(relative)).into())
    };
    let tasks = images_outside(image, output)?.into_iter().map(task).collect();
    Tasks { tasks, ..Tasks::default() }.of_folder(image, output)
}

fn from_paths(image: &Path, mask: &Path, output: &Path) -> Result<Tasks> {
    for path in [image, mask] {
        // Distinguish a broken link or missing folder from an unreadable image.
        path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    }
    if !image.is_dir() {
        ensure_usage!(!mask.is_dir(), "{} is a folder, {} a single photo", mask.display(), image.display());
        return Tasks::single(image.to_path_buf().into(), mask.to_path_buf().into(), output);
    }
    let tasks =
        if mask.is_dir() { match_folders(image, mask, output)? } else { one_mask(image, mask, output)? };
    tasks.of_folder(image, output)
}

/// The output's name for a photo: the same name, or PNG where the format can only be read.
fn written_name(photo: PathBuf) -> PathBuf {
    if Format::from_extension(&photo).is_some() { photo } else { photo.with_extension("png") }
}

/// [`written_name`], with the extension of a format if one is given.
pub fn output_name(photo: PathBuf, format: Option<Format>) -> PathBuf {
    match format {
        Some(format) if Format::from_extension(&photo) != Some(format) => {
            photo.with_extension(format.extension())
        }
        Some(_) => photo,
        None => written_name(photo),
    }
}

fn one_mask(images: &Path, mask: &Path, output: &Path) -> Result<Tasks> {
    let is_mask =
        |image: &Path| image == mask || (image.file_name() == mask.file_name() && is_same_file(image, mask));
    let tasks = images_outside(images, output)?
        .into_iter()
        .filter(|relative| !is_mask(&images.join(relative)))
        .map(|relative| {
            let photo = images.join(&relative).into();
            Task::new(photo, mask.to_path_buf().into(), output.join(written_name(relative)).into())
        })
        .collect();
    Ok(Tasks { tasks, ..Tasks::default() })
}

/// Photos and masks that [`Pairs`] matches. Outputs are named after the masks, as LaMa does.
fn match_folders(images: &Path, masks: &Path, output: &Path) -> Result<Tasks> {
    let find = |folder: &Path| images_outside(folder, output);
    let found = Pairs::find(&find(images)?, &find(masks)?, Layout::of(images, masks));
    let tasks = found.pairs.into_iter().map(|Pair { photo, mask, .. }| {
        let name = mask.with_extension(photo.extension().unwrap_or_default());
        let output = output.join(written_name(name)).into();
        Task::new(images.join(photo).into(), masks.join(mask).into(), output)
    });
    let ambiguous = found.ambiguous.into_iter().map(|(photo, first)| {
        let reason = format!("ambiguous mask: {} has the same name", images.join(first).display());
        (images.join(photo), reason)
    });
    let photos = found
        .photos_alone
        .into_iter()
        .map(|photo| (images.join(photo), format!("no mask of that name in {}", masks.display())));
    let masks_alone = found
        .masks_alone
        .into_iter()
        .map(|mask| (masks.join(mask), format!("no photo of that name in {}", images.display())));
    let unmatched = ambiguous.chain(photos).chain(masks_alone).collect();
    Ok(Tasks { tasks: tasks.collect(), unmatched, ..Tasks::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    /// Rows "image mask output" relative to the folder.
    fn rows(folder: &Path, tasks: &Tasks) -> Vec<String> {
        let short = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
        tasks
            .tasks
            .iter()
            .map(|task| {
                let (Input::File(image), Some(Input::File(mask))) = (&task.image, task.mask.file()) else {
                    panic!("{task:?}")
                };
                format!("{} {} {}", short(image), short(mask), short(task.output.path()))
            })
            .collect()
    }

    #[test]
    fn folders_are_matched_by_stem() {
        let dir =
            folder(&["i/a.jpg", "i/sub/b.png", "i/c.png", "i/note.txt", "m/a.png", "m/sub/b.png", "m/x.png"]);
        let at = |name: &str| dir.path().join(name);
        let tasks = from_paths(&at("i"), &at("m"), &at("out")).unwrap();
        assert_eq!(
            rows(dir.path(), &tasks),
            ["i/a.jpg m/a.png out/a.jpg", "i/sub/b.png m/sub/b.png out/sub/b.png"]
        );
        let unmatched: Vec<_> = tasks.unmatched.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(unmatched, [at("i/c.png"), at("m/x.png")]);
        assert_eq!(tasks.manifest, Some(at("out").join(MANIFEST)));
    }

    #[test]
    fn lama_layout_in_one_folder() {
        let dir = folder(&["d/a.png", "d/a_mask000.png", "d/a_mask_soft.png", "d/b_mask.png", "d/b.jpg"]);
        let at = |name: &str| dir.path().join(name);
        let tasks = from_paths(&at("d"), &at("d"), &at("out")).unwrap();
        let expected = [
            "d/a.png d/a_mask000.png out/a_mask000.png",
            "d/a.png d/a_mask_soft.png out/a_mask_soft.png",
            "d/b.jpg d/b_mask.png out/b_mask.jpg",
        ];
        assert_eq!(rows(dir.path(), &tasks), expected);
        assert!(tasks.unmatched.is_empty(), "{:?}", tasks.unmatched);
    }

    #[test]
    fn one_mask_serves_a_folder() {
        let dir = folder(&["d/a.png", "d/b.png", "d/logo.png", "d/out/a.png"]);
        let at = |name: &str| dir.path().join(name);
        let tasks = from_paths(&at("d"), &at("d/logo.png"), &at("d/out")).unwrap();
        let expected = ["d/a.png d/logo.png d/out/a.png", "d/b.png d/logo.png d/out/b.png"];
        assert_eq!(rows(dir.path(), &tasks), expected);
    }

    #[test]
    fn hidden_files_are_left_alone_and_gif_becomes_png() {
        let dir = folder(&[
            "i/.a.png",
            "i/.thumbnails/b.png",
            "i/c.gif",
            "i/d.png",
            "m/.c.png",
            "m/c.png",
            "m/d.png",
        ]);
        let at = |name: &str| dir.path().join(name);
        let tasks = from_paths(&at("i"), &at("m"), &at("out")).unwrap();
        assert_eq!(rows(dir.path(), &tasks), ["i/c.gif m/c.png out/c.png", "i/d.png m/d.png out/d.png"]);
        assert!(tasks.unmatched.is_empty(), "{:?}", tasks.unmatched);
    }

    #[test]
    fn clashes_are_refused() {
        let file = |name: &str| PathBuf::from(name);
        let task = |output: &str| Task::new(file("a").into(), file("m").into(), file(output).into());
        let twice = Tasks { tasks: vec![task("o"), task("o")], ..Tasks::default() };
        assert!(twice.check(&Further::default()).unwrap_err().to_string().contains("two photos"));
        let over_mask = Tasks { tasks: vec![task("m")], ..Tasks::default() };
        assert!(over_mask.check(&Further::default()).unwrap_err().to_string().contains("is an input"));
    }
}
