//! Batch normalisation for training, fused with the ReLU behind it.
//!
//! Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>: `y = weight (x - mean) / sqrt(variance + epsilon) + bias`.
//! The ReLU mask is recomputed from `x`, so the backward pass does not need `y`.
#![expect(unsafe_code, reason = "vectors in raw memory")]

use lacuna_network::geometry;
use rayon::prelude::*;

use crate::shared::Shared;
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::{After, Isa};

/// Added to the variance.
const EPSILON: f32 = geometry::EPSILON as f32;

/// Values that are summed in single precision before they join a double: bounds the rounding of long sums.
const RUN: usize = 4096;

/// The shape of a map and what follows its normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormShape {
    /// Pictures.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Pixels of a channel.
    pub pixels: usize,
    /// What follows.
    pub after: After,
}

/// Mean and biased variance of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// `[channels]`.
    pub mean: Vec<f32>,
    /// `[channels]`, divided by the number of values.
    pub variance: Vec<f32>,
}

/// Gradients of a normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// `[batch, channels, pixels]`.
    pub x: Vec<f32>,
    /// Of the factor of each channel, `[channels]`.
    pub weight: Vec<f32>,
    /// Of the summand of each channel, `[channels]`.
    pub bias: Vec<f32>,
}

impl NormShape {
    fn check(&self, values: &[&[f32]], channels: &[&[f32]]) {
        let all = self.batch * self.channels * self.pixels;
        assert!(values.iter().all(|values| values.len() == all), "numbers of {self:?}");
        assert!(channels.iter().all(|channels| channels.len() == self.channels), "channels of {self:?}");
    }

    /// The runs of a channel's values in memory.
    fn runs(&self, channel: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let Self { batch, channels, pixels, .. } = *self;
        (0..batch).flat_map(move |picture| {
            let start = (picture * channels + channel) * pixels;
            (start..start + pixels).step_by(RUN).map(move |run| run..(run + RUN).min(start + pixels))
        })
    }

    fn count(&self) -> f64 {
        (self.batch * self.pixels) as f64
    }
}

/// Mean and variance of each channel of `x`.
///
/// # Shapes
/// `x`: `[batch, channels, pixels]`.
///
/// # Panics
/// If it has another size.
pub fn statistics(isa: Isa, shape: &NormShape, x: &[f32]) -> Statistics {
    shape.check(&[x], &[]);
    let channel = |channel: usize| {
        let sum = |about: f32, power: Power| -> f64 {
            shape.runs(channel).map(|run| f64::from(dispatch(isa, Moment { x: &x[run], about, power }))).sum()
        };
        let mean = (sum(0.0, Power::One) / shape.count()) as f32;
        (mean, (sum(mean, Power::Two) / shape.count()) as f32)
    };
    let (mean, variance) = (0..shape.channels).into_par_iter().map(channel).unzip();
    Statistics { mean, variance }
}

/// `scale x + offset` for each channel, and ReLU if the shape says so: a norm in eval mode.
///
/// # Shapes
/// `x` and the result: `[batch, channels, pixels]`; `scale` and `offset`: `[channels]`.
///
/// # Panics
/// If a slice has another size.
pub fn affine(isa: Isa, shape: &NormShape, x: &[f32], scale: &[f32], offset: &[f32]) -> Vec<f32> {
    shape.check(&[x], &[scale, offset]);
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(shape.pixels.max(1)).zip(x.par_chunks(shape.pixels.max(1))).enumerate().for_each(
        |(plane, (y, x))| {
            let channel = plane % shape.channels;
            dispatch(
                isa,
                Affine { x, y, scale: scale[channel], offset: offset[channel], after: shape.after },
            );
        },
    );
    y
}

/// Gradients of [`affine`].
///
/// # Shapes
/// As there; `dy` like the result.
///
/// # Panics
/// As [`affine`].
pub fn affine_gradient(
    isa: Isa,
    shape: &NormShape,
    x: &[f32],
    dy: &[f32],
    (scale, offset): (&[f32], &[f32]),
) -> Gradients {
    shape.check(&[x, dy], &[scale, offset]);
    gradients(isa, shape, x, dy, |channel, [sum, product]| Channel {
        cut: (scale[channel], offset[channel]),
        about: 0.0,
        factor: scale[channel],
        slope: 0.0,
        constant: 0.0,
        weight: product as f32,
        bias: sum as f32,
    })
}

