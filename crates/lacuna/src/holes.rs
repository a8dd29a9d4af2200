//! The connected holes of a mask: where they are, and which are thin.
//!
//! Holes are kept as runs of pixels in rows, which are few even in a large mask, and joined by union-find (Rosenfeld and
//! Pfaltz, "Sequential Operations in Digital Picture Processing", JACM 1966, <https://doi.org/10.1145/321356.321357>).

use crate::depth::depths;
use crate::{Mask, Rect};

/// Bytes a run of finding connected holes: the run, what it is joined with, and at most a hole's bounds, number and area.
pub const RUN_BYTES: u64 =
    (size_of::<Run>() + 2 * size_of::<u32>() + size_of::<Rect>() + size_of::<usize>()) as u64;

/// Rows whose depths are measured at a time.
const BAND_ROWS: usize = 128;

/// Neighbouring hole pixels of a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    row: u32,
    first: u32,
    /// One beyond the last.
    end: u32,
    /// The index of its hole.
    hole: u32,
}

/// Holes that are connected, also by corners.
pub struct ConnectedHoles {
    /// Row by row, from left to right.
    runs: Vec<Run>,
    /// The bounds of each hole.
    bounds: Vec<Rect>,
}

impl ConnectedHoles {
    /// The bytes that finding the holes of a mask takes.
    pub fn forecast_bytes(mask: &Mask) -> u64 {
        RUN_BYTES * rows(mask).map(|row| runs(row).count() as u64).sum::<u64>()
    }

    /// Finds the holes of a mask.
    pub fn new(mask: &Mask) -> Self {
        let mut found: Vec<Run> = Vec::new();
        // Runs of one hole lead to its first one, over others.
        let mut parents: Vec<u32> = Vec::new();
        let mut above = 0;
        for (row, pixels) in rows(mask).enumerate() {
            let start = found.len();
            for (first, end) in runs(pixels) {
                let this = found.len();
                found.push(Run { row: row as u32, first: first as u32, end: end as u32, hole: 0 });
                parents.push(this as u32);
                // The runs above that end before this one touches no later one either.
                while above < start && (found[above].end as usize) < first {
                    above += 1;
                }
                let touching = found[above..start].iter().take_while(|other| other.first as usize <= end);
                for other in above..above + touching.count() {
                    join(&mut parents, this as u32, other as u32);
                }
            }
            above = start;
        }
        let mut numbers: Vec<u32> = vec![0; found.len()];
        let mut bounds: Vec<Rect> = Vec::new();
        for (index, run) in found.iter_mut().enumerate() {
            let root = root(&mut parents, index as u32) as usize;
            let rect = run.rect();
            if root == index {
                numbers[index] = bounds.len() as u32;
                bounds.push(rect);
            }
            run.hole = numbers[root];
            let hole = &mut bounds[run.hole as usize];
            *hole = hole.union(rect);
        }
        Self { runs: found, bounds }
    }

    /// The bounds of each hole.
    pub fn bounds(&self) -> &[Rect] {
        &self.bounds
    }

    /// The number of pixels of each hole.
    pub fn areas(&self) -> Vec<usize> {
        let mut areas = vec![0; self.bounds.len()];
        for (run, hole) in self.runs() {
            areas[hole] += run.width;
        }
        areas
    }

    /// For each hole, whether all of its pixels lie within `deepest` pixels of a known one; measured in `mask`, whose holes
    /// these are.
    pub fn thin(&self, mask: &Mask, deepest: u16) -> Vec<bool> {
        let mut thin = vec![true; self.bounds.len()];
        let mut rest = &self.runs[..];
        for top in (0..mask.height()).step_by(BAND_ROWS) {
            let (band, later) =
                rest.split_at(rest.partition_point(|run| (run.row as usize) < top + BAND_ROWS));
            rest = later;
            if band.is_empty() {
                continue;
            }
            let rows = Rect { x: 0, y: top, width: mask.width(), height: BAND_ROWS.min(mask.height() - top) };
            // A known pixel that is farther does not matter.
            let seen = rows.grown(usize::from(deepest) + 1, mask.width(), mask.height());
            let cut = mask.cut(seen);
            let depths = depths(cut.width(), cut.height(), cut.hole());
            for run in band {
                let row = (run.row as usize - seen.y) * seen.width;
                let depths = &depths[row + run.first as usize..row + run.end as usize];
                thin[run.hole as usize] &= depths.iter().all(|&depth| depth <= deepest);
            }
        }
        thin
    }

