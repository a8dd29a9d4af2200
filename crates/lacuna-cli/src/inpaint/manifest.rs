//! The record of a batch's finished outputs, so that an interrupted batch can be resumed.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use lacuna::hash::{sha256, sha256_of_file};
use rayon::slice::ParallelSliceMut as _;

use super::lines::{Line, read_lines};
use super::place::Input;
use super::table::path_hash;
use super::task::Task;

/// The record of a batch: JSON lines, appended as photos finish.
pub struct Manifest {
    path: PathBuf,
    settings: String,
    file: Mutex<fs::File>,
    earlier: Earlier,
}

/// What earlier runs recorded, as hashes: fourteen bytes for each finished output. Of ten million outputs, two have the same
/// hash with a probability of 3 in a million, and then the worst is that one is replaced without asking.
#[derive(Default)]
struct Earlier {
    /// Outputs that were started and not finished.
    started: HashSet<u64>,
    /// Finished outputs, sorted.
    finished: Vec<Finished>,
}

/// A finished output.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Finished {
    /// The hash of its path.
    output: [u8; 8],
    /// The hash of what it was made from, and of the file.
    contents: [u8; 6],
}

impl Finished {
    fn new(output: u64, key: &str, sha256: &str) -> Self {
        /// Hexadecimal digits that count: eight bytes of each hash.
        const DIGITS: usize = 16;
        let mut hasher = DefaultHasher::new();
        [key, sha256].map(|hash| hash.get(..DIGITS)).hash(&mut hasher);
        let [_, _, contents @ ..] = hasher.finish().to_be_bytes();
        Self { output: output.to_be_bytes(), contents }
    }
}

impl Earlier {
    /// Adds what a manifest records; a manifest that does not exist records nothing.
    fn read(&mut self, path: &Path) -> Result<()> {
        let hashes = |_, line: Line<'_>| {
            let output = path_hash(line.output());
            let finished = match line {
                Line::Started { .. } => None,
                Line::Finished { key, sha256, .. } => Some(Finished::new(output, &key, &sha256)),
            };
            (output, finished)
        };
        read_lines(path, hashes, |(output, finished)| {
            match finished {
                None => {
                    self.started.insert(output);
                }
                Some(finished) => {
                    self.started.remove(&output);
                    self.finished.push(finished);
                }
            }
            Ok(())
        })?;
        self.finished
            .par_sort_unstable_by_key(|finished| (u64::from_be_bytes(finished.output), finished.contents));
        self.finished.dedup();
        Ok(())
    }

    /// All recorded results of an output.
    fn of(&self, output: u64) -> &[Finished] {
        let output = output.to_be_bytes();
        let start = self.finished.partition_point(|finished| finished.output < output);
        let length = self.finished[start..].partition_point(|finished| finished.output == output);
        &self.finished[start..start + length]
    }
}

impl Manifest {
    /// Opens the record of a batch with these settings. With `resume`, what the manifests at `path` and `also` record counts;
    /// without it, it only stays in the file.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn open(path: &Path, also: Option<&Path>, settings: String, resume: bool) -> Result<Self> {
        let context = || format!("cannot open the manifest {}", path.display());
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let mut earlier = Earlier::default();
        if resume {
            also.into_iter().chain([path]).try_for_each(|path| earlier.read(path))?;
        }
        // What earlier runs wrote stays, for a later --resume: its outputs may still be there.
        let mut file = OpenOptions::new().append(true).create(true).open(path).with_context(context)?;
        if file.metadata().with_context(context)?.len() > 0 {
            // Start on a new line, even after an incomplete one.
            writeln!(file).with_context(context)?;
        }
        Ok(Self { path: path.into(), settings, file: Mutex::new(file), earlier })
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
        let path = task.output.path();
        let output = path_hash(path);
        let finished = self.earlier.of(output);
        let is_recorded = |sha256: String| finished.contains(&Finished::new(output, key, &sha256));
        !finished.is_empty() && sha256_of_file(path).is_ok_and(is_recorded)
    }

    /// Whether the file at the output was written by this batch and may be replaced without asking.
    pub fn is_ours(&self, output: &Path) -> bool {
        let output = path_hash(output);
        self.earlier.started.contains(&output) || !self.earlier.of(output).is_empty()
    }

    /// Records that an output is about to be written.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn start(&self, task: &Task) -> Result<()> {
        self.append(&Line::Started { output: text(task)?.into() })
    }

    /// Records that an output was written.
    ///
    /// # Errors
    /// If the output cannot be read back or the record cannot be written.
    pub fn finish(&self, task: &Task, key: String) -> Result<()> {
        let sha256 = sha256_of_file(task.output.path())?;
        self.append(&Line::Finished { output: text(task)?.into(), key: key.into(), sha256: sha256.into() })
    }

    fn append(&self, line: &Line<'_>) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let mut file = self.file.lock().expect("no writer panics");
        file.write_all(text.as_bytes())
            .with_context(|| format!("cannot write the manifest {}", self.path.display()))
    }
}

/// The output's path as a manifest spells it.
fn text(task: &Task) -> Result<&str> {
    let path = task.output.path();
    path.to_str().with_context(|| format!("{} is not UTF-8, which a manifest needs", path.display()))
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
        let task = Task::new(at("image").into(), at("mask").into(), at("output").into());
        let open =
            |settings: &str, resume| Manifest::open(&at("manifest"), None, settings.into(), resume).unwrap();
        let manifest = open("settings", false);
        let first_key = manifest.key(&task).unwrap();
        manifest.start(&task).unwrap();
        manifest.finish(&task, first_key.clone()).unwrap();
        // A batch that is killed leaves an incomplete last line.
        OpenOptions::new().append(true).open(at("manifest")).unwrap().write_all(b"{\"event\":\"fin").unwrap();

        let again = open("settings", true);
        assert!(again.is_finished(&task, &first_key) && again.is_ours(task.output.path()));
        assert!(!again.is_finished(&task, &open("other settings", true).key(&task).unwrap()));
        let also = Manifest::open(&at("another"), Some(&at("manifest")), "settings".into(), true).unwrap();
        assert!(also.is_finished(&task, &first_key));
        fs::write(at("mask"), "another").unwrap();
        assert_ne!(again.key(&task).unwrap(), first_key);
        fs::write(at("output"), "touched").unwrap();
        assert!(!again.is_finished(&task, &first_key));

        let anew = open("settings", false);
        assert!(!anew.is_ours(task.output.path()));
    }
}
