//! One bit for each value of a feature map: whether it was positive. All that the backward pass of a ReLU needs.
#![expect(unsafe_code, reason = "threads write to interleaved rows of one buffer")]

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::channels::Layout;
use super::map::Map;
use crate::Isa;
use crate::simd::{LANES, Op, Simd, dispatch};

/// Bits of a whole map, `[blocks][rows][columns]`, sixteen lanes in each number.
#[derive(Clone, Copy)]
pub(crate) struct Signs<'a> {
    start: *mut u16,
    blocks: usize,
    rows: usize,
    columns: usize,
    buffer: PhantomData<&'a mut [u16]>,
}

// SAFETY: the pointer is only followed in unsafe code, which promises disjoint pixels.
unsafe impl Send for Signs<'_> {}
// SAFETY: as above.
unsafe impl Sync for Signs<'_> {}

/// Values of memory for the bits of a map of `blocks`, `rows` and `columns`.
pub(crate) fn numbers(blocks: usize, rows: usize, columns: usize) -> usize {
    (blocks * rows * columns * size_of::<u16>()).div_ceil(size_of::<f32>())
}

impl<'a> Signs<'a> {
    /// Bits of a map of this layout and height, in [`numbers`] values of memory.
    ///
    /// # Panics
    /// If the memory has another size.
    pub fn new(memory: &'a mut [f32], layout: Layout, height: usize) -> Self {
        let Layout { blocks, columns, .. } = layout;
        assert_eq!(memory.len(), numbers(blocks, height, columns), "memory of {blocks} blocks of bits");
        let bits: &mut [u16] = bytemuck::cast_slice_mut(memory);
        Self { start: bits.as_mut_ptr(), blocks, rows: height, columns, buffer: PhantomData }
    }

    /// A pointer to the bits of a pixel.
    ///
    /// # Panics
    /// If it lies outside the map.
    #[inline(always)]
    pub fn at(self, block: usize, row: usize, column: usize) -> *mut u16 {
        assert!(block < self.blocks && row < self.rows && column < self.columns, "bits outside the map");
        // SAFETY: inside the map, as checked.
        unsafe { self.start.add((block * self.rows + row) * self.columns + column) }
    }

    /// Stores the signs of some rows of `map`.
    ///
    /// # Panics
    /// If the map has another size.
    pub fn record(self, isa: Isa, map: Map<'_>, rows: Range<usize>) {
        self.each_row(isa, map, map, rows, Pass::Record);
    }

    /// Writes some rows of `from`, with zeros where the stored signs are not positive, to `to`, which may be the same
    /// map.
    ///
    /// # Panics
    /// If a map has another size.
    pub fn gate(self, isa: Isa, from: Map<'_>, to: Map<'_>, rows: Range<usize>) {
        self.each_row(isa, from, to, rows, Pass::Gate);
    }

    fn each_row(self, isa: Isa, from: Map<'_>, to: Map<'_>, rows: Range<usize>, pass: Pass) {
        for map in [from, to] {
            let found = (map.layout.blocks, map.height, map.columns());
            assert_eq!(found, (self.blocks, self.rows, self.columns), "blocks, rows and columns of the map");
        }
        rows.into_par_iter().for_each(|row| dispatch(isa, RowJob { signs: self, from, to, row, pass }));
    }
}

#[derive(Clone, Copy)]
enum Pass {
    Record,
    Gate,
}

struct RowJob<'a> {
    signs: Signs<'a>,
    from: Map<'a>,
    to: Map<'a>,
    row: usize,
    pass: Pass,
}

impl Op for RowJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { signs, from, to, row, pass } = self;
        for block in 0..signs.blocks {
            let bits = signs.at(block, row, 0);
            let from = from.buffer.at(block * from.layout.plane + from.place(row, 0));
            let to = to.buffer.at(block * to.layout.plane + to.place(row, 0));
            for column in 0..signs.columns {
                // SAFETY: inside both maps, whose sizes were checked; rows belong to one task each.
                unsafe {
                    let value = simd.load(from.add(column * LANES));
                    match pass {
                        Pass::Record => *bits.add(column) = simd.positive(value),
                        Pass::Gate => {
                            simd.store(to.add(column * LANES), simd.where_set(*bits.add(column), value));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::channels::Channels;
    use crate::tiles::testing::Memory;
    use testkit::pictures::noise;

    #[test]
    fn values_pass_where_the_recorded_ones_were_positive() {
        let (channels, rows, columns) = (Channels::parts([8, 20]), 5, 7);
        let [recorded, values] = [1, 2].map(|seed| noise(seed, channels.total() * rows * columns));
        let expected: Vec<f32> = recorded
            .iter()
            .zip(&values)
            .map(|(&recorded, &value)| if recorded > 0.0 { value } else { 0.0 })
            .collect();
        for isa in Isa::available() {
            let mut recorded = Memory::of(&channels, rows, columns, &recorded);
            let mut values = Memory::of(&channels, rows, columns, &values);
            let mut bits = vec![f32::NAN; numbers(channels.blocks(), rows, columns)];
            let signs = Signs::new(&mut bits, recorded.layout, rows);
            signs.record(isa, recorded.map(), 0..rows);
            let mut to = Memory::empty(&channels, rows, columns);
            signs.gate(isa, values.map(), to.map(), 0..rows);
            assert_eq!(to.map().to_planes(&channels), expected);
            let map = values.map();
            signs.gate(isa, map, map, 0..rows);
            assert_eq!(values.map().to_planes(&channels), expected, "in place");
        }
    }
}
