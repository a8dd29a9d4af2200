//! Roughness of the image around each known pixel: a channel that separates sand from sky when both have been averaged
//! to the same colour.
//!
//! Newson et al., "Non-Local Patch-Based Image Inpainting", IPOL 2017 (<https://doi.org/10.5201/ipol.2017.189>),
//! section 2.3: texture attributes, the mean absolute derivatives of the full-size image, are compared in addition to
//! colours. Differs from it in: one attribute, the sum of both derivatives, so that it fits into a pixel's fourth lane;
//! the window is fixed at full size and grows through the averaging of the pyramid.

use super::level::FULL_SCALE;
use crate::{Mask, Planes};
use rayon::prelude::*;

/// Radius of the window in pixels: the window has the size of a patch.
const REACH: usize = 3;

/// Amplitude weight of a difference in roughness relative to one in a colour. Newson et al. weight the squares of each
/// of two derivatives with 50; the sum of two derivatives is about twice as large.
const GAIN: f32 = 3.5;

/// Roughness on the scale of a pixel's channel, 0 inside the hole.
///
/// # Shapes
/// Result: `[height, width]`, in `[0, FULL_SCALE]`.
pub(super) fn of_known(image: &Planes, mask: &Mask) -> Vec<i16> {
    let (width, height) = (image.width(), image.height());
    // No number where there is none.
    let mut steep = vec![f32::NAN; width * height];
    steep.par_chunks_mut(width).enumerate().for_each(|(y, steep)| {
        for (x, steep) in steep.iter_mut().enumerate() {
            *steep = steepness(image, mask, x, y).unwrap_or(f32::NAN);
        }
    });
    let mut roughness = vec![0; width * height];
    roughness.par_chunks_mut(width).enumerate().for_each_init(
        || (vec![0.0; width], vec![0.0; width]),
        |(sums, counts), (y, roughness)| {
            sums.fill(0.0);
            counts.fill(0.0);
            let rows = y.saturating_sub(REACH)..(y + REACH + 1).min(height);
            for steep in steep[rows.start * width..rows.end * width].chunks_exact(width) {
                for ((sum, count), &steep) in sums.iter_mut().zip(&mut *counts).zip(steep) {
                    let counted = !steep.is_nan();
                    *sum += if counted { steep } else { 0.0 };
                    *count += if counted { 1.0 } else { 0.0 };
                }
            }
            for (x, roughness) in roughness.iter_mut().enumerate() {
                let window = x.saturating_sub(REACH)..(x + REACH + 1).min(width);
                let count: f32 = counts[window.clone()].iter().sum();
                if count > 0.0 && !mask.is_hole(x, y) {
                    let mean = sums[window].iter().sum::<f32>() / count;
                    *roughness = (mean * GAIN * FULL_SCALE).clamp(0.0, FULL_SCALE) as i16;
                }
            }
        },
    );
    roughness
}

/// The sum of absolute luminance differences to the right and lower neighbours, if all three are known.
fn steepness(image: &Planes, mask: &Mask, x: usize, y: usize) -> Option<f32> {
    let width = image.width();
    let index = y * width + x;
    let (right, lower) = (index + 1, index + width);
    let hole = mask.hole();
    if x + 1 == width || y + 1 == image.height() || hole[index] || hole[right] || hole[lower] {
        return None;
    }
    let luminance = |index| (0..3).map(|channel| image.plane(channel)[index]).sum::<f32>() / 3.0;
    let here = luminance(index);
    Some((luminance(right) - here).abs() + (luminance(lower) - here).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_has_its_slope_everywhere() {
        let plane = (0..20 * 20).map(|index| (index % 20) as f32 * 0.01);
        let values = plane.clone().chain(plane.clone()).chain(plane).collect();
        let mut hole = vec![false; 400];
        hole[210] = true;
        let roughness = of_known(&Planes::new(20, 20, values), &Mask::new(20, 20, hole.clone()));
        for (value, hole) in roughness.into_iter().zip(hole) {
            let expected = if hole { 0.0 } else { 0.01 * GAIN * FULL_SCALE };
            assert!((value as f32 - expected).abs() <= 1.0, "{value} instead of {expected}");
        }
    }

    #[test]
    fn one_pixel_has_none() {
        assert_eq!(of_known(&Planes::black(1, 1), &Mask::new(1, 1, vec![false])), [0]);
    }
}
