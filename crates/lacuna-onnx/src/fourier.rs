//! The real two-dimensional Fourier transform and its inverse, with ortho scaling, as matrix products.
//!
//! With θ = 2π·row·column / n, a transform along an axis multiplies by cos θ and sin θ. All Fourier units share the matrices.

use std::f64::consts::TAU;

use crate::builder::{Builder, Setting, Value};
use crate::side::{Side, to_float, to_integer};

/// The matrices of a transform of `[height, width]` to the half spectrum `[height, width / 2 + 1]`.
pub struct Fourier {
    /// `[height, height]`, symmetric.
    rows: Waves,
    /// `[width, width / 2 + 1]`.
    columns: Waves,
    /// `[width / 2 + 1, width]`: frequencies that the half spectrum leaves out count twice.
    columns_back: Waves,
}

/// A matrix of cosines and one of sines, over the root of the length.
struct Waves {
    cos: Value,
    sin: Value,
}

impl Fourier {
    /// The matrices for maps of this size.
    pub fn new(builder: &mut Builder, height: &Side, width: &Side) -> Self {
        let (columns, columns_back) = match width {
            Side::Fixed(width) => fixed_columns(builder, *width),
            Side::Computed(width) => computed_columns(builder, width),
        };
        let rows = match height {
            Side::Fixed(height) => fixed(builder, *height, (*height, *height), |_, _| 1.0),
            Side::Computed(height) => {
                let range = Side::range(builder, height);
                computed(builder, height, &range, &range)
            }
        };
        Self { rows, columns, columns_back }
    }

    /// `[1, channels, height, width]` to `[1, 2 channels, height, width / 2 + 1]`: all real parts, then all imaginary ones.
    pub fn forward(&self, builder: &mut Builder, x: &Value, channels: usize) -> Value {
        let real = builder.node("MatMul", &[x, &self.columns.cos], &[]);
        let minus_imaginary = builder.node("MatMul", &[x, &self.columns.sin], &[]);
        let imaginary = builder.node("Neg", &[&minus_imaginary], &[]);
        let spectrum = builder.concat(&[&real, &imaginary], 1);
        let Parts { cos: [a, b], sin: [c, d] } = self.along_rows(builder, &spectrum, channels);
        let real = builder.node("Add", &[&a, &d], &[]);
        let imaginary = builder.node("Sub", &[&b, &c], &[]);
        builder.concat(&[&real, &imaginary], 1)
    }

    /// The inverse of [`Fourier::forward`].
    pub fn inverse(&self, builder: &mut Builder, spectrum: &Value, channels: usize) -> Value {
        let Parts { cos: [a, b], sin: [c, d] } = self.along_rows(builder, spectrum, channels);
        let real = builder.node("Sub", &[&a, &d], &[]);
        let imaginary = builder.node("Add", &[&b, &c], &[]);
        let of_real = builder.node("MatMul", &[&real, &self.columns_back.cos], &[]);
        let of_imaginary = builder.node("MatMul", &[&imaginary, &self.columns_back.sin], &[]);
        builder.node("Sub", &[&of_real, &of_imaginary], &[])
    }

    fn along_rows(&self, builder: &mut Builder, spectrum: &Value, channels: usize) -> Parts {
        let mut product = |matrix: &Value| {
            let product = builder.node("MatMul", &[matrix, spectrum], &[]);
            split(builder, &product, [channels; 2])
        };
        Parts { cos: product(&self.rows.cos), sin: product(&self.rows.sin) }
    }
}

/// Real and imaginary parts, multiplied by cosines and by sines.
struct Parts {
    cos: [Value; 2],
    sin: [Value; 2],
}

/// The channels of a map in two parts.
pub fn split(builder: &mut Builder, x: &Value, parts: [usize; 2]) -> [Value; 2] {
    let parts = builder.integers(&parts.map(|channels| channels as i64));
    builder.nodes("Split", &[x, &parts], &[Setting::Int("axis", 1)])
}

fn fixed_columns(builder: &mut Builder, width: usize) -> (Waves, Waves) {
    let frequencies = width / 2 + 1;
    // 0, and half of the width if there is such a frequency, are their own mirror images.
    let times = |frequency: usize| if frequency == 0 || 2 * frequency == width { 1.0 } else { 2.0 };
    let columns = fixed(builder, width, (width, frequencies), |_, _| 1.0);
    (columns, fixed(builder, width, (frequencies, width), |frequency, _| times(frequency)))
}

fn fixed(
    builder: &mut Builder,
    length: usize,
    (rows, columns): (usize, usize),
    times: impl Fn(usize, usize) -> f64,
) -> Waves {
    let mut matrix = |name: &str, wave: fn(f64) -> f64| {
        let value = |row: usize, column: usize| {
            let angle = TAU * (row * column % length) as f64 / length as f64;
            (times(row, column) * wave(angle) / (length as f64).sqrt()) as f32
        };
        let values: Vec<f32> = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| value(row, column))
            .collect();
        builder.floats(name, &[rows, columns], &values)
    };
    Waves { cos: matrix("cosines", f64::cos), sin: matrix("sines", f64::sin) }
}

fn computed_columns(builder: &mut Builder, width: &Value) -> (Waves, Waves) {
    let (two, one, zero) = (builder.integer(2), builder.integer(1), builder.integer(0));
    let half = builder.node("Div", &[width, &two], &[]);
    let count = builder.node("Add", &[&half, &one], &[]);
    let places = Side::range(builder, width);
    let frequencies = Side::range(builder, &count);
    let columns = computed(builder, width, &places, &frequencies);
    let plain = computed(builder, width, &frequencies, &places);
    // Frequencies that are not their own mirror image count twice: 1 + (2 frequency mod width is not 0).
    let doubled = builder.node("Mul", &[&frequencies, &two], &[]);
    let mirrored = builder.node("Mod", &[&doubled, width], &[]);
    let alone = builder.node("Equal", &[&mirrored, &zero], &[]);
    let alone = to_integer(builder, &alone);
    let times = builder.node("Sub", &[&two, &alone], &[]);
    let times = to_float(builder, &times);
    let axis = builder.integers(&[1]);
    let times = builder.node("Unsqueeze", &[&times, &axis], &[]);
    let mut weighted = |matrix: &Value| builder.node("Mul", &[matrix, &times], &[]);
    let back = Waves { cos: weighted(&plain.cos), sin: weighted(&plain.sin) };
    (columns, back)
}

/// The matrices over rows and columns of these numbers; the remainder keeps angles below a full turn, and so exact.
fn computed(builder: &mut Builder, length: &Value, rows: &Value, columns: &Value) -> Waves {
    let (down, right) = (builder.integers(&[1]), builder.integers(&[0]));
    let rows = builder.node("Unsqueeze", &[rows, &down], &[]);
    let columns = builder.node("Unsqueeze", &[columns, &right], &[]);
    let products = builder.node("Mul", &[&rows, &columns], &[]);
    let turns = builder.node("Mod", &[&products, length], &[]);
    let (turns, length) = (to_float(builder, &turns), to_float(builder, length));
    let tau = builder.float(TAU as f32);
    let step = builder.node("Div", &[&tau, &length], &[]);
    let angles = builder.node("Mul", &[&turns, &step], &[]);
    let root = builder.node("Sqrt", &[&length], &[]);
    let mut matrix = |wave: &str| {
        let values = builder.node(wave, &[&angles], &[]);
        builder.node("Div", &[&values, &root], &[])
    };
    Waves { cos: matrix("Cos"), sin: matrix("Sin") }
}
