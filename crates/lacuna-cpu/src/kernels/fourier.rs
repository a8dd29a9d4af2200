//! The real two-dimensional Fourier transform of planes of any size, with ortho scaling, and its gradients.
//!
//! A spectrum `[channels, 2, height, width / 2 + 1]` alternates real and imaginary planes. Each direction is the
//! transpose of the other, except for the columns between DC and Nyquist, which represent two frequencies each:
//! [`Columns`] is their factor.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};

/// The factor of columns that represent two frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// One, as in the transform itself.
    Once,
    /// Two: makes [`spectrum`] the gradient of [`plane`].
    Twice,
    /// One half: makes [`plane`] the gradient of [`spectrum`].
    Half,
}

impl Columns {
    fn factor(self) -> f32 {
        match self {
            Self::Once => 1.0,
            Self::Twice => 2.0,
            Self::Half => 0.5,
        }
    }
}

/// Height and width of a plane in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Size {
    /// Columns of the half spectrum.
    pub fn frequencies(self) -> usize {
        self.width / 2 + 1
    }

    fn pixels(self) -> usize {
        self.height * self.width
    }

    fn places(self) -> usize {
        self.height * self.frequencies()
    }

    /// The factor of a column of the spectrum, including the ortho scaling.
    fn factor(self, column: usize, columns: Columns) -> f32 {
        let scale = 1.0 / (self.pixels() as f32).sqrt();
        let alone = column == 0 || 2 * column == self.width;
        if alone { scale } else { scale * columns.factor() }
    }
}

/// Transforms of one size. Planning is expensive, so recent plans are kept.
#[derive(Clone)]
struct Plans {
    rows_forward: Arc<dyn RealToComplex<f32>>,
    rows_back: Arc<dyn ComplexToReal<f32>>,
    columns_forward: Arc<dyn Fft<f32>>,
    columns_back: Arc<dyn Fft<f32>>,
}

/// Planners cache their plans.
struct Planners {
    rows: RealFftPlanner<f32>,
    columns: FftPlanner<f32>,
}

fn plans(size: Size) -> Plans {
    static PLANNERS: Mutex<Option<Planners>> = Mutex::new(None);
    let mut planners = PLANNERS.lock().unwrap_or_else(PoisonError::into_inner);
    let planners =
        planners.get_or_insert_with(|| Planners { rows: RealFftPlanner::new(), columns: FftPlanner::new() });
    Plans {
        rows_forward: planners.rows.plan_fft_forward(size.width),
        rows_back: planners.rows.plan_fft_inverse(size.width),
        columns_forward: planners.columns.plan_fft_forward(size.height),
        columns_back: planners.columns.plan_fft_inverse(size.height),
    }
}

const ZERO: Complex<f32> = Complex { re: 0.0, im: 0.0 };

/// The half spectra of planes.
///
/// # Shapes
/// `x`: `[planes, height, width]`; the result: `[planes, 2, height, width / 2 + 1]`.
///
/// # Panics
/// If `x` is not whole planes.
pub fn spectrum(size: Size, x: &[f32], columns: Columns) -> Vec<f32> {
    assert_eq!(x.len() % size.pixels(), 0, "whole planes of {size:?}");
    let plans = plans(size);
    let (height, frequencies) = (size.height, size.frequencies());
    let factors: Vec<f32> = (0..frequencies).map(|column| size.factor(column, columns)).collect();
    let mut result = vec![0.0; x.len() / size.pixels() * 2 * size.places()];
    let scratch = plans.rows_forward.get_scratch_len().max(plans.columns_forward.get_inplace_scratch_len());
    let work =
        || (vec![0.0; size.width], vec![ZERO; frequencies], vec![ZERO; size.places()], vec![ZERO; scratch]);
    result.par_chunks_exact_mut(2 * size.places()).zip(x.par_chunks_exact(size.pixels())).for_each_init(
        work,
        |(row, line, turned, scratch), (to, plane)| {
            for (y, pixels) in plane.chunks_exact(size.width).enumerate() {
                row.copy_from_slice(pixels);
                plans.rows_forward.process_with_scratch(row, line, scratch).expect("lengths of the plan");
                line.iter().enumerate().for_each(|(column, value)| turned[column * height + y] = *value);
            }
            plans.columns_forward.process_with_scratch(turned, scratch);
            let (re, im) = to.split_at_mut(size.places());
            for (column, (values, factor)) in turned.chunks_exact(height).zip(&factors).enumerate() {
                for (y, value) in values.iter().enumerate() {
                    re[y * frequencies + column] = value.re * factor;
                    im[y * frequencies + column] = value.im * factor;
                }
            }
        },
    );
    result
}

