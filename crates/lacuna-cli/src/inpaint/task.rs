//! The photos to fill: one, a folder, or a table.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lacuna::picture::Format;
use serde::Deserialize;
use walkdir::{DirEntry, WalkDir};

use super::args::InpaintArgs;
use crate::usage::{bail_usage, ensure_usage};

/// One photo to fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The photo.
    pub image: PathBuf,
    /// Its mask.
    pub mask: PathBuf,
    /// Where the filled photo is written.
    pub output: PathBuf,
}

/// All photos to fill.
#[derive(Debug, Default)]
pub struct Tasks {
    /// Photos to fill.
    pub tasks: Vec<Task>,
    /// Files without a partner, with the reason.
    pub unmatched: Vec<(PathBuf, String)>,
    /// Where a batch keeps its manifest; `None` for a single photo.
    pub manifest: Option<PathBuf>,
}

/// The manifest's name in an output folder, and its suffix beside a CSV file.
const MANIFEST: &str = "lacuna-manifest.jsonl";

impl Tasks {
    /// Finds the photos and masks that the arguments name.
    ///
    /// # Errors
    /// If a path does not exist, a table is malformed, or two photos would be written to one file.
    pub fn find(args: &InpaintArgs) -> Result<Self> {
        let tasks = match (&args.csv, &args.image, &args.mask, &args.output) {
            (Some(csv), ..) => from_csv(csv)?,
            (None, Some(image), Some(mask), Some(output)) => from_paths(image, mask, output)?,
            _ => bail_usage!("give IMAGE, MASK and --output, or --csv"),
        };
        tasks.check()?;
        Ok(tasks)
    }

    fn check(&self) -> Result<()> {
        let mut outputs = HashSet::new();
        for task in &self.tasks {
            ensure!(outputs.insert(&task.output), "two photos would be written to {}", task.output.display());
            ensure_usage!(
                task.output != task.mask,
                "{} is a mask and would be overwritten",
                task.mask.display()
            );
        }
        Ok(())
    }
}

/// A row of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    image: PathBuf,
    mask: PathBuf,
    output: PathBuf,
}

fn from_csv(path: &Path) -> Result<Tasks> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let tasks = reader
        .deserialize()
        .map(|row| {
            let Row { image, mask, output } = row?;
            Ok(Task { image: folder.join(image), mask: folder.join(mask), output: folder.join(output) })
        })
        .collect::<Result<Vec<_>, csv::Error>>()
        .with_context(|| format!("{}: the columns must be image,mask,output", path.display()))?;
    ensure!(!tasks.is_empty(), "{} lists no photos", path.display());
    let mut manifest = path.as_os_str().to_owned();
    manifest.push(".");
    manifest.push(MANIFEST);
    Ok(Tasks { tasks, unmatched: Vec::new(), manifest: Some(manifest.into()) })
}

fn from_paths(image: &Path, mask: &Path, output: &Path) -> Result<Tasks> {
    for path in [image, mask] {
        // Distinguish a broken link or missing folder from an unreadable image.
        path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    }
    if !image.is_dir() {
        ensure_usage!(!mask.is_dir(), "{} is a folder, {} a single photo", mask.display(), image.display());
        let output = if output.is_dir() {
            output.join(written_name(image.file_name().unwrap_or_default().into()))
        } else {
            output.into()
        };
        let task = Task { image: image.into(), mask: mask.into(), output };
        return Ok(Tasks { tasks: vec![task], ..Tasks::default() });
    }
    ensure_usage!(
        !output.is_file(),
        "{} is a file, {} a folder of photos",
        output.display(),
        image.display()
    );
    let mut tasks =
        if mask.is_dir() { match_folders(image, mask, output)? } else { one_mask(image, mask, output)? };
    ensure!(
        !tasks.tasks.is_empty() || !tasks.unmatched.is_empty(),
        "{} has no PNG, JPEG, WebP, TIFF, BMP or GIF files",
        image.display()
    );
    tasks.manifest = Some(output.join(MANIFEST));
    Ok(tasks)
}

/// All photos below a folder, relative to it, sorted. Hidden files and folders are skipped, and so are outputs of
/// earlier runs in an `output` folder inside it.
fn pictures(folder: &Path, output: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let is_output =
        |entry: &DirEntry| entry.depth() > 0 && entry.file_type().is_dir() && same_file(entry.path(), output);
    let is_hidden =
        |entry: &DirEntry| entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    for entry in entries.into_iter().filter_entry(|entry| !is_output(entry) && !is_hidden(entry)) {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if entry.file_type().is_file() && Format::reads_extension(entry.path()) {
            found.push(entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_path_buf());
        }
    }
    Ok(found)
}

