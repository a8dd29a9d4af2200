//! The real two-dimensional Fourier transform and its inverse, as products with constant matrices.
//!
//! As matrix products it takes any height and width, is differentiable for free and suits GPUs; Burn's own
//! `rfft` panics unless a length is a power of two. Both directions have ortho scaling, so a transform and its
//! inverse use the same factor `1/sqrt(height * width)`.
//!
//! The matrices are made anew for every call, from one table of sines for each side: that costs far less than
//! the products, and there is no cache to keep correct over threads and devices.

use std::f64::consts::TAU;

use burn::tensor::{DType, Device, Tensor, TensorData};

/// The half spectrum of `x`.
///
/// # Shapes
/// `x`: `[batch, channels, height, width]`; the result: `[batch, 2 channels, height, width / 2 + 1]`, where
/// channel `2c` is the real and `2c + 1` the imaginary part of channel `c`.
pub fn real_dft(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let columns = width / 2 + 1;
    let planes = batch * channels;
    let place = (&x.device(), x.dtype());
    let along_width = forward_along_width(width, place);
    let along_height = along_height(height, Direction::Forward, place);
    let rows = x.reshape([planes, 1, height, width]).matmul(along_width); // [planes, 2, height, columns]
    let rows = rows.reshape([planes, 2 * height, columns]); // all real rows, then all imaginary rows
    let spectrum = along_height.matmul(rows); // [planes, 2 height, columns]
    spectrum.reshape([batch, 2 * channels, height, columns])
}

/// The picture that has this half spectrum, `width` pixels wide.
///
/// A filtered spectrum need not belong to any real picture. Then this does what PyTorch's `irfft2` does: a complex
/// inverse along the height, then along the width the columns of DC and (for even widths) Nyquist count once
/// and lose their imaginary part, all others count twice.
///
/// # Shapes
/// `spectrum`: `[batch, 2 channels, height, width / 2 + 1]`, real and imaginary parts interleaved as
/// [`real_dft`] gives them; the result: `[batch, channels, height, width]`.
///
/// # Panics
/// If the spectrum's width does not belong to `width`, or its channels are odd in number.
pub fn inverse_real_dft(spectrum: Tensor<4>, width: usize) -> Tensor<4> {
    let [batch, parts, height, columns] = spectrum.dims();
    assert_eq!(columns, width / 2 + 1, "columns of the half spectrum of {width} pixels");
    assert_eq!(parts % 2, 0, "real and imaginary parts come in pairs");
    let channels = parts / 2;
    let planes = batch * channels;
    let place = (&spectrum.device(), spectrum.dtype());
    let along_height = along_height(height, Direction::Inverse, place);
    let along_width = inverse_along_width(width, place);
    let rows = along_height.matmul(spectrum.reshape([planes, 2 * height, columns])); // [planes, 2 height, columns]
    let rows = rows.reshape([planes, 2, height, columns]).matmul(along_width); // [planes, 2, height, width]
    rows.sum_dim(1).reshape([batch, channels, height, width])
}

/// Where the matrices are needed. They are computed in float64 and then rounded to this type.
type Place<'a> = (&'a Device, DType);

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Forward,
    Inverse,
}

/// Cosines and sines of all multiples of `1/length` of a full turn.
struct Turns {
    cosines: Vec<f64>,
    sines: Vec<f64>,
}

impl Turns {
    fn new(length: usize) -> Self {
        let angle = |index: usize| TAU * index as f64 / length as f64;
        // Half a turn has sine 0, not the 1e-16 of a rounded pi: Nyquist's imaginary part must vanish exactly.
        let sine = |index: usize| if 2 * index == length { 0.0 } else { angle(index).sin() };
        Self {
            cosines: (0..length).map(|index| angle(index).cos()).collect(),
            sines: (0..length).map(sine).collect(),
        }
    }
}

/// `[1, 2, width, columns]`: what multiplies a row of pixels to give real and imaginary parts.
fn forward_along_width(width: usize, place: Place<'_>) -> Tensor<4> {
    let turns = Turns::new(width);
    let columns = width / 2 + 1;
    let scale = 1.0 / (width as f64).sqrt();
    let entry = |table: &[f64], sign: f64| -> Vec<f64> {
        let at = |x: usize, k: usize| sign * scale * table[x * k % width];
        (0..width).flat_map(|x| (0..columns).map(move |k| (x, k))).map(|(x, k)| at(x, k)).collect()
    };
    let values = [entry(&turns.cosines, 1.0), entry(&turns.sines, -1.0)].concat();
    Tensor::from_data(TensorData::new(values, [1, 2, width, columns]), place)
}

