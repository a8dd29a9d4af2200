//! `metrics.jsonl`: one object per line, each with its `step`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use lacuna::atomic::write_bytes_atomically;
use serde_json::Value;

use crate::{Error, Result};

/// The file, open for appending.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens the file for a run that resumes after `step`: later lines and an incomplete last line are dropped.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Write`].
    pub fn open_to_resume(path: &Path, step: u64) -> Result<Self> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        if path.exists() {
            let text = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
            let kept: String = String::from_utf8_lossy(&text)
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n') && !is_later(line, step))
                .collect();
            if kept.as_bytes() != text {
                write_bytes_atomically(path, kept.as_bytes())?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append(&mut self, line: &Value) -> Result<()> {
        // In one write: a reader, or a power failure, finds complete lines except perhaps the last.
        let line = format!("{line}\n");
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}

fn is_later(line: &str, step: u64) -> bool {
    let value = serde_json::from_str::<Value>(line).ok();
    value.and_then(|value| value.get("step")?.as_u64()).is_some_and(|found| found > step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resumed_run_rewrites_what_came_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open_to_resume(&path, 0).unwrap();
        for step in 1..4 {
            file.append(&json!({ "step": step, "loss": 0.5 })).unwrap();
        }
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "{\"step\":2,").unwrap();
        let mut file = MetricsFile::open_to_resume(&path, 2).unwrap();
        file.append(&json!({ "step": 3, "loss": 0.25 })).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(steps.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(steps[2]["loss"], 0.25);
    }
}
