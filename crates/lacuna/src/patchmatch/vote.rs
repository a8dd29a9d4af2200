//! What colour each missing pixel gets: the votes of the patches that cover it.
//!
//! Each patch votes for the pixel that its source has at this place, as in Wexler et al. (see `weights.rs`).
//! Rounds take the mean of the votes. The last vote is sharper, because a mean of different sources blurs: votes
//! for the same source pixel are counted together and raised to a power, so coherent majorities win.

use super::field::Field;
use super::level::{Level, Pixel};
use super::patch_map::{PATCH, PATCH_AREA};
use super::weights::Weights;
use crate::Rect;
use rayon::prelude::*;

/// The power of the last vote. Higher ones are not blurred less visibly but show seams between sources.
const SHARPNESS: i32 = 3;

/// The votes on one pixel by source pixel.
struct Ballot {
    sources: [usize; PATCH_AREA],
    weights: [f32; PATCH_AREA],
    count: usize,
}

impl Ballot {
    fn new() -> Self {
        Self { sources: [0; PATCH_AREA], weights: [0.0; PATCH_AREA], count: 0 }
    }

    fn add(&mut self, source: usize, weight: f32) {
        let known = self.sources[..self.count].iter().rposition(|&known| known == source);
        let index = known.unwrap_or(self.count);
        self.sources[index] = source;
        self.weights[index] += weight;
        self.count = self.count.max(index + 1);
    }

    /// The sharp mean of `value`, which takes a source's pixel index; none without votes.
    fn elect(&self, value: impl Fn(usize) -> [f32; 3]) -> Option<[f32; 3]> {
        // Relative to the largest weight, so that no power underflows.
        let largest = self.weights[..self.count].iter().copied().reduce(f32::max)?;
        let (mut sums, mut total) = ([0.0; 3], 0.0);
        for (&source, &weight) in self.sources.iter().zip(&self.weights).take(self.count) {
            let weight = (weight / largest).powi(SHARPNESS);
            for (sum, value) in sums.iter_mut().zip(value(source)) {
                *sum += weight * value;
            }
            total += weight;
        }
        Some(sums.map(|sum| sum / total))
    }
}

/// One vote: the source pixel, the patch's weight, and where in the patch the pixel lies.
struct Vote {
    source: usize,
    weight: f32,
    column: usize,
    row: usize,
}

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
    /// Calls `count` with each vote on the pixel at column `x`, row `y`.
    #[inline(always)]
    fn on(&self, x: usize, y: usize, mut count: impl FnMut(Vote)) {
        let (region, width) = (self.field.region, self.level.width);
        let targets = self.level.patches.targets();
        let columns = x.saturating_sub(PATCH - 1).max(region.x)..(x + 1).min(region.x + region.width);
        let rows = y.saturating_sub(PATCH - 1).max(region.y)..(y + 1).min(region.y + region.height);
        for patch_y in rows {
            for patch_x in columns.clone() {
                if targets[patch_y * width + patch_x] {
                    let index = (patch_y - region.y) * region.width + patch_x - region.x;
                    let (column, row) = (x - patch_x, y - patch_y);
                    let source = self.field.matches[index].source(width) + row * width + column;
                    count(Vote { source, weight: self.weights.values[index], column, row });
                }
            }
        }
    }

    /// The mean of the votes on the pixel at column `x`, row `y`, which patches must cover.
    #[inline(always)]
    fn mean(&self, x: usize, y: usize) -> Pixel {
        let (mut sums, mut total) = ([0.0; 4], 0.0);
        self.on(x, y, |vote| {
            for (sum, value) in sums.iter_mut().zip(self.level.pixels[vote.source]) {
                *sum += vote.weight * f32::from(value);
            }
            total += vote.weight;
        });
        sums.map(|sum| (sum / total).round() as i16)
    }

    /// The last vote on the pixel at column `x`, row `y`, with the colours of `planes`, three of
    /// `[height, width]`; none if no patch covers it.
    pub(super) fn colour(&self, planes: [&[f32]; 3], x: usize, y: usize) -> Option<[f32; 3]> {
        let mut ballot = Ballot::new();
        self.on(x, y, |vote| ballot.add(vote.source, vote.weight));
        ballot.elect(|source| planes.map(|plane| plane[source]))
    }

    /// By how much the colour should rise from the pixel at column `x`, row `y` to its right and to its lower
    /// neighbour; none where no patch covers both.
    pub(super) fn steps(&self, planes: [&[f32]; 3], x: usize, y: usize) -> [Option<[f32; 3]>; 2] {
        let (mut right, mut down) = (Ballot::new(), Ballot::new());
        self.on(x, y, |vote| {
            if vote.column + 1 < PATCH {
                right.add(vote.source, vote.weight);
            }
            if vote.row + 1 < PATCH {
                down.add(vote.source, vote.weight);
            }
        });
        let width = self.level.width;
        [(right, 1), (down, width)].map(|(ballot, step)| {
            ballot.elect(|source| planes.map(|plane| plane[source + step] - plane[source]))
        })
    }
}

/// What `vote` says of each pixel of a window in a frame of this width, by index, column and row; rows in parallel, in their
/// order.
pub(super) fn by_row<T: Send>(
    width: usize,
    window: Rect,
    vote: impl Fn(usize, usize, usize) -> Option<T> + Sync,
) -> Vec<Box<[(u32, T)]>> {
    let rows = (window.y..window.bottom()).into_par_iter().map(|y| {
        let row = (window.x..window.right()).map(|x| (y * width + x, x));
        row.filter_map(|(index, x)| Some((index as u32, vote(index, x, y)?))).collect()
    });
    rows.collect()
}

/// Gives every pixel of `which`, all inside the hole, the mean colour of its votes.
pub(super) fn repaint(
    level: &mut Level,
    field: &Field,
    weights: &Weights,
    which: impl Fn(&Level, usize) -> bool + Sync,
) {
    let votes = Votes { level, field, weights };
    let means =
        by_row(level.width, level.bounds, |index, x, y| which(level, index).then(|| votes.mean(x, y)));
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
        Level::whole(
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
        let sharp = votes.colour([&plane; 3], 20, 3).unwrap()[0];
        // Majorities 6 and 2, cubed: 27 to 1.
        assert!((sharp - (27.0 * 10.0 + 30.0) / 28.0).abs() < 1e-4, "{sharp}");
        assert_eq!(votes.colour([&plane; 3], 30, 3), None);
        assert_eq!(votes.steps([&plane; 3], 20, 3), [Some([1.0; 3]), Some([0.0; 3])]);
        assert_eq!(votes.steps([&plane; 3], 26, 3)[0], None);
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
