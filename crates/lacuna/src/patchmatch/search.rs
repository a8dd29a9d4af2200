//! One pass of the correspondence search.
//!
//! Barnes et al., "PatchMatch: A Randomized Correspondence Algorithm for Structural Image Editing", SIGGRAPH 2009
//! (<https://doi.org/10.1145/1531326.1531330>), section 3.2: a match is tried on the next patch (propagation),
//! then sources at random in a window that halves around the best (random search).
//! Differs from it in: rows are cut into fixed tasks. The row before a task is read as it was before the pass,
//! and each task has its own random numbers, so the result does not depend on the number of threads.

use super::field::{Field, Match, TASK_ROWS, draw_near};
use super::level::Level;
use super::metric::{Guided, Metric};
use crate::Rect;
use lacuna_cpu::Isa;
use lacuna_cpu::squares::{Squares, Task, dispatch};
use rand_pcg::Pcg32;
use rayon::prelude::*;

/// A fresh seed for every pass and field of one completion.
pub(super) struct Seeds(u64);

impl Seeds {
    /// Seeds that follow from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next seed: the steps of splitmix64 (Steele et al. 2014), which never meet for two near seeds.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// In which order a pass visits the patches, and so from where matches come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// From the top left corner: from the left and from above.
    Forward,
    /// From the bottom right corner: from the right and from below.
    Backward,
}

/// Where a search looks.
pub(super) struct Scope<'a> {
    /// Which targets look for a match, by pixel index of their top left corner.
    pub(super) active: &'a [bool],
    /// Radius in pixels of the first window of the random search.
    pub(super) radius: usize,
    /// Passes in both directions.
    pub(super) pairs: usize,
}

/// In large levels the guide is compared in every third row of a patch: there it is smooth. In small ones, too, LPIPS (VGG) of 184
/// crops of 256 x 256 with thick holes would rise by 0.0006 (95 %: 0.0000 to 0.0011).
const STEP_WHERE_SMOOTH: usize = 3;

/// Looks for better matches by a metric, and by the level's guide if it has one.
pub(super) fn search(
    level: &Level,
    metric: &impl Metric,
    scope: &Scope<'_>,
    field: &mut Field,
    seeds: &mut Seeds,
) {
    match &level.guide {
        Some(guide) if level.is_large() => {
            let guided = Guided::<_, STEP_WHERE_SMOOTH> { metric, guide, width: level.width };
            passes(level, &guided, scope, field, seeds);
        }
        Some(guide) => {
            passes(level, &Guided::<_, 1> { metric, guide, width: level.width }, scope, field, seeds);
        }
        None => passes(level, metric, scope, field, seeds),
    }
}

fn passes(
    level: &Level,
    metric: &impl Metric,
    &Scope { active, radius, pairs }: &Scope<'_>,
    field: &mut Field,
    seeds: &mut Seeds,
) {
    for order in [Order::Forward, Order::Backward].into_iter().cycle().take(2 * pairs) {
        Pass { level, metric, active, order, radius, seed: seeds.next() }.run(field);
    }
}

/// One pass over the targets.
struct Pass<'a, M> {
    /// Where the patches are.
    level: &'a Level,
    /// How they are compared.
    metric: &'a M,
    /// Which targets look for a match, by pixel index of their top left corner.
    active: &'a [bool],
    /// Direction of propagation.
    order: Order,
    /// Radius in pixels of the first window of the random search.
    radius: usize,
    /// Of this pass.
    seed: u64,
}

impl<M: Metric> Pass<'_, M> {
    /// Compares every active target's match again and looks for a better one.
    fn run(&self, field: &mut Field) {
        let region = field.region;
        let task_len = TASK_ROWS * region.width;
        let borders = self.borders(field);
        // A request that this machine cannot meet is refused where networks run; here all sets give the same.
        let isa = Isa::selected().unwrap_or(Isa::best());
        field.matches.par_chunks_mut(task_len).enumerate().for_each(|(task, matches)| {
            let random = Pcg32::new(self.seed, task as u64);
            let top = region.y + task * TASK_ROWS;
            dispatch(
                isa,
                Scan { pass: self, region, top, matches, border: borders[task].as_deref(), random },
            );
        });
    }

    /// For each task the row that comes before it in this order, as it is now.
    fn borders(&self, field: &Field) -> Vec<Option<Vec<Match>>> {
        let (width, height) = (field.region.width, field.region.height);
        let row_before = |first: usize| match self.order {
            Order::Forward => first.checked_sub(1),
            Order::Backward => Some(first + TASK_ROWS).filter(|&row| row < height),
        };
        let row = |row: usize| field.matches[row * width..(row + 1) * width].to_vec();
        (0..height).step_by(TASK_ROWS).map(|first| row_before(first).map(row)).collect()
    }
}

/// The visit of a task's rows.
struct Scan<'a, 'b, M> {
    pass: &'a Pass<'b, M>,
    region: Rect,
    /// The first row in the frame.
    top: usize,
    matches: &'a mut [Match],
    /// The row before it.
    border: Option<&'a [Match]>,
    random: Pcg32,
}

