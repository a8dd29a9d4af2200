//! Full-resolution maps go through memory in strips: a window holds the rows that are needed at the moment.

use std::ops::Range;

use crate::shared::Shared;
use crate::tiles::channels::Layout;
use crate::tiles::map::Map;

/// A sliding window over the rows of a map.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    layout: Layout,
    height: usize,
    rows: Range<usize>,
}

impl Window {
    /// A window with room for `room` rows of a map of `blocks`, `height` and `columns`; it holds none yet.
    pub fn new(blocks: usize, room: usize, height: usize, columns: usize) -> Self {
        Self { layout: Layout::of_long_rows(blocks, room.min(height), columns), height, rows: 0..0 }
    }

    /// A window that holds a whole map.
    pub fn whole(blocks: usize, height: usize, columns: usize) -> Self {
        Self { layout: Layout::new(blocks, height, columns), height, rows: 0..height }
    }

    /// Whether it holds the whole map from the start.
    pub fn is_whole(&self) -> bool {
        self.rows == (0..self.height)
    }

    /// Rows that it has room for.
    pub fn room(&self) -> usize {
        self.layout.rows
    }

    /// Numbers of memory.
    pub fn numbers(&self) -> usize {
        self.layout.len()
    }

    /// Moves the window to the rows `needed`, keeps those that it has already, and tells which must be computed.
    ///
    /// # Panics
    /// If they are more than there is room for, or lie before the window.
    pub fn advance(&mut self, memory: &mut [f32], needed: Range<usize>) -> Range<usize> {
        assert!(
            needed.len() <= self.layout.rows && needed.end <= self.height,
            "{needed:?} in {:?}",
            self.layout
        );
        assert!(needed.start >= self.rows.start, "windows only move down");
        let kept = needed.start.min(self.rows.end)..self.rows.end;
        if kept.is_empty() {
            self.rows = needed.clone();
            return needed;
        }
        let from = self.layout.row(kept.start - self.rows.start)..self.layout.row(kept.end - self.rows.start);
        for plane in memory.chunks_exact_mut(self.layout.plane) {
            plane.copy_within(from.clone(), 0);
        }
        let end = kept.end.max(needed.end);
        self.rows = needed.start..end;
        kept.end..end
    }

    /// The map, to read the window's rows and write new ones.
    pub fn map<'a>(&self, memory: &'a mut [f32]) -> Map<'a> {
        Map { buffer: Shared::new(memory), layout: self.layout, height: self.height, first: self.rows.start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::LANES;

    #[test]
    fn rows_that_are_needed_again_move_up() {
        let mut window = Window::new(2, 4, 10, 1);
        let mut memory = vec![0.0; window.numbers()];
        let fill = |window: &Window, memory: &mut [f32], rows: Range<usize>| {
            let map = window.map(memory);
            let places: Vec<usize> = rows
                .flat_map(|row| (0..2).map(move |block| (row, block)))
                .map(|(row, block)| block * map.layout.plane + map.place(row, 0))
                .collect();
            for place in places {
                memory[place] = 1.0;
            }
        };
        let new = window.advance(&mut memory, 0..3);
        assert_eq!(new, 0..3);
        fill(&window, &mut memory, new);
        assert_eq!(window.advance(&mut memory, 2..6), 3..6);
        for block in 0..2 {
            let start = block * window.layout.plane;
            let held: Vec<f32> = (0..4).map(|row| memory[start + row * LANES]).collect();
            assert_eq!(held, [1.0, 1.0, 1.0, 0.0], "row 2 moved up, the others are as they were");
        }
        assert_eq!(window.advance(&mut memory, 9..10), 9..10, "a gap starts anew");
    }
}
