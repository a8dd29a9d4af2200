//! Photos and their masks in folders: one walk over files, and one rule for names.
//!
//! A mask has its photo's name, or follows LaMa's rule: the photo's name is the part before the last `_mask`, as in
//! `NAME_mask000.png` or `NAME_mask_soft.png`. A photo may have several masks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::picture::Format;
use crate::{Error, Result};

/// LaMa's separator between a photo's name and the suffix of its mask.
const MASK: &str = "_mask";

/// The photo's name in the name of a mask, by LaMa's rule; `None` if it is not a mask's name.
///
/// `name` has no extension. It may be a path with `/`; only its last part counts.
pub fn photo_name(name: &str) -> Option<&str> {
    let (photo, rest) = name.rsplit_once(MASK)?;
    let has_name = !photo.is_empty() && !photo.ends_with('/');
    (has_name && !rest.contains('/')).then_some(photo)
}

/// The name of a photo's mask of this number, by LaMa's rule, without an extension.
pub fn mask_name(photo: &str, number: u64) -> String {
    format!("{photo}{MASK}{number:03}")
}

/// A file's name for the comparison of photos, masks and fills: its path without the extension, with `/` between folders.
pub fn stem(relative: &Path) -> String {
    let without = relative.with_extension("");
    let parts: Vec<_> = without.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// All files below a folder that `is_wanted` accepts by their name: relative to the folder, sorted by path. Links are followed.
/// Hidden files and folders are skipped.
///
/// # Errors
/// [`Error::Read`] if a folder cannot be read, or a link leads back to a folder above it.
pub fn files_in(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    walk(folder, is_hidden, is_wanted)
}

/// All images of formats that Lacuna reads below a folder, as [`files_in`].
///
/// # Errors
/// As [`files_in`].
pub fn images_in(folder: &Path) -> Result<Vec<PathBuf>> {
    files_in(folder, Format::reads_extension)
}

/// As [`images_in`], without the files in the folder `excluded`, such as the outputs of an earlier run.
///
/// # Errors
/// As [`files_in`].
pub fn images_outside(folder: &Path, excluded: &Path) -> Result<Vec<PathBuf>> {
    let is_skipped = |entry: &DirEntry| {
        is_hidden(entry) || (entry.file_type().is_dir() && is_same_file(entry.path(), excluded))
    };
    walk(folder, is_skipped, Format::reads_extension)
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn walk(
    folder: &Path,
    is_skipped: impl Fn(&DirEntry) -> bool,
    is_wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>> {
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let mut files = Vec::new();
    // The folder itself may be hidden.
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !is_skipped(entry)) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            Error::Read { path, source: error.into() }
        })?;
        if entry.file_type().is_file() && is_wanted(entry.path()) {
            files.push(entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_owned());
        }
    }
    Ok(files)
}

/// Whether two paths lead to one existing file or folder.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// A photo and one of its masks, as paths below their folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name of both: the mask's by LaMa's rule, else the common one. LaMa names fills like this.
    pub name: String,
    /// The photo.
    pub photo: PathBuf,
    /// The mask.
    pub mask: PathBuf,
}

/// Which files of two folders belong together. All paths are relative to their folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// In the order of photos, then masks.
    pub pairs: Vec<Pair>,
    /// Photos without a mask.
    pub photos_alone: Vec<PathBuf>,
    /// Masks without a photo.
    pub masks_alone: Vec<PathBuf>,
    /// Photos whose name an earlier photo has, and that photo: their masks are ambiguous.
    pub ambiguous: Vec<(PathBuf, PathBuf)>,
}

/// Whether photos and masks lie in the same folder, as in LaMa's sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In one folder: a file is a mask if its name has LaMa's form.
    Together,
    /// In two folders: a mask may also have its photo's name.
    Apart,
}

impl Layout {
    /// The layout of two folders.
    pub fn of(photos: &Path, masks: &Path) -> Self {
        if is_same_file(photos, masks) { Self::Together } else { Self::Apart }
    }
}