impl<M: Metric> Task for Scan<'_, '_, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Squares>(self, squares: S) {
        let Self { pass, region, top, matches, border, mut random } = self;
        let (width, rows) = (region.width, matches.len() / region.width);
        let targets = pass.level.patches.targets();
        for step in 0..rows {
            let row = if pass.order == Order::Forward { step } else { rows - 1 - step };
            for step in 0..width {
                let column = if pass.order == Order::Forward { step } else { width - 1 - step };
                let (x, y) = (region.x + column, top + row);
                if !pass.active[y * pass.level.width + x] {
                    continue;
                }
                // The neighbours visited before, if they are targets: what a source holds is no match.
                let (beside, previous, along) = match pass.order {
                    Order::Forward => (column.checked_sub(1), row.checked_sub(1), 1),
                    Order::Backward => (
                        Some(column + 1).filter(|&column| column < width),
                        Some(row + 1).filter(|&row| row < rows),
                        -1,
                    ),
                };
                let target = y * pass.level.width + x;
                let beside = beside
                    .filter(|_| targets[target.wrapping_add_signed(-along)])
                    .map(|column| matches[row * width + column]);
                let before = match previous {
                    Some(row) => Some(matches[row * width + column]),
                    None => border.map(|border| border[column]),
                };
                let before = before
                    .filter(|_| targets[target.wrapping_add_signed(-along * pass.level.width as isize)]);
                let index = row * width + column;
                matches[index] =
                    pass.best(squares, matches[index], (x, y), along, [beside, before], &mut random);
            }
        }
    }
}

impl<M: Metric> Pass<'_, M> {
    /// The best match for the target at `place` (column, row): the present one, those of the neighbours
    /// `[beside, before]` moved `along` by one pixel, and random ones.
    #[inline(always)]
    fn best<S: Squares>(
        &self,
        squares: S,
        present: Match,
        place: (usize, usize),
        along: isize,
        neighbours: [Option<Match>; 2],
        random: &mut Pcg32,
    ) -> Match {
        let (width, patches) = (self.level.width, &self.level.patches);
        let target = self.metric.target(place.1 * width + place.0);
        let mut best = present;
        best.distance = self.metric.distance(squares, &target, present.source(width), u32::MAX);
        for (neighbour, (right, down)) in neighbours.into_iter().zip([(along, 0), (0, along)]) {
            let Some(neighbour) = neighbour else { continue };
            let x = (neighbour.x as usize).wrapping_add_signed(right);
            let y = (neighbour.y as usize).wrapping_add_signed(down);
            if patches.is_source(x, y) {
                self.try_source(squares, &target, (x as u16, y as u16), &mut best);
            }
        }
        let mut radius = self.radius;
        while radius > 0 {
            if let Some((x, y)) = draw_near(patches, (best.x.into(), best.y.into()), radius, random) {
                self.try_source(squares, &target, (x, y), &mut best);
            }
            radius /= 2;
        }
        best
    }

    /// Takes the source at column `x`, row `y` if it is better.
    #[inline(always)]
    fn try_source<S: Squares>(&self, squares: S, target: &M::Target, (x, y): (u16, u16), best: &mut Match) {
        if (x, y) != (best.x, best.y) {
            let tried = Match { x, y, distance: 0 };
            let source = tried.source(self.level.width);
            let distance = self.metric.distance(squares, target, source, best.distance);
            if distance < best.distance {
                *best = Match { distance, ..tried };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patchmatch::metric::WholePatch;
    use crate::{Mask, Planes};

    /// 64 x 64 pixels of noise whose right half repeats the left; the hole is in the right half and holds what
    /// the left has.
    fn repeated() -> Level {
        let noise = |x: usize, y: usize| ((x % 32 * 7919 + y * 104_729) % 4093) as f32 / 4093.0;
        let values = (0..3 * 64 * 64).map(|index| noise(index % 64, index / 64 % 64)).collect();
        let hole =
            (0..64 * 64).map(|index| (42..52).contains(&(index % 64)) && (20..30).contains(&(index / 64)));
        let mut level = Level::whole(&Planes::new(64, 64, values), &Mask::new(64, 64, hole.collect()));
        for index in 0..level.pixels.len() {
            if index % 64 >= 32 {
                level.pixels[index] = level.pixels[index - 32];
            }
        }
        level
    }

    #[test]
    fn an_exact_copy_is_found() {
        let level = repeated();
        let mut field = Field::random(&level, 1);
        let metric = WholePatch { pixels: &level.pixels, width: 64 };
        let active = level.patches.targets();
        let mut seeds = Seeds::new(1);
        for order in [Order::Forward, Order::Backward].into_iter().cycle().take(16) {
            Pass { level: &level, metric: &metric, active, order, radius: 64, seed: seeds.next() }
                .run(&mut field);
        }
        let exact = field.matches.iter().filter(|matched| matched.distance == 0).count();
        assert_eq!(exact, field.matches.len());
        assert_eq!(field.at(40, 20).source(64), 20 * 64 + 8);
    }

    #[test]
    fn a_pass_never_makes_a_match_worse() {
        let level = repeated();
        let metric = WholePatch { pixels: &level.pixels, width: 64 };
        let active = level.patches.targets();
        let pass = |radius, seed| Pass {
            level: &level,
            metric: &metric,
            active,
            order: Order::Forward,
            radius,
            seed,
        };
        let mut field = Field::random(&level, 3);
        pass(0, 1).run(&mut field);
        for seed in 2..6 {
            let before = field.matches.clone();
            pass(64, seed).run(&mut field);
            let pairs = before.iter().zip(&field.matches);
            assert!(pairs.into_iter().all(|(before, after)| after.distance <= before.distance));
        }
    }
}