/// Normalises each channel of `x` with its statistics.
///
/// # Shapes
/// `x` and the result: `[batch, channels, pixels]`; all else: `[channels]`.
///
/// # Panics
/// If a slice has another size.
pub fn forward(
    isa: Isa,
    shape: &NormShape,
    x: &[f32],
    (weight, bias): (&[f32], &[f32]),
    statistics: &Statistics,
) -> Vec<f32> {
    let (scale, offset) = folded(weight, bias, statistics);
    affine(isa, shape, x, &scale, &offset)
}

/// Gradients of [`forward`] where the statistics are those of `x` itself.
///
/// # Shapes
/// As there; `dy` like the result.
///
/// # Panics
/// As [`forward`].
pub fn gradient(
    isa: Isa,
    shape: &NormShape,
    (x, dy): (&[f32], &[f32]),
    (weight, bias): (&[f32], &[f32]),
    statistics: &Statistics,
) -> Gradients {
    shape.check(&[x, dy], &[weight, bias, &statistics.mean, &statistics.variance]);
    let (scale, offset) = folded(weight, bias, statistics);
    let centred = |channel: usize, [sum, product]: [f64; 2]| {
        // The sum of dy (x - mean), from that of dy x.
        let about = f64::from(statistics.mean[channel]);
        let product = product - about * sum;
        let deviation = (statistics.variance[channel] + EPSILON).sqrt();
        let slope = product / (shape.count() * f64::from(deviation).powi(2));
        Channel {
            cut: (scale[channel], offset[channel]),
            about: statistics.mean[channel],
            factor: scale[channel],
            slope: slope as f32,
            constant: (sum / shape.count()) as f32,
            weight: (product / f64::from(deviation)) as f32,
            bias: sum as f32,
        }
    };
    gradients(isa, shape, x, dy, centred)
}

/// The factor and summand that normalise each channel.
fn folded(weight: &[f32], bias: &[f32], statistics: &Statistics) -> (Vec<f32>, Vec<f32>) {
    let scale: Vec<f32> = weight
        .iter()
        .zip(&statistics.variance)
        .map(|(weight, variance)| weight / (variance + EPSILON).sqrt())
        .collect();
    let offset =
        bias.iter().zip(&statistics.mean).zip(&scale).map(|((bias, mean), scale)| bias - mean * scale);
    (scale.clone(), offset.collect())
}

/// What a channel's gradient is made of: `dx = factor (dy - constant - slope (x - about))`.
struct Channel {
    cut: (f32, f32),
    about: f32,
    factor: f32,
    slope: f32,
    constant: f32,
    weight: f32,
    bias: f32,
}

fn gradients(
    isa: Isa,
    shape: &NormShape,
    x: &[f32],
    dy: &[f32],
    channel: impl Fn(usize, [f64; 2]) -> Channel + Sync,
) -> Gradients {
    let mut dx = vec![0.0; x.len()];
    let shared = Shared::new(&mut dx);
    let cut = |at: usize| channel(at, [0.0; 2]).cut;
    let (weight, bias) = (0..shape.channels)
        .into_par_iter()
        .map(|at| {
            let (scale, offset) = cut(at);
            let mut sums = [0.0f64; 2];
            for run in shape.runs(at) {
                let part = Sums { x: &x[run.clone()], dy: &dy[run], scale, offset, after: shape.after };
                let part = dispatch(isa, part);
                sums = [sums[0] + f64::from(part[0]), sums[1] + f64::from(part[1])];
            }
            let channel = channel(at, sums);
            for run in shape.runs(at) {
                // SAFETY: runs of a channel belong to one task and lie inside.
                let to = unsafe { std::slice::from_raw_parts_mut(shared.at(run.start), run.len()) };
                let job = InputGradient {
                    x: &x[run.clone()],
                    dy: &dy[run],
                    dx: to,
                    channel: &channel,
                    after: shape.after,
                };
                dispatch(isa, job);
            }
            (channel.weight, channel.bias)
        })
        .unzip();
    Gradients { x: dx, weight, bias }
}

#[derive(Clone, Copy)]
enum Power {
    One,
    Two,
}

