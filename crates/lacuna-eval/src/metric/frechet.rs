//! Fréchet distance of two feature sets, as in FID.
//!
//! Heusel et al. 2017, <https://arxiv.org/abs/1706.08500>: `|m1 - m2|² + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)` of means
//! and covariances (divided by n - 1). Differs from it in: the trace of the root is computed from the eigenvalues of
//! the symmetric matrix `S1^(1/2) S2 S1^(1/2)`. Nothing becomes complex, and no offset on the diagonal is needed when
//! there are fewer images than features.

use faer::linalg::solvers::SelfAdjointEigen;
use faer::{Mat, Side};
use rayon::prelude::*;

use crate::{Error, Result};

/// Fewest images that have a covariance.
const FEWEST: usize = 2;

/// Mean and covariance of rows of features, updated row by row.
#[derive(Clone, Debug)]
pub struct Moments {
    count: usize,
    sums: Vec<f64>,
    /// Sums of products, `[features, features]`; only the lower triangle is kept.
    products: Vec<f64>,
}

impl Moments {
    /// No rows yet, with this many features.
    pub fn new(features: usize) -> Self {
        Self { count: 0, sums: vec![0.0; features], products: vec![0.0; features * features] }
    }

    /// Adds one row, `[features]`.
    ///
    /// # Panics
    /// If the row has another length.
    pub fn add(&mut self, row: &[f32]) {
        let features = self.sums.len();
        assert_eq!(row.len(), features, "features of a row");
        self.count += 1;
        self.sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        let lines = self.products.par_chunks_exact_mut(features.max(1)).enumerate();
        lines.for_each(|(at, line)| {
            let value = f64::from(row[at]);
            line[..=at].iter_mut().zip(row).for_each(|(sum, &other)| *sum += value * f64::from(other));
        });
    }

    /// Rows so far.
    pub fn count(&self) -> usize {
        self.count
    }

    fn mean(&self) -> Vec<f64> {
        self.sums.iter().map(|sum| sum / self.count as f64).collect()
    }

    fn covariance(&self, mean: &[f64]) -> Mat<f64> {
        let (features, count) = (mean.len(), self.count as f64);
        Mat::from_fn(features, features, |row, column| {
            let product = self.products[row.max(column) * features + row.min(column)];
            (product - count * mean[row] * mean[column]) / (count - 1.0)
        })
    }
}

/// The distance of two sets, 0 for equal ones.
///
/// # Errors
/// [`Error::Pictures`] if a set has fewer than two rows, they have different features, or features are not finite.
pub fn frechet(one: &Moments, other: &Moments) -> Result<f64> {
    let (features, others) = (one.sums.len(), other.sums.len());
    if features != others {
        return Err(Error::Pictures(format!(
            "the Fréchet distance needs equal features, got {features} and {others}"
        )));
    }
    if one.count.min(other.count) < FEWEST {
        let (one, other) = (one.count, other.count);
        let text = format!("the Fréchet distance needs sets of at least {FEWEST}, got {one} and {other}");
        return Err(Error::Pictures(text));
    }
    let means = [one.mean(), other.mean()];
    let [first, second] = [one.covariance(&means[0]), other.covariance(&means[1])];
    let apart: f64 = means[0].iter().zip(&means[1]).map(|(a, b)| (a - b).powi(2)).sum();
    let traces: f64 = (0..features).map(|at| first[(at, at)] + second[(at, at)]).sum();
    if !(apart + traces).is_finite() {
        return Err(Error::Pictures("some features are not finite".to_owned()));
    }
    let roots = trace_of_root(&first, &second)
        .ok_or_else(|| Error::Pictures("the eigenvalues of the covariances do not converge".to_owned()))?;
    Ok((apart + traces - 2.0 * roots).max(0.0))
}

