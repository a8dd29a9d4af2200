//! Comparison of float slices.

/// The largest difference between two slices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Index in both slices.
    pub index: usize,
    /// The value of the code under test.
    pub actual: f32,
    /// The expected value.
    pub expected: f32,
}

impl Difference {
    /// Absolute difference; infinite if exactly one of the values is NaN.
    pub fn size(&self) -> f32 {
        if self.actual == self.expected || (self.actual.is_nan() && self.expected.is_nan()) {
            return 0.0;
        }
        let size = (self.actual - self.expected).abs();
        if size.is_nan() { f32::INFINITY } else { size }
    }
}

/// The largest absolute difference of two slices, `None` if both are empty.
///
/// # Panics
/// If the lengths differ.
pub fn worst_difference(actual: &[f32], expected: &[f32]) -> Option<Difference> {
    assert_eq!(actual.len(), expected.len(), "rows of different lengths");
    actual
        .iter()
        .zip(expected)
        .enumerate()
        .map(|(index, (&actual, &expected))| Difference { index, actual, expected })
        .max_by(|a, b| a.size().total_cmp(&b.size()))
}

/// Panics unless every value is within `tolerance` (absolute) of the expected one.
///
/// # Panics
/// With the worst index and both values; also if the lengths differ or a value is NaN.
#[track_caller]
pub fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32) {
    let Some(worst) = worst_difference(actual, expected) else { return };
    assert!(
        worst.size() <= tolerance,
        "worst at index {} of {}: got {}, expected {}, difference {:e} > tolerance {tolerance:e}",
        worst.index,
        actual.len(),
        worst.actual,
        worst.expected,
        worst.size(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_index_is_found() {
        let worst = worst_difference(&[1.0, 2.0, 3.0], &[1.0, 2.5, 3.25]).unwrap();
        assert_eq!(worst, Difference { index: 1, actual: 2.0, expected: 2.5 });
        assert_eq!(worst_difference(&[], &[]), None);
    }

    #[test]
    fn equal_rows_pass() {
        assert_close(&[1.0, f32::INFINITY], &[1.0, f32::INFINITY], 0.0);
    }

    #[test]
    #[should_panic(expected = "worst at index 1 of 2: got 2, expected 2.5")]
    fn a_large_difference_panics_with_both_values() {
        assert_close(&[1.0, 2.0], &[1.0, 2.5], 0.1);
    }

    #[test]
    #[should_panic(expected = "worst at index 0")]
    fn not_a_number_is_never_close() {
        assert_close(&[f32::NAN], &[0.0], f32::MAX);
    }

    #[test]
    #[should_panic(expected = "different lengths")]
    fn lengths_must_agree() {
        assert_close(&[1.0], &[1.0, 2.0], 0.1);
    }
}
