//! Published models by name, and their installation folder.
//!
//! Nothing here uses the network. A downloaded file is passed to [`PublishedModel::check`], which compares its length
//! and hash before anything is parsed, and the result to [`ModelStore::install`].

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::checkpoint::{self, Checkpoint, Storage};
use crate::hash::sha256_of_file;
use crate::{Error, Result};

/// The environment variable that overrides the models folder.
pub const MODELS_VARIABLE: &str = "LACUNA_MODELS";
/// Extension of installed models.
const EXTENSION: &str = "safetensors";

/// Extensions of weights files. A text with one of them is a path, even if the file does not exist.
const FILE_EXTENSIONS: [&str; 4] = [EXTENSION, "ckpt", "pt", "pth"];

/// Whether a text that names a model is a path rather than the name of an installed model: it contains a slash, ends in
/// .safetensors, .ckpt, .pt or .pth, or names an existing file.
pub fn is_weights_path(text: &str) -> bool {
    let path = Path::new(text);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_known =
        |extension: &str| FILE_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension));
    text.contains(['/', std::path::MAIN_SEPARATOR]) || extension.is_some_and(is_known) || path.is_file()
}

/// A published model that Lacuna can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedModel {
    /// Its name in Lacuna, such as `big-lama`.
    pub name: &'static str,
    /// A short description.
    pub about: &'static str,
    /// The licence of the weights, as an SPDX identifier.
    pub licence: &'static str,
    /// The published file's name.
    pub file: &'static str,
    /// The published file's length in bytes.
    pub bytes: u64,
    /// The published file's SHA-256.
    pub sha256: &'static str,
    /// Public copies of the file, in the order in which they are tried.
    pub urls: &'static [&'static str],
}

/// All published models that Lacuna knows.
///
/// LaMa's other networks are missing, because their authors publish them in an archive without a fixed address or hash.
pub const PUBLISHED_MODELS: [PublishedModel; 1] = [PublishedModel {
    name: "big-lama",
    about: "LaMa's largest network, trained on Places: 51 million parameters",
    licence: "Apache-2.0",
    file: "big-lama.pt",
    bytes: 205_669_692,
    sha256: "344c77bbcb158f17dd143070d1e789f38a66c04202311ae3a258ef66667a9ea9",
    urls: &[
        "https://github.com/Sanster/models/releases/download/add_big_lama/big-lama.pt",
        "https://github.com/enesmsahin/simple-lama-inpainting/releases/download/v0.1.0/big-lama.pt",
    ],
}];

/// A file that was verified as a published one.
#[derive(Clone, Copy, Debug)]
pub struct CheckedFile<'a> {
    model: &'a PublishedModel,
    file: &'a Path,
}

impl PublishedModel {
    /// The published model with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PUBLISHED_MODELS.iter().find(|model| model.name == name)
    }

    /// Verifies that a file is this model's: its length, then its SHA-256. Nothing is parsed.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Checkpoint`] with both values if it is another file.
    pub fn check<'a>(&'a self, file: &'a Path) -> Result<CheckedFile<'a>> {
        let wrong = |problem| Error::checkpoint(file.display().to_string(), problem);
        let metadata = file.metadata().map_err(|source| Error::Read { path: file.into(), source })?;
        if metadata.len() != self.bytes {
            return Err(wrong(format!(
                "has {} bytes, the published file has {}",
                metadata.len(),
                self.bytes
            )));
        }
        let hash = sha256_of_file(file)?;
        if hash != self.sha256 {
            return Err(wrong(format!("has the SHA-256 {hash}, the published file has {}", self.sha256)));
        }
        Ok(CheckedFile { model: self, file })
    }

    /// The origin stored in an installed file: the same text for every copy, so that all installations have the same
    /// bytes.
    fn provenance(&self) -> String {
        format!("{} ({}), SHA-256 {}", self.file, self.licence, self.sha256)
    }
}

/// A folder of models in Lacuna's format, each `NAME.safetensors`: installed from published files, or added by the
/// user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStore {
    folder: PathBuf,
}

impl ModelStore {
    /// The store in a folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The user's store: the folder in `LACUNA_MODELS`, else `lacuna/models` in the user's data folder.
    ///
    /// # Errors
    /// [`Error::Argument`] if the system has no data folder for the user and `LACUNA_MODELS` is not set.
    pub fn of_user() -> Result<Self> {
        if let Some(folder) = std::env::var_os(MODELS_VARIABLE).filter(|folder| !folder.is_empty()) {
            return Ok(Self::new(folder));
        }
        let data = dirs::data_dir().ok_or_else(|| {
            Error::Argument(format!("this system has no data folder for the user: set {MODELS_VARIABLE}"))
        })?;
        Ok(Self::new(data.join("lacuna").join("models")))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of unfinished downloads.
    pub fn downloads(&self) -> PathBuf {
        self.folder.join("downloads")
    }

    /// The folder of the metrics' weights.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join("metrics")
    }

    /// Whether a text can be the name of a model: letters, digits and `-_.`, not beginning with a dot.
    pub fn is_name(text: &str) -> bool {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        !text.is_empty() && !text.starts_with('.') && text.chars().all(plain)
    }