impl Pairs {
    /// Matches files by name. If the layout is [`Layout::Together`], both lists are the same.
    ///
    /// Between a photo of the mask's own name and one before `_mask`, the latter is chosen.
    pub fn find(photos: &[PathBuf], masks: &[PathBuf], layout: Layout) -> Self {
        let is_mask = |file: &Path| photo_name(&stem(file)).is_some();
        let photos = photos.iter().filter(|file| layout == Layout::Apart || !is_mask(file));
        let masks = masks.iter().filter(|file| layout == Layout::Apart || is_mask(file));
        let mut found = Self::default();
        let mut by_name: BTreeMap<String, &PathBuf> = BTreeMap::new();
        for photo in photos {
            match by_name.get(&stem(photo)) {
                Some(first) => found.ambiguous.push((photo.clone(), (*first).clone())),
                None => {
                    by_name.insert(stem(photo), photo);
                }
            }
        }
        let mut of_photo: BTreeMap<&PathBuf, Vec<Pair>> = BTreeMap::new();
        for mask in masks {
            let name = stem(mask);
            let photo = photo_name(&name).and_then(|photo| by_name.get(photo)).or_else(|| by_name.get(&name));
            match photo {
                Some(&photo) => {
                    let pair = Pair { name, photo: photo.clone(), mask: mask.clone() };
                    of_photo.entry(photo).or_default().push(pair);
                }
                None => found.masks_alone.push(mask.clone()),
            }
        }
        found.photos_alone = by_name
            .values()
            .filter(|photo| !of_photo.contains_key(*photo))
            .map(|photo| (*photo).clone())
            .collect();
        found.photos_alone.sort();
        found.pairs = of_photo.into_values().flatten().collect();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    fn pairs(found: &Pairs) -> Vec<String> {
        let text = |pair: &Pair| format!("{} {} {}", pair.name, pair.photo.display(), pair.mask.display());
        found.pairs.iter().map(text).collect()
    }

    #[test]
    fn a_photos_name_stands_before_the_last_mask() {
        // crates/lacuna-serve/tests/page/results.rs checks the same table on the page.
        for (mask, photo) in [
            ("x_mask", Some("x")),
            ("x_mask000", Some("x")),
            ("x_mask_soft", Some("x")),
            ("x_masked", Some("x")),
            ("x_mask_mask001", Some("x_mask")),
            ("a/b/x_mask01", Some("a/b/x")),
            ("x", None),
            ("_mask000", None),
            ("a/_mask", None),
            ("a_mask/x", None),
            ("xmask", None),
        ] {
            assert_eq!(photo_name(mask), photo, "{mask}");
        }
        assert_eq!(photo_name(&mask_name("x", 7)), Some("x"));
        assert_eq!(mask_name("x", 7), "x_mask007");
    }

    #[test]
    fn folders_are_walked_in_order_without_what_is_hidden() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["b.PNG", "a/z.jpg", "a/y.Jpeg", "c.tif", "d.txt", "g.gif", ".h/x.jpg", "a/.x.jpg", "out/o.png"]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let expected = ["a/y.Jpeg", "a/z.jpg", "b.PNG", "c.tif", "g.gif", "out/o.png"];
        assert_eq!(images_in(folder.path()).unwrap(), paths(&expected));
        let outside = images_outside(folder.path(), &folder.path().join("out")).unwrap();
        assert_eq!(outside, paths(&expected[..5]));
        // A hidden folder that is asked for by name is walked.
        assert_eq!(images_in(&folder.path().join(".h")).unwrap(), paths(&["x.jpg"]));
        let nowhere = images_in(&folder.path().join("nowhere")).unwrap_err();
        assert!(matches!(&nowhere, Error::Read { path, .. } if path.ends_with("nowhere")), "{nowhere}");
    }

    #[cfg(unix)]
    #[test]
    fn a_loop_of_links_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
        assert!(matches!(images_in(folder.path()), Err(Error::Read { .. })));
    }

    #[test]
    fn one_folder_holds_photos_and_masks() {
        let files = paths(&["a.png", "a_mask000.png", "a_mask_soft.png", "b.jpg", "c.png", "d_mask.png"]);
        let found = Pairs::find(&files, &files, Layout::Together);
        assert_eq!(pairs(&found), ["a_mask000 a.png a_mask000.png", "a_mask_soft a.png a_mask_soft.png"]);
        assert_eq!(found.photos_alone, paths(&["b.jpg", "c.png"]));
        assert_eq!(found.masks_alone, paths(&["d_mask.png"]));
    }

    #[test]
    fn two_folders_may_share_names() {
        let photos = paths(&["sub/x.jpg", "y.jpg", "y.png", "z_masked.jpg"]);
        let masks = paths(&["sub/x.png", "w.png", "y_mask001.png", "z_masked.png"]);
        let found = Pairs::find(&photos, &masks, Layout::Apart);
        assert_eq!(
            pairs(&found),
            [
                "sub/x sub/x.jpg sub/x.png",
                "y_mask001 y.jpg y_mask001.png",
                "z_masked z_masked.jpg z_masked.png"
            ]
        );
        assert_eq!(found.masks_alone, paths(&["w.png"]));
        assert_eq!(found.ambiguous, [("y.png".into(), "y.jpg".into())]);
        assert!(found.photos_alone.is_empty());
    }
}