/// `tr (A B)^(1/2)`. With `A = U D Uᵀ` and `L = U D^(1/2)`, without the columns of zero eigenvalues, `Lᵀ B L` has the
/// nonzero eigenvalues of `A^(1/2) B A^(1/2)`. Omitting the zero ones also omits the roots of their rounding errors.
fn trace_of_root(a: &Mat<f64>, b: &Mat<f64>) -> Option<f64> {
    let eigen = SelfAdjointEigen::new(a.as_ref(), Side::Lower).ok()?;
    let (vectors, values) = (eigen.U(), eigen.S());
    let values: Vec<f64> = (0..a.nrows()).map(|at| values[at]).collect();
    let least = rounding(&values);
    let kept: Vec<usize> = (0..values.len()).filter(|&at| values[at] > least).collect();
    if kept.is_empty() {
        return Some(0.0);
    }
    let root = Mat::from_fn(a.nrows(), kept.len(), |row, column| {
        vectors[(row, kept[column])] * values[kept[column]].sqrt()
    });
    let inner = root.transpose() * (b * &root);
    let values = inner.self_adjoint_eigenvalues(Side::Lower).ok()?;
    let least = rounding(&values);
    Some(values.iter().filter(|value| **value > least).map(|value| value.sqrt()).sum())
}

/// Bound of eigenvalues that should be zero: the rounding error of the largest one, times the number of rows.
fn rounding(values: &[f64]) -> f64 {
    values.len() as f64 * f64::EPSILON * values.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::fixtures;

    /// Relative tolerance.
    const TOLERANCE: f64 = 1e-3;
    /// Tolerance for equal sets, relative to the trace.
    const ZERO: f64 = 1e-6;

    fn moments(rows: &[f32], features: usize) -> Moments {
        let mut moments = Moments::new(features);
        rows.chunks_exact(features).for_each(|row| moments.add(row));
        moments
    }

    #[test]
    fn one_feature_by_hand() {
        // Means 1 and 4, variances 2 and 8: 9 + 2 + 8 - 2 * 4.
        let distance = frechet(&moments(&[0.0, 2.0], 1), &moments(&[2.0, 6.0], 1)).unwrap();
        assert!((distance - 11.0).abs() < 1e-9, "{distance}");
    }

    #[test]
    fn it_equals_the_reference() {
        // oracle/make_fixtures.py
        let text = std::fs::read_to_string(fixtures::path("frechet/expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        for name in ["plenty", "fewer_samples_than_features", "identical"] {
            let file = fixtures::load(&format!("frechet/{name}.safetensors"));
            let [a, b] = ["a", "b"].map(|name| file.get(name));
            let [a, b] = [a, b].map(|rows| moments(&rows.values, rows.shape[1]));
            let (distance, expected) = (frechet(&a, &b).unwrap(), expected[name].as_f64().unwrap());
            let covariance = a.covariance(&a.mean());
            let trace: f64 = (0..covariance.nrows()).map(|at| covariance[(at, at)]).sum();
            println!("{name}: {distance}, expected {expected}, trace {trace}");
            let allowed = if name == "identical" { ZERO * trace } else { TOLERANCE * expected };
            assert!((distance - expected).abs() < allowed, "{name}: {distance}, expected {expected}");
            assert!((frechet(&b, &a).unwrap() - distance).abs() < allowed, "{name}: the other way round");
            assert!(frechet(&a, &a).unwrap() < ZERO * trace, "{name}: from itself");
        }
    }

    #[test]
    fn sets_that_cannot_be_compared_are_named() {
        let error = |one: &Moments, other: &Moments| frechet(one, other).unwrap_err().to_string();
        let two = moments(&[1.0, 2.0], 1);
        assert!(error(&two, &moments(&[1.0], 1)).ends_with("at least 2, got 2 and 1"));
        assert!(error(&two, &moments(&[1.0; 4], 2)).ends_with("got 1 and 2"));
        assert!(error(&two, &moments(&[1.0, f32::NAN], 1)).contains("not finite"));
        // No variation.
        let flat = moments(&[1.0, 1.0], 1);
        assert_eq!(frechet(&flat, &flat).unwrap(), 0.0);
    }
}
