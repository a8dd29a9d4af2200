//! A feature map in the arena, or the rows of it that are there at the moment.

#[cfg(test)]
use super::channels::Channels;
use super::channels::Layout;
use crate::shared::Shared;
use crate::simd::LANES;

/// A map `[blocks][rows][columns][LANES]` of which the rows from `first` on are in memory.
#[derive(Clone, Copy)]
pub(crate) struct Map<'a> {
    /// The memory.
    pub buffer: Shared<'a>,
    /// Places in it; `rows` is how many rows it has room for.
    pub layout: Layout,
    /// Rows of the whole map.
    pub height: usize,
    /// The row that the memory starts with.
    pub first: usize,
}

impl<'a> Map<'a> {
    /// A whole map.
    pub fn whole(buffer: &'a mut [f32], layout: Layout) -> Self {
        Self { buffer: Shared::new(buffer), layout, height: layout.rows, first: 0 }
    }

    /// Some of the blocks of channels.
    pub fn blocks(self, blocks: std::ops::Range<usize>) -> Self {
        let layout = Layout { blocks: blocks.len(), ..self.layout };
        Self { buffer: self.buffer.from(blocks.start * layout.plane), layout, ..self }
    }

    /// Columns.
    #[inline(always)]
    pub fn columns(&self) -> usize {
        self.layout.columns
    }

    /// The place of a pixel's first lane in block 0.
    #[inline(always)]
    pub fn place(&self, row: usize, column: usize) -> usize {
        debug_assert!(row >= self.first && row - self.first < self.layout.rows, "row {row} is not there");
        self.layout.row(row - self.first) + column * LANES
    }

    /// Copies channels out as planes `[channels, rows, columns]`.
    #[cfg(test)]
    pub fn to_planes(self, channels: &Channels) -> Vec<f32> {
        let pixels = self.layout.pixels();
        let mut planes = vec![0.0; channels.total() * pixels];
        for block in 0..channels.blocks() {
            for (lane, channel) in channels.of(block).enumerate() {
                for (pixel, value) in planes[channel * pixels..][..pixels].iter_mut().enumerate() {
                    *value = self.buffer.get(block * self.layout.plane + pixel * LANES + lane);
                }
            }
        }
        planes
    }
}