    /// The path of the model with this name, whether it exists or not.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{EXTENSION}"))
    }

    /// The file of an installed model; `None` if it is not installed.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let path = Self::is_name(name).then(|| self.path(name))?;
        path.is_file().then_some(path)
    }

    /// Names of all installed models, sorted; empty if the folder does not exist.
    ///
    /// # Errors
    /// [`Error::Read`] if the folder cannot be read.
    pub fn installed(&self) -> Result<Vec<String>> {
        let failed = |source| Error::Read { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if let Some(stem) = stem
                && path.extension().is_some_and(|extension| extension == EXTENSION)
                && self.find(stem).is_some()
            {
                names.push(stem.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Converts a verified file to Lacuna's format and adds it to the store, atomically. Returns its path.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file contains no network that Lacuna supports; [`Error::Write`].
    pub fn install(&self, checked: CheckedFile<'_>) -> Result<PathBuf> {
        let CheckedFile { model, file } = checked;
        let checkpoint = Checkpoint::open(file)?;
        let path = self.path(model.name);
        fs::create_dir_all(&self.folder)
            .map_err(|source| Error::Write { path: self.folder.clone(), source })?;
        checkpoint::save(
            &path,
            checkpoint.config(),
            &model.provenance(),
            checkpoint.tensors(),
            Storage::F32,
        )?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::checkpoints::Lama;
    use testkit::torchscript::write_torchscript;

    const SMALL: Lama = Lama { width: 4, blocks: 2, channels_in: 4 };

    /// A published model like big-lama, from a file.
    fn published(file: &Path) -> PublishedModel {
        let hash: &'static str = sha256_of_file(file).unwrap().leak();
        PublishedModel { bytes: file.metadata().unwrap().len(), sha256: hash, ..PUBLISHED_MODELS[0] }
    }

    #[test]
    fn a_published_file_is_installed_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("big-lama.pt");
        write_torchscript(&file, SMALL, 1).unwrap();
        let model = published(&file);
        let store = ModelStore::new(folder.path().join("models"));
        assert_eq!((store.find("big-lama"), store.installed().unwrap()), (None, vec![]));
        let path = store.install(model.check(&file).unwrap()).unwrap();
        assert_eq!(store.find("big-lama").as_deref(), Some(path.as_path()));
        assert_eq!(store.installed().unwrap(), ["big-lama"]);
        let (ours, theirs) = (Checkpoint::open(&path).unwrap(), Checkpoint::open(&file).unwrap());
        assert!(ours.tensors().eq(theirs.tensors()));
        assert_eq!(theirs.source().prefix, "model.generator.model.");
        assert_eq!(ours.provenance().unwrap(), format!("big-lama.pt (Apache-2.0), SHA-256 {}", model.sha256));
        assert_eq!(ours.config().shape().width, 4);
    }

    #[test]
    fn other_files_are_refused_before_they_are_parsed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("big-lama.pt");
        fs::write(&file, "hello").unwrap();
        let problem = PUBLISHED_MODELS[0].check(&file).unwrap_err().to_string();
        assert!(problem.ends_with("has 5 bytes, the published file has 205669692"), "{problem}");
        let same_length = PublishedModel { bytes: 5, ..PUBLISHED_MODELS[0] };
        let problem = same_length.check(&file).unwrap_err().to_string();
        // Of "hello", from sha256sum.
        let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let expected = format!("has the SHA-256 {hash}, the published file has {}", same_length.sha256);
        assert!(problem.ends_with(&expected), "{problem}");
        assert!(matches!(same_length.check(Path::new("nowhere")), Err(Error::Read { .. })));
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        for name in ["", ".", "..", "../a", "a/b", "a\\b", ".hidden", "a b", "ü"] {
            assert!(!ModelStore::is_name(name), "{name}");
        }
        for name in ["big-lama", "a_b.1"] {
            assert!(ModelStore::is_name(name), "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        for file in ["b.safetensors", "a.safetensors", "c.pt", "with space.safetensors"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        fs::create_dir(folder.path().join("d.safetensors")).unwrap();
        assert_eq!(ModelStore::new(folder.path()).installed().unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_path_has_a_separator_or_an_extension_or_a_file() {
        for text in ["a/b", "lama.CKPT", "x.safetensors", "Cargo.toml"] {
            assert!(is_weights_path(text), "{text}");
        }
        for text in ["big-lama", "a.png", "src", ""] {
            assert!(!is_weights_path(text), "{text}");
        }
    }

    #[test]
    fn pinned_values_are_well_formed() {
        for model in PUBLISHED_MODELS {
            assert!(ModelStore::is_name(model.name) && model.bytes > 0 && !model.urls.is_empty());
            assert!(model.sha256.len() == 64 && model.sha256.bytes().all(|digit| digit.is_ascii_hexdigit()));
            assert!(model.urls.iter().all(|url| url.starts_with("https://") && url.ends_with(model.file)));
            assert_eq!(PublishedModel::named(model.name), Some(&model));
        }
        assert_eq!(PublishedModel::named("huge-lama"), None);
    }
}
