//! Sums of squared differences of 16-bit numbers, for comparing patches of pictures.
//!
//! A search is written once, generic over [`Squares`], as a [`Task`] whose `run` and all that it calls are `#[inline(always)]`;
//! [`dispatch`] compiles it for every instruction set. All have the same results.
#![cfg_attr(not(target_family = "wasm"), expect(unsafe_code, reason = "vector instructions"))]

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::Isa;

/// Numbers in a row: seven pixels of four channels.
pub const ROW: usize = 28;

/// A row of a patch. Differences of two rows must fit into 16 bits, and their squares, summed over a patch, into 31.
pub type Row = [i16; ROW];

/// Instructions for sums of squared differences. A value of an implementing type proves that the processor has them.
pub trait Squares: Copy + Send + Sync {
    /// The differences of two rows.
    type Differences: Copy;
    /// Sums of some of the numbers, not added up yet.
    type Sums: Copy;

    /// Sums of nothing.
    fn none(self) -> Self::Sums;

    /// `a - b`.
    fn differences(self, a: &Row, b: &Row) -> Self::Differences;

    /// The differences where all bits of `counted` are set, 0 where none is.
    fn kept(self, differences: Self::Differences, counted: &Row) -> Self::Differences;

    /// Adds their squares.
    fn add_squares(self, sums: Self::Sums, differences: Self::Differences) -> Self::Sums;

    /// The whole sum.
    fn total(self, sums: Self::Sums) -> u32;

    /// Adds the squared differences of two rows.
    #[inline(always)]
    fn add(self, sums: Self::Sums, a: &Row, b: &Row) -> Self::Sums {
        self.add_squares(sums, self.differences(a, b))
    }

    /// The same where all bits of `counted` are set; it is 0 elsewhere.
    #[inline(always)]
    fn add_where(self, sums: Self::Sums, a: &Row, b: &Row, counted: &Row) -> Self::Sums {
        self.add_squares(sums, self.kept(self.differences(a, b), counted))
    }
}

/// What is compiled for every instruction set.
pub trait Task {
    /// Its result.
    type Output;

    /// Runs the task. Must be `#[inline(always)]`, with everything that it calls.
    fn run<S: Squares>(self, squares: S) -> Self::Output;
}

/// Runs `task` with the instructions of `isa`.
///
/// # Panics
/// If this processor lacks them.
pub fn dispatch<T: Task>(isa: Isa, task: T) -> T::Output {
    assert!(isa.is_available(), "{isa} on a processor that has {} at best", Isa::best());
    match isa {
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => task.run(neon::Neon),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: checked above.
        Isa::Avx512 => unsafe { x86::with_avx512(task) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: checked above.
        Isa::Avx2 => unsafe { x86::with_avx2(task) },
        _ => task.run(portable::Portable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums over three rows, all of them and those that count.
    struct Rows<'a>(&'a [[Row; 3]; 3]);

    impl Task for Rows<'_> {
        type Output = [u32; 2];

        #[inline(always)]
        fn run<S: Squares>(self, squares: S) -> [u32; 2] {
            let mut sums = [squares.none(); 2];
            for [a, b, counted] in self.0 {
                sums = [squares.add(sums[0], a, b), squares.add_where(sums[1], a, b, counted)];
            }
            sums.map(|sums| squares.total(sums))
        }
    }

    #[test]
    fn every_instruction_set_gives_the_plain_sums() {
        let number = |index: usize| ((index * 7919 + 13) % 2048) as i16;
        let rows: [[Row; 3]; 3] = std::array::from_fn(|row| {
            let values = |offset: usize| std::array::from_fn(|lane| number(100 * row + offset + lane));
            [values(0), values(1000), std::array::from_fn(|lane| -i16::from((lane + row) % 3 != 0))]
        });
        let mut expected = [0, 0];
        for (a, b, counted) in rows.iter().map(|[a, b, counted]| (a, b, counted)) {
            for lane in 0..ROW {
                let square = (i32::from(a[lane]) - i32::from(b[lane])).pow(2) as u32;
                expected[0] += square;
                expected[1] += if counted[lane] == 0 { 0 } else { square };
            }
        }
        assert!(expected[0] > expected[1] && expected[1] > 0);
        for isa in Isa::available() {
            assert_eq!(dispatch(isa, Rows(&rows)), expected, "{isa}");
        }
    }

    #[test]
    fn each_number_counts_once() {
        for lane in 0..ROW {
            let mut row = [0; ROW];
            row[lane] = 1 << lane.min(10);
            let rows = [[row, [0; ROW], row.map(|value| -i16::from(value != 0))]; 3];
            let expected = 3 * u32::from(row[lane].unsigned_abs()).pow(2);
            for isa in Isa::available() {
                assert_eq!(dispatch(isa, Rows(&rows)), [expected; 2], "{isa}, number {lane}");
            }
        }
    }
}
