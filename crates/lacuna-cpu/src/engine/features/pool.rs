//! Pooling in windows of 3x3 pixels.
#![expect(unsafe_code, reason = "vectors in raw memory")]

use std::ops::Range;

use rayon::prelude::*;

use super::field::Place;
use crate::Isa;
use crate::simd::{LANES, Op, Simd, dispatch};

/// Side of a window.
const WINDOW: usize = 3;

/// Pooling in windows of 3x3 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of the window around each pixel, without what lies beyond the border.
    Average,
    /// The largest value of the window around each pixel.
    Largest,
    /// The largest value of the window from every second pixel on.
    Halve,
}

impl Pooling {
    /// Whether the result is smaller than the map.
    pub(super) fn is_smaller(self) -> bool {
        self == Self::Halve
    }

    /// Length of the result along a side.
    ///
    /// # Panics
    /// If a side is shorter than the window that must lie inside.
    pub(super) fn side(self, length: usize) -> usize {
        match self {
            Self::Average | Self::Largest => length,
            Self::Halve => {
                assert!(length >= WINDOW, "pooling in windows of {WINDOW} pixels on {length}");
                (length - WINDOW) / 2 + 1
            }
        }
    }

    /// The pixels of a window along a side.
    fn window(self, at: usize, length: usize) -> Range<usize> {
        match self {
            Self::Average | Self::Largest => at.saturating_sub(1)..(at + WINDOW - 1).min(length),
            Self::Halve => 2 * at..2 * at + WINDOW,
        }
    }

    pub(super) fn run(self, isa: Isa, input: Place<'_>, output: Place<'_>) {
        let sides = [input.shape.rows, input.shape.columns].map(|side| self.side(side));
        assert!(output.shape.blocks >= input.shape.blocks, "blocks of both maps");
        assert_eq!([output.shape.rows, output.shape.columns], sides, "sides of the result");
        (0..input.shape.blocks).into_par_iter().for_each(|block| {
            dispatch(isa, Job { pooling: self, input, output, block });
        });
    }
}

struct Job<'a> {
    pooling: Pooling,
    input: Place<'a>,
    output: Place<'a>,
    block: usize,
}

impl Op for Job<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { pooling, input, output, block } = self;
        let (from, to) = (input.shape, output.shape);
        for row in 0..to.rows {
            let rows = pooling.window(row, from.rows);
            for column in 0..to.columns {
                let columns = pooling.window(column, from.columns);
                let is_mean = pooling == Pooling::Average;
                let mut pooled = simd.splat(if is_mean { 0.0 } else { f32::NEG_INFINITY });
                for y in rows.clone() {
                    for x in columns.clone() {
                        // SAFETY: a pixel of the map.
                        let value =
                            unsafe { simd.load(input.values.at(block * from.plane + from.pixel(y, x))) };
                        pooled = if is_mean { simd.add(pooled, value) } else { simd.max(pooled, value) };
                    }
                }
                if is_mean {
                    pooled = simd.mul(pooled, simd.splat(1.0 / (rows.len() * columns.len()) as f32));
                }
                let place = block * to.plane + to.pixel(row, column);
                // The end of the pixel lies inside, too.
                output.values.at(place + LANES);
                // SAFETY: a pixel of the result, whose block belongs to this task.
                unsafe { simd.store(output.values.at(place), pooled) };
            }
        }
    }
}
