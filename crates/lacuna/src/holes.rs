//! The connected holes of a mask: where they are, and which are thin.

use image::{ImageBuffer, Luma};
use imageproc::region_labelling::{Connectivity, connected_components};

use crate::depth::depths;
use crate::{Mask, Rect};

/// Bytes a pixel of finding connected holes: a grey copy and a label.
pub const LABEL_BYTES: u64 = 5;

/// Bytes a pixel of telling which are thin: a label, a copy of the mask and a depth.
pub const DEPTH_BYTES: u64 = 4 + 1 + 2;

/// Holes that are connected, also by corners.
pub struct ConnectedHoles {
    /// The part of the mask that was searched.
    window: Rect,
    /// 0 outside holes, else the number of a hole, from 1.
    labels: ImageBuffer<Luma<u32>, Vec<u32>>,
    /// The bounds of each hole.
    bounds: Vec<Rect>,
}

impl ConnectedHoles {
    /// Finds the holes within `window`, and looks one pixel beyond it for the known pixels around them.
    pub fn new(mask: &Mask, window: Rect) -> Self {
        let window = window.grown(1, mask.width(), mask.height());
        let labels = connected_components(&mask.grey(window), Connectivity::Eight, Luma([0]));
        let mut bounds: Vec<Option<Rect>> = Vec::new();
        for (x, y, label) in labels.enumerate_pixels() {
            let Some(index) = (label[0] as usize).checked_sub(1) else { continue };
            if bounds.len() <= index {
                bounds.resize(index + 1, None);
            }
            let pixel = Rect { x: window.x + x as usize, y: window.y + y as usize, width: 1, height: 1 };
            bounds[index] = Some(bounds[index].map_or(pixel, |hole| hole.union(pixel)));
        }
        Self { window, labels, bounds: bounds.into_iter().flatten().collect() }
    }

    /// The bounds of each hole.
    pub fn bounds(&self) -> &[Rect] {
        &self.bounds
    }

    /// For each hole, whether all of its pixels lie within `deepest` pixels of a known one.
    pub fn thin(&self, mask: &Mask, deepest: u16) -> Vec<bool> {
        let cut = mask.cut(self.window);
        let mut thin = vec![true; self.bounds.len()];
        for (depth, label) in
            depths(cut.width(), cut.height(), cut.hole()).into_iter().zip(self.labels.pixels())
        {
            if depth > deepest {
                thin[label[0] as usize - 1] = false;
            }
        }
        thin
    }

    /// Every hole pixel, row by row, with the index of its hole.
    pub fn pixels(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let Rect { x: left, y: top, .. } = self.window;
        self.labels.enumerate_pixels().filter_map(move |(x, y, label)| {
            let hole = (label[0] as usize).checked_sub(1)?;
            Some((left + x as usize, top + y as usize, hole))
        })
    }
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
        let holes = ConnectedHoles::new(&mask, mask.bounds().unwrap());
        let line = Rect { x: 0, y: 2, width: 11, height: 2 };
        assert_eq!(holes.bounds(), [line, Rect { x: 20, y: 5, width: 7, height: 7 }]);
        for (deepest, expected) in
            [(0, [false, false]), (1, [true, false]), (3, [true, false]), (4, [true, true])]
        {
            assert_eq!(holes.thin(&mask, deepest), expected, "{deepest}");
        }
        assert_eq!(holes.pixels().count(), mask.count());
        assert_eq!(holes.pixels().last(), Some((26, 11, 1)));
    }
}
