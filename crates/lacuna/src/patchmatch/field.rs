//! The nearest-neighbour field: for every target patch the source that looks most like it.

use super::level::Level;
use super::patch_map::{PATCH, PatchMap};
use crate::{Rect, mask};
use rand::Rng;
use rand_pcg::Pcg32;
use rayon::prelude::*;

/// Rows that one task works on. Fixed, so that the result does not depend on the number of threads; matches
/// travel at most this far downwards in a pass plus one row across the border of two tasks.
pub(super) const TASK_ROWS: usize = 16;

/// Draws around an upsampled match that is not a source at the finer level, before one from anywhere.
const NEARBY_DRAWS: usize = 16;

/// How far these draws go, in pixels: half a patch, beyond which the surroundings differ.
const NEARBY: usize = PATCH / 2;

/// The best source known for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Match {
    /// Column of the source's top left corner.
    pub(super) x: u16,
    /// Its row.
    pub(super) y: u16,
    /// What the metric said of it when it was last compared.
    pub(super) distance: u32,
}

impl Match {
    /// Pixel index of the source's top left corner in a frame of this width.
    #[inline(always)]
    pub(super) fn source(self, width: usize) -> usize {
        self.y as usize * width + self.x as usize
    }
}

/// The smallest rectangle that holds all targets.
///
/// # Panics
/// If there is no target.
fn region_of(level: &Level) -> Rect {
    mask::bounds(level.width, level.patches.targets()).expect("a target")
}

/// A match for every target in the region. What other patches of the region hold means nothing.
///
/// # Shapes
/// `matches`: `[region.height, region.width]`.
pub(super) struct Field {
    /// The patches that have an entry.
    pub(super) region: Rect,
    pub(super) matches: Vec<Match>,
}

impl Field {
    /// Matches drawn uniformly from all sources.
    pub(super) fn random(level: &Level, seed: u64) -> Self {
        Self::from_guess(level, seed, |_, _, random| {
            let (x, y) = level.patches.draw(random);
            Match { x, y, distance: 0 }
        })
    }

    /// The field of the next coarser level brought to this one. Patches are matched by their centres; distances
    /// are the coarser ones, still good as weights.
    pub(super) fn refined(&self, coarse: &Level, level: &Level, seed: u64) -> Self {
        let parent = |position: usize, patches: usize| {
            ((position + PATCH / 2) / 2).saturating_sub(PATCH / 2).min(patches - 1)
        };
        Self::from_guess(level, seed, |x, y, random| {
            let (parent_x, parent_y) =
                (parent(x, coarse.patches.columns()), parent(y, coarse.patches.rows()));
            let matched = self.at(parent_x, parent_y);
            let x =
                (x + 2 * matched.x as usize).saturating_sub(2 * parent_x).min(level.patches.columns() - 1);
            let y = (y + 2 * matched.y as usize).saturating_sub(2 * parent_y).min(level.patches.rows() - 1);
            let (x, y) = if level.patches.is_source(x, y) {
                (x as u16, y as u16)
            } else {
                (0..NEARBY_DRAWS)
                    .find_map(|_| draw_near(&level.patches, (x, y), NEARBY, random))
                    .unwrap_or_else(|| level.patches.draw(random))
            };
            Match { x, y, distance: matched.distance }
        })
    }

    fn from_guess(
        level: &Level,
        seed: u64,
        guess: impl Fn(usize, usize, &mut Pcg32) -> Match + Sync,
    ) -> Self {
        let region = region_of(level);
        let mut matches = vec![Match::default(); region.width * region.height];
        matches.par_chunks_mut(TASK_ROWS * region.width).enumerate().for_each(|(task, matches)| {
            let mut random = Pcg32::new(seed, task as u64);
            for (row, matches) in matches.chunks_exact_mut(region.width).enumerate() {
                let y = region.y + task * TASK_ROWS + row;
                for (x, matched) in (region.x..).zip(matches) {
                    if level.patches.targets()[y * level.width + x] {
                        *matched = guess(x, y, &mut random);
                    }
                }
            }
        });
        Self { region, matches }
    }

    /// The match of the target at column `x`, row `y` of the frame.
    ///
    /// # Panics
    /// If the patch lies outside the region; targets never do.
    #[inline(always)]
    pub(super) fn at(&self, x: usize, y: usize) -> Match {
        self.matches[(y - self.region.y) * self.region.width + x - self.region.x]
    }
}

/// A patch of the frame drawn uniformly from those at most `radius` pixels from `centre` in each direction, if it
/// is a source; both (column, row).
#[inline(always)]
pub(super) fn draw_near(
    patches: &PatchMap,
    centre: (usize, usize),
    radius: usize,
    random: &mut Pcg32,
) -> Option<(u16, u16)> {
    // 16 bits a direction are enough: sides are at most 2^16 pixels.
    let bits = random.next_u32() as usize;
    let within = |centre: usize, end: usize, bits: usize| {
        let first = centre.saturating_sub(radius);
        first + ((bits * ((centre + radius + 1).min(end) - first)) >> 16)
    };
    let x = within(centre.0, patches.columns(), bits & 0xffff);
    let y = within(centre.1, patches.rows(), bits >> 16);
    patches.is_source(x, y).then_some((x as u16, y as u16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mask, Planes};

    fn level(width: usize, height: usize, hole: impl Fn(usize, usize) -> bool) -> Level {
        let hole = (0..width * height).map(|index| hole(index % width, index / width)).collect();
        Level::whole(&Planes::black(width, height), &Mask::new(width, height, hole))
    }

    #[test]
    fn the_region_holds_all_targets() {
        let level = level(40, 30, |x, y| x == 20 && (10..12).contains(&y));
        assert_eq!(region_of(&level), Rect { x: 14, y: 4, width: 7, height: 8 });
    }

    #[test]
    fn refined_matches_are_sources_at_twice_the_offset() {
        let fine = level(41, 37, |x, y| x > 35 && y > 20);
        let coarse = fine.halved();
        let field = Field::random(&coarse, 1);
        let refined = field.refined(&coarse, &fine, 2);
        let mut doubled = 0;
        for y in refined.region.y..refined.region.y + refined.region.height {
            for x in refined.region.x..refined.region.x + refined.region.width {
                if !fine.patches.targets()[y * 41 + x] {
                    continue;
                }
                let matched = refined.at(x, y);
                assert!(fine.patches.is_source(matched.x.into(), matched.y.into()));
                let parent =
                    (((x + 3) / 2).saturating_sub(3).min(14), ((y + 3) / 2).saturating_sub(3).min(12));
                let offset = field.at(parent.0, parent.1).x as i32 - parent.0 as i32;
                doubled += usize::from(matched.x as i32 - x as i32 == 2 * offset);
            }
        }
        assert!(doubled > refined.matches.len() / 2, "{doubled} of {}", refined.matches.len());
    }
}
