//! Gradient checks against finite differences.

/// Half the step of a central difference. It is small enough that few ReLUs switch within it, which requires an
/// objective in float64: in float32 rounding errors would dominate.
pub const STEP: f32 = 1e-4;

/// Largest fraction of entries at a kink; with more, the check would be meaningless.
const KINKS_ALLOWED: f64 = 0.1;

/// Compares a gradient with finite differences of `objective`, computed in float64, at `point`.
///
/// An entry passes if it is within `tolerance * (1 + largest entry)` of the central difference. Where a ReLU switches
/// within one step the slope is not defined. Such an entry, recognised by one-sided differences that disagree, must lie
/// between the two, and at most a tenth of the entries may be of this kind.
///
/// # Panics
/// With the first entry that fails, its gradient and its differences.
#[track_caller]
pub fn assert_gradient(
    mut objective: impl FnMut(&[f32]) -> f64,
    point: &[f32],
    gradient: &[f32],
    tolerance: f64,
) {
    assert_eq!(point.len(), gradient.len(), "one gradient entry for each input");
    assert!(gradient.iter().all(|entry| entry.is_finite()), "a gradient entry is not finite");
    let largest = gradient.iter().fold(0.0f64, |largest, &entry| largest.max(f64::from(entry.abs())));
    assert!(largest > 0.0, "the whole gradient is zero: nothing to check");
    let allowed = tolerance * (1.0 + largest);
    let here = objective(point);
    let mut moved = point.to_vec();
    let mut kinks = 0;
    for (index, &entry) in gradient.iter().enumerate() {
        let entry = f64::from(entry);
        moved[index] = point[index] + STEP;
        let forward = (objective(&moved) - here) / f64::from(moved[index] - point[index]);
        moved[index] = point[index] - STEP;
        let backward = (here - objective(&moved)) / f64::from(point[index] - moved[index]);
        moved[index] = point[index];
        let central = 0.5 * (forward + backward);
        if (central - entry).abs() <= allowed {
            continue;
        }
        let between = forward.min(backward) - allowed <= entry && entry <= forward.max(backward) + allowed;
        assert!(
            between,
            "entry {index}: gradient {entry}, differences {backward} (backward), {forward} (forward), \
             allowed {allowed:e}"
        );
        kinks += 1;
    }
    assert!(
        f64::from(kinks) <= KINKS_ALLOWED * point.len() as f64,
        "{kinks} of {} entries agree only as kinks",
        point.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: f64 = 1e-3;

    fn squares(x: &[f32]) -> f64 {
        x.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
    }

    #[test]
    fn a_right_gradient_passes() {
        assert_gradient(squares, &[1.0, -2.0], &[2.0, -4.0], TOLERANCE);
    }

    #[test]
    #[should_panic(expected = "entry 1")]
    fn a_wrong_gradient_fails() {
        assert_gradient(squares, &[1.0, -2.0], &[2.0, -3.9], TOLERANCE);
    }

    #[test]
    fn a_kink_may_take_either_slope() {
        let hinge = |x: &[f32]| f64::from(x[0].max(0.0)) + x[1..].iter().map(|&x| f64::from(x)).sum::<f64>();
        let mut point = [1.0; 10];
        point[0] = 0.1 * STEP;
        assert_gradient(hinge, &point, &[1.0; 10], TOLERANCE);
    }
}
