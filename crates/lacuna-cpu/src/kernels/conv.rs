//! Convolution for training: forward, and the gradients of input and weights. The transposed convolution uses the same
//! three with input and output exchanged.
//!
//! Planes stay in NCHW layout: vectors run along rows, so that layers of three or eight channels waste no lanes.

use rayon::prelude::*;

use super::correlation::Correlation;
use super::direct::{Direct, Phase, Tap, Weights};
use super::pixel_product;
use super::shape::folded;
pub use super::shape::{ConvShape, Padding};
use super::strip::Padded;
use super::winograd;
use crate::Isa;

/// The convolution of `x`.
///
/// # Shapes
/// `x`: `[batch, channels_in, height, width]`; `weight`: `[channels_out, channels_in, kernel, kernel]`; `bias`:
/// `[channels_out]`; the result: `[batch, channels_out, rows, columns]`.
///
/// # Panics
/// If a slice has another size, or the map is too small to reflect.
pub fn forward(isa: Isa, shape: &ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    shape.check(Some(x), None, Some(weight));
    assert!(bias.is_none_or(|bias| bias.len() == shape.channels_out), "bias of {shape:?}");
    if winograd::applies(shape) {
        return winograd::forward(isa, shape, x, weight, bias);
    }
    let shape = &shape.flattened();
    let ConvShape { kernel, channels_in, .. } = *shape;
    let taps: Vec<(usize, usize)> = (0..kernel * kernel).map(|tap| (tap / kernel, tap % kernel)).collect();
    let mut y = vec![0.0; shape.batch * shape.channels_out * shape.rows() * shape.columns()];
    let phase = Phase {
        down: 0,
        right: 0,
        taps: taps.iter().map(|&(down, right)| Tap { down, right, index: down * kernel + right }).collect(),
    };
    let direct = Direct {
        isa,
        batch: shape.batch,
        source: Padded::new(x, [channels_in, shape.height, shape.width], shape.padding),
        outputs: shape.channels_out,
        stride: shape.stride,
        phases: vec![phase],
        out_step: 1,
        rows: shape.rows(),
        columns: shape.columns(),
    };
    let taps = kernel * kernel;
    direct.run(&mut y, bias, Weights { values: weight, output: channels_in * taps, input: taps });
    y
}

/// The gradient of the input.
///
/// # Shapes
/// `dy`: `[batch, channels_out, rows, columns]`; `weight`: as in [`forward`]; the result: `[batch, channels_in, height,
/// width]`.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient(isa: Isa, shape: &ConvShape, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    shape.check(None, Some(dy), Some(weight));
    if winograd::applies(shape) {
        return winograd::input_gradient(isa, shape, dy, weight);
    }
    scatter(isa, &shape.flattened(), dy, weight, None)
}

/// The transposed convolution of `x`: the input gradient of a convolution with the shape `shape`, plus bias. Its own
/// gradients are [`forward`] without bias for `x`, and [`weight_gradient`] with its gradient as x and `x` as dy.
///
/// # Shapes
/// `x`: `[batch, channels_out, rows, columns]`; `weight`: as in [`forward`]; `bias`: `[channels_in]`; the result: `[batch,
/// channels_in, height, width]`.
///
/// # Panics
/// As [`forward`]; also if the shape reflects, which transposed convolutions do not support.
pub fn transposed(isa: Isa, shape: &ConvShape, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    shape.check(None, Some(x), Some(weight));
    assert!(!matches!(shape.padding, Padding::Reflect(_)), "a transposed convolution that reflects");
    assert_eq!(bias.len(), shape.channels_in, "bias of {shape:?}");
    scatter(isa, shape, x, weight, Some(bias))
}

