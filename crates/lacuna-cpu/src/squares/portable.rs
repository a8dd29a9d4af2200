//! What the compiler makes of plain loops.

use std::array::from_fn;

use super::{Row, Squares};

#[derive(Clone, Copy)]
pub struct Portable;

impl Squares for Portable {
    type Differences = Row;
    type Sums = i32;

    #[inline(always)]
    fn none(self) -> i32 {
        0
    }

    #[inline(always)]
    fn differences(self, a: &Row, b: &Row) -> Row {
        from_fn(|index| a[index] - b[index])
    }

    #[inline(always)]
    fn kept(self, differences: Row, counted: &Row) -> Row {
        from_fn(|index| differences[index] & counted[index])
    }

    #[inline(always)]
    fn add_squares(self, sums: i32, differences: Row) -> i32 {
        sums + differences.iter().map(|&difference| i32::from(difference).pow(2)).sum::<i32>()
    }

    #[inline(always)]
    fn total(self, sums: i32) -> u32 {
        sums as u32
    }
}
