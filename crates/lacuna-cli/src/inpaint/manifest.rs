//! The record of a batch's finished outputs, so that an interrupted batch can be resumed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::place::Input;
use super::task::Task;

use anyhow::{Context, Result};
use lacuna::hash::{sha256, sha256_of_file};
use serde::{Deserialize, Serialize};

/// A line of the manifest.
#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
enum Line {
    /// The output is about to be written; from now on the file there belongs to the batch.
    Started { output: PathBuf },
    /// The output was written.
    Finished { output: PathBuf, key: String, sha256: String },
}

/// The record of a batch: JSON lines, appended as photos finish.
pub struct Manifest {
    path: PathBuf,
    settings: String,
    file: Mutex<File>,
    started: HashSet<PathBuf>,
    finished: HashMap<PathBuf, (String, String)>,
}

impl Manifest {
    /// Opens the record of a batch with these settings; without `resume` it starts empty.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(path: &Path, settings: String, resume: bool) -> Result<Self> {
        let context = || format!("cannot open the manifest {}", path.display());
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let (mut started, mut finished) = (HashSet::new(), HashMap::new());
        if resume {
            let text = match fs::read_to_string(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
                text => text.with_context(context)?,
            };
            // The last line may be incomplete if the batch was killed while writing it.
            for line in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
                match line {
                    Line::Started { output } => {
                        started.insert(output);
                    }
                    Line::Finished { output, key, sha256 } => {
                        finished.insert(output, (key, sha256));
                    }
                }
            }
        }
        let mut options = OpenOptions::new();
        if resume {
            options.append(true)
        } else {
            options.write(true).truncate(true)
        };
        let mut file = options.create(true).open(path).with_context(context)?;
        if resume {
            // Start on a new line, even after an incomplete one.
            writeln!(file).with_context(context)?;
        }
        Ok(Self { path: path.into(), settings, file: Mutex::new(file), started, finished })
    }

    /// A hash of everything that decides an output's pixels: the contents of both inputs, and the settings.
    ///
    /// # Errors
    /// If an input cannot be read.
    pub fn key(&self, task: &Task) -> Result<String> {
        let image = task.image.sha256()?;
        let mask = task.mask.file().map_or(Ok(String::new()), Input::sha256)?;
        Ok(sha256(format!("{image}\n{mask}\n{}", self.settings).as_bytes()))
    }

    /// Whether the task was finished with the same inputs and settings, and its output is unchanged.
    pub fn is_finished(&self, task: &Task, key: &str) -> bool {
        let Some((finished_key, sha256)) = self.finished.get(task.output.path()) else { return false };
        finished_key == key && sha256_of_file(task.output.path()).is_ok_and(|hash| hash == *sha256)
    }

    /// Whether the file at the output was written by this batch and may be replaced without asking.
    pub fn is_ours(&self, output: &Path) -> bool {
        self.started.contains(output)
    }

    /// Records that an output is about to be written.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn start(&self, task: &Task) -> Result<()> {
        self.append(&Line::Started { output: task.output.path().into() })
    }

    /// Records that an output was written.
    ///
    /// # Errors
    /// If the output cannot be read back or the record cannot be written.
    pub fn finish(&self, task: &Task, key: String) -> Result<()> {
        let sha256 = sha256_of_file(task.output.path())?;
        self.append(&Line::Finished { output: task.output.path().into(), key, sha256 })
    }

    fn append(&self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let mut file = self.file.lock().expect("no writer panics");
        file.write_all(text.as_bytes())
            .with_context(|| format!("cannot write the manifest {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_means_same_inputs_settings_and_output() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, text) in [("image", "i"), ("mask", "m"), ("output", "o")] {
            fs::write(at(name), text).unwrap();
        }
        let task = Task { image: at("image").into(), mask: at("mask").into(), output: at("output").into() };
        let open = |settings: &str, resume| Manifest::open(&at("manifest"), settings.into(), resume).unwrap();
        let manifest = open("settings", false);
        let first_key = manifest.key(&task).unwrap();
        manifest.start(&task).unwrap();
        manifest.finish(&task, first_key.clone()).unwrap();
        // A batch that is killed leaves an incomplete last line.
        fs::OpenOptions::new()
            .append(true)
            .open(at("manifest"))
            .unwrap()
            .write_all(b"{\"event\":\"fin")
            .unwrap();

        let again = open("settings", true);
        assert!(again.is_finished(&task, &first_key) && again.is_ours(task.output.path()));
        assert!(!again.is_finished(&task, &open("other settings", true).key(&task).unwrap()));
        fs::write(at("mask"), "another").unwrap();
        assert_ne!(again.key(&task).unwrap(), first_key);
        fs::write(at("output"), "touched").unwrap();
        assert!(!again.is_finished(&task, &first_key));

        let anew = open("settings", false);
        assert!(!anew.is_ours(task.output.path()));
    }
}
