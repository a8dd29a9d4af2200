//! Maps with zeros around them, `[blocks][rows][columns][LANES]`.

use crate::shared::Shared;
use crate::simd::LANES;
use crate::tiles::channels::{Channels, spaced};

/// The layout of a map in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Blocks of channels.
    pub blocks: usize,
    pub rows: usize,
    pub columns: usize,
    /// Distance between rows, in pixels: what lies between columns and stride is zero.
    pub stride: usize,
    /// Distance between blocks, in values.
    pub plane: usize,
    /// Offset of the first pixel of a block, in values: what lies before it is zero.
    pub first: usize,
    /// Rows of zeros above and below, and zeros before the first row.
    pub reach: usize,
}

impl Shape {
    /// A map with `reach` rows of zeros above and below, and as many zeros before the first row.
    pub fn new(blocks: usize, [rows, columns]: [usize; 2], stride: usize, reach: usize) -> Self {
        let pixels = (rows + 2 * reach) * stride + 2 * reach;
        let first = (reach * stride + reach) * LANES;
        Self { blocks, rows, columns, stride, plane: spaced(pixels) * LANES, first, reach }
    }

    /// The same with other blocks.
    pub fn with_blocks(self, blocks: usize) -> Self {
        Self { blocks, ..self }
    }

    /// Offset of a pixel within a block, in values.
    pub fn pixel(self, row: usize, column: usize) -> usize {
        self.first + (row * self.stride + column) * LANES
    }
}

/// A map.
pub(super) struct Field {
    shape: Shape,
    values: Vec<f32>,
}

/// Blocks of a map that threads write.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Of the whole map; `blocks` are those from here on.
    pub shape: Shape,
    pub values: Shared<'a>,
}

impl Field {
    /// A map of zeros.
    pub fn new(shape: Shape) -> Self {
        Self { shape, values: vec![0.0; shape.blocks * shape.plane] }
    }

    /// The map from a block on.
    pub fn place(&mut self, block: usize) -> Place<'_> {
        Place { shape: self.shape, values: Shared::new(&mut self.values) }.blocks_from(block)
    }

    /// Sets all values from planes `[channels, rows, columns]`.
    ///
    /// # Panics
    /// If the planes have another size.
    pub fn set_planes(&mut self, channels: &Channels, planes: &[f32]) {
        let shape = self.shape;
        assert_eq!(planes.len(), channels.total() * shape.rows * shape.columns, "values of an image");
        for ((block, lane), plane) in
            channels.positions().into_iter().zip(planes.chunks_exact(shape.rows * shape.columns))
        {
            for (row, line) in plane.chunks_exact(shape.columns).enumerate() {
                let start = block * shape.plane + shape.pixel(row, 0) + lane;
                let places = self.values[start..].iter_mut().step_by(LANES);
                places.zip(line).for_each(|(place, value)| *place = *value);
            }
        }
    }

    /// Planes `[channels, rows, columns]`.
    pub fn to_planes(&self, channels: &Channels) -> Vec<f32> {
        let shape = self.shape;
        let mut planes = Vec::with_capacity(channels.total() * shape.rows * shape.columns);
        for (block, lane) in channels.positions() {
            for row in 0..shape.rows {
                let start = block * shape.plane + shape.pixel(row, 0) + lane;
                planes.extend(self.values[start..].iter().step_by(LANES).take(shape.columns));
            }
        }
        planes
    }
}

impl Place<'_> {
    /// The map from a block on.
    pub fn blocks_from(self, block: usize) -> Self {
        let shape = self.shape.with_blocks(self.shape.blocks - block);
        Self { shape, values: self.values.from(block * self.shape.plane) }
    }
}
