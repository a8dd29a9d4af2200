//! From a map through transformed tiles and products to the output.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use std::ops::Range;

use super::transforms::{input_transform, output_transform};
use super::{Ending, GROUP, Geometry, IN, OUT, PLACES, Signed, Winograd, place};
use crate::After;
use crate::simd::{LANES, Op, Simd};
use crate::tiles::map::Map;
use crate::tiles::tile::{self, Finish, PanelsView, Row, Segment};

/// Some tiles of a map, through both transforms.
pub(super) struct TileJob<'a> {
    pub winograd: &'a Winograd,
    pub input: Map<'a>,
    pub output: Map<'a>,
    pub ending: Ending<'a>,
    pub weights: &'a [f32],
    pub transformed: &'a mut [f32],
    pub products: &'a mut [f32],
    pub tiles: Range<usize>,
    pub geometry: Geometry,
}

impl Op for TileJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.transform_input(simd);
        self.multiply(simd);
        self.transform_output(simd);
    }
}

impl TileJob<'_> {
    /// Offset of a tile's vector in a transformed map.
    #[inline(always)]
    fn vector(index: usize, block: usize, blocks: usize) -> usize {
        ((index / GROUP * blocks + block) * GROUP + index % GROUP) * LANES
    }

    /// The rows and columns of a tile's outputs.
    #[inline(always)]
    fn outputs(&self, tile: usize) -> [Range<usize>; 2] {
        let (columns, edge) = (self.geometry.tile_columns, self.winograd.edge);
        [
            edge.outputs(tile / columns, self.output.height),
            edge.outputs(tile % columns, self.output.columns()),
        ]
    }

    #[inline(always)]
    fn transform_input<S: Simd>(&mut self, simd: S) {
        let Map { layout, height, .. } = self.input;
        let blocks = layout.blocks;
        let stride = place(self.geometry.task_tiles, blocks);
        for tile in self.tiles.clone() {
            let [rows, columns] = self.outputs(tile);
            let edge = self.winograd.edge;
            let (rows, columns) = (edge.inputs(rows, height), edge.inputs(columns, layout.columns));
            let zeros = !rows.iter().chain(&columns).all(|line| line.inside);
            let sums = rows.iter().chain(&columns).any(|line| line.added.is_some());
            for block in 0..blocks {
                let from = self.input.buffer.at(block * layout.plane);
                let pixel = |row: usize, column: usize| {
                    // SAFETY: inside the map, as the edge says.
                    unsafe { simd.load(from.add(layout.row(row) + column * LANES)) }
                };
                let mut lines = [[simd.splat(0.0); IN]; IN];
                for (line, row) in lines.iter_mut().zip(rows) {
                    let mut values = [simd.splat(0.0); IN];
                    for (value, column) in values.iter_mut().zip(columns) {
                        *value = pixel(row.place, column.place);
                    }
                    if zeros {
                        for (value, column) in values.iter_mut().zip(columns) {
                            if !(row.inside && column.inside) {
                                *value = simd.splat(0.0);
                            }
                        }
                    }
                    if sums {
                        for (value, column) in values.iter_mut().zip(columns) {
                            if let (Some(column), true) = (column.added, row.inside) {
                                *value = simd.add(*value, pixel(row.place, column));
                            }
                            if let (Some(row), true) = (row.added, column.inside) {
                                *value = simd.add(*value, pixel(row, column.place));
                            }
                            if let (Some(row), Some(column)) = (row.added, column.added) {
                                *value = simd.add(*value, pixel(row, column));
                            }
                        }
                    }
                    *line = input_transform(simd, values);
                }
                let to = Self::vector(tile - self.tiles.start, block, blocks);
                let target = &mut self.transformed[to..][..(PLACES - 1) * stride + LANES];
                for x in 0..IN {
                    let mut column = [simd.splat(0.0); IN];
                    for (value, line) in column.iter_mut().zip(&lines) {
                        *value = line[x];
                    }
                    for (y, value) in input_transform(simd, column).into_iter().enumerate() {
                        // SAFETY: inside the target, as it was cut.
                        unsafe { simd.store(target.as_mut_ptr().add((y * IN + x) * stride), value) };
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn multiply<S: Simd>(&mut self, simd: S) {
        let (inputs, outputs) = (self.winograd.inputs.blocks(), self.winograd.outputs.blocks());
        let tiles = self.geometry.task_tiles;
        let (input_stride, output_stride) = (place(tiles, inputs), place(tiles, outputs));
        let mut start = 0;
        for product in &self.winograd.products {
            let mut row = 0;
            let segments: Vec<Segment> = product
                .inputs
                .clone()
                .map(|block| {
                    let count = self.winograd.inputs.count(block);
                    row += count;
                    Segment { x: (block * GROUP * LANES) as isize, row: row - count, count }
                })
                .collect();
            let blocks = product.outputs.len();
            for place in 0..PLACES {
                let weights =
                    &self.weights[start + place * product.place()..][..product.rows * blocks * LANES];
                let panels = PanelsView { start: weights.as_ptr(), rows: product.rows, blocks };
                for first in (0..self.tiles.len()).step_by(GROUP) {
                    let from = place * input_stride + Self::vector(first, 0, inputs);
                    let to = place * output_stride + Self::vector(first, product.outputs.start, outputs);
                    let row = Row {
                        x: self.transformed[from..].as_ptr(),
                        segments: &segments,
                        pixels: GROUP.min(self.tiles.len() - first),
                        out: self.products[to..].as_mut_ptr(),
                        out_step: LANES,
                        out_plane: GROUP * LANES,
                    };
                    // SAFETY: a group of tiles has room for all blocks in both maps, the weights for all panels.
                    unsafe { tile::product::<S, LANES>(simd, &[row], panels, (0, blocks), Finish::Plain) };
                }
            }
            start += PLACES * product.place();
        }
    }

    #[inline(always)]
    fn transform_output<S: Simd>(&mut self, simd: S) {
        let (output, ending) = (self.output, self.ending);
        let blocks = output.layout.blocks;
        let stride = place(self.geometry.task_tiles, blocks);
        for tile in self.tiles.clone() {
            let [rows, columns] = self.outputs(tile);
            let (y, x) = (rows.start, columns.start);
            let (rows, columns) = (rows.len(), columns.len());
            for block in 0..blocks {
                let from = Self::vector(tile - self.tiles.start, block, blocks);
                let source = &self.products[from..][..(PLACES - 1) * stride + LANES];
                let mut lines = [[simd.splat(0.0); OUT]; IN];
                for (y, line) in lines.iter_mut().enumerate() {
                    let mut values = [simd.splat(0.0); IN];
                    for (x, value) in values.iter_mut().enumerate() {
                        // SAFETY: inside the source, as it was cut.
                        *value = unsafe { simd.load(source.as_ptr().add((y * IN + x) * stride)) };
                    }
                    *line = output_transform(simd, values);
                }
                // SAFETY: the bias has LANES numbers for each block.
                let bias = unsafe { simd.load(ending.bias[block * LANES..][..LANES].as_ptr()) };
                for column in 0..columns {
                    let values: [S::V; OUT] =
                        output_transform(simd, std::array::from_fn(|line| lines[line][column]));
                    for (row, value) in values.into_iter().enumerate().take(rows) {
                        let place = block * output.layout.plane + output.place(y + row, x + column);
                        let to = output.buffer.at(place);
                        let mut value = simd.add(value, bias);
                        // SAFETY: inside the maps; every pixel belongs to one tile.
                        unsafe {
                            if block >= ending.add_from {
                                value = simd.add(value, simd.load(to));
                            }
                            if ending.after == After::Relu {
                                value = simd.max(value, simd.splat(0.0));
                            }
                            match ending.signs {
                                Signed::No => {}
                                Signed::Recorded(signs) => {
                                    *signs.at(block, y + row, x + column) = simd.positive(value);
                                }
                                Signed::Gated(signs) => {
                                    value = simd.where_set(*signs.at(block, y + row, x + column), value);
                                }
                            }
                            if let Some(residual) = ending.residual {
                                value = simd.add(value, simd.load(residual.buffer.at(place)));
                            }
                            simd.store(to, value);
                        }
                    }
                }
            }
        }
    }
}
