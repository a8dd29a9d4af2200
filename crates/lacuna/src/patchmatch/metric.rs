//! Distances between patches.

use super::level::Pixel;
use super::patch_map::{PATCH, PATCH_AREA};
use lacuna_cpu::squares::{Row, Squares};

/// A distance between targets and sources. Patches are identified by the pixel index of their top left corner.
pub(super) trait Metric: Sync {
    /// Data of a target that is gathered once for all its comparisons.
    type Target;

    /// Gathers it.
    fn target(&self, patch: usize) -> Self::Target;

    /// The distance, or any value of at least `limit` if the distance is not below it.
    fn distance<S: Squares>(&self, squares: S, target: &Self::Target, source: usize, limit: u32) -> u32;
}

/// After so many rows a distance may be known to be too large.
const ROWS_FIRST: usize = 3;

/// The sum of squared differences over all 49 pixels and 4 channels.
pub(super) struct WholePatch<'a> {
    /// `[height, width]`.
    pub(super) pixels: &'a [Pixel],
    /// Pixels in a row.
    pub(super) width: usize,
}

impl Metric for WholePatch<'_> {
    type Target = usize;

    #[inline(always)]
    fn target(&self, patch: usize) -> usize {
        patch
    }

    #[inline(always)]
    fn distance<S: Squares>(&self, squares: S, &target: &usize, source: usize, limit: u32) -> u32 {
        let mut sums = squares.none();
        for row in 0..PATCH {
            if row == ROWS_FIRST && squares.total(sums) >= limit {
                break;
            }
            let target = row_of(self.pixels, target + row * self.width);
            let source = row_of(self.pixels, source + row * self.width);
            sums = squares.add(sums, target, source);
        }
        squares.total(sums)
    }
}

/// The weight of the guide's distance is one over this. With the default network, LPIPS (VGG) of 100 crops of held-out
/// training photos with thick holes is 0.1409 with a quarter and 0.1400 with a half; L1 in the hole is 0.1177 and 0.1150.
const GUIDE_SHARE: u64 = 2;

/// A metric, plus the distance of a guide at the same positions, which is compared in every `STEP`th row of a patch.
pub(super) struct Guided<'a, M, const STEP: usize> {
    /// The metric on the image.
    pub(super) metric: &'a M,
    /// `[height, width]`.
    pub(super) guide: &'a [Pixel],
    /// Pixels in a row.
    pub(super) width: usize,
}

impl<M, const STEP: usize> Guided<'_, M, STEP> {
    /// Rows of the guide that are compared.
    const ROWS: usize = PATCH.div_ceil(STEP);
}

impl<M: Metric, const STEP: usize> Metric for Guided<'_, M, STEP> {
    type Target = (usize, M::Target);

    #[inline(always)]
    fn target(&self, patch: usize) -> Self::Target {
        (patch, self.metric.target(patch))
    }

    #[inline(always)]
    fn distance<S: Squares>(
        &self,
        squares: S,
        (patch, target): &Self::Target,
        source: usize,
        limit: u32,
    ) -> u32 {
        let mut sums = squares.none();
        for row in 0..Self::ROWS {
            let row = row * STEP * self.width;
            sums = squares.add(sums, row_of(self.guide, patch + row), row_of(self.guide, source + row));
        }
        let guide = u64::from(squares.total(sums)) * PATCH as u64 / (Self::ROWS as u64 * GUIDE_SHARE);
        let guide = guide as u32;
        if guide >= limit {
            limit
        } else {
            guide + self.metric.distance(squares, target, source, limit - guide)
        }
    }
}

/// One row of a patch, pixel by pixel.
#[inline(always)]
fn row_of(pixels: &[Pixel], start: usize) -> &Row {
    pixels[start..start + PATCH].as_flattened().try_into().expect("four channels a pixel")
}

/// The sum of squared differences over the filled pixels of the target, scaled to the whole patch; 0 if none is filled.
pub(super) struct FilledPart<'a> {
    /// `[height, width]`.
    pub(super) pixels: &'a [Pixel],
    /// Pixels in a row.
    pub(super) width: usize,
    /// `[height, width]`, `true` = known or filled.
    pub(super) filled: &'a [bool],
}

impl FilledPart<'_> {
    /// Number of filled pixels in a patch, `0..=49`.
    pub(super) fn count(&self, patch: usize) -> usize {
        let rows = (0..PATCH).map(|row| &self.filled[patch + row * self.width..][..PATCH]);
        rows.flatten().filter(|&&filled| filled).count()
    }
}

