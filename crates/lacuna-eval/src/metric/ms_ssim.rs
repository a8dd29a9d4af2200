//! Multi-scale structural similarity (MS-SSIM).
//!
//! Wang, Simoncelli, Bovik 2003, "Multi-scale structural similarity for image quality assessment", with the paper's
//! weights, an 11 x 11 Gaussian of sigma 1.5 without padding, each channel separately, 2 x 2 averages between scales,
//! negative factors clamped to 0. Same as the package pytorch-msssim.

use lacuna::Planes;

use super::assert_same_size;
use super::ssim::{Blur, C1, C2};

/// Weights of the scales, finest first.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// The window must fit into the coarsest scale.
const SMALLEST_SIDE: usize = (2 * super::ssim::RADIUS + 1 - 1) * 16 + 1;

/// Mean over channels, 1 for equal images; `None` if a side is below 161 pixels.
///
/// # Panics
/// If the images have different sizes.
pub fn ms_ssim(picture: &Planes, truth: &Planes) -> Option<f64> {
    assert_same_size(picture, truth);
    if truth.width().min(truth.height()) < SMALLEST_SIDE {
        return None;
    }
    let colour = |colour: usize| {
        let scale = |planes: &Planes| Scale {
            width: planes.width(),
            height: planes.height(),
            values: planes.plane(colour).iter().map(|&value| f64::from(value)).collect(),
        };
        let (mut one, mut other) = (scale(picture), scale(truth));
        let mut product = 1.0;
        for (index, weight) in WEIGHTS.iter().enumerate() {
            let last = index + 1 == WEIGHTS.len();
            product *= similarity(&one, &other, last).max(0.0).powf(*weight);
            if !last {
                (one, other) = (one.halved(), other.halved());
            }
        }
        product
    };
    Some((0..3).map(colour).sum::<f64>() / 3.0)
}

/// One channel at one scale.
struct Scale {
    width: usize,
    height: usize,
    values: Vec<f64>,
}

impl Scale {
    /// Averages of 2 x 2 pixels; an odd side is padded with a line of zeros in front, as in pytorch-msssim.
    fn halved(&self) -> Self {
        let [width, height] = [self.width, self.height].map(|side| side.div_ceil(2));
        let value = |x: usize, y: usize| {
            let sum: f64 = [(0, 0), (1, 0), (0, 1), (1, 1)]
                .iter()
                .filter_map(|&(right, down)| {
                    let x = (2 * x + right).checked_sub(self.width % 2)?;
                    let y = (2 * y + down).checked_sub(self.height % 2)?;
                    Some(self.values[y * self.width + x])
                })
                .sum();
            sum / 4.0
        };
        let values = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(x, y));
        Self { width, height, values: values.collect() }
    }
}

/// Mean of contrast and structure where the window fits completely; the last scale includes luminance.
fn similarity(one: &Scale, other: &Scale, luminance: bool) -> f64 {
    let (width, height) = (one.width, one.height);
    let blur = Blur::new(width, height);
    let product = |a: &Scale, b: &Scale| -> Vec<f64> {
        blur.of(&a.values.iter().zip(&b.values).map(|(a, b)| a * b).collect::<Vec<_>>())
    };
    let (mean_one, mean_other) = (blur.of(&one.values), blur.of(&other.values));
    let (squares_one, squares_other, products) =
        (product(one, one), product(other, other), product(one, other));
    let border = super::ssim::RADIUS;
    let (mut sum, mut count) = (0.0, 0);
    for y in border..height - border {
        for x in border..width - border {
            let at = y * width + x;
            let (a, b) = (mean_one[at], mean_other[at]);
            let variances = squares_one[at] - a * a + squares_other[at] - b * b;
            let structure = (2.0 * (products[at] - a * b) + C2) / (variances + C2);
            let light = if luminance { (2.0 * a * b + C1) / (a * a + b * b + C1) } else { 1.0 };
            sum += structure * light;
            count += 1;
        }
    }
    sum / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::fixtures;

    const TOLERANCE: f64 = 1e-5;

    /// An image of the fixtures enlarged three times, without some of its last rows and columns.
    fn enlarged(name: &str, rows: usize, columns: usize) -> Planes {
        let picture = image::open(fixtures::path(&format!("metrics/{name}.png"))).unwrap().into_rgb8();
        let (width, height) = (3 * picture.width() as usize - columns, 3 * picture.height() as usize - rows);
        let value = |at: usize| {
            let (colour, y, x) = (at / (width * height), at / width % height, at % width);
            f32::from(picture.get_pixel(x as u32 / 3, y as u32 / 3).0[colour]) / 255.0
        };
        Planes::new(width, height, (0..3 * width * height).map(value).collect())
    }

    #[test]
    fn it_equals_the_reference() {
        // pytorch_msssim.ms_ssim(a, b, data_range=1.0) of pytorch-msssim 1.0.0, images repeated three times along both
        // axes.
        let cases = [
            ("ex_p0", 0, 0, 0.592_775_730_992_641_7),
            ("ex_p0", 3, 5, 0.601_774_545_774_623_5),
            ("ex_p1", 0, 0, 0.440_148_175_539_487_15),
            ("ex_p1", 3, 5, 0.422_102_101_490_240_2),
        ];
        for (name, rows, columns, expected) in cases {
            let value = ms_ssim(&enlarged(name, rows, columns), &enlarged("ex_ref", rows, columns)).unwrap();
            assert!((value - expected).abs() < TOLERANCE, "{name}, {rows}: {value}, expected {expected}");
        }
    }

    #[test]
    fn small_pictures_have_none() {
        let flat = |side| Planes::new(side, 200, vec![0.5; side * 600]);
        assert_eq!(ms_ssim(&flat(160), &flat(160)), None);
        assert_eq!(ms_ssim(&flat(161), &flat(161)), Some(1.0));
    }
}
