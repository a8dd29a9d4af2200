//! `--model`: a weights file, or the name of an installed model.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use lacuna::checkpoint::Checkpoint;
use lacuna::default_network::{DEFAULT_NETWORK, default_network};
use lacuna::flow::FlowFile;
use lacuna::models::{ModelStore, PUBLISHED_MODELS, PublishedModel, is_weights_path};

use crate::usage::{bail_usage, ensure_usage};

/// The syntax of `--model`, for help texts.
pub const MODEL_SYNTAX: &str = "[NAME=]FILE|MODEL";

/// The value of `--model`: `[NAME=]FILE|MODEL`.
///
/// FILE is a weights file: the value contains a slash, ends in .safetensors, .ckpt, .pt or .pth, or names an existing
/// file. Any other value is the name of an installed model. NAME is the model's name in reports and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelArg {
    name: Option<String>,
    place: Place,
}

/// Where a model is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Store(String),
}

impl FromStr for ModelArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, model) = match text.split_once('=') {
            // A file such as runs/lr=0.1/last.safetensors.
            Some((name, _)) if has_separator(name) || Path::new(text).is_file() => (None, text),
            Some((name, model)) if is_label(name) => (Some(name.to_owned()), model),
            Some((name, _)) => {
                return Err(format!(
                    "{name:?} cannot be a name: use letters, digits, - _ . and spaces, and no dot at the start"
                ));
            }
            None => (None, text),
        };
        let place = if is_weights_path(model) {
            Place::File(model.into())
        } else if ModelStore::is_name(model) {
            Place::Store(model.to_owned())
        } else {
            return Err(format!("{model:?} is neither a file nor a valid model name"));
        };
        Ok(Self { name, place })
    }
}

impl fmt::Display for ModelArg {
    /// The file, or the name of the installed model.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path) => path.display().fmt(formatter),
            Place::Store(name) => formatter.write_str(name),
        }
    }
}

fn has_separator(text: &str) -> bool {
    text.contains(['/', std::path::MAIN_SEPARATOR])
}

/// Whether a text can name a model or a method in reports, file names and requests.
pub fn is_label(text: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || "-_. ".contains(letter);
    !text.is_empty() && !text.starts_with('.') && text.chars().all(plain)
}

