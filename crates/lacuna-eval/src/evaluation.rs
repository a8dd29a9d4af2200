//! Scores many fills of many images, each once.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use lacuna::picture::Limits;
use rayon::prelude::*;

use crate::case::{Case, Fills, open_planes};
use crate::judge::{Judge, Truth};
use crate::store::{Outcome, Row, Store};
use crate::{Error, Result};

/// The name under which rows of ground-truth images are stored.
const TRUTH: &str = "truth";

/// A method, by the folder of its fills.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name in tables and file names.
    pub name: String,
    /// Its fills.
    pub fills: Fills,
}

/// The inputs of an evaluation.
#[derive(Debug)]
pub struct Evaluation<'a> {
    /// The images.
    pub cases: &'a [Case],
    /// The methods.
    pub candidates: &'a [Candidate],
    /// The metrics.
    pub judge: &'a Judge,
    /// Where rows are stored.
    pub folder: &'a Path,
    /// Limits on what is read.
    pub limits: Limits,
}

/// The rows of the ground truth and of each method.
#[derive(Debug)]
pub struct Judged {
    /// Features of the ground-truth images.
    pub truth: Store,
    /// Rows and features of each candidate, in the order of the candidates.
    pub candidates: Vec<Store>,
}

impl Evaluation<'_> {
    /// Scores what has no score yet, on all cores; calls `report` for each finished case.
    ///
    /// A fill that cannot be scored becomes a row with an error.
    ///
    /// # Errors
    /// If rows cannot be read or written.
    pub fn run(&self, report: &(dyn Fn(&Case) + Sync)) -> Result<Judged> {
        let open = |name: &str| Store::open(self.folder, name).map(Mutex::new);
        let truth = open(TRUTH)?;
        let stores =
            self.candidates.iter().map(|candidate| open(&candidate.name)).collect::<Result<Vec<_>>>()?;
        self.cases.par_iter().enumerate().try_for_each(|(number, case)| {
            self.case(number, case, &truth, &stores)?;
            report(case);
            Ok::<_, Error>(())
        })?;
        let inner = |store: Mutex<Store>| store.into_inner().expect("no thread panics with it");
        Ok(Judged { truth: inner(truth), candidates: stores.into_iter().map(inner).collect() })
    }

    fn case(&self, number: usize, case: &Case, truth: &Mutex<Store>, stores: &[Mutex<Store>]) -> Result<()> {
        // Features are found by the case's number, so another number needs another row.
        let base = hash(&case.truth)
            .and_then(|truth| Ok(format!("{number} {truth} {} {}", hash(&case.mask)?, self.judge.identity())))
            .map_err(with_causes);
        let mut seen: Option<std::result::Result<Truth, String>> = None;
        let mut look = || self.judge.open_truth(case, &self.limits).map_err(with_causes);
        for (candidate, store) in self.candidates.iter().zip(stores) {
            let fill = candidate.fills.of(case);
            let key = base.as_ref().map_err(String::clone).and_then(|base| {
                let fill = fill.ok_or_else(|| format!("{} has no fill of {}", candidate.name, case.name))?;
                Ok(lacuna::hash::sha256(format!("{base} {}", hash(fill).map_err(with_causes)?).as_bytes()))
            });
            let kept = key.as_ref().is_ok_and(|key| lock(store).get(&case.name, key).is_some());
            if kept {
                continue;
            }
            let judged = key.clone().and_then(|_| {
                let truth = seen.get_or_insert_with(&mut look).as_ref().map_err(String::clone)?;
                let fill = open_planes(fill.expect("it has a key"), &self.limits).map_err(with_causes)?;
                let scores = self.judge.score(&fill, truth).map_err(with_causes)?;
                let features = self.judge.inception().map(|inception| inception.features(&fill));
                Ok((scores, features.transpose().map_err(with_causes)?, truth.hole_share()))
            });
            let row = |hole_share, outcome| Row {
                case: case.name.clone(),
                key: key.clone().unwrap_or_default(),
                hole_share,
                outcome,
            };
            let (row, features) = match judged {
                Ok((scores, features, share)) => (row(share, Outcome::Scores(Box::new(scores))), features),
                Err(error) => (row(0.0, Outcome::Error(error)), None),
            };
            lock(store).put(number, row, features.as_deref())?;
        }
        // Features of the ground truth, which has a row too.
        let (Some(inception), Ok(base)) = (self.judge.inception(), &base) else { return Ok(()) };
        let key = lacuna::hash::sha256(base.as_bytes());
        if lock(truth).get(&case.name, &key).is_none()
            && let Ok(seen) = seen.get_or_insert_with(&mut look)
        {
            let features = inception.features(seen.picture())?;
            let row =
                Row { case: case.name.clone(), key, hole_share: seen.hole_share(), outcome: Outcome::Truth };
            lock(truth).put(number, row, Some(&features))?;
        }
        Ok(())
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().expect("no thread panics with it")
}

/// An error with its causes, in one line.
fn with_causes(error: Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn hash(path: &Path) -> Result<String> {
    Ok(lacuna::hash::sha256_of_file(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Cases;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    /// A folder with a photo, its mask and a fill that is off by 51 steps of 255 in the hole, half of the photo.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let photo = |hole: u8| RgbImage::from_fn(16, 16, |x, _| Rgb([if x < 8 { hole } else { 100 }; 3]));
        photo(100).save(at("photos/a.png")).unwrap();
        photo(151).save(at("fills/a.png")).unwrap();
        let mask = GrayImage::from_fn(16, 16, |x, _| Luma([if x < 8 { 255 } else { 0 }]));
        mask.save(at("masks/a.png")).unwrap();
        folder
    }

    /// L1 in the hole, by an evaluation with these metrics.
    fn hole_l1(folder: &Path, judge: &Judge) -> f64 {
        let cases = Cases::find(&folder.join("photos"), &folder.join("masks")).unwrap().cases;
        let fills = Fills::find(&folder.join("fills")).unwrap();
        let candidates = [Candidate { name: "method".into(), fills }];
        let report = folder.join("report");
        let (cases, limits) = (cases.as_slice(), Limits::default());
        let evaluation = Evaluation { cases, candidates: &candidates, judge, folder: &report, limits };
        let judged = evaluation.run(&|_| ()).unwrap();
        judged.candidates[0].row("a").unwrap().scores().unwrap().l1.hole.unwrap()
    }

    #[test]
    fn stored_rows_are_kept_until_a_metric_has_another_version() {
        let folder = folder();
        assert!((hole_l1(folder.path(), &Judge::default()) - 0.2).abs() < 1e-6);
        // A stored value that no formula gives, to show whether it is computed again.
        let path = folder.path().join("report/rows/method.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut row: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        row["outcome"]["scores"]["l1"]["hole"] = 7.0.into();
        std::fs::write(&path, format!("{row}\n")).unwrap();
        assert_eq!(hole_l1(folder.path(), &Judge::default()), 7.0);
        let changed = Judge::of_versions("L1 0");
        assert!((hole_l1(folder.path(), &changed) - 0.2).abs() < 1e-6);
    }

    #[test]
    fn every_metric_is_part_of_the_identity() {
        let identity = Judge::default().identity();
        for metric in crate::judge::Metric::ALL {
            assert!(identity.contains(&format!("{metric:?} {}", metric.version())), "{identity}");
        }
    }
}
