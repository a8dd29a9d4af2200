//! Matches ground-truth images, masks and fills by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lacuna::picture::Format;
use walkdir::WalkDir;

use crate::{Error, Result};

/// LaMa's separator between a photo's name and the number of its mask.
const MASK: &str = "_mask";

/// An image with a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The mask's path below its folder, without the extension, with `/` between folders.
    pub name: String,
    /// The ground-truth image.
    pub truth: PathBuf,
    /// Its mask.
    pub mask: PathBuf,
}

/// All cases of two folders.
#[derive(Clone, Debug, Default)]
pub struct Cases {
    /// Sorted by name.
    pub cases: Vec<Case>,
    /// Masks without a ground-truth image.
    pub unmatched: Vec<PathBuf>,
}

/// Fills by name.
#[derive(Clone, Debug)]
pub struct Fills {
    by_name: BTreeMap<String, PathBuf>,
}

impl Cases {
    /// Matches masks `NAME_mask….png` with `NAME`, or `NAME.png` with `NAME`. Both may be in the same folder, as in
    /// LaMa's sets.
    ///
    /// # Errors
    /// [`Error::Read`] if a folder cannot be read, [`Error::Pictures`] if two images have the same name or there is no
    /// case.
    pub fn find(truths: &Path, masks: &Path) -> Result<Self> {
        let together = truths == masks;
        let (all_masks, truths_by_name) = (by_name(masks)?, by_name(truths)?);
        let mut found = Self::default();
        for (name, mask) in all_masks {
            let photo = photo_of(&name);
            if together && photo.is_none() {
                continue;
            }
            match photo.and_then(|photo| truths_by_name.get(photo)).or_else(|| truths_by_name.get(&name)) {
                Some(truth) if *truth != mask => found.cases.push(Case { name, truth: truth.clone(), mask }),
                _ => found.unmatched.push(mask),
            }
        }
        if found.cases.is_empty() {
            let text = format!("no mask in {} matches an image in {}", masks.display(), truths.display());
            return Err(Error::Pictures(text));
        }
        Ok(found)
    }
}

impl Fills {
    /// The images of a folder.
    ///
    /// # Errors
    /// As [`Cases::find`].
    pub fn find(folder: &Path) -> Result<Self> {
        Ok(Self { by_name: by_name(folder)? })
    }

    /// The fill of a case: named like its mask or, if the folder has no such file, like its photo.
    pub fn of(&self, case: &Case) -> Option<&Path> {
        let photo = || self.by_name.get(photo_of(&case.name)?);
        self.by_name.get(&case.name).or_else(photo).map(PathBuf::as_path)
    }
}

/// The photo's name in the name of a mask, if it has LaMa's form.
fn photo_of(name: &str) -> Option<&str> {
    let at = name.rfind(MASK)?;
    (!name[at..].contains('/')).then(|| &name[..at])
}

/// All images below a folder, by path without the extension.
fn by_name(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|error| Error::Read { path: folder.to_owned(), source: error.into() })?;
        let path = entry.path();
        if !entry.file_type().is_file() || Format::from_extension(path).is_none() {
            continue;
        }
        let relative = path.strip_prefix(folder).unwrap_or(path).with_extension("");
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        if let Some(other) = found.insert(parts.join("/"), path.to_owned()) {
            let text = format!("{} and {} have the same name", other.display(), path.display());
            return Err(Error::Pictures(text));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn names(cases: &[Case]) -> Vec<&str> {
        cases.iter().map(|case| case.name.as_str()).collect()
    }

    #[test]
    fn lamas_layout_is_one_folder() {
        let set = folder(&["a/x.jpg", "a/x_mask000.png", "a/x_mask001.png", "y_mask.png", "note.txt"]);
        let found = Cases::find(set.path(), set.path()).unwrap();
        assert_eq!(names(&found.cases), ["a/x_mask000", "a/x_mask001"]);
        assert!(found.cases.iter().all(|case| case.truth.ends_with("a/x.jpg")));
        assert_eq!(found.unmatched.len(), 1);
        let fills = folder(&["a/x.png", "a/x_mask001.webp"]);
        let fills = Fills::find(fills.path()).unwrap();
        assert!(fills.of(&found.cases[0]).unwrap().ends_with("a/x.png"));
        assert!(fills.of(&found.cases[1]).unwrap().ends_with("x_mask001.webp"));
    }

    #[test]
    fn two_folders_may_share_names() {
        let (truths, masks) =
            (folder(&["x.jpg", "z_masked.jpg"]), folder(&["x.png", "z_masked.png", "w.png"]));
        let found = Cases::find(truths.path(), masks.path()).unwrap();
        assert_eq!(names(&found.cases), ["x", "z_masked"]);
        assert_eq!(found.unmatched, [masks.path().join("w.png")]);
        let fills = Fills::find(masks.path()).unwrap();
        assert!(fills.of(&found.cases[0]).is_some());
    }

    #[test]
    fn what_is_unclear_is_an_error() {
        let (twice, none) = (folder(&["x.jpg", "x.png"]), folder(&["q.png"]));
        assert!(Fills::find(twice.path()).unwrap_err().to_string().ends_with("have the same name"));
        assert!(Cases::find(none.path(), none.path()).unwrap_err().to_string().starts_with("no mask in"));
        assert!(matches!(Fills::find(Path::new("/nowhere")), Err(Error::Read { .. })));
    }
}
