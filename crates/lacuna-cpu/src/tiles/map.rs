//! A feature map in the arena, or the rows of it that are in memory at the moment.

use rayon::prelude::*;

use super::channels::{Channels, Layout};
use crate::shared::Shared;
use crate::simd::LANES;

/// A map `[blocks][rows][columns][LANES]`; the rows starting at `first` are in memory.
#[derive(Clone, Copy)]
pub(crate) struct Map<'a> {
    /// The memory.
    pub buffer: Shared<'a>,
    /// Its layout; `rows` is the capacity in rows.
    pub layout: Layout,
    /// Rows of the whole map.
    pub height: usize,
    /// The first row in memory.
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

    /// Offset of a pixel's first lane in block 0.
    #[inline(always)]
    pub fn place(&self, row: usize, column: usize) -> usize {
        debug_assert!(row >= self.first && row - self.first < self.layout.rows, "row {row} is not there");
        self.layout.row(row - self.first) + column * LANES
    }

    /// Copies channels to planes `[channels, rows, columns]`.
    ///
    /// # Panics
    /// If there are gaps between rows.
    pub fn to_planes(self, channels: &Channels) -> Vec<f32> {
        let pixels = self.layout.pixels();
        let positions = channels.positions();
        let mut planes = vec![0.0; positions.len() * pixels];
        planes.par_chunks_exact_mut(pixels).zip(positions).for_each(|(plane, (block, lane))| {
            let first = block * self.layout.plane + lane;
            plane.iter_mut().enumerate().for_each(|(pixel, value)| {
                *value = self.buffer.get(first + pixel * LANES);
            });
        });
        planes
    }

    /// Copies planes `[channels, rows, columns]` to channels; lanes without a channel become 0.
    ///
    /// # Panics
    /// If there are gaps between rows.
    pub fn set_planes(self, channels: &Channels, planes: &[f32]) {
        let pixels = self.layout.pixels();
        assert_eq!(planes.len(), channels.total() * pixels, "values of planes");
        (0..channels.blocks()).into_par_iter().for_each(|block| {
            let first = block * self.layout.plane;
            let sources: Vec<&[f32]> =
                channels.of(block).map(|channel| &planes[channel * pixels..][..pixels]).collect();
            for pixel in 0..pixels {
                for lane in 0..LANES {
                    let value = sources.get(lane).map_or(0.0, |plane| plane[pixel]);
                    self.buffer.set(first + pixel * LANES + lane, value);
                }
            }
        });
    }
}
