//! Shapes of maps.

use crate::{Error, Result};

/// The shape of latents or images: rows of values `[batch, channels, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapShape {
    /// Number of maps, which are sampled together.
    pub batch: usize,
    /// Channels of each.
    pub channels: usize,
    /// Rows of cells.
    pub height: usize,
    /// Columns of cells.
    pub width: usize,
}

impl MapShape {
    /// The shape of a single map.
    pub fn one(channels: usize, height: usize, width: usize) -> Self {
        Self { batch: 1, channels, height, width }
    }

    /// Cells of one map: places that share their channels.
    pub fn cells(self) -> usize {
        self.height * self.width
    }

    /// Number of values.
    pub fn values(self) -> usize {
        self.batch * self.channels * self.cells()
    }

    /// The position of a value's cell in rows `[batch, height, width]`.
    #[inline]
    pub(crate) fn cell_of(self, value: usize) -> usize {
        let cells = self.cells();
        value / (self.channels * cells) * cells + value % cells
    }

    /// Checks the length of a row of this shape.
    pub(crate) fn check(self, what: &'static str, row: &[f32]) -> Result<()> {
        Error::check_length(what, row.len(), self.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_values_by_hand() {
        let shape = MapShape { batch: 2, channels: 3, height: 1, width: 2 };
        assert_eq!((shape.cells(), shape.values()), (2, 12));
        let cells: Vec<usize> = (0..12).map(|value| shape.cell_of(value)).collect();
        assert_eq!(cells, [0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3]);
        assert_eq!(MapShape::one(3, 1, 2), MapShape { batch: 1, ..shape });
    }
}