/// The planes of half spectra. A spectrum that belongs to no real plane is taken as PyTorch's `irfft2` takes it: the columns
/// of DC and (for even widths) Nyquist lose their imaginary part after the inverse along the height.
///
/// # Shapes
/// `spectrum`: `[planes, 2, height, width / 2 + 1]`; the result: `[planes, height, width]`.
///
/// # Panics
/// If `spectrum` is not whole planes.
pub fn plane(size: Size, spectrum: &[f32], columns: Columns) -> Vec<f32> {
    assert_eq!(spectrum.len() % (2 * size.places()), 0, "whole spectra of {size:?}");
    let plans = plans(size);
    let (height, frequencies) = (size.height, size.frequencies());
    let factors: Vec<f32> = (0..frequencies).map(|column| size.factor(column, columns)).collect();
    let mut result = vec![0.0; spectrum.len() / (2 * size.places()) * size.pixels()];
    let scratch = plans.rows_back.get_scratch_len().max(plans.columns_back.get_inplace_scratch_len());
    let work = || (vec![ZERO; frequencies], vec![ZERO; size.places()], vec![ZERO; scratch]);
    result
        .par_chunks_exact_mut(size.pixels())
        .zip(spectrum.par_chunks_exact(2 * size.places()))
        .for_each_init(work, |(line, turned, scratch), (to, from)| {
            let (re, im) = from.split_at(size.places());
            for (column, (values, factor)) in turned.chunks_exact_mut(height).zip(&factors).enumerate() {
                for (y, value) in values.iter_mut().enumerate() {
                    let place = y * frequencies + column;
                    *value = Complex { re: re[place] * factor, im: im[place] * factor };
                }
            }
            plans.columns_back.process_with_scratch(turned, scratch);
            for (y, pixels) in to.chunks_exact_mut(size.width).enumerate() {
                line.iter_mut().enumerate().for_each(|(column, value)| *value = turned[column * height + y]);
                line[0].im = 0.0;
                if size.width.is_multiple_of(2) {
                    line[frequencies - 1].im = 0.0;
                }
                plans.rows_back.process_with_scratch(line, pixels, scratch).expect("lengths of the plan");
            }
        });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;
    use testkit::assert_close;
    use testkit::pictures::noise;

    const TOLERANCE: f32 = 1e-5;

    /// The definition, in float64, of one plane.
    fn by_definition(size: Size, x: &[f32]) -> Vec<f32> {
        let mut parts = [Vec::new(), Vec::new()];
        for ky in 0..size.height {
            for kx in 0..size.frequencies() {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, &value) in x.iter().enumerate() {
                    let (y, x) = (i / size.width, i % size.width);
                    let turns = (ky * y) as f64 / size.height as f64 + (kx * x) as f64 / size.width as f64;
                    re += f64::from(value) * (TAU * turns).cos();
                    im -= f64::from(value) * (TAU * turns).sin();
                }
                let scale = 1.0 / (size.pixels() as f64).sqrt();
                parts[0].push((re * scale) as f32);
                parts[1].push((im * scale) as f32);
            }
        }
        parts.concat()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn there_and_back_and_their_transposes() {
        for (height, width) in [(1, 1), (1, 2), (2, 1), (4, 4), (5, 6), (6, 5), (7, 11), (13, 8)] {
            let size = Size { height, width };
            let x = noise(1, 2 * size.pixels());
            let there = spectrum(size, &x, Columns::Once);
            let expected: Vec<f32> = x.chunks(size.pixels()).flat_map(|x| by_definition(size, x)).collect();
            assert_close(&there, &expected, TOLERANCE);
            assert_close(&plane(size, &there, Columns::Once), &x, TOLERANCE);
            // <A x, y> = <x, A' y>, also for spectra of no plane.
            let y = noise(2, there.len());
            let difference = dot(&there, &y) - dot(&x, &plane(size, &y, Columns::Half));
            assert!(difference.abs() < 1e-4, "{size:?}: {difference}");
            let back = plane(size, &y, Columns::Once);
            let difference = dot(&back, &x) - dot(&y, &spectrum(size, &x, Columns::Twice));
            assert!(difference.abs() < 1e-4, "{size:?}: {difference}");
        }
    }
}