    /// The runs of hole pixels, row by row, each as a rectangle of one row with the index of its hole.
    pub fn runs(&self) -> impl Iterator<Item = (Rect, usize)> {
        self.runs.iter().map(|run| (run.rect(), run.hole as usize))
    }
}

impl Run {
    fn rect(self) -> Rect {
        let Self { row, first, end, .. } = self;
        Rect { x: first as usize, y: row as usize, width: (end - first) as usize, height: 1 }
    }
}

fn rows(mask: &Mask) -> impl Iterator<Item = &[bool]> {
    mask.hole().chunks_exact(mask.width())
}

/// The first pixel of each run of a row, and the one beyond its last.
fn runs(row: &[bool]) -> impl Iterator<Item = (usize, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let first = from + row[from..].iter().position(|&hole| hole)?;
        let end = row[first..].iter().position(|&hole| !hole).map_or(row.len(), |length| first + length);
        from = end;
        Some((first, end))
    })
}

/// The first run of a run's hole, as far as is known; the way there is halved for the next time.
fn root(parents: &mut [u32], mut run: u32) -> u32 {
    while parents[run as usize] != run {
        let parent = parents[run as usize];
        parents[run as usize] = parents[parent as usize];
        run = parent;
    }
    run
}

fn join(parents: &mut [u32], one: u32, other: u32) {
    let (one, other) = (root(parents, one), root(parents, other));
    parents[one.max(other) as usize] = one.min(other);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_told_apart_and_measured() {
        // A line of one pixel that touches a dot by a corner, and a box of seven.
        let is_hole = |x: usize, y: usize| {
            (y == 2 && x < 10) || (x, y) == (10, 3) || ((20..27).contains(&x) && (5..12).contains(&y))
        };
        let mask = Mask::new(30, 20, (0..600).map(|i| is_hole(i % 30, i / 30)).collect());
        let holes = ConnectedHoles::new(&mask);
        let line = Rect { x: 0, y: 2, width: 11, height: 2 };
        assert_eq!(holes.bounds(), [line, Rect { x: 20, y: 5, width: 7, height: 7 }]);
        for (deepest, expected) in
            [(0, [false, false]), (1, [true, false]), (3, [true, false]), (4, [true, true])]
        {
            assert_eq!(holes.thin(&mask, deepest), expected, "{deepest}");
        }
        assert_eq!(holes.runs().map(|(run, _)| run.area()).sum::<usize>(), mask.count());
        assert_eq!(holes.runs().last(), Some((Rect { x: 20, y: 11, width: 7, height: 1 }, 1)));
        assert_eq!(ConnectedHoles::forecast_bytes(&mask), 9 * RUN_BYTES);
    }

    #[test]
    fn branches_meet_in_one_hole() {
        // A comb whose teeth meet in the last row only, beside a snake along the right edge.
        let is_hole = |x: usize, y: usize| (x < 20 && (x.is_multiple_of(2) || y == 8)) || (x == 29 && y > 3);
        let mask = Mask::new(30, 9, (0..270).map(|i| is_hole(i % 30, i / 30)).collect());
        let holes = ConnectedHoles::new(&mask);
        let (comb, line) =
            (Rect { x: 0, y: 0, width: 20, height: 9 }, Rect { x: 29, y: 4, width: 1, height: 5 });
        assert_eq!(holes.bounds(), [comb, line]);
        assert!(holes.runs().all(|(run, hole)| hole == usize::from(run.x == 29)));
    }

    /// The depth that decides is that of the whole mask, not of a band of it.
    #[test]
    fn bands_do_not_make_holes_thin() {
        let (width, height) = (60, 3 * BAND_ROWS);
        let is_hole = |x: usize, y: usize| {
            (10..20).contains(&x) && y > 5 || (30..50).contains(&x) && y.abs_diff(BAND_ROWS) < 9
        };
        let mask =
            Mask::new(width, height, (0..width * height).map(|i| is_hole(i % width, i / width)).collect());
        let holes = ConnectedHoles::new(&mask);
        assert_eq!(holes.thin(&mask, 5), [true, false]);
        assert_eq!(holes.thin(&mask, 4), [false, false]);
        assert_eq!(holes.thin(&mask, 9), [true, true]);
    }
}
