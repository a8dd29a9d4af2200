//! Kernel distance of two feature sets, as in KID.
//!
//! Bińkowski et al. 2018, <https://arxiv.org/abs/1801.01401>: the unbiased squared maximum mean discrepancy with the
//! kernel `(x·y / d + 1)³` of d features: the mean of `k(x, x')` over pairs of different rows, plus that of `k(y, y')`,
//! minus twice that of `k(x, y)`. Being unbiased, it can be negative, and unlike the Fréchet distance it does not grow
//! for few images. Differs from it in: subsets are at most half of a set, and the interval is computed from their
//! variance.

use faer::Mat;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_pcg::Pcg64;

use crate::interval::{Interval, NORMAL};
use crate::{Error, Result};

/// Number of subsets, from the paper.
const SUBSETS: usize = 100;
/// Largest subset in rows, from the paper.
const LARGEST: usize = 1000;
/// Smallest set in rows: half of it must contain a pair.
const FEWEST: usize = 4;
/// Equal sets always give equal intervals.
const SEED: u64 = 1;

/// The squared discrepancy of all rows.
///
/// # Shapes
/// `one`, `other`: `[rows, features]`.
///
/// # Errors
/// [`Error::Pictures`] if a set has fewer than two rows.
///
/// # Panics
/// If the length is not a multiple of `features`.
pub fn discrepancy(one: &[f32], other: &[f32], features: usize) -> Result<f64> {
    let [one, other] = [one, other].map(|values| matrix(values, features));
    enough(&one, &other, 2)?;
    Ok(of_rows(&one, &other))
}

/// Mean discrepancy of random subsets, and the 95 % confidence interval of that of all rows.
///
/// # Shapes
/// `one`, `other`: `[rows, features]`.
///
/// # Errors
/// [`Error::Pictures`] if a set has fewer than four rows.
///
/// # Panics
/// If the length is not a multiple of `features`.
pub fn kid(one: &[f32], other: &[f32], features: usize) -> Result<Interval> {
    let [one, other] = [one, other].map(|values| matrix(values, features));
    enough(&one, &other, FEWEST)?;
    let mut rng = Pcg64::seed_from_u64(SEED);
    let smaller = one.nrows().min(other.nrows());
    let size = LARGEST.min(smaller / 2);
    let values: Vec<f64> = (0..SUBSETS)
        .map(|_| {
            let mut subset = |set: &Mat<f64>| {
                let rows = sample(&mut rng, set.nrows(), size);
                Mat::from_fn(size, features, |row, column| set[(rows.index(row), column)])
            };
            let (one, other) = (subset(&one), subset(&other));
            of_rows(&one, &other)
        })
        .collect();
    let count = SUBSETS as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    // For subsets drawn without replacement, of a fraction f of the rows, the variance is (1 - f) / f times that of all
    // rows. The variance of the mean over the subsets is added.
    let fraction = size as f64 / smaller as f64;
    let half = NORMAL * (variance * (fraction / (1.0 - fraction) + 1.0 / count)).sqrt();
    Ok(Interval { mean, low: mean - half, high: mean + half })
}

fn matrix(values: &[f32], features: usize) -> Mat<f64> {
    assert!(features > 0 && values.len().is_multiple_of(features), "whole rows of {features} features");
    Mat::from_fn(values.len() / features, features, |row, column| f64::from(values[row * features + column]))
}

fn enough(one: &Mat<f64>, other: &Mat<f64>, fewest: usize) -> Result<()> {
    let (one, other) = (one.nrows(), other.nrows());
    if one.min(other) >= fewest {
        return Ok(());
    }
    Err(Error::Pictures(format!("KID needs sets of at least {fewest}, got {one} and {other}")))
}

fn of_rows(one: &Mat<f64>, other: &Mat<f64>) -> f64 {
    let within = |set: &Mat<f64>| {
        let (sum, diagonal) = kernels(set, set);
        let rows = set.nrows() as f64;
        (sum - diagonal) / (rows * (rows - 1.0))
    };
    let across = kernels(one, other).0 / (one.nrows() as f64 * other.nrows() as f64);
    within(one) + within(other) - 2.0 * across
}

/// Sums of the kernel over all pairs of rows, and over pairs of equal index.
fn kernels(one: &Mat<f64>, other: &Mat<f64>) -> (f64, f64) {
    let products = one * other.transpose();
    let features = one.ncols() as f64;
    let kernel = |row: usize, column: usize| (products[(row, column)] / features + 1.0).powi(3);
    let columns = 0..products.ncols();
    let sum = columns.map(|column| (0..products.nrows()).map(|row| kernel(row, column)).sum::<f64>()).sum();
    let shorter = products.nrows().min(products.ncols());
    (sum, (0..shorter).map(|at| kernel(at, at)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::fixtures;
    use testkit::pictures::noise;

    #[test]
    fn by_hand() {
        // Within: k(0, 1) = 1 and k(0, 2) = 1. Across: 1, 1, 1 and k(1, 2) = 27, of which the mean is 7.5.
        assert_eq!(discrepancy(&[0.0, 1.0], &[0.0, 2.0], 1).unwrap(), -13.0);
    }

    #[test]
    fn the_interval_has_the_whole_in_it() {
        let file = fixtures::load("frechet/plenty.safetensors");
        let [a, b] = ["a", "b"].map(|name| file.get(name).values.clone());
        let whole = discrepancy(&a, &b, 24).unwrap();
        let Interval { mean, low, high } = kid(&a, &b, 24).unwrap();
        println!("{whole}: {mean} in {low} to {high}");
        assert!(low < whole && whole < high && low > 0.0);
        assert_eq!(kid(&a, &b, 24).unwrap().mean, mean);
    }

    #[test]
    fn sets_from_one_source_are_no_distance_apart() {
        let Interval { low, high, .. } = kid(&noise(1, 300 * 8), &noise(2, 200 * 8), 8).unwrap();
        assert!(low < 0.0 && high > 0.0, "{low} to {high}");
    }

    #[test]
    fn few_rows_are_an_error() {
        let error = kid(&[0.0; 8], &[0.0; 6], 2).unwrap_err().to_string();
        assert!(error.ends_with("at least 4, got 4 and 3"), "{error}");
        assert!(discrepancy(&[0.0; 2], &[0.0; 4], 2).is_err());
    }
}
