//! Sources of photos.

use std::path::{Path, PathBuf};

use lacuna::pairs::{files_in, images_in};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A set of photos.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// All photos in a folder and its subfolders, sorted by path. Hidden files are ignored.
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// A text file with one path per line; lines that begin with `#` are comments.
    List {
        /// The file.
        path: PathBuf,
        /// Base of relative paths; the file's folder by default.
        #[serde(default)]
        root: Option<PathBuf>,
    },
    /// Places365-Standard as unpacked: photos in `data_256_standard`, `data_256`, `data_large_standard` or `train`.
    Places {
        /// The folder with one of these.
        path: PathBuf,
    },
    /// Tar files with photos in webdataset's layout, read in place.
    Shards {
        /// A tar file, or a folder of tar files.
        path: PathBuf,
    },
}

/// Folders of Places365's archives; one of them must exist.
const PLACES_FOLDERS: [&str; 4] = ["data_256_standard", "data_256", "data_large_standard", "train"];

impl Source {
    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder { path }
            | Self::List { path, .. }
            | Self::Places { path }
            | Self::Shards { path } => path,
        }
    }

    /// The photo files or, for shards, the tar files.
    ///
    /// # Errors
    /// [`Error::Read`] if a folder or list cannot be read, [`Error::Photos`] for Places365 without its folders.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        match self {
            Self::Folder { path } => photos_in(path),
            Self::List { path, root } => listed(path, root.as_deref()),
            Self::Places { path } => {
                let found = PLACES_FOLDERS.iter().map(|name| path.join(name)).find(|folder| folder.is_dir());
                let folder = found.ok_or_else(|| {
                    let names = PLACES_FOLDERS.join(", ");
                    Error::Photos(format!("{}: expected one of the folders {names}", path.display()))
                })?;
                photos_in(&folder)
            }
            Self::Shards { path } if path.is_dir() => tar_files_in(path),
            Self::Shards { path } => Ok(vec![path.clone()]),
        }
    }
}

/// All images below a folder, of every format that Lacuna reads.
fn photos_in(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(images_in(folder)?.into_iter().map(|file| folder.join(file)).collect())
}

fn tar_files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_tar =
        |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tar"));
    Ok(files_in(folder, is_tar)?.into_iter().map(|file| folder.join(file)).collect())
}

fn listed(path: &Path, root: Option<&Path>) -> Result<Vec<PathBuf>> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let root = root.or(path.parent()).unwrap_or(Path::new("."));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| root.join(line)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    #[track_caller]
    fn assert_files(source: &Source, folder: &Path, expected: &[&str]) {
        let expected: Vec<PathBuf> = expected.iter().map(|name| folder.join(name)).collect();
        assert_eq!(source.files().unwrap(), expected);
    }

    #[test]
    fn folders_are_read_in_order_and_without_what_is_hidden() {
        let folder = tempfile::tempdir().unwrap();
        touch(
            folder.path(),
            &["b.PNG", "a/z.jpg", "a/y.Jpeg", "c.tif", "d.txt", ".hidden/x.jpg", "a/.x.jpg", "e", "f.bmp"],
        );
        let source = Source::Folder { path: folder.path().to_owned() };
        assert_files(&source, folder.path(), &["a/y.Jpeg", "a/z.jpg", "b.PNG", "c.tif", "f.bmp"]);
        let nowhere = Source::Folder { path: folder.path().join("nowhere") }.files().unwrap_err();
        assert!(nowhere.to_string().contains("nowhere"), "{nowhere}");
    }

    #[test]
    fn lists_are_relative_to_themselves_or_to_their_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        fs::write(&path, "# photos\na/x.jpg\n\n  y #2.png \n").unwrap();
        let list = |root| Source::List { path: path.clone(), root };
        assert_files(&list(None), folder.path(), &["a/x.jpg", "y #2.png"]);
        assert_files(&list(Some("/data".into())), Path::new("/data"), &["a/x.jpg", "y #2.png"]);
    }

    #[test]
    fn places_lie_in_one_of_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::Places { path: folder.path().to_owned() };
        let error = source.files().unwrap_err().to_string();
        assert!(error.contains("data_256_standard, data_256"), "{error}");
        touch(folder.path(), &["train/a/abbey/1.jpg", "val/2.jpg"]);
        assert_files(&source, folder.path(), &["train/a/abbey/1.jpg"]);
    }
}
