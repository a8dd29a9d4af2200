//! Structural similarity (SSIM).
//!
//! Wang et al. 2004, with LaMa's window: an 11 x 11 Gaussian of sigma 1.5, zero padding, each channel separately,
//! constants 0.01² and 0.03²; the mean over channels and pixels. Zero padding makes values near borders differ from
//! scikit-image's.

use lacuna::Planes;
use rayon::prelude::*;

use super::assert_same_size;

/// Radius of the window in pixels.
pub(super) const RADIUS: usize = 5;
const DEVIATION: f64 = 1.5;
pub(super) const C1: f64 = 0.01 * 0.01;
pub(super) const C2: f64 = 0.03 * 0.03;

/// Mean over all pixels and channels, 1 for equal images.
///
/// # Panics
/// If the images have different sizes.
pub fn ssim(picture: &Planes, truth: &Planes) -> f64 {
    let map = ssim_map(picture, truth);
    map.iter().sum::<f64>() / map.len() as f64
}

/// Similarity at each pixel, mean over channels, `[height, width]`.
///
/// # Panics
/// If the images have different sizes.
pub fn ssim_map(picture: &Planes, truth: &Planes) -> Vec<f64> {
    assert_same_size(picture, truth);
    let (width, height) = (truth.width(), truth.height());
    let blur = Blur::new(width, height);
    let colours: Vec<Vec<f64>> = (0..3usize)
        .into_par_iter()
        .map(|colour| {
            let plane = |planes: &Planes| -> Vec<f64> {
                let pixels = width * height;
                planes.values()[colour * pixels..][..pixels].iter().map(|&value| f64::from(value)).collect()
            };
            let (a, b) = (plane(picture), plane(truth));
            let product = |one: &[f64], other: &[f64]| -> Vec<f64> {
                blur.of(&one.iter().zip(other).map(|(one, other)| one * other).collect::<Vec<_>>())
            };
            let (mean_a, mean_b) = (blur.of(&a), blur.of(&b));
            let (squares_a, squares_b, products) = (product(&a, &a), product(&b, &b), product(&a, &b));
            (0..width * height)
                .map(|pixel| {
                    let (mean_a, mean_b) = (mean_a[pixel], mean_b[pixel]);
                    let variances = squares_a[pixel] - mean_a * mean_a + squares_b[pixel] - mean_b * mean_b;
                    let covariance = products[pixel] - mean_a * mean_b;
                    (2.0 * mean_a * mean_b + C1) * (2.0 * covariance + C2)
                        / ((mean_a * mean_a + mean_b * mean_b + C1) * (variances + C2))
                })
                .collect()
        })
        .collect();
    (0..width * height).map(|pixel| colours.iter().map(|map| map[pixel]).sum::<f64>() / 3.0).collect()
}

/// The window with zero padding, applied along rows, then along columns.
pub(super) struct Blur {
    width: usize,
    height: usize,
    taps: [f64; 2 * RADIUS + 1],
}

impl Blur {
    pub(super) fn new(width: usize, height: usize) -> Self {
        let weight = |tap: usize| {
            let distance = tap as f64 - RADIUS as f64;
            (-distance * distance / (2.0 * DEVIATION * DEVIATION)).exp()
        };
        let sum: f64 = (0..=2 * RADIUS).map(weight).sum();
        Self { width, height, taps: std::array::from_fn(|tap| weight(tap) / sum) }
    }

    pub(super) fn of(&self, plane: &[f64]) -> Vec<f64> {
        let (width, height) = (self.width, self.height);
        let mut rows = vec![0.0; width * height];
        for (row, out) in plane.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
            for (tap, weight) in self.taps.iter().enumerate() {
                // Column `at` reads `at + tap - RADIUS`, where that exists.
                let (to, from) = (RADIUS.saturating_sub(tap), tap.saturating_sub(RADIUS));
                if to.max(from) >= width {
                    continue;
                }
                let out = &mut out[to..width - from];
                out.iter_mut().zip(&row[from..]).for_each(|(out, value)| *out += weight * value);
            }
        }
        let mut blurred = vec![0.0; width * height];
        for (at, out) in blurred.chunks_exact_mut(width).enumerate() {
            for (tap, weight) in self.taps.iter().enumerate() {
                let Some(row) = (at + tap).checked_sub(RADIUS).filter(|&row| row < height) else { continue };
                out.iter_mut().zip(&rows[row * width..]).for_each(|(out, value)| *out += weight * value);
            }
        }
        blurred
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{fixtures, pictures};

    #[test]
    fn it_equals_the_reference() {
        // losses.json of oracle/make_fixtures.py
        let numbers = fixtures::load("adversarial.safetensors");
        let picture = |name: &str, index: usize| {
            let size = 3 * 48 * 48;
            Planes::new(48, 48, numbers.get(name).values[index * size..][..size].to_vec())
        };
        for (index, expected) in [0.661_887_109_279_632_6, 0.624_585_866_928_100_6].into_iter().enumerate() {
            let similarity = ssim(&picture("fake", index), &picture("real", index));
            assert!((similarity - expected).abs() < 1e-5, "{similarity}, expected {expected}");
        }
    }

    #[test]
    fn equal_pictures_of_any_size_get_one() {
        for (width, height) in [(1, 1), (3, 20), (33, 7)] {
            let picture = Planes::new(width, height, pictures::picture(width, height));
            assert!((ssim(&picture, &picture) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn only_what_is_near_a_change_changes() {
        let truth = Planes::new(40, 40, pictures::picture(40, 40));
        let mut changed = truth.clone();
        changed.plane_mut(0)[20 * 40 + 20] += 0.5;
        let map = ssim_map(&changed, &truth);
        for (pixel, similarity) in map.iter().enumerate() {
            let near = (pixel % 40).abs_diff(20).max((pixel / 40).abs_diff(20)) <= RADIUS;
            assert_eq!((1.0 - similarity).abs() > 1e-12, near, "{pixel}: {similarity}");
        }
    }
}
