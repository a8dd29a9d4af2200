//! Matches ground-truth images, masks and fills by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lacuna::pairs::{Layout, Pair, Pairs, images_in, photo_name, stem};
use lacuna::picture::Limits;
use lacuna::{Picture, Planes, Rect};

use crate::{Error, Result};

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
        let pairs = Pairs::find(&images_in(truths)?, &images_in(masks)?, Layout::of(truths, masks));
        if let Some((one, other)) = pairs.ambiguous.first() {
            return Err(same_name(&truths.join(other), &truths.join(one)));
        }
        let mut by_name: BTreeMap<String, Case> = BTreeMap::new();
        for Pair { name, photo, mask } in pairs.pairs {
            let case = Case { name: name.clone(), truth: truths.join(photo), mask: masks.join(mask) };
            if case.truth == case.mask {
                continue;
            }
            if let Some(other) = by_name.insert(name, case.clone()) {
                return Err(same_name(&other.mask, &case.mask));
            }
        }
        let unmatched = pairs.masks_alone.into_iter().map(|mask| masks.join(mask)).collect();
        let found = Self { cases: by_name.into_values().collect(), unmatched };
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
        let photo = || self.by_name.get(photo_name(&case.name)?);
        self.by_name.get(&case.name).or_else(photo).map(PathBuf::as_path)
    }
}

/// All images below a folder, by name.
fn by_name(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for file in images_in(folder)? {
        let path = folder.join(&file);
        if let Some(other) = found.insert(stem(&file), path.clone()) {
            return Err(same_name(&other, &path));
        }
    }
    Ok(found)
}

fn same_name(one: &Path, other: &Path) -> Error {
    Error::Pictures(format!("{} and {} have the same name", one.display(), other.display()))
}

/// Reads an image.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn open_planes(path: &Path, limits: &Limits) -> Result<Planes> {
    let picture = Picture::open(path, limits)?;
    Ok(picture.planes(Rect::whole(picture.width(), picture.height())))
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
        assert!(Fills::find(Path::new("/nowhere")).unwrap_err().to_string().contains("/nowhere"));
    }
}
