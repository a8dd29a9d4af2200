//! How much several answers for one hole differ, and how good the best of them is.
//!
//! Distances are LPIPS (AlexNet) within the hole: between two answers, as in Zhu et al. 2017 (<https://arxiv.org/abs/1711.11586>),
//! and from an answer to the ground truth. Answers that differ by noise alone also have a distance between them, so it is read
//! together with the distance of the best answer.

use lacuna::Planes;
use lacuna::picture::Limits;
use rayon::prelude::*;
use serde::Serialize;

use crate::Result;
use crate::case::{Case, Fills, open_planes};
use crate::interval::{Interval, bootstrap, paired};
use crate::judge::{Judge, Truth};

/// The diversity of one method's answers, over all cases with a hole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Diversity {
    /// Answers for each case.
    pub answers: usize,
    /// Number of cases.
    pub cases: usize,
    /// Mean distance of two answers.
    pub between: Interval,
    /// Distance of the first answer to the ground truth.
    pub first: Interval,
    /// Distance of the closest answer to the ground truth.
    pub best: Interval,
    /// The same minus that of the first answer, paired.
    pub best_minus_first: Interval,
}

/// Distances of one case's answers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Distances {
    between: f64,
    first: f64,
    best: f64,
}

impl Distances {
    /// From the distances of all pairs, and of each answer to the ground truth.
    fn new(pairs: &[f64], to_truth: &[f64]) -> Self {
        Self {
            between: pairs.iter().sum::<f64>() / pairs.len() as f64,
            first: to_truth[0],
            best: to_truth.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }
}

impl Diversity {
    /// Measures the answers in `fills`, one folder for each number of an answer. `None` without the weights of LPIPS, with fewer
    /// than two answers, or if no case has a hole and all fills.
    ///
    /// # Errors
    /// If a file cannot be read, or the sizes of photo, mask and fills differ.
    pub fn measure(cases: &[Case], fills: &[Fills], judge: &Judge, limits: &Limits) -> Result<Option<Self>> {
        if fills.len() < 2 || !judge.has_lpips() {
            return Ok(None);
        }
        let of_case = |case: &Case| -> Result<Option<Distances>> {
            let Some(paths) = fills.iter().map(|fills| fills.of(case)).collect::<Option<Vec<_>>>() else {
                return Ok(None);
            };
            let truth = judge.open_truth(case, limits)?;
            let answers =
                paths.into_iter().map(|path| open_planes(path, limits)).collect::<Result<Vec<_>>>()?;
            distances(judge, &truth, &answers)
        };
        let all: Vec<Option<Distances>> = cases.par_iter().map(of_case).collect::<Result<_>>()?;
        Ok(Self::of(fills.len(), &all.into_iter().flatten().collect::<Vec<_>>()))
    }

    fn of(answers: usize, cases: &[Distances]) -> Option<Self> {
        if cases.is_empty() {
            return None;
        }
        let values = |of: fn(&Distances) -> f64| cases.iter().map(of).collect::<Vec<f64>>();
        let (first, best) = (values(|case| case.first), values(|case| case.best));
        Some(Self {
            answers,
            cases: cases.len(),
            between: bootstrap(&values(|case| case.between)),
            first: bootstrap(&first),
            best: bootstrap(&best),
            best_minus_first: paired(&best, &first),
        })
    }
}

/// The distances of one case; `None` without a hole.
fn distances(judge: &Judge, truth: &Truth, answers: &[Planes]) -> Result<Option<Distances>> {
    let Some(measured) = judge.lpips_of_answers(answers, truth)? else { return Ok(None) };
    let (pairs, to_truth) = measured;
    Ok(Some(Distances::new(&pairs, &to_truth)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::LPIPS_ALEX;
    use lacuna::Mask;
    use testkit::pictures;
    use testkit::weights::metric_weights;

    #[test]
    fn distances_by_hand() {
        let case = Distances::new(&[0.25, 0.5, 0.75], &[0.5, 0.25, 1.0]);
        assert_eq!(case, Distances { between: 0.5, first: 0.5, best: 0.25 });
        let other = Distances { between: 0.25, first: 0.25, best: 0.25 };
        let Diversity { answers, cases, between, first, best, best_minus_first } =
            Diversity::of(3, &[case, other]).unwrap();
        assert_eq!((answers, cases), (3, 2));
        let means = [between, first, best, best_minus_first].map(|interval| interval.mean);
        assert_eq!(means, [0.375, 0.375, 0.25, -0.125]);
        assert_eq!(Diversity::of(3, &[]), None);
    }

    #[test]
    fn equal_answers_have_no_diversity_and_the_truth_is_the_best_answer() {
        let Some(path) = metric_weights(LPIPS_ALEX) else { return };
        let judge = Judge::open(path.parent().unwrap()).unwrap();
        let truth = Planes::new(64, 64, pictures::picture(64, 64));
        let mask = Mask::new(64, 64, (0..64 * 64).map(|at| at % 64 < 32).collect());
        let seen = judge.look(truth.clone(), mask).unwrap();
        let grey = Planes::new(64, 64, vec![0.5; 3 * 64 * 64]);
        let of = |answers: &[Planes]| distances(&judge, &seen, answers).unwrap().unwrap();
        let same = of(&[grey.clone(), grey.clone()]);
        assert!(same.between == 0.0 && same.first > 0.1 && same.best == same.first, "{same:?}");
        let with_truth = of(&[grey, truth.clone()]);
        assert!((with_truth.between - same.first).abs() < 1e-9, "{with_truth:?}");
        assert_eq!((with_truth.first, with_truth.best), (same.first, 0.0));
        // Without a hole there is nothing to differ in.
        let whole = judge.look(truth.clone(), Mask::new(64, 64, vec![false; 64 * 64])).unwrap();
        assert_eq!(distances(&judge, &whole, &[truth.clone(), truth]).unwrap(), None);
    }
}
