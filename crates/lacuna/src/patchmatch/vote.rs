//! What colour each missing pixel gets: the votes of the patches that cover it.
//!
//! Each patch votes for the pixel that its source has at this place, as in Wexler et al. (see `weights.rs`).
//! Rounds take the mean of the votes. The last vote is sharper, because a mean of different sources blurs: votes
//! for the same source pixel are counted together and raised to a power, so coherent majorities win.

use super::field::Field;
use super::level::{Level, Pixel};
use super::patch_map::{PATCH, PATCH_AREA};
use super::weights::Weights;
use rayon::prelude::*;

/// The power of the last vote. Higher ones are not blurred less visibly but show seams between sources.
const SHARPNESS: i32 = 3;

/// The patches' opinion of a picture.
pub(super) struct Votes<'a> {
    /// The picture they vote on.
    pub(super) level: &'a Level,
    /// What each patch has been matched with.
    pub(super) field: &'a Field,
    /// How much it counts.
    pub(super) weights: &'a Weights,
}

impl Votes<'_> {
    /// Calls `count` with source pixel and weight of each vote on the pixel at column `x`, row `y`.
    #[inline(always)]
    fn on(&self, x: usize, y: usize, mut count: impl FnMut(usize, f32)) {
        let (region, width) = (self.field.region, self.level.width);
        let targets = self.level.patches.targets();
        let columns = x.saturating_sub(PATCH - 1).max(region.x)..(x + 1).min(region.x + region.width);
        let rows = y.saturating_sub(PATCH - 1).max(region.y)..(y + 1).min(region.y + region.height);
        for patch_y in rows {
            for patch_x in columns.clone() {
                if targets[patch_y * width + patch_x] {
                    let index = (patch_y - region.y) * region.width + patch_x - region.x;
                    let source = self.field.matches[index].source(width);
                    count(source + (y - patch_y) * width + x - patch_x, self.weights.values[index]);
                }
            }
        }
    }

    /// The mean of the votes on the pixel at column `x`, row `y`, which patches must cover.
    #[inline(always)]
    fn mean(&self, x: usize, y: usize) -> Pixel {
        let (mut sums, mut total) = ([0.0; 4], 0.0);
        self.on(x, y, |source, weight| {
            for (sum, value) in sums.iter_mut().zip(self.level.pixels[source]) {
                *sum += weight * f32::from(value);
            }
            total += weight;
        });
        sums.map(|sum| (sum / total).round() as i16)
    }

    /// The last vote on the pixel at column `x`, row `y`, with the colours of `planes`; none if no patch covers it.
    fn sharp(&self, planes: [&[f32]; 3], x: usize, y: usize) -> Option<[f32; 3]> {
        let (mut sources, mut weights, mut count) = ([0; PATCH_AREA], [0.0; PATCH_AREA], 0);
        self.on(x, y, |source, weight| {
            let index = sources[..count].iter().rposition(|&known| known == source).unwrap_or(count);
            sources[index] = source;
            weights[index] += weight;
            count = count.max(index + 1);
        });
        // Relative to the largest weight, so that no power underflows.
        let largest = weights[..count].iter().copied().reduce(f32::max)?;
        let (mut sums, mut total) = ([0.0; 3], 0.0);
        for (&source, &weight) in sources.iter().zip(&weights).take(count) {
            let weight = (weight / largest).powi(SHARPNESS);
            for (sum, plane) in sums.iter_mut().zip(planes) {
                *sum += weight * plane[source];
            }
            total += weight;
        }
        Some(sums.map(|sum| sum / total))
    }

    /// The means on all pixels of `which`, beside the pixels' indices.
    ///
    /// # Shapes
    /// `which` takes a pixel index and may be true only inside the hole.
    pub(super) fn means(&self, which: impl Fn(usize) -> bool + Sync) -> Vec<Vec<(u32, Pixel)>> {
        self.by_row(|index, x, y| which(index).then(|| self.mean(x, y)))
    }

    /// The last votes on those pixels of `which` that patches cover, beside the pixels' indices.
    ///
    /// # Shapes
    /// `planes`: three of `[height, width]`; `which` takes column and row.
    pub(super) fn sharps(
        &self,
        planes: [&[f32]; 3],
        which: impl Fn(usize, usize) -> bool + Sync,
    ) -> Vec<Vec<(u32, [f32; 3])>> {
        self.by_row(|_, x, y| which(x, y).then(|| self.sharp(planes, x, y)).flatten())
    }

    fn by_row<T: Send>(&self, vote: impl Fn(usize, usize, usize) -> Option<T> + Sync) -> Vec<Vec<(u32, T)>> {
        let width = self.level.width;
        let rows = (0..self.level.height).into_par_iter().map(|y| {
            let row = (0..width).map(|x| (y * width + x, x));
            row.filter_map(|(index, x)| Some((index as u32, vote(index, x, y)?))).collect()
        });
        rows.collect()
    }
}