impl ModelArg {
    /// The model's name: the given one, else the file name without its extension or the name of the installed model.
    pub fn label(&self) -> String {
        match (&self.name, &self.place) {
            (Some(name), _) | (None, Place::Store(name)) => name.clone(),
            (None, Place::File(path)) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// The weights file.
    ///
    /// # Errors
    /// If no model of that name is installed.
    pub fn path(&self) -> Result<PathBuf> {
        match &self.place {
            Place::File(path) => Ok(path.clone()),
            Place::Store(name) => find(name, &ModelStore::of_user()?),
        }
    }

    /// Opens the weights file, or the network that ships with the program, whose name is [`DEFAULT_NETWORK`] unless another one
    /// is installed under it.
    ///
    /// # Errors
    /// If no model of that name is installed, or the file contains no network.
    pub fn open(&self) -> Result<Checkpoint> {
        match self.shipped()? {
            Some(network) => Ok(network),
            None => Ok(Checkpoint::open(self.path()?)?),
        }
    }

    /// Whether its file is a flow file.
    ///
    /// # Errors
    /// If no model of that name is installed, or the file cannot be read.
    pub fn is_flow(&self) -> Result<bool> {
        Ok(self.shipped()?.is_none() && FlowFile::is_one(self.path()?)?)
    }

    /// As [`Self::open`], also for flow files.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_weights(&self) -> Result<Weights> {
        Ok(match self.is_flow()? {
            true => Weights::Flow(FlowFile::open(self.path()?)?),
            false => Weights::Network(self.open()?),
        })
    }

    /// The network that ships with the program, if it is meant.
    fn shipped(&self) -> Result<Option<Checkpoint>> {
        if let Place::Store(name) = &self.place
            && name == DEFAULT_NETWORK
            && ModelStore::of_user()?.find(name).is_none()
        {
            return Ok(Some(default_network()?));
        }
        Ok(None)
    }
}

/// A file's weights.
pub enum Weights {
    /// Of a network.
    Network(Checkpoint),
    /// Of a flow on a network's latents.
    Flow(FlowFile),
}

fn find(name: &str, store: &ModelStore) -> Result<PathBuf> {
    if let Some(path) = store.find(name) {
        return Ok(path);
    }
    if PublishedModel::named(name).is_some() {
        bail_usage!(
            "the model {name} is not installed in {}: `lacuna model fetch {name}` installs it",
            store.folder().display()
        );
    }
    let list = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let installed = store.installed()?;
    let published = PUBLISHED_MODELS.iter().map(|model| model.name.to_owned());
    let missing = published.filter(|name| !installed.contains(name)).collect();
    bail_usage!(
        "there is no file and no model called {name}; installed in {}: {}; available with `lacuna model fetch`: {}",
        store.folder().display(),
        list(installed),
        list(missing)
    )
}

/// The older environment variable of the metrics' weights folder, besides `LACUNA_MODELS`.
const METRIC_WEIGHTS_VARIABLE: &str = "LACUNA_METRIC_WEIGHTS";

/// The folder of the metrics' weights: the given one, else `metrics` in the folder of installed models.
///
/// # Errors
/// If the given one is not a folder, or the system has no folder for the user's data.
pub fn metric_weights_folder(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = given {
        ensure_usage!(folder.is_dir(), "{} is not a folder", folder.display());
        return Ok(folder.to_owned());
    }
    match std::env::var_os(METRIC_WEIGHTS_VARIABLE) {
        Some(folder) => Ok(folder.into()),
        None => Ok(ModelStore::of_user()?.metrics()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: Option<&str>, path: &str) -> Result<ModelArg, String> {
        Ok(ModelArg { name: name.map(str::to_owned), place: Place::File(path.into()) })
    }

    fn stored(name: Option<&str>, model: &str) -> Result<ModelArg, String> {
        Ok(ModelArg { name: name.map(str::to_owned), place: Place::Store(model.into()) })
    }

    #[test]
    fn a_path_is_a_file_and_a_word_is_a_name() {
        for (text, expected) in [
            ("last.safetensors", file(None, "last.safetensors")),
            ("Cargo.toml", file(None, "Cargo.toml")), // exists beside this crate
            ("./weights", file(None, "./weights")),
            ("lama.CKPT", file(None, "lama.CKPT")),
            ("big-lama", stored(None, "big-lama")),
            ("src", stored(None, "src")), // a folder is no file
            ("best=big-lama", stored(Some("best"), "big-lama")),
            ("a b=x/y.pt", file(Some("a b"), "x/y.pt")),
            ("runs/lr=0.1/last.safetensors", file(None, "runs/lr=0.1/last.safetensors")),
            ("x=runs/lr=0.1/a.pt", file(Some("x"), "runs/lr=0.1/a.pt")),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for text in ["", "=x.pt", "..=x.pt", "a:b=x.pt", "x=", "big lama", ".hidden"] {
            assert!(text.parse::<ModelArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn labels_are_given_or_the_file_s() {
        for (text, label) in [("a=b/c.pt", "a"), ("b/c.d.pt", "c.d"), ("big-lama", "big-lama")] {
            assert_eq!(text.parse::<ModelArg>().unwrap().label(), label);
        }
    }

    #[test]
    fn unknown_names_are_answered_with_the_known_ones() {
        let folder = tempfile::tempdir().unwrap();
        let store = ModelStore::new(folder.path());
        let error = |name: &str| find(name, &store).unwrap_err().to_string();
        assert!(error("big-lama").ends_with("`lacuna model fetch big-lama` installs it"));
        assert!(
            error("big-lam").ends_with(
                "installed in {}: none; available with `lacuna model fetch`: big-lama"
                    .replace("{}", &folder.path().display().to_string())
                    .as_str()
            )
        );
        std::fs::write(folder.path().join("big-lama.safetensors"), "").unwrap();
        std::fs::write(folder.path().join("mine.safetensors"), "").unwrap();
        assert!(error("big-lam").contains("big-lama, mine; available with `lacuna model fetch`: none"));
        assert_eq!(find("mine", &store).unwrap(), folder.path().join("mine.safetensors"));
    }
}