/// The sum of `(x - about)^power`.
struct Moment<'a> {
    x: &'a [f32],
    about: f32,
    power: Power,
}

impl Op for Moment<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let about = simd.splat(self.about);
        let (whole, rest) = self.x.as_chunks::<LANES>();
        let mut sum = simd.splat(0.0);
        for x in whole {
            // SAFETY: LANES numbers.
            let distance = simd.sub(unsafe { simd.load(x.as_ptr()) }, about);
            sum = match self.power {
                Power::One => simd.add(sum, distance),
                Power::Two => simd.mul_add(distance, distance, sum),
            };
        }
        let tail = rest.iter().map(|x| x - self.about);
        let tail: f32 = match self.power {
            Power::One => tail.sum(),
            Power::Two => tail.map(|distance| distance * distance).sum(),
        };
        simd.sum(sum) + tail
    }
}

struct Affine<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    scale: f32,
    offset: f32,
    after: After,
}

/// `scale x + offset`, with one rounding or two as the vectors have it, so that signs agree everywhere.
#[inline(always)]
fn line<S: Simd>(simd: S, x: &[f32], scale: S::V, offset: S::V) -> S::V {
    let x = if x.len() == LANES {
        // SAFETY: LANES numbers.
        unsafe { simd.load(x.as_ptr()) }
    } else {
        simd.load_part(x)
    };
    simd.mul_add(x, scale, offset)
}

impl Op for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (scale, offset) = (simd.splat(self.scale), simd.splat(self.offset));
        let least = simd.splat(if self.after == After::Relu { 0.0 } else { f32::NEG_INFINITY });
        for (x, y) in self.x.chunks(LANES).zip(self.y.chunks_mut(LANES)) {
            let value = simd.max(line(simd, x, scale, offset), least);
            if y.len() == LANES {
                // SAFETY: LANES numbers.
                unsafe { simd.store(y.as_mut_ptr(), value) };
            } else {
                simd.store_part(y, value);
            }
        }
    }
}

/// Sums of dy, where it passed ReLU, and of its product with x.
struct Sums<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    scale: f32,
    offset: f32,
    after: After,
}

impl Op for Sums<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f32; 2] {
        let (scale, offset) = (simd.splat(self.scale), simd.splat(self.offset));
        let (mut sum, mut product) = (simd.splat(0.0), simd.splat(0.0));
        for (x, dy) in self.x.chunks(LANES).zip(self.dy.chunks(LANES)) {
            let passed = passed(simd, x, dy, scale, offset, self.after);
            sum = simd.add(sum, passed);
            product = simd.mul_add(passed, line(simd, x, simd.splat(1.0), simd.splat(0.0)), product);
        }
        [simd.sum(sum), simd.sum(product)]
    }
}

/// `dy` where `scale x + offset` passed the ReLU, else 0.
#[inline(always)]
fn passed<S: Simd>(simd: S, x: &[f32], dy: &[f32], scale: S::V, offset: S::V, after: After) -> S::V {
    let dy = line(simd, dy, simd.splat(1.0), simd.splat(0.0));
    match after {
        After::Nothing => dy,
        After::Relu => simd.where_positive(line(simd, x, scale, offset), dy),
    }
}

struct InputGradient<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    channel: &'a Channel,
    after: After,
}

