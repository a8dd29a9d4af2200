//! Peak signal-to-noise ratio: `-10 log10(mean (image - truth)²)` decibels, for values in `[0, 1]`.

use lacuna::Planes;

use super::assert_same_size;
use super::region::per_pixel;

/// Value for equal images, whose ratio would be infinite.
pub const LARGEST: f64 = 100.0;

/// The ratio in decibels, at most [`LARGEST`].
///
/// # Panics
/// If the images have different sizes.
pub fn psnr(picture: &Planes, truth: &Planes) -> f64 {
    assert_same_size(picture, truth);
    let squares =
        picture.values().iter().zip(truth.values()).map(|(one, other)| f64::from(one - other).powi(2));
    decibels(squares.sum::<f64>() / truth.values().len() as f64)
}

/// The ratio in decibels, at most [`LARGEST`], of a mean squared error.
pub fn decibels(mean_square: f64) -> f64 {
    (-10.0 * mean_square.log10()).min(LARGEST)
}

/// Squared difference of each pixel, mean over channels, `[height, width]`.
///
/// # Panics
/// If the images have different sizes.
pub fn squares_map(picture: &Planes, truth: &Planes) -> Vec<f64> {
    per_pixel(picture, truth, |one, other| (one - other).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let flat = |value| Planes::new(2, 2, vec![value; 12]);
        assert!((psnr(&flat(0.5), &flat(0.6)) - 20.0).abs() < 1e-5);
        assert_eq!(psnr(&flat(0.5), &flat(0.5)), LARGEST);
        let map = squares_map(&flat(0.5), &flat(0.6));
        assert!(map.len() == 4 && (decibels(map[3]) - 20.0).abs() < 1e-5);
    }
}
