//! The real two-dimensional Fourier transform of a map and its inverse, ortho-scaled, as the Fourier unit needs them.
//!
//! Two rows make one complex line: the even rows its real, the odd ones its imaginary part. A spectrum has for each
//! block of channels one block of real and one of imaginary parts, and the columns `0 ..= width / 2`.
#![expect(unsafe_code, reason = "vectors in raw memory")]

use std::ops::Range;

use rayon::prelude::*;

use super::fft::{COMPLEX, Fft};
use crate::Isa;
use crate::shared::TASKS_PER_THREAD;
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::map::Map;

/// Transforms between maps of one size and their spectra.
#[derive(Debug)]
pub(crate) struct Fourier {
    rows: usize,
    columns: usize,
    along_row: Fft,
    along_column: Fft,
    isa: Isa,
}

/// Columns of the spectrum of a map.
pub(crate) fn frequencies(columns: usize) -> usize {
    columns / 2 + 1
}

impl Fourier {
    /// Transforms for maps of this size.
    pub fn new(isa: Isa, rows: usize, columns: usize) -> Self {
        Self { rows, columns, along_row: Fft::new(columns), along_column: Fft::new(rows), isa }
    }

    /// The spectrum of `map`.
    ///
    /// # Panics
    /// If a map has another size.
    pub fn forward(&self, map: Map<'_>, spectrum: Map<'_>) {
        self.check(map, spectrum);
        self.rows_then_columns([Pass::SplitRows, Pass::Columns(Direction::Forward)], map, spectrum);
    }

    /// Adds to `map` the map of `spectrum`, which is overwritten. A spectrum that belongs to no real map is taken as
    /// PyTorch's `irfft2` takes it: a complex inverse along the columns; then the columns of DC and, for even widths,
    /// Nyquist lose their imaginary part.
    ///
    /// # Panics
    /// If a map has another size.
    pub fn add_inverse(&self, spectrum: Map<'_>, map: Map<'_>) {
        self.check(map, spectrum);
        self.rows_then_columns([Pass::Columns(Direction::Inverse), Pass::JoinRows], map, spectrum);
    }

    fn check(&self, map: Map<'_>, spectrum: Map<'_>) {
        let (map, spectrum) = (map.layout, spectrum.layout);
        assert_eq!((map.rows, map.columns), (self.rows, self.columns), "map");
        assert_eq!((spectrum.rows, spectrum.columns), (self.rows, frequencies(self.columns)), "spectrum");
        assert_eq!(spectrum.blocks, 2 * map.blocks, "blocks of the spectrum");
    }

    fn rows_then_columns(&self, passes: [Pass; 2], map: Map<'_>, spectrum: Map<'_>) {
        for pass in passes {
            let (lines, fft) = match pass {
                Pass::SplitRows | Pass::JoinRows => (self.rows.div_ceil(2), &self.along_row),
                Pass::Columns(_) => (frequencies(self.columns), &self.along_column),
            };
            let blocks = map.layout.blocks;
            let parts = (TASKS_PER_THREAD * rayon::current_num_threads()).div_ceil(blocks).min(lines);
            let share = lines.div_ceil(parts);
            (0..blocks * parts).into_par_iter().for_each_init(
                || vec![0.0; 2 * fft.work() * COMPLEX],
                |work, task| {
                    let (block, part) = (task / parts, task % parts);
                    let lines = part * share..lines.min((part + 1) * share);
                    dispatch(
                        self.isa,
                        LinesJob { fourier: self, fft, pass, map, spectrum, block, lines, work },
                    );
                },
            );
        }
    }

    /// What makes a transform keep lengths.
    fn scale(&self) -> f32 {
        (1.0 / ((self.rows * self.columns) as f64).sqrt()) as f32
    }
}

#[derive(Clone, Copy)]
enum Pass {
    SplitRows,
    JoinRows,
    Columns(Direction),
}

#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Inverse,
}

struct LinesJob<'a> {
    fourier: &'a Fourier,
    fft: &'a Fft,
    pass: Pass,
    map: Map<'a>,
    spectrum: Map<'a>,
    block: usize,
    lines: Range<usize>,
    work: &'a mut [f32],
}

