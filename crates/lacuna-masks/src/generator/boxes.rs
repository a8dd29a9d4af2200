//! Rectangles: LaMa's box masks.

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{Canvas, ordered};

/// Rectangles of random number, size and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boxes {
    /// Smallest number of rectangles.
    pub min_times: usize,
    /// Largest number of rectangles.
    pub max_times: usize,
    /// Shortest side in pixels.
    pub min_size: usize,
    /// Longest side in pixels.
    pub max_size: usize,
    /// Pixels between a rectangle and the image border.
    pub margin: usize,
}

impl Boxes {
    pub(super) fn check(&self) -> Result<(), String> {
        ordered("times", self.min_times, self.max_times)?;
        ordered("size", self.min_size, self.max_size)
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, rng: &mut Pcg64) {
        let [width, height] = canvas.size();
        // Rectangles fit between the margins; without room there is no rectangle.
        let room = width.min(height).saturating_sub(2 * self.margin);
        let largest = self.max_size.min(room);
        let mut between = |least: usize, most: usize| rng.random_range(least as u64..=most as u64) as usize;
        let times = between(self.min_times, self.max_times);
        if room == 0 {
            return;
        }
        for _ in 0..times {
            let [columns, rows] = [(); 2].map(|()| between(self.min_size.min(largest), largest));
            let left = between(self.margin, width - self.margin - columns);
            let top = between(self.margin, height - self.margin - rows);
            canvas.fill(left..left + columns, top..top + rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MaskGenerator;
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    #[test]
    fn sizes_and_places_are_inclusive() {
        let boxes = Boxes { min_times: 1, max_times: 1, min_size: 2, max_size: 4, margin: 1 };
        let (mut widths, mut lefts) = (BTreeSet::new(), BTreeSet::new());
        for seed in 0..500 {
            let mask = MaskGenerator::Box(boxes).draw(8, 6, &mut Pcg64::seed_from_u64(seed));
            let columns: Vec<usize> = (0..8).filter(|&x| (0..6).any(|y| mask.is_hole(x, y))).collect();
            let rows: Vec<usize> = (0..6).filter(|&y| (0..8).any(|x| mask.is_hole(x, y))).collect();
            assert_eq!(mask.count(), columns.len() * rows.len(), "one rectangle");
            assert!(
                columns[0] >= 1
                    && columns[columns.len() - 1] <= 6
                    && rows[0] >= 1
                    && rows[rows.len() - 1] <= 4
            );
            widths.insert(columns.len());
            lefts.insert(columns[0]);
        }
        assert_eq!(widths, BTreeSet::from([2, 3, 4]));
        assert_eq!(lefts, BTreeSet::from([1, 2, 3, 4, 5]));
    }

    #[test]
    fn nonsense_is_refused() {
        let boxes = Boxes { min_times: 1, max_times: 2, min_size: 5, max_size: 4, margin: 0 };
        assert_eq!(boxes.check().unwrap_err(), "min_size is 5, more than max_size, which is 4");
    }
}