/// Gives every pixel of `which`, all inside the hole, the mean colour of its votes.
pub(super) fn repaint(
    level: &mut Level,
    field: &Field,
    weights: &Weights,
    which: impl Fn(&Level, usize) -> bool + Sync,
) {
    let means = Votes { level, field, weights }.means(|index| which(level, index));
    for (index, pixel) in means.into_iter().flatten() {
        level.pixels[index as usize] = pixel;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patchmatch::field::Match;
    use crate::{Mask, Planes};

    /// 40 x 7 pixels, one missing at column 20: 7 patches vote. Known pixels are their column's 1/40.
    fn level() -> Level {
        let values = (0..3 * 280).map(|index| (index % 40) as f32 / 40.0).collect();
        Level::finest(
            &Planes::new(40, 7, values),
            &Mask::new(40, 7, (0..280).map(|i| i == 3 * 40 + 20).collect()),
        )
    }

    /// All patches agree on column 10, except that the first votes for column 30.
    fn field(level: &Level) -> Field {
        let mut field = Field::random(level, 1);
        for (column, matched) in field.matches.iter_mut().enumerate() {
            // The patch at column 14 + c holds the hole at its column 6 - c.
            *matched = Match { x: (4 + column) as u16, y: 0, distance: 0 };
        }
        field.matches[0].x = 24;
        field
    }

    #[test]
    fn a_mean_counts_weights_and_the_last_vote_majorities() {
        let level = level();
        let field = field(&level);
        let weights = Weights { values: vec![2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0] };
        let votes = Votes { level: &level, field: &field, weights: &weights };
        let mean = votes.mean(20, 3)[0] as f32 / 2047.0;
        assert!((mean - (2.0 * 30.0 + 6.0 * 10.0) / 8.0 / 40.0).abs() < 1e-3, "{mean}");
        let plane: Vec<f32> = (0..280).map(|index| (index % 40) as f32).collect();
        let sharp = votes.sharp([&plane; 3], 20, 3).unwrap()[0];
        // Majorities 6 and 2, cubed: 27 to 1.
        assert!((sharp - (27.0 * 10.0 + 30.0) / 28.0).abs() < 1e-4, "{sharp}");
        assert_eq!(votes.sharp([&plane; 3], 30, 3), None);
    }

    #[test]
    fn only_chosen_pixels_are_painted() {
        let mut level = level();
        let field = field(&level);
        let weights = Weights { values: vec![1.0; 7] };
        let before = level.pixels.clone();
        repaint(&mut level, &field, &weights, |_, _| false);
        assert_eq!(level.pixels, before);
        repaint(&mut level, &field, &weights, |level, index| level.hole[index]);
        let changed = (0..280).filter(|&index| level.pixels[index] != before[index]).collect::<Vec<_>>();
        assert_eq!(changed, [3 * 40 + 20]);
    }
}
