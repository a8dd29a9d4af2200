//! The Fréchet distance of few rows, and how far chance moves it.
//!
//! With centred rows `A` and `B` divided by the root of n - 1, the covariances are `AᵀA` and `BᵀB`, and the trace of the root of
//! their product is the sum of the singular values of `A Bᵀ`: rows by rows instead of features by features. All else is in
//! products of rows, too, so that sets drawn again from the same rows cost nothing but that sum.

use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::interval::Interval;
use crate::{Error, Result};

/// Sets that are drawn again.
const DRAWS: usize = 60;
/// Rows of such a set; the deviation of larger sets is smaller by the root.
const LARGEST: usize = 400;
/// The same sets always have the same interval.
const SEED: u64 = 1;
/// 97.5 % quantile of the normal distribution.
const NORMAL: f64 = 1.960;

/// Products of the rows of two sets.
struct Products {
    one: Mat<f64>,
    other: Mat<f64>,
    across: Mat<f64>,
}

/// The distance of two sets, 0 for equal ones; as [`super::frechet()`], and quicker for fewer rows than features.
///
/// # Shapes
/// `one`, `other`: `[rows, features]`.
///
/// # Errors
/// [`Error::Pictures`] if a set has fewer than two rows.
///
/// # Panics
/// If rows are not whole.
pub fn frechet_of_few(one: &[f32], other: &[f32], features: usize) -> Result<f64> {
    let products = Products::new(one, other, features)?;
    let every = |set: &Mat<f64>| (0..set.nrows()).collect::<Vec<_>>();
    products.distance(&every(&products.one), &every(&products.other))
}

/// Where the distance of paired sets of this size lies with a certainty of 95 %: `distance` give or take what distances of
/// pairs that are drawn again from these (at most 400 at a time) deviate by. Their own mean is of no use: pairs that come twice make it larger.
///
/// # Errors
/// As [`frechet_of_few`], or if the sets are not of one size.
pub fn interval(distance: f64, one: &[f32], other: &[f32], features: usize) -> Result<Interval> {
    if one.len() != other.len() {
        let text = format!("pairs of {} and {} rows", one.len() / features, other.len() / features);
        return Err(Error::Pictures(text));
    }
    let rows = one.len() / features;
    let used = rows.min(LARGEST);
    // Evenly spread.
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
                "a Fréchet distance needs sets of at least 2, got {fewest}"
            )));
        }
        let across = &one * other.transpose();
        Ok(Self { one: &one * one.transpose(), other: &other * other.transpose(), across })
    }

    /// The distance of the sets that these rows make.
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
        let failed = |_| Error::Pictures("singular values of features that do not converge".to_owned());
        let roots = across.singular_values().map_err(failed)?.iter().sum::<f64>();
        let distance = mean_one + mean_other - 2.0 * mean_across + spread_one + spread_other - 2.0 * roots;
        if !distance.is_finite() {
            return Err(Error::Pictures("features that are not finite".to_owned()));
        }
        Ok(distance.max(0.0))
    }
}

/// The square of the mean of these rows, and the trace of their covariance.
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

    /// Relative.
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
