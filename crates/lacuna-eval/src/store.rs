//! Intermediate results of an evaluation on disk: a row for each image, and its features.
//!
//! An interrupted evaluation continues from here. Rows are lines of JSON that are appended. Features are records of
//! fixed size that are written before their row, so the features of a row are always complete.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::judge::Scores;
use crate::metric::inception::FEATURES;
use crate::{Error, Result};

const RECORD: usize = FEATURES * size_of::<f32>();

/// The result of one fill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The case.
    pub case: String,
    /// SHA-256 over ground truth, mask, fill, and the metrics' weights and versions. If one of them changes, the row is
    /// computed again.
    pub key: String,
    /// Fraction of the image that is hole, 0 to 1.
    pub hole_share: f64,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The scores of a fill, or why there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its scores.
    Scores(Box<Scores>),
    /// A row of a ground-truth image, which only has features.
    Truth,
    /// Why there are no scores.
    Error(String),
}

impl Row {
    /// Its scores, if it has any.
    pub fn scores(&self) -> Option<&Scores> {
        match &self.outcome {
            Outcome::Scores(scores) => Some(scores),
            Outcome::Truth | Outcome::Error(_) => None,
        }
    }
}

/// The rows and features of one method.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    rows: BTreeMap<String, Row>,
    file: File,
    features: File,
    features_path: PathBuf,
}

impl Store {
    /// Opens a folder's results of a method, or creates them.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Write`].
    pub fn open(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("rows/{name}.jsonl"));
        let features_path = folder.join(format!("features/{name}.f32"));
        let open = |path: &Path| {
            let parent = path.parent().unwrap_or(folder);
            let opened = fs::create_dir_all(parent).and_then(|()| {
                OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
            });
            opened.map_err(|source| Error::Write { path: path.to_owned(), source })
        };
        let (mut file, features) = (open(&path)?, open(&features_path)?);
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|source| Error::Read { path: path.clone(), source })?;
        // An incomplete last line, left by a kill, is ignored; its image is scored again.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let rows = text[..whole].lines().filter_map(|line| serde_json::from_str::<Row>(line).ok());
        let rows = rows.map(|row| (row.case.clone(), row)).collect();
        let cut = file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0)));
        cut.map_err(|source| Error::Write { path: path.clone(), source })?;
        Ok(Self { path, rows, file, features, features_path })
    }

    /// The row of a case with this key.
    pub fn get(&self, case: &str, key: &str) -> Option<&Row> {
        self.rows.get(case).filter(|row| row.key == key)
    }

    /// The row of a case.
    pub fn row(&self, case: &str) -> Option<&Row> {
        self.rows.get(case)
    }

    /// Stores a row, and before it the features of the case with this number.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn put(&mut self, number: usize, row: Row, features: Option<&[f32]>) -> Result<()> {
        if let Some(features) = features {
            assert_eq!(features.len(), FEATURES, "features of an image");
            let place = SeekFrom::Start((number * RECORD) as u64);
            let written = self
                .features
                .seek(place)
                .and_then(|_| self.features.write_all(bytemuck::cast_slice(features)));
            written.map_err(|source| Error::Write { path: self.features_path.clone(), source })?;
        }
        let mut line = serde_json::to_string(&row).expect("a row is JSON");
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|source| Error::Write { path: self.path.clone(), source })?;
        // Use the values as they will be read from the file, to the last digit.
        let row: Row = serde_json::from_str(&line).expect("a line that was just made");
        self.rows.insert(row.case.clone(), row);
        Ok(())
    }

    /// The features of the cases with these numbers, `[numbers, 2048]`.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn features(&mut self, numbers: &[usize]) -> Result<Vec<f32>> {
        let mut values = vec![0.0f32; numbers.len() * FEATURES];
        for (row, number) in values.chunks_exact_mut(FEATURES).zip(numbers) {
            let place = SeekFrom::Start((number * RECORD) as u64);
            let read = self
                .features
                .seek(place)
                .and_then(|_| self.features.read_exact(bytemuck::cast_slice_mut(row)));
            read.map_err(|source| Error::Read { path: self.features_path.clone(), source })?;
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, key: &str) -> Row {
        Row { case: case.into(), key: key.into(), hole_share: 0.25, outcome: Outcome::Error("torn".into()) }
    }

    #[test]
    fn rows_and_features_survive_and_torn_lines_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), "a").unwrap();
        store.put(1, row("one", "k"), Some(&[1.5; FEATURES])).unwrap();
        store.put(0, row("zero", "k"), Some(&[0.5; FEATURES])).unwrap();
        drop(store);
        let path = folder.path().join("rows/a.jsonl");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"case\":\"two\",\"ke").unwrap();
        let mut store = Store::open(folder.path(), "a").unwrap();
        assert_eq!(store.get("one", "k"), Some(&row("one", "k")));
        assert_eq!((store.get("one", "other"), store.row("two")), (None, None));
        let features = store.features(&[1, 0]).unwrap();
        assert_eq!((features[0], features[FEATURES]), (1.5, 0.5));
        // A newer row replaces an older one, and starts on its own line.
        store.put(1, row("one", "new"), None).unwrap();
        let store = Store::open(folder.path(), "a").unwrap();
        assert_eq!(store.get("one", "new"), Some(&row("one", "new")));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn features_that_are_not_there_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Store::open(folder.path(), "a").unwrap().features(&[3]).unwrap_err();
        assert!(error.to_string().contains("a.f32"), "{error}");
    }
}
