//! How different two patches are.

use super::level::Pixel;
use super::patch_map::{PATCH, PATCH_AREA};

/// A distance between a target and a source, both named by the pixel index of their top left corner.
pub(super) trait Metric: Sync {
    /// The distance, or any number of at least `limit` if it is not below.
    fn distance(&self, target: usize, source: usize, limit: u32) -> u32;
}

/// The sum of squared differences over all 49 pixels and 4 channels.
pub(super) struct WholePatch<'a> {
    /// `[height, width]` and one more.
    pub(super) pixels: &'a [Pixel],
    /// Pixels in a row.
    pub(super) width: usize,
}

impl Metric for WholePatch<'_> {
    #[inline(always)]
    fn distance(&self, target: usize, source: usize, limit: u32) -> u32 {
        let mut sum = 0;
        for row in 0..PATCH {
            let target = &self.pixels[target + row * self.width..][..PATCH];
            let source = &self.pixels[source + row * self.width..][..PATCH];
            sum += row_distance(target, source);
            if sum >= limit {
                break;
            }
        }
        sum
    }
}

#[inline(always)]
fn row_distance(target: &[Pixel], source: &[Pixel]) -> u32 {
    let mut sum = 0i32;
    for (&target, &source) in target.as_flattened().iter().zip(source.as_flattened()) {
        let difference = (target - source) as i32;
        sum += difference * difference;
    }
    sum as u32
}

/// The sum of squared differences over those pixels of the target that are filled already, scaled up to the
/// whole patch; 0 where none is.
pub(super) struct FilledPart<'a> {
    /// `[height, width]` and one more.
    pub(super) pixels: &'a [Pixel],
    /// Pixels in a row.
    pub(super) width: usize,
    /// `[height, width]`, `true` = known or filled.
    pub(super) filled: &'a [bool],
}

impl FilledPart<'_> {
    /// How many pixels of a patch are filled, `0..=49`.
    pub(super) fn count(&self, patch: usize) -> usize {
        let rows = (0..PATCH).map(|row| &self.filled[patch + row * self.width..][..PATCH]);
        rows.flatten().filter(|&&filled| filled).count()
    }
}

impl Metric for FilledPart<'_> {
    #[inline(always)]
    fn distance(&self, target: usize, source: usize, _limit: u32) -> u32 {
        let (mut sum, mut count) = (0u64, 0u64);
        for row in 0..PATCH {
            let (target, source) = (target + row * self.width, source + row * self.width);
            for column in 0..PATCH {
                if self.filled[target + column] {
                    let pixels = [&self.pixels[target + column..][..1], &self.pixels[source + column..][..1]];
                    sum += row_distance(pixels[0], pixels[1]) as u64;
                    count += 1;
                }
            }
        }
        (sum * PATCH_AREA as u64 / count.max(1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 x 7 pixels; the patches at columns 0 and 10 differ by `step` in every lane.
    fn two_patches(step: i16) -> Vec<Pixel> {
        (0..20 * 7 + 1).map(|index| [if index % 20 < 10 { 0 } else { step }; 4]).collect()
    }

    #[test]
    fn the_largest_distance_fits() {
        let pixels = two_patches(2047);
        let metric = WholePatch { pixels: &pixels, width: 20 };
        assert_eq!(metric.distance(0, 10, u32::MAX), 4 * 49 * 2047 * 2047);
        assert_eq!(metric.distance(0, 1, u32::MAX), 0);
        assert!(metric.distance(0, 10, 5) >= 5);
    }

    #[test]
    fn only_filled_pixels_count() {
        let mut pixels = two_patches(3);
        let mut filled = vec![true; pixels.len()];
        pixels[20] = [1000; 4];
        filled[20] = false;
        let metric = FilledPart { pixels: &pixels, width: 20, filled: &filled };
        assert_eq!(metric.distance(0, 10, u32::MAX), 4 * 49 * 9);
        assert_eq!(metric.count(0), 48);
    }
}
