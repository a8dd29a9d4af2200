//! Small windows for specks and scratches: each costs what its own surroundings cost, however many there are and however
//! long they are.
//!
//! The picture is divided into cells. A speck belongs to the cell of its middle, a longer hole is cut where it passes from one
//! cell to the next. Only thin holes are cut: what is unknown at a cut lies within a few pixels of what is known, so that
//! both sides continue the same surroundings.

use std::collections::BTreeMap;

use crate::Rect;
use crate::holes::ConnectedHoles;

/// Thin holes have no pixel farther than this from a known one, in pixels: scratches of 24.
pub const DEEPEST: u16 = 12;

/// Side of a cell in pixels. Holes in a window's context are not filled, but near the cell's holes, and what they cover
/// cannot be copied.
const CELL: usize = 256;

/// Holes up to this side in pixels are not cut.
const SPECK: usize = 64;

/// Pixels of context on each side of a cell's holes: a patch finds its like near by.
const CONTEXT: usize = 32;

/// A window of the picture and the bounds of the holes in it that are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What the predictor sees.
    pub rect: Rect,
    /// The bounds of what is filled.
    pub hole: Rect,
}

/// A window for each cell that has thin holes, row by row; `size` is the picture's.
pub fn small_windows(holes: &ConnectedHoles, thin: &[bool], size: (usize, usize)) -> Vec<Window> {
    let cell = |x: usize, y: usize| (y / CELL, x / CELL);
    let mut cells: BTreeMap<(usize, usize), Rect> = BTreeMap::new();
    let mut add = |cell: (usize, usize), rect: Rect| {
        cells.entry(cell).and_modify(|bounds| *bounds = bounds.union(rect)).or_insert(rect);
    };
    let is_speck: Vec<bool> = holes.bounds().iter().map(|bounds| bounds.long_side() <= SPECK).collect();
    for ((&bounds, &speck), _) in holes.bounds().iter().zip(&is_speck).zip(thin).filter(|(_, thin)| **thin) {
        if speck {
            add(cell(bounds.x + bounds.width / 2, bounds.y + bounds.height / 2), bounds);
        }
    }
    for (run, _) in holes.runs().filter(|&(_, hole)| thin[hole] && !is_speck[hole]) {
        for part in split(run) {
            add(cell(part.x, part.y), part);
        }
    }
    let window = |hole: Rect| Window { rect: hole.grown(CONTEXT, size.0, size.1), hole };
    cells.into_values().map(window).collect()
}

/// A run of pixels, cut where it passes from one cell to the next.
fn split(run: Rect) -> impl Iterator<Item = Rect> {
    let cells = run.x / CELL..=(run.right() - 1) / CELL;
    cells.map(move |cell| {
        let (x, right) = (run.x.max(cell * CELL), run.right().min((cell + 1) * CELL));
        Rect { x, width: right - x, ..run }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;

    fn windows(width: usize, height: usize, is_hole: impl Fn(usize, usize) -> bool) -> (Mask, Vec<Window>) {
        let mask =
            Mask::new(width, height, (0..width * height).map(|i| is_hole(i % width, i / width)).collect());
        let holes = ConnectedHoles::new(&mask);
        let thin = holes.thin(&mask, DEEPEST);
        let windows = small_windows(&holes, &thin, (width, height));
        (mask, windows)
    }

    #[test]
    fn specks_stay_whole_and_scratches_are_cut() {
        // A speck across a border of cells, and a scratch through four cells.
        let (_, windows) = windows(1024, 256, |x, y| {
            ((250..270).contains(&x) && (10..20).contains(&y)) || (y == 200 && x < 1000)
        });
        let holes: Vec<Rect> = windows.iter().map(|window| window.hole).collect();
        let piece = |x, width| Rect { x, y: 200, width, height: 1 };
        // The speck's middle lies in the second cell, whose bounds hold it and a piece of the scratch.
        let second = Rect { x: 250, y: 10, width: 262, height: 191 };
        assert_eq!(holes, [piece(0, 256), second, piece(512, 256), piece(768, 232)]);
        assert_eq!(windows[0].rect, Rect { x: 0, y: 168, width: 288, height: 65 });
    }

    #[test]
    fn every_thin_hole_is_in_a_window_and_windows_are_small() {
        // A grid of one pixel, all connected, and a deep hole.
        let (mask, windows) = windows(700, 500, |x, y| {
            x % 40 == 0 || y % 40 == 0 || ((300..360).contains(&x) && (201..239).contains(&y))
        });
        assert!(windows.is_empty(), "the grid is connected with the deep hole");
        assert!(mask.count() > 0);
        let (mask, windows) = self::windows(700, 500, |x, y| x % 40 == 0 || y % 40 == 0);
        let inside = |rect: Rect, x: usize, y: usize| rect.overlaps(Rect { x, y, width: 1, height: 1 });
        for index in (0..mask.hole().len()).filter(|&index| mask.hole()[index]) {
            let (x, y) = (index % 700, index / 700);
            assert!(windows.iter().any(|window| inside(window.hole, x, y)), "{x}, {y}");
        }
        for window in windows {
            assert!(window.rect.long_side() <= CELL + SPECK + 2 * CONTEXT, "{window:?}");
        }
    }
}
