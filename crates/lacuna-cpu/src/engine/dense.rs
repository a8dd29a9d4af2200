//! Full connections: every input value meets every output value.

use rayon::prelude::*;

/// Values whose products are summed side by side.
const WIDTH: usize = 16;

/// Outputs of a task of [`from_pixel`]: its sums stay in the cache.
const CHUNK: usize = 1024;

/// The sums of the products of `x` with each row of `weights`.
///
/// # Shapes
/// `x`: `[inputs]`; `weights`: `[outputs, inputs]`; the result: `[outputs]`.
pub(super) fn rows(x: &[f32], weights: &[f32]) -> Vec<f32> {
    weights.par_chunks_exact(x.len()).map(|row| dot(x, row)).collect()
}

/// The sum of the rows of `weights`, each multiplied with a value of `x`.
///
/// # Shapes
/// `x`: `[inputs]`; `weights`: `[inputs, outputs]`; the result: `[outputs]`.
pub(super) fn columns(x: &[f32], weights: &[f32]) -> Vec<f32> {
    let outputs = weights.len() / x.len();
    let mut sums = vec![0.0; outputs];
    sums.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, sums)| {
        for (&value, row) in x.iter().zip(weights.chunks_exact(outputs)) {
            let row = &row[chunk * CHUNK..][..sums.len()];
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
        }
    });
    sums
}

/// The sum of products of two vectors, always in the same order.
pub(super) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let (x_whole, y_whole) = (x.chunks_exact(WIDTH), y.chunks_exact(WIDTH));
    let rest: f32 = x_whole.remainder().iter().zip(y_whole.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0f32; WIDTH];
    for (x, y) in x_whole.zip(y_whole) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::assert_close;
    use testkit::pictures::noise;

    #[test]
    fn both_directions_are_the_definition() {
        for (inputs, outputs) in [(1, 1), (16, 3), (37, 2050)] {
            let (x, weights) = (noise(1, inputs), noise(2, inputs * outputs));
            let sum = |weight: &dyn Fn(usize) -> f32| -> f32 {
                (0..inputs).map(|i| f64::from(x[i]) * f64::from(weight(i))).sum::<f64>() as f32
            };
            let by_rows: Vec<f32> = (0..outputs).map(|o| sum(&|i| weights[o * inputs + i])).collect();
            let by_columns: Vec<f32> = (0..outputs).map(|o| sum(&|i| weights[i * outputs + o])).collect();
            assert_close(&rows(&x, &weights), &by_rows, 1e-5);
            assert_close(&columns(&x, &weights), &by_columns, 1e-5);
        }
    }
}