/// `[1, 2, columns, width]`: what multiplies real and imaginary parts; their sum is a row of pixels.
fn inverse_along_width(width: usize, place: Place<'_>) -> Tensor<4> {
    let turns = Turns::new(width);
    let columns = width / 2 + 1;
    let scale = 1.0 / (width as f64).sqrt();
    let entry = |table: &[f64], sign: f64| -> Vec<f64> {
        let at = |k: usize, x: usize| {
            let alone = k == 0 || 2 * k == width;
            let count = if alone { 1.0 } else { 2.0 };
            count * sign * scale * table[x * k % width]
        };
        (0..columns).flat_map(|k| (0..width).map(move |x| (k, x))).map(|(k, x)| at(k, x)).collect()
    };
    let values = [entry(&turns.cosines, 1.0), entry(&turns.sines, -1.0)].concat();
    Tensor::from_data(TensorData::new(values, [1, 2, columns, width]), place)
}

/// `[1, 2 height, 2 height]`: a complex transform of columns, on real rows stacked over imaginary rows.
fn along_height(height: usize, direction: Direction, place: Place<'_>) -> Tensor<3> {
    let turns = Turns::new(height);
    let scale = 1.0 / (height as f64).sqrt();
    let sign = if direction == Direction::Forward { -1.0 } else { 1.0 };
    let side = 2 * height;
    let mut values = vec![0.0f64; side * side];
    for y in 0..height {
        for k in 0..height {
            let cosine = scale * turns.cosines[y * k % height];
            let sine = sign * scale * turns.sines[y * k % height];
            values[k * side + y] = cosine;
            values[k * side + height + y] = -sine;
            values[(height + k) * side + y] = sine;
            values[(height + k) * side + height + y] = cosine;
        }
    }
    Tensor::from_data(TensorData::new(values, [1, side, side]), place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, tensor, values};
    use proptest::prelude::*;
    use testkit::assert_close;

    const TOLERANCE: f32 = 1e-5;

    /// The definition, in float64: real and imaginary parts `[2, height, columns]` of one plane.
    fn by_definition(x: &[f32], height: usize, width: usize) -> Vec<f32> {
        let columns = width / 2 + 1;
        let mut spectrum = vec![0.0f32; 2 * height * columns];
        for ky in 0..height {
            for kx in 0..columns {
                let (mut re, mut im) = (0.0f64, 0.0f64);
                for y in 0..height {
                    for column in 0..width {
                        let turn = (ky * y) as f64 / height as f64 + (kx * column) as f64 / width as f64;
                        let value = f64::from(x[y * width + column]);
                        re += value * (TAU * turn).cos();
                        im -= value * (TAU * turn).sin();
                    }
                }
                let scale = 1.0 / ((height * width) as f64).sqrt();
                spectrum[ky * columns + kx] = (re * scale) as f32;
                spectrum[(height + ky) * columns + kx] = (im * scale) as f32;
            }
        }
        spectrum
    }

    #[test]
    fn two_by_two_by_hand() {
        let spectrum = real_dft(tensor([1, 1, 2, 2], vec![1.0, 2.0, 3.0, 6.0]));
        assert_eq!(spectrum.dims(), [1, 2, 2, 2]);
        assert_close(&values(spectrum), &[6.0, -2.0, -3.0, 1.0, 0.0, 0.0, 0.0, 0.0], TOLERANCE);
    }

    #[test]
    fn the_imaginary_part_of_nyquist_is_dropped() {
        let mut spectrum = vec![0.0; 2 * 3];
        spectrum[3] = 5.0; // imaginary DC
        spectrum[5] = 7.0; // imaginary Nyquist
        let x = inverse_real_dft(tensor([1, 2, 1, 3], spectrum), 4);
        assert_eq!(values(x), [0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "half spectrum of 6 pixels")]
    fn a_foreign_width_is_refused() {
        inverse_real_dft(random([1, 2, 4, 3], 1), 6);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_size_comes_back(batch in 1usize..=2, height in 1usize..=17, width in 1usize..=17, seed: u64) {
            let x = random([batch, 2, height, width], seed);
            let spectrum = real_dft(x.clone());
            prop_assert_eq!(spectrum.dims(), [batch, 4, height, width / 2 + 1]);
            assert_close(&values(inverse_real_dft(spectrum, width)), &values(x), TOLERANCE);
        }

        #[test]
        fn it_is_the_fourier_transform(height in 1usize..=17, width in 1usize..=17, seed: u64) {
            let x = random([1, 1, height, width], seed);
            let expected = by_definition(&values(x.clone()), height, width);
            assert_close(&values(real_dft(x)), &expected, TOLERANCE);
        }
    }
}