fn scatter(isa: Isa, shape: &ConvShape, dy: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let ConvShape { batch, channels_in, channels_out, height, width, kernel, stride, padding } = *shape;
    if let Padding::Reflect(by) = padding {
        let (rows, columns) = (height + 2 * by, width + 2 * by);
        let padded = ConvShape { height: rows, width: columns, padding: Padding::None, ..*shape };
        let gradient = scatter(isa, &padded, dy, weight, None);
        return folded(&gradient, (height, width), by);
    }
    // Output pixel y * stride + phase sums dy[y + (phase + padding - k) / stride] over each tap k that divides.
    let along = |phase: usize| -> Vec<(isize, usize)> {
        let place = |k: usize| (phase + padding.width()) as isize - k as isize;
        let stride = stride as isize;
        (0..kernel).filter(|&k| place(k) % stride == 0).map(|k| (place(k) / stride, k)).collect()
    };
    // Leading zeros, as many as any tap reaches.
    let lead = kernel.div_ceil(stride);
    let forward = |place: isize| usize::try_from(place + lead as isize).expect("within the lead");
    let phases = (0..stride * stride).map(|phase| {
        let (down, right) = (phase / stride, phase % stride);
        let taps = along(down).into_iter().flat_map(|(y, row)| {
            along(right).into_iter().map(move |(x, column)| Tap {
                down: forward(y),
                right: forward(x),
                index: row * kernel + column,
            })
        });
        Phase { down, right, taps: taps.collect() }
    });
    let mut dx = vec![0.0; batch * channels_in * height * width];
    let direct = Direct {
        isa,
        batch,
        source: Padded::new(dy, [channels_out, shape.rows(), shape.columns()], Padding::Zero(lead)),
        outputs: channels_in,
        stride: 1,
        phases: phases.collect(),
        out_step: stride,
        rows: height,
        columns: width,
    };
    let taps = kernel * kernel;
    direct.run(&mut dx, bias, Weights { values: weight, output: taps, input: channels_in * taps });
    dx
}

/// The gradient of the weights.
///
/// # Shapes
/// `x` and `dy`: as in [`forward`] and [`input_gradient`]; the result: `[channels_out, channels_in, kernel, kernel]`.
///
/// # Panics
/// As [`forward`].
pub fn weight_gradient(isa: Isa, shape: &ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    shape.check(Some(x), Some(dy), None);
    let shape = &shape.flattened();
    if pixel_product::applies(shape) {
        return pixel_product::weight_gradient(isa, shape, x, dy);
    }
    Correlation::new(isa, shape, x, dy).run()
}

