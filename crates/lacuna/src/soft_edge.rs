//! Measures how far the soft edge of an object reaches beyond its mask.
//!
//! The pixels around the hole are grouped into rings by their distance from it. Where the object's edge lies, the gradient from
//! one ring to the next is steeper than the gradient of the surroundings.

use crate::{Mask, Picture};

/// The largest growth of a hole in pixels. In photos of 12 megapixels, edges of objects are up to 10 pixels wide.
pub(crate) const MOST_GROWTH: u32 = 16;

/// Distance of the last ring in pixels. The rings beyond [`MOST_GROWTH`] represent the surroundings.
const FARTHEST: usize = 32;

/// The gradient of a ring is this quantile of its pixels' gradients, so that an edge along a quarter of the ring counts.
const FRACTION: f64 = 0.75;

/// The smallest ratio of an edge's gradient to that of the surroundings.
const STEEPER: f32 = 1.5;

/// The smallest difference between them, on a scale of 0 to 1: two steps of 8 bits.
const LEAST_STEP: f32 = 2.0 / 255.0;

/// Bins of the histogram of gradients, which range from 0 to 1.
const STEPS: usize = 1024;

/// The growth in pixels after which the hole contains the soft edge of its object, at most [`MOST_GROWTH`]; 0 if there is no
/// such edge.
pub(crate) fn soft_edge(picture: &Picture, mask: &Mask) -> u32 {
    let gradients = gradients(picture, mask);
    let (near, far) = gradients.split_at(MOST_GROWTH as usize);
    let mut far: Vec<f32> = far.iter().flatten().copied().collect();
    if far.is_empty() {
        return 0;
    }
    far.sort_by(f32::total_cmp);
    let surroundings = far[far.len() / 2];
    let edge = (STEEPER * surroundings).max(surroundings + LEAST_STEP);
    let is_edge = |gradient: &Option<f32>| gradient.is_some_and(|gradient| gradient > edge);
    near.iter().rposition(is_edge).map_or(0, |index| index as u32 + 1)
}

/// The gradient from each ring to the next, for distances from 1 to [`FARTHEST`]; `None` for rings without pixels.
fn gradients(picture: &Picture, mask: &Mask) -> Vec<Option<f32>> {
    let Some(bounds) = mask.bounds() else { return vec![None; FARTHEST] };
    let window = bounds.grown(FARTHEST + 1, mask.width(), mask.height());
    let distances = mask.squared_distances(window);
    let mut counts = vec![[0u32; STEPS]; FARTHEST];
    for y in 0..window.height {
        for x in 0..window.width {
            let here = y * window.width + x;
            let ring = distances[here].sqrt().round() as usize;
            if ring == 0 || ring > FARTHEST {
                continue;
            }
            // The neighbour with the largest distance from the hole.
            let neighbours = [
                (x > 0).then(|| (x - 1, y)),
                (x + 1 < window.width).then_some((x + 1, y)),
                (y > 0).then(|| (x, y - 1)),
                (y + 1 < window.height).then_some((x, y + 1)),
            ];
            let distance = |&(x, y): &(usize, usize)| distances[y * window.width + x];
            let outer = neighbours.into_iter().flatten().max_by(|a, b| distance(a).total_cmp(&distance(b)));
            let Some(outer) = outer.filter(|outer| distance(outer) > distances[here]) else { continue };
            let [inner, outer] = [(x, y), outer].map(|(x, y)| picture.colour(window.x + x, window.y + y));
            let step = (0..3).map(|c| (inner[c] - outer[c]).abs()).sum::<f32>() / 3.0;
            counts[ring - 1][((step * STEPS as f32) as usize).min(STEPS - 1)] += 1;
        }
    }
    counts.iter().map(quantile).collect()
}

/// The quantile [`FRACTION`] of a histogram of gradients; `None` if it is empty.
fn quantile(counts: &[u32; STEPS]) -> Option<f32> {
    let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    let rank = (total as f64 * FRACTION) as u64;
    let mut below = 0;
    let step = counts.iter().position(|&count| {
        below += u64::from(count);
        below > rank
    })?;
    Some(step as f32 / STEPS as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Format;
    use image::{DynamicImage, ImageBuffer, Rgb};

    const SIDE: u32 = 200;

    fn distance(x: u32, y: u32) -> f32 {
        (x as f32 - 100.0).hypot(y as f32 - 100.0)
    }

    /// A dark disc of radius 40 whose edge fades into `ground` over `width` pixels.
    fn photo(width: f32, ground: impl Fn(u32, u32) -> f32) -> Picture {
        let pixels = ImageBuffer::from_fn(SIDE, SIDE, |x, y| {
            let inside = (1.0 - (distance(x, y) - 40.0) / width.max(0.01)).clamp(0.0, 1.0);
            let ground = ground(x, y);
            Rgb([(ground + inside * (40.0 - ground)).round() as u8; 3])
        });
        Picture::from_pixels("a", DynamicImage::ImageRgb8(pixels), Format::Png)
    }

    fn disc(radius: f32) -> Mask {
        let side = SIDE as usize;
        let inside = |i: usize| distance((i % side) as u32, (i / side) as u32) <= radius;
        Mask::new(side, side, (0..side * side).map(inside).collect())
    }

    fn noise(x: u32, y: u32) -> f32 {
        let bits = (x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0x2c1b_3c6d);
        180.0 + (bits >> 26) as f32 / 2.0
    }

    #[test]
    fn a_soft_edge_is_measured() {
        for width in [3, 6, 10] {
            let growth = soft_edge(&photo(width as f32, |_, _| 200.0), &disc(40.0));
            assert!(growth.abs_diff(width) <= 1, "{growth} for an edge of {width}");
        }
        // Noise hides an edge that is as flat as the noise is rough.
        for width in [3, 6] {
            let growth = soft_edge(&photo(width as f32, noise), &disc(40.0));
            assert!(growth.abs_diff(width) <= 2, "{growth} for an edge of {width} before noise");
        }
    }

    #[test]
    fn a_mask_that_is_too_small_grows_over_the_rest() {
        let growth = soft_edge(&photo(1.0, |_, _| 200.0), &disc(35.0));
        assert!((5..=7).contains(&growth), "{growth}");
    }

    #[test]
    fn without_an_edge_nothing_grows() {
        assert_eq!(soft_edge(&photo(0.0, |_, _| 200.0), &disc(41.5)), 0, "drawn right");
        assert_eq!(soft_edge(&photo(0.0, noise), &disc(41.5)), 0, "before noise");
        let plain = photo(0.0, |x, y| ((x + y) / 2) as f32);
        assert_eq!(soft_edge(&plain, &disc(60.0)), 0, "a ramp");
        let side = SIDE as usize;
        assert_eq!(soft_edge(&plain, &Mask::new(side, side, vec![false; side * side])), 0, "no hole");
        let all_but_one = Mask::new(side, side, (0..side * side).map(|i| i > 0).collect());
        assert_eq!(soft_edge(&plain, &all_but_one), 0, "nothing around");
    }
}
