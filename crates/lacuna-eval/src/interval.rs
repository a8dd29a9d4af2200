//! Means with confidence intervals.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;
/// Seed of the bootstrap: equal values always give equal intervals.
const SEED: u64 = 1;
/// 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom; the normal quantile is close enough above.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// 97.5 % quantile of the normal distribution: half the width of a 95 % interval, in standard deviations.
pub const NORMAL: f64 = 1.960;

/// A mean and its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The mean of few values, such as one per seed: `mean ± t s / sqrt(n)`. The interval of a single value is unbounded.
pub fn student(values: &[f64]) -> Interval {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return Interval { mean, low: f64::NEG_INFINITY, high: f64::INFINITY };
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let half = STUDENT.get(values.len() - 2).unwrap_or(&NORMAL) * (variance / count).sqrt();
    Interval { mean, low: mean - half, high: mean + half }
}

/// The mean of many values, such as one per image, with bootstrap quantiles.
pub fn bootstrap(values: &[f64]) -> Interval {
    let mean = |sum: f64| sum / values.len() as f64;
    let mut rng = Pcg64::seed_from_u64(SEED);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            mean((0..values.len()).map(|_| values[rng.random_range(0..values.len() as u64) as usize]).sum())
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |fraction: f64| means[(fraction * (RESAMPLES - 1) as f64).round() as usize];
    Interval { mean: mean(values.iter().sum()), low: at(0.025), high: at(0.975) }
}

/// The mean of `one - other` over pairs, such as two methods on the same images. Paired intervals are much narrower
/// than the difference of two intervals, because images differ more than methods.
///
/// # Panics
/// If the lengths differ.
pub fn paired(one: &[f64], other: &[f64]) -> Interval {
    assert_eq!(one.len(), other.len(), "values in pairs");
    bootstrap(&one.iter().zip(other).map(|(one, other)| one - other).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_differ_alike_leave_no_doubt() {
        let other: Vec<f64> = (0..50).map(f64::from).collect();
        let one: Vec<f64> = other.iter().map(|value| value + 0.5).collect();
        assert_eq!(paired(&one, &other), Interval { mean: 0.5, low: 0.5, high: 0.5 });
        assert!(bootstrap(&one).low < bootstrap(&other).high);
    }

    #[test]
    fn few_values_by_hand() {
        // s = 1, t = 4.303 for two degrees of freedom.
        let Interval { mean, low, high } = student(&[1.0, 2.0, 3.0]);
        let half = 4.303 / 3f64.sqrt();
        assert!(
            (mean - 2.0).abs() < 1e-12 && (low - 2.0 + half).abs() < 1e-9 && (high - 2.0 - half).abs() < 1e-9
        );
        assert_eq!(student(&[5.0]).low, f64::NEG_INFINITY);
    }

    #[test]
    fn many_values_agree_with_theory() {
        let values: Vec<f64> = (0..400).map(|index| f64::from(index % 2)).collect();
        let Interval { mean, low, high } = bootstrap(&values);
        // The standard deviation of the mean is 0.5 / 20 = 0.025.
        assert_eq!(mean, 0.5);
        assert!((low - 0.451).abs() < 0.005 && (high - 0.549).abs() < 0.005, "{low} {high}");
    }
}
