//! Mean absolute difference.

use lacuna::{Mask, Planes};

use super::assert_same_size;
use super::region::per_pixel;

/// Mean over all pixels and channels.
///
/// # Panics
/// If the images have different sizes.
pub fn l1(picture: &Planes, truth: &Planes) -> f64 {
    assert_same_size(picture, truth);
    let sum: f64 = differences(picture, truth).sum();
    sum / truth.values().len() as f64
}

/// Mean over the pixels of the hole; NaN if there are none.
///
/// # Panics
/// If the images and the mask have different sizes.
pub fn l1_in(picture: &Planes, truth: &Planes, mask: &Mask) -> f64 {
    assert_same_size(picture, truth);
    assert_eq!((mask.width(), mask.height()), (truth.width(), truth.height()), "size of the mask");
    let hole = mask.hole().iter().cycle();
    let sum: f64 = differences(picture, truth)
        .zip(hole)
        .filter(|(_, hole)| **hole)
        .map(|(difference, _)| difference)
        .sum();
    sum / (3 * mask.count()) as f64
}

/// Mean over channels at each pixel, `[height, width]`.
///
/// # Panics
/// If the images have different sizes.
pub fn l1_map(picture: &Planes, truth: &Planes) -> Vec<f64> {
    per_pixel(picture, truth, |one, other| (one - other).abs())
}

fn differences<'a>(picture: &'a Planes, truth: &'a Planes) -> impl Iterator<Item = f64> {
    picture.values().iter().zip(truth.values()).map(|(one, other)| f64::from((one - other).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let picture = Planes::new(2, 1, vec![0.0, 1.0, 0.5, 0.0, 0.0, 0.0]);
        let truth = Planes::new(2, 1, vec![0.0, 0.5, 0.5, 0.25, 0.0, 0.0]);
        assert_eq!(l1(&picture, &truth), 0.125);
        assert_eq!(l1_in(&picture, &truth, &Mask::new(2, 1, vec![false, true])), 0.25);
        assert!(l1_in(&picture, &truth, &Mask::new(2, 1, vec![false, false])).is_nan());
    }
}
