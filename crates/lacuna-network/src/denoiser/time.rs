//! Time as values that a network can read.

/// The lowest frequency's period is this many times the highest's (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>).
const PERIODS: f64 = 10_000.0;

/// Times in `[0, 1]` are scaled to the indices of published schedules, which have this many levels.
const LEVELS: f64 = 1000.0;

/// The features of a time: cosines, then sines, of `1000 time · 10000^(-k / half)` for `k` from 0 to `half = width / 2`.
///
/// With the functions of `libm`: the same bits on every system.
///
/// # Panics
/// If the width is odd.
pub fn time_features(time: f64, width: usize) -> Vec<f32> {
    assert!(width.is_multiple_of(2), "cosines and sines for a width of {width}");
    let half = width / 2;
    let angle = |k: usize| LEVELS * time * libm::pow(PERIODS, -(k as f64) / half as f64);
    let cosines = (0..half).map(|k| libm::cos(angle(k)) as f32);
    cosines.chain((0..half).map(|k| libm::sin(angle(k)) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_zero_cosines_are_one_and_sines_zero() {
        assert_eq!(time_features(0.0, 6), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn angles_by_hand() {
        // Angles 500 and 500 / 100.
        let expected = [500f64.cos(), 5f64.cos(), 500f64.sin(), 5f64.sin()].map(|value| value as f32);
        let found = time_features(0.5, 4);
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6),
            "{found:?}"
        );
    }
}
