//! Fréchet distance of few rows, and its confidence interval.
//!
//! With centred rows `A` and `B` divided by the root of n - 1, the covariances are `AᵀA` and `BᵀB`, and the trace of
//! the root of their product is the sum of the singular values of `A Bᵀ`: a matrix of rows by rows instead of features
//! by features. Everything else uses products of rows too, so a bootstrap resample costs only that sum.

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::interval::{Interval, NORMAL};
use crate::{Error, Result};

/// Bootstrap resamples.
const DRAWS: usize = 60;
/// Rows of a resample; the standard deviation of larger sets is scaled by the square root.
const LARGEST: usize = 400;
/// Equal sets always give equal intervals.
const SEED: u64 = 1;

/// Products of the rows of two sets.
struct Products {
    one: Mat<f64>,
    other: Mat<f64>,
    across: Mat<f64>,
}

/// The distance of two sets, 0 for equal ones. Same value as [`super::frechet()`], faster for fewer rows than features.
///
/// # Shapes
/// `one`, `other`: `[rows, features]`.
///
/// # Errors
/// [`Error::Pictures`] if a set has fewer than two rows.
///
/// # Panics
/// If the length is not a multiple of `features`.
pub fn frechet_of_few(one: &[f32], other: &[f32], features: usize) -> Result<f64> {
    let products = Products::new(one, other, features)?;
    let every = |set: &Mat<f64>| (0..set.nrows()).collect::<Vec<_>>();
    products.distance(&every(&products.one), &every(&products.other))
}

/// 95 % confidence interval: `distance` ± 1.96 standard deviations over bootstrap resamples of the pairs (at most 400
/// rows). The resamples' mean is not used: duplicates bias it upwards.
///
/// # Errors
/// As [`frechet_of_few`], or if the sets have different sizes.
pub fn interval(distance: f64, one: &[f32], other: &[f32], features: usize) -> Result<Interval> {
    if one.len() != other.len() {
        let text = format!(
            "pairs need sets of equal size, got {} and {}",
            one.len() / features,
            other.len() / features
        );
        return Err(Error::Pictures(text));
    }
    let rows = one.len() / features;
    let used = rows.min(LARGEST);
    // Evenly spaced rows.
    let pick = |set: &[f32]| -> Vec<f32> {
        let row = |at: usize| &set[at * rows / used * features..][..features];
        (0..used).flat_map(|at| row(at).iter().copied()).collect()
    };
    let products = Products::new(&pick(one), &pick(other), features)?;
    let mut rng = Pcg64::seed_from_u64(SEED);
    let values = (0..DRAWS).map(|_| {
        let drawn: Vec<usize> = (0..used).map(|_| rng.random_range(0..used)).collect();
        products.distance(&drawn, &drawn)
    });
    let values = values.collect::<Result<Vec<f64>>>()?;
    let mean = values.iter().sum::<f64>() / DRAWS as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (DRAWS - 1) as f64;
    let half = NORMAL * (variance * used as f64 / rows as f64).sqrt();
    Ok(Interval { mean: distance, low: (distance - half).max(0.0), high: distance + half })
}

impl Products {
    fn new(one: &[f32], other: &[f32], features: usize) -> Result<Self> {
        let matrix = |values: &[f32]| {
            assert!(
                features > 0 && values.len().is_multiple_of(features),
                "whole rows of {features} features"
            );
            Mat::from_fn(values.len() / features, features, |row, column| {
                f64::from(values[row * features + column])
            })
        };
        let (one, other) = (matrix(one), matrix(other));
        let fewest = one.nrows().min(other.nrows());
        if fewest < 2 {
            return Err(Error::Pictures(format!(
                "the Fréchet distance needs sets of at least 2, got {fewest}"
            )));
        }
        let across = &one * other.transpose();
        Ok(Self { one: &one * one.transpose(), other: &other * other.transpose(), across })
    }

    /// The distance of two sets, given by row indices.
    fn distance(&self, one: &[usize], other: &[usize]) -> Result<f64> {
        let (mean_one, spread_one) = moments(&self.one, one);
        let (mean_other, spread_other) = moments(&self.other, other);
        let mut across =
            Mat::from_fn(one.len(), other.len(), |row, column| self.across[(one[row], other[column])]);
        let (rows, columns) = (one.len() as f64, other.len() as f64);
        let row_means: Vec<f64> = (0..one.len())
            .map(|row| (0..other.len()).map(|at| across[(row, at)]).sum::<f64>() / columns)
            .collect();
        let column_means: Vec<f64> = (0..other.len())
            .map(|at| (0..one.len()).map(|row| across[(row, at)]).sum::<f64>() / rows)
            .collect();
        let mean_across = row_means.iter().sum::<f64>() / rows;
        let scale = ((rows - 1.0) * (columns - 1.0)).sqrt();
        for column in 0..other.len() {
            for row in 0..one.len() {
                let value = &mut across[(row, column)];
                *value = (*value - row_means[row] - column_means[column] + mean_across) / scale;
            }
        }
        let failed = |_| Error::Pictures("the singular values of the features do not converge".to_owned());
        let roots = across.singular_values().map_err(failed)?.iter().sum::<f64>();
        let distance = mean_one + mean_other - 2.0 * mean_across + spread_one + spread_other - 2.0 * roots;
        if !distance.is_finite() {
            return Err(Error::Pictures("some features are not finite".to_owned()));
        }
        Ok(distance.max(0.0))
    }
}

/// Squared mean of these rows, and trace of their covariance.
fn moments(products: &Mat<f64>, rows: &[usize]) -> (f64, f64) {
    let count = rows.len() as f64;
    let pairs = rows.iter().map(|&row| rows.iter().map(|&other| products[(row, other)]).sum::<f64>());
    let mean = pairs.sum::<f64>() / (count * count);
    let squares: f64 = rows.iter().map(|&row| products[(row, row)]).sum();
    (mean, (squares - count * mean) / (count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::fixtures;

    /// Relative tolerance.
    const TOLERANCE: f64 = 1e-6;

    #[test]
    fn it_equals_the_reference() {
        // oracle/make_fixtures.py
        let text = std::fs::read_to_string(fixtures::path("frechet/expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        for name in ["plenty", "fewer_samples_than_features", "identical"] {
            let file = fixtures::load(&format!("frechet/{name}.safetensors"));
            let (a, b) = (file.get("a"), file.get("b"));
            let distance = frechet_of_few(&a.values, &b.values, a.shape[1]).unwrap();
            let expected = expected[name].as_f64().unwrap();
            assert!(
                (distance - expected).abs() < TOLERANCE * expected.max(1.0),
                "{name}: {distance}, {expected}"
            );
        }
    }

    #[test]
    fn chance_moves_the_distance_of_small_sets_more() {
        let file = fixtures::load("frechet/plenty.safetensors");
        let (a, b) = (&file.get("a").values, &file.get("b").values);
        let width = |rows: usize| {
            let (a, b) = (&a[..rows * 24], &b[..rows * 24]);
            let distance = frechet_of_few(a, b, 24).unwrap();
            let interval = interval(distance, a, b, 24).unwrap();
            assert!(interval.low < distance && distance < interval.high && interval.mean == distance);
            interval.high - interval.low
        };
        let (few, many) = (width(50), width(300));
        assert!(few > 1.5 * many, "{few} and {many}");
        assert!(frechet_of_few(&a[..24], b, 24).is_err());
        assert!(interval(0.0, a, &b[..24], 24).is_err());
    }
}
