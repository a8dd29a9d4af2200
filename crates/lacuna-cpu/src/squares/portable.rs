//! What the compiler makes of plain loops.

use super::{Row, Squares};

#[derive(Clone, Copy)]
pub struct Portable;

impl Squares for Portable {
    type Sums = i32;

    #[inline(always)]
    fn none(self) -> i32 {
        0
    }

    #[inline(always)]
    fn add(self, sums: i32, a: &Row, b: &Row) -> i32 {
        let squares = a.iter().zip(b).map(|(a, b)| i32::from(a - b).pow(2));
        sums + squares.sum::<i32>()
    }

    #[inline(always)]
    fn add_where(self, sums: i32, a: &Row, b: &Row, counted: &Row) -> i32 {
        let squares =
            a.iter().zip(b).zip(counted).map(|((a, b), counted)| i32::from((a - b) & counted).pow(2));
        sums + squares.sum::<i32>()
    }

    #[inline(always)]
    fn total(self, sums: i32) -> u32 {
        sums as u32
    }
}
