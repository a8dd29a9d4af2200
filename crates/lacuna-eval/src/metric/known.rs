//! Error of known pixels: pixels outside the hole must not change.

use lacuna::{Mask, Planes};

use super::assert_same_size;

/// Largest difference outside the hole, in 8-bit steps; 0 if known pixels are unchanged or there are none.
///
/// # Panics
/// If the images and the mask have different sizes.
pub fn known_error(picture: &Planes, truth: &Planes, mask: &Mask) -> f64 {
    assert_same_size(picture, truth);
    assert_eq!((mask.width(), mask.height()), (truth.width(), truth.height()), "size of the mask");
    let pairs = picture.values().iter().zip(truth.values()).zip(mask.hole().iter().cycle());
    let differences =
        pairs.filter(|(_, hole)| !**hole).map(|((one, other), _)| f64::from((one - other).abs()));
    255.0 * differences.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let picture = Planes::new(2, 1, [0.5, 0.4].repeat(3));
        let truth = Planes::new(2, 1, [0.0, 0.2].repeat(3));
        assert!((known_error(&picture, &truth, &Mask::new(2, 1, vec![true, false])) - 51.0).abs() < 1e-4);
        assert_eq!(known_error(&picture, &truth, &Mask::new(2, 1, vec![true, true])), 0.0);
    }
}