impl Op for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Channel { cut, about, factor, slope, constant, .. } = *self.channel;
        let (scale, offset) = (simd.splat(cut.0), simd.splat(cut.1));
        // factor (dy - constant - slope (x - about)) = factor dy + (level - factor slope x)
        let level = simd.splat(factor * (slope * about - constant));
        let (factor, slope) = (simd.splat(factor), simd.splat(-factor * slope));
        for ((x, dy), dx) in self.x.chunks(LANES).zip(self.dy.chunks(LANES)).zip(self.dx.chunks_mut(LANES)) {
            let passed = passed(simd, x, dy, scale, offset, self.after);
            let value = simd.mul_add(factor, passed, line(simd, x, slope, level));
            if dx.len() == LANES {
                // SAFETY: LANES numbers.
                unsafe { simd.store(dx.as_mut_ptr(), value) };
            } else {
                simd.store_part(dx, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::assert_close;
    use testkit::pictures::noise;

    const TOLERANCE: f32 = 2e-5;

    struct Reference {
        y: Vec<f32>,
        dx: Vec<f32>,
        weight: Vec<f32>,
        bias: Vec<f32>,
    }

    /// The definition, in float64; `frozen` keeps the statistics out of the gradient.
    fn reference(
        shape: &NormShape,
        [x, dy, weight, bias]: [&[f32]; 4],
        statistics: &Statistics,
        frozen: bool,
    ) -> Reference {
        let mut result =
            Reference { y: vec![0.0; x.len()], dx: vec![0.0; x.len()], weight: Vec::new(), bias: Vec::new() };
        for channel in 0..shape.channels {
            let places: Vec<usize> = shape.runs(channel).flatten().collect();
            let count = places.len() as f64;
            let (mean, variance) =
                (f64::from(statistics.mean[channel]), f64::from(statistics.variance[channel]));
            let deviation = (variance + f64::from(EPSILON)).sqrt();
            let (w, b) = (f64::from(weight[channel]), f64::from(bias[channel]));
            let normal = |i: usize| (f64::from(x[i]) - mean) / deviation;
            let passes = |i: usize| shape.after == After::Nothing || w * normal(i) + b > 0.0;
            let d = |i: usize| if passes(i) { f64::from(dy[i]) } else { 0.0 };
            let (sum, product): (f64, f64) =
                (places.iter().map(|&i| d(i)).sum(), places.iter().map(|&i| d(i) * normal(i)).sum());
            for &i in &places {
                result.y[i] = if passes(i) { (w * normal(i) + b) as f32 } else { 0.0 };
                let shared = if frozen { 0.0 } else { sum / count + normal(i) * product / count };
                result.dx[i] = (w / deviation * (d(i) - shared)) as f32;
            }
            result.weight.push(product as f32);
            result.bias.push(sum as f32);
        }
        result
    }

    #[test]
    fn it_is_the_definition_forward_and_back() {
        for (batch, channels, pixels) in [(1, 3, 2), (3, 2, 35), (2, 5, 64), (1, 1, 10_001)] {
            for after in [After::Nothing, After::Relu] {
                let shape = NormShape { batch, channels, pixels, after };
                let all = batch * channels * pixels;
                let (x, dy) = (noise(1, all), noise(2, all));
                let (weight, bias) = (noise(3, channels), noise(4, channels));
                for isa in Isa::available() {
                    let found = statistics(isa, &shape, &x);
                    for channel in 0..channels {
                        let values: Vec<f64> =
                            shape.runs(channel).flatten().map(|i| f64::from(x[i])).collect();
                        let mean = values.iter().sum::<f64>() / values.len() as f64;
                        let variance =
                            values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
                        assert_close(&[found.mean[channel]], &[mean as f32], TOLERANCE);
                        assert_close(&[found.variance[channel]], &[variance as f32], TOLERANCE);
                    }
                    let expected = reference(&shape, [&x, &dy, &weight, &bias], &found, false);
                    assert_close(&forward(isa, &shape, &x, (&weight, &bias), &found), &expected.y, TOLERANCE);
                    let gradients = gradient(isa, &shape, (&x, &dy), (&weight, &bias), &found);
                    let scale = (batch * pixels) as f32;
                    assert_close(&gradients.x, &expected.dx, 10.0 * TOLERANCE);
                    assert_close(&gradients.weight, &expected.weight, TOLERANCE * scale.sqrt().max(4.0));
                    assert_close(&gradients.bias, &expected.bias, TOLERANCE * scale.sqrt());

                    // A frozen norm is an affine map: with mean 0 and variance 1 its scale is the weight.
                    let unit =
                        Statistics { mean: vec![0.0; channels], variance: vec![1.0 - EPSILON; channels] };
                    let expected = reference(&shape, [&x, &dy, &weight, &bias], &unit, true);
                    assert_close(&affine(isa, &shape, &x, &weight, &bias), &expected.y, TOLERANCE);
                    let gradients = affine_gradient(isa, &shape, &x, &dy, (&weight, &bias));
                    assert_close(&gradients.x, &expected.dx, TOLERANCE);
                    assert_close(&gradients.weight, &expected.weight, TOLERANCE * scale.sqrt());
                    assert_close(&gradients.bias, &expected.bias, TOLERANCE * scale.sqrt());
                }
            }
        }
    }
}