/// A target's pixels, the mask of those that count, and their number.
pub(super) struct FilledTarget {
    rows: [Row; PATCH],
    /// All bits set for pixels that count, none for others.
    counted: [Row; PATCH],
    count: u64,
}

impl Metric for FilledPart<'_> {
    type Target = FilledTarget;

    #[inline(always)]
    fn target(&self, patch: usize) -> FilledTarget {
        let rows = std::array::from_fn(|row| *row_of(self.pixels, patch + row * self.width));
        let counted = std::array::from_fn(|row| {
            let filled = &self.filled[patch + row * self.width..][..PATCH];
            std::array::from_fn(|lane| -i16::from(filled[lane / 4]))
        });
        FilledTarget { rows, counted, count: self.count(patch) as u64 }
    }

    #[inline(always)]
    fn distance<S: Squares>(&self, squares: S, target: &FilledTarget, source: usize, limit: u32) -> u32 {
        let limit = u64::from(limit) * target.count / PATCH_AREA as u64;
        let mut sums = squares.none();
        for (row, (values, counted)) in target.rows.iter().zip(&target.counted).enumerate() {
            if row == ROWS_FIRST && u64::from(squares.total(sums)) > limit {
                break;
            }
            sums = squares.add_where(sums, values, row_of(self.pixels, source + row * self.width), counted);
        }
        (u64::from(squares.total(sums)) * PATCH_AREA as u64 / target.count.max(1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_cpu::Isa;
    use lacuna_cpu::squares::{Task, dispatch};

    /// A distance with the best instructions of this machine.
    fn distance<M: Metric>(metric: &M, target: &M::Target, source: usize, limit: u32) -> u32 {
        struct Distance<'a, M: Metric>(&'a M, &'a M::Target, usize, u32);
        impl<M: Metric> Task for Distance<'_, M> {
            type Output = u32;

            #[inline(always)]
            fn run<S: Squares>(self, squares: S) -> u32 {
                self.0.distance(squares, self.1, self.2, self.3)
            }
        }
        dispatch(Isa::best(), Distance(metric, target, source, limit))
    }

    /// 20 x 7 pixels; the patches at columns 0 and 10 differ by `step` in every lane.
    fn two_patches(step: i16) -> Vec<Pixel> {
        (0..20 * 7).map(|index| [if index % 20 < 10 { 0 } else { step }; 4]).collect()
    }

    #[test]
    fn the_largest_distance_fits() {
        let pixels = two_patches(2047);
        let metric = WholePatch { pixels: &pixels, width: 20 };
        assert_eq!(distance(&metric, &0, 10, u32::MAX), 4 * 49 * 2047 * 2047);
        assert_eq!(distance(&metric, &0, 1, u32::MAX), 0);
        assert!(distance(&metric, &0, 10, 5) >= 5);
    }

    #[test]
    fn a_guide_counts_half_whatever_rows_are_compared() {
        let (pixels, guide) = (two_patches(0), two_patches(6));
        let metric = WholePatch { pixels: &pixels, width: 20 };
        let whole = Guided::<_, 1> { metric: &metric, guide: &guide, width: 20 };
        let third = Guided::<_, 3> { metric: &metric, guide: &guide, width: 20 };
        let expected = 4 * 49 * 36 / 2;
        assert_eq!(distance(&whole, &whole.target(0), 10, u32::MAX), expected);
        assert_eq!(distance(&third, &third.target(0), 10, u32::MAX), expected);
        assert!(distance(&third, &third.target(0), 10, 100) >= 100);
    }

    #[test]
    fn only_filled_pixels_count() {
        let mut pixels = two_patches(3);
        let mut filled = vec![true; pixels.len()];
        pixels[20] = [1000; 4];
        filled[20] = false;
        let metric = FilledPart { pixels: &pixels, width: 20, filled: &filled };
        assert_eq!(distance(&metric, &metric.target(0), 10, u32::MAX), 4 * 49 * 9);
        assert!(distance(&metric, &metric.target(0), 10, 100) >= 100);
        assert_eq!(metric.count(0), 48);
        let metric = FilledPart { pixels: &pixels, width: 20, filled: &[false; 140] };
        assert_eq!(distance(&metric, &metric.target(0), 10, u32::MAX), 0);
    }
}