/// The output's name for a photo: the same name, or PNG where the format can only be read.
fn written_name(photo: PathBuf) -> PathBuf {
    if Format::from_extension(&photo).is_some() { photo } else { photo.with_extension("png") }
}

fn one_mask(images: &Path, mask: &Path, output: &Path) -> Result<Tasks> {
    let is_mask =
        |image: &Path| image == mask || (image.file_name() == mask.file_name() && same_file(image, mask));
    let tasks = pictures(images, output)?
        .into_iter()
        .filter(|relative| !is_mask(&images.join(relative)))
        .map(|relative| Task {
            image: images.join(&relative),
            mask: mask.into(),
            output: output.join(written_name(relative.clone())),
        })
        .collect();
    Ok(Tasks { tasks, ..Tasks::default() })
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Photos and masks with the same stem, or with LaMa's `NAME_mask000` (several for one photo).
fn match_folders(images: &Path, masks: &Path, output: &Path) -> Result<Tasks> {
    let together = same_file(images, masks);
    let mask_files: Vec<PathBuf> =
        pictures(masks, output)?.into_iter().filter(|mask| !together || photo_of(mask).is_some()).collect();
    let mut by_photo: BTreeMap<PathBuf, Vec<&PathBuf>> = BTreeMap::new();
    for mask in &mask_files {
        by_photo.entry(photo_of(mask).unwrap_or_else(|| mask.with_extension(""))).or_default().push(mask);
        // A photo may itself be called NAME_mask000.
        if !together && photo_of(mask).is_some() {
            by_photo.entry(mask.with_extension("")).or_default().push(mask);
        }
    }
    let mut found = Tasks::default();
    let mut used = BTreeSet::new();
    let mut stems = BTreeMap::new();
    for relative in
        pictures(images, output)?.into_iter().filter(|image| !together || photo_of(image).is_none())
    {
        let image = images.join(&relative);
        let stem = relative.with_extension("");
        if let Some(first) = stems.insert(stem.clone(), relative.clone()) {
            let reason = format!("ambiguous mask: {} has the same name", images.join(first).display());
            found.unmatched.push((image, reason));
            continue;
        }
        let Some(partners) = by_photo.get(&stem) else {
            found.unmatched.push((image, format!("no mask of that name in {}", masks.display())));
            continue;
        };
        for &mask in partners {
            used.insert(mask);
            // LaMa names its outputs after the masks.
            let name = if photo_of(mask).is_some() { mask.with_extension("") } else { stem.clone() };
            let mut file = name.into_os_string();
            file.push(".");
            file.push(relative.extension().unwrap_or_default());
            found.tasks.push(Task {
                image: image.clone(),
                mask: masks.join(mask),
                output: output.join(written_name(file.into())),
            });
        }
    }
    for mask in mask_files.iter().filter(|mask| !used.contains(mask)) {
        found.unmatched.push((masks.join(mask), format!("no photo of that name in {}", images.display())));
    }
    Ok(found)
}

/// The photo (without extension) of a mask in LaMa's naming: the part before the last `_mask` and digits.
fn photo_of(mask: &Path) -> Option<PathBuf> {
    let stem = mask.file_stem()?.to_str()?;
    let (photo, number) = stem.rsplit_once("_mask")?;
    let named = !photo.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    named.then(|| mask.with_file_name(photo))
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
            .map(|t| format!("{} {} {}", short(&t.image), short(&t.mask), short(&t.output)))
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
        let dir = folder(&["d/a.png", "d/a_mask000.png", "d/a_mask001.png", "d/b_mask.png", "d/b.jpg"]);
        let at = |name: &str| dir.path().join(name);
        let tasks = from_paths(&at("d"), &at("d"), &at("out")).unwrap();
        let expected = [
            "d/a.png d/a_mask000.png out/a_mask000.png",
            "d/a.png d/a_mask001.png out/a_mask001.png",
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
    fn tables_are_relative_to_themselves() {
        let dir = folder(&[]);
        let csv = dir.path().join("list.csv");
        fs::write(&csv, "image,mask,output\n a.png , m.png, o.png\n").unwrap();
        assert_eq!(rows(dir.path(), &from_csv(&csv).unwrap()), ["a.png m.png o.png"]);
        for bad in ["", "image,mask\na,b\n", "image,mask,output\na,b\n", "a,b,c\n"] {
            fs::write(&csv, bad).unwrap();
            assert!(from_csv(&csv).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn clashes_are_refused() {
        let task = |output: &str| Task { image: "a".into(), mask: "m".into(), output: output.into() };
        let twice = Tasks { tasks: vec![task("o"), task("o")], ..Tasks::default() };
        assert!(twice.check().unwrap_err().to_string().contains("two pictures"));
        let over_mask = Tasks { tasks: vec![task("m")], ..Tasks::default() };
        assert!(over_mask.check().unwrap_err().to_string().contains("is a mask"));
    }
}