/// The gradient of the bias: the sum of each channel.
///
/// # Shapes
/// `dy`: `[batch, channels, pixels]`; the result: `[channels]`.
///
/// # Panics
/// If `dy` has another size.
pub fn bias_gradient(channels: usize, pixels: usize, dy: &[f32]) -> Vec<f32> {
    assert_eq!(dy.len() % (channels * pixels), 0, "whole pictures");
    let sum =
        |values: &[f32]| values.chunks(1024).map(|part| f64::from(part.iter().sum::<f32>())).sum::<f64>();
    let channel = |channel: usize| {
        dy.chunks_exact(channels * pixels)
            .map(|picture| sum(&picture[channel * pixels..][..pixels]))
            .sum::<f64>() as f32
    };
    (0..channels).into_par_iter().map(channel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::assert_close;
    use testkit::pictures::noise;

    /// Of values near 1.
    const TOLERANCE: f32 = 2e-5;

    /// Calls `visit` with the indices in x, dy and weight of every product in the definition.
    fn products(shape: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
        let ConvShape { batch, channels_in, channels_out, height, width, kernel, stride, padding } = *shape;
        let place = |index: usize, length: usize| -> Option<usize> {
            let (index, last) = (index as isize - padding.width() as isize, length as isize - 1);
            match padding {
                _ if (0..=last).contains(&index) => Some(index as usize),
                Padding::Reflect(_) => Some((if index < 0 { -index } else { 2 * last - index }) as usize),
                _ => None,
            }
        };
        let (rows, columns) = (shape.rows(), shape.columns());
        for picture in 0..batch {
            for (output, input) in (0..channels_out).flat_map(|o| (0..channels_in).map(move |i| (o, i))) {
                for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                    for (ky, kx) in (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx))) {
                        let (y, x) = (place(row * stride + ky, height), place(column * stride + kx, width));
                        if let (Some(y), Some(x)) = (y, x) {
                            let x = ((picture * channels_in + input) * height + y) * width + x;
                            let dy = ((picture * channels_out + output) * rows + row) * columns + column;
                            visit(x, dy, ((output * channels_in + input) * kernel + ky) * kernel + kx);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn it_is_the_definition_forward_and_back() {
        use Padding::{None, Reflect, Zero};
        struct Case(usize, [usize; 2], [usize; 2], usize, usize, Padding);
        for Case(batch, [channels_in, channels_out], [height, width], kernel, stride, padding) in [
            Case(2, [3, 5], [9, 7], 3, 1, Reflect(1)),
            Case(1, [4, 8], [12, 40], 7, 1, Reflect(3)),
            Case(3, [8, 3], [10, 18], 7, 1, Reflect(3)),
            Case(2, [5, 13], [9, 34], 3, 2, Reflect(1)),
            Case(2, [5, 14], [8, 33], 3, 2, Zero(1)),
            Case(1, [7, 25], [6, 17], 1, 1, None),
            Case(2, [24, 20], [8, 16], 1, 1, None),
            Case(1, [2, 3], [7, 9], 4, 2, Zero(2)),
            Case(1, [2, 3], [7, 9], 4, 1, Zero(2)),
            Case(2, [1, 1], [1, 1], 1, 1, None),
            Case(1, [2, 2], [2, 2], 3, 1, Reflect(1)),
            Case(1, [3, 2], [11, 5], 1, 2, None),
            // Enough channels for Winograd.
            Case(2, [64, 80], [9, 10], 3, 1, Reflect(1)),
            Case(1, [70, 64], [8, 11], 3, 1, Zero(1)),
            Case(11, [32, 40], [4, 4], 3, 1, Zero(1)),
            Case(25, [33, 32], [2, 3], 3, 1, Reflect(1)),
            // Enough outputs for vectors along channels, in one or several parts of summands, pixels and images.
            Case(3, [20, 40], [9, 9], 4, 2, Zero(2)),
            Case(2, [33, 70], [5, 6], 4, 1, Zero(2)),
            Case(2, [6, 17], [20, 19], 3, 1, Reflect(1)),
            Case(5, [40, 16], [6, 20], 3, 2, Reflect(1)),
            Case(70, [12, 16], [2, 2], 3, 1, Zero(1)),
        ] {
            let shape =
                ConvShape { batch, channels_in, channels_out, height, width, kernel, stride, padding };
            let x = noise(1, batch * channels_in * height * width);
            let dy = noise(2, batch * channels_out * shape.rows() * shape.columns());
            let scale = 1.0 / ((channels_in * kernel * kernel) as f32).sqrt();
            let weight: Vec<f32> = noise(3, channels_out * channels_in * kernel * kernel);
            let weight: Vec<f32> = weight.iter().map(|value| value * scale).collect();
            let bias = noise(4, channels_out);
            let mut y = vec![0.0f64; dy.len()];
            let mut dx = vec![0.0f64; x.len()];
            let mut dw = vec![0.0f64; weight.len()];
            products(&shape, |i, o, w| {
                y[o] += f64::from(x[i]) * f64::from(weight[w]);
                dx[i] += f64::from(dy[o]) * f64::from(weight[w]);
                dw[w] += f64::from(dy[o]) * f64::from(x[i]);
            });
            let pixels = shape.rows() * shape.columns();
            let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
            let biased: Vec<f32> =
                single(&y).iter().enumerate().map(|(i, y)| y + bias[i / pixels % channels_out]).collect();
            for isa in Isa::available() {
                println!("{shape:?} {isa}");
                assert_close(&forward(isa, &shape, &x, &weight, Some(&bias)), &biased, TOLERANCE);
                assert_close(&input_gradient(isa, &shape, &dy, &weight), &single(&dx), TOLERANCE);
                assert_close(
                    &weight_gradient(isa, &shape, &x, &dy),
                    &single(&dw),
                    TOLERANCE * (pixels as f32).sqrt(),
                );
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        struct Case(usize, [usize; 2], [usize; 2], usize, usize, Padding);
        for Case(batch, [channels_in, channels_out], [height, width], kernel, stride, padding) in [
            Case(3, [5, 13], [66, 70], 3, 1, Padding::Reflect(1)),
            Case(7, [40, 48], [9, 9], 4, 2, Padding::Zero(2)),
            Case(20, [32, 33], [4, 4], 3, 1, Padding::Zero(1)),
        ] {
            let shape =
                ConvShape { batch, channels_in, channels_out, height, width, kernel, stride, padding };
            let x = noise(1, batch * channels_in * height * width);
            let dy = noise(2, batch * channels_out * shape.rows() * shape.columns());
            let weight = noise(3, channels_in * channels_out * kernel * kernel);
            let isa = Isa::best();
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    [
                        forward(isa, &shape, &x, &weight, None),
                        input_gradient(isa, &shape, &dy, &weight),
                        weight_gradient(isa, &shape, &x, &dy),
                    ]
                })
            };
            assert_eq!(run(1), run(3), "{shape:?}");
        }
    }

    #[test]
    fn sums_of_channels_by_hand() {
        assert_eq!(bias_gradient(2, 2, &[1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0]), [33.0, 77.0]);
    }
}