impl Op for LinesJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (a, b) = self.work.split_at_mut(self.fft.work() * COMPLEX);
        let (a, b) = (a.as_mut_ptr(), b.as_mut_ptr());
        for line in self.lines.clone() {
            // SAFETY: the work buffers are as long as the transform asks; each line of the maps belongs to one task.
            unsafe {
                match self.pass {
                    Pass::SplitRows => self.split_rows(simd, 2 * line, a, b),
                    Pass::JoinRows => self.join_rows(simd, 2 * line, a, b),
                    Pass::Columns(direction) => self.column(simd, line, direction, a, b),
                }
            }
        }
    }
}

impl LinesJob<'_> {
    /// The real and the imaginary part of a row of the spectrum.
    #[inline(always)]
    fn spectrum_row(&self, row: usize) -> [*mut f32; 2] {
        let place =
            |part: usize| (2 * self.block + part) * self.spectrum.layout.plane + self.spectrum.place(row, 0);
        [place(0), place(1)].map(|place| self.spectrum.buffer.at(place))
    }

    /// # Safety
    /// The work buffers must be as long as the transform asks, the rows this task's own.
    #[inline(always)]
    unsafe fn split_rows<S: Simd>(&self, simd: S, row: usize, a: *mut f32, b: *mut f32) {
        let (columns, paired) = (self.fourier.columns, row + 1 < self.fourier.rows);
        let from = self.map.buffer.at(self.block * self.map.layout.plane + self.map.place(row, 0));
        let zero = simd.splat(0.0);
        // SAFETY: the caller's promise; rows and columns inside the maps.
        unsafe {
            for x in 0..columns {
                let odd = if paired { simd.load(from.add((columns + x) * LANES)) } else { zero };
                simd.store(a.add(x * COMPLEX), simd.load(from.add(x * LANES)));
                simd.store(a.add(x * COMPLEX + LANES), odd);
            }
            let line = self.fft.run(simd, a, b);
            let half = simd.splat(0.5 * self.fourier.scale());
            let even = self.spectrum_row(row);
            for k in 0..frequencies(columns) {
                let (at, mirrored) = (line.add(k * COMPLEX), line.add((columns - k) % columns * COMPLEX));
                let (re, im) = (simd.load(at), simd.load(at.add(LANES)));
                let (mirrored_re, mirrored_im) = (simd.load(mirrored), simd.load(mirrored.add(LANES)));
                simd.store(even[0].add(k * LANES), simd.mul(half, simd.add(re, mirrored_re)));
                simd.store(even[1].add(k * LANES), simd.mul(half, simd.sub(im, mirrored_im)));
                if paired {
                    let odd = self.spectrum_row(row + 1);
                    simd.store(odd[0].add(k * LANES), simd.mul(half, simd.add(im, mirrored_im)));
                    simd.store(odd[1].add(k * LANES), simd.mul(half, simd.sub(mirrored_re, re)));
                }
            }
        }
    }

    /// # Safety
    /// As [`Self::split_rows`].
    #[inline(always)]
    unsafe fn join_rows<S: Simd>(&self, simd: S, row: usize, a: *mut f32, b: *mut f32) {
        let (columns, paired) = (self.fourier.columns, row + 1 < self.fourier.rows);
        let zero = simd.splat(0.0);
        // SAFETY: the caller's promise; rows and columns inside the maps.
        unsafe {
            let even = self.spectrum_row(row);
            let odd = if paired { self.spectrum_row(row + 1) } else { even };
            for k in 0..frequencies(columns) {
                let alone = k == 0 || 2 * k == columns;
                let part =
                    |row: *mut f32, wanted: bool| if wanted { simd.load(row.add(k * LANES)) } else { zero };
                let (re, im) = (part(even[0], true), part(even[1], !alone));
                let (odd_re, odd_im) = (part(odd[0], paired), part(odd[1], paired && !alone));
                // Imaginary parts first: the transform is the inverse of what is swapped.
                simd.store(a.add(k * COMPLEX), simd.add(im, odd_re));
                simd.store(a.add(k * COMPLEX + LANES), simd.sub(re, odd_im));
                if !alone {
                    let mirrored = a.add((columns - k) * COMPLEX);
                    simd.store(mirrored, simd.sub(odd_re, im));
                    simd.store(mirrored.add(LANES), simd.add(re, odd_im));
                }
            }
            let line = self.fft.run(simd, a, b);
            let scale = simd.splat(self.fourier.scale());
            let to = self.map.buffer.at(self.block * self.map.layout.plane + self.map.place(row, 0));
            for x in 0..columns {
                let (odd, even) =
                    (simd.load(line.add(x * COMPLEX)), simd.load(line.add(x * COMPLEX + LANES)));
                let here = to.add(x * LANES);
                simd.store(here, simd.mul_add(scale, even, simd.load(here)));
                if paired {
                    let below = to.add((columns + x) * LANES);
                    simd.store(below, simd.mul_add(scale, odd, simd.load(below)));
                }
            }
        }
    }

    /// # Safety
    /// As [`Self::split_rows`], for a column.
    #[inline(always)]
    unsafe fn column<S: Simd>(&self, simd: S, column: usize, direction: Direction, a: *mut f32, b: *mut f32) {
        let swap = match direction {
            Direction::Forward => 0,
            Direction::Inverse => LANES,
        };
        let stride = self.spectrum.layout.columns * LANES;
        // SAFETY: the caller's promise; rows and columns inside the spectrum.
        unsafe {
            let [re, im] = self.spectrum_row(0).map(|row| row.add(column * LANES));
            for y in 0..self.fourier.rows {
                simd.store(a.add(y * COMPLEX + swap), simd.load(re.add(y * stride)));
                simd.store(a.add(y * COMPLEX + LANES - swap), simd.load(im.add(y * stride)));
            }
            let line = self.fft.run(simd, a, b);
            for y in 0..self.fourier.rows {
                simd.store(re.add(y * stride), simd.load(line.add(y * COMPLEX + swap)));
                simd.store(im.add(y * stride), simd.load(line.add(y * COMPLEX + LANES - swap)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::channels::Channels;
    use crate::tiles::testing::Memory;
    use std::f64::consts::TAU;
    use testkit::assert_close;
    use testkit::pictures::noise;

    const TOLERANCE: f32 = 1e-5;

    /// Real and imaginary planes of the spectrum, interleaved, by the definition in float64.
    fn spectrum(plane: &[f32], rows: usize, columns: usize) -> [Vec<f32>; 2] {
        let (mut real, mut imaginary) = (Vec::new(), Vec::new());
        for ky in 0..rows {
            for kx in 0..frequencies(columns) {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, &value) in plane.iter().enumerate() {
                    let (y, x) = (i / columns, i % columns);
                    let turns = (ky * y) as f64 / rows as f64 + (kx * x) as f64 / columns as f64;
                    re += f64::from(value) * (TAU * turns).cos();
                    im -= f64::from(value) * (TAU * turns).sin();
                }
                let scale = 1.0 / ((rows * columns) as f64).sqrt();
                real.push((re * scale) as f32);
                imaginary.push((im * scale) as f32);
            }
        }
        [real, imaginary]
    }

    #[test]
    fn forward_and_back_at_odd_and_even_sizes() {
        for [rows, columns] in [[1, 1], [1, 2], [2, 2], [5, 4], [4, 5], [7, 9], [6, 16], [11, 13]] {
            let (maps, spectra) = (Channels::parts([18]), Channels::spectrum(18));
            let planes = noise(3, 18 * rows * columns);
            let expected: Vec<f32> = planes
                .chunks_exact(rows * columns)
                .flat_map(|plane| spectrum(plane, rows, columns).concat())
                .collect();
            for isa in Isa::available() {
                let fourier = Fourier::new(isa, rows, columns);
                let mut map = Memory::of(&maps, rows, columns, &planes);
                let mut found = Memory::empty(&spectra, rows, frequencies(columns));
                fourier.forward(map.map(), found.map());
                assert_close(&found.map().to_planes(&spectra), &expected, TOLERANCE);
                fourier.add_inverse(found.map(), map.map());
                let twice: Vec<f32> = planes.iter().map(|value| 2.0 * value).collect();
                assert_close(&map.map().to_planes(&maps), &twice, TOLERANCE);
            }
        }
    }

    #[test]
    fn the_imaginary_part_of_nyquist_is_dropped() {
        let (maps, spectra) = (Channels::parts([1]), Channels::spectrum(1));
        // One row of four pixels: three frequencies, of which the outer ones have only imaginary parts.
        let mut spectrum = Memory::of(&spectra, 1, 3, &[0.0, 0.0, 0.0, 5.0, 0.0, 7.0]);
        let mut map = Memory::of(&maps, 1, 4, &[0.0; 4]);
        Fourier::new(Isa::Portable, 1, 4).add_inverse(spectrum.map(), map.map());
        assert_eq!(map.map().to_planes(&maps), [0.0; 4]);
    }
}
