//! GroupNorm with what follows it, and other operations on the lanes of each pixel.
#![expect(unsafe_code, reason = "vectors in raw memory")]

use lacuna_network::{GROUP, GROUP_EPSILON};
use rayon::prelude::*;

use crate::Isa;
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::map::Map;

const _: () = assert!(GROUP == LANES, "a group is a block of channels");

/// Scale and offset of normalised channels.
#[derive(Debug)]
pub(super) struct Norm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// What a time does to normalised channels: `scale x + offset`.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub scale: Vec<f32>,
    pub offset: Vec<f32>,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Smooth {
    Nothing,
    /// `x / (1 + exp(-x))`.
    Silu,
}

impl Norm {
    /// Normalises each block of `from`, changes it, and writes it to `to`, which may be the same map.
    ///
    /// # Panics
    /// If the maps have different sizes, or the channels are not those of the norm.
    pub fn run(&self, isa: Isa, from: Map<'_>, to: Map<'_>, change: Option<&Change>, after: Smooth) {
        assert_eq!(from.layout.blocks * LANES, self.weight.len(), "lanes of a norm");
        let pixels = pixels_of_both(from, to);
        (0..from.layout.blocks).into_par_iter().for_each(|block| {
            let values = Pixels::of(from, block, pixels);
            let Moments { mean, variance } = dispatch(isa, values);
            let factor = 1.0 / (variance + GROUP_EPSILON).sqrt();
            let mut lanes = Lanes { scale: [0.0; LANES], offset: [0.0; LANES] };
            for lane in 0..LANES {
                let channel = block * LANES + lane;
                let scale = factor * f64::from(self.weight[channel]);
                let offset = f64::from(self.bias[channel]) - mean * scale;
                let (by, plus) = change.map_or((1.0, 0.0), |change| {
                    (f64::from(change.scale[channel]), f64::from(change.offset[channel]))
                });
                lanes.scale[lane] = (scale * by) as f32;
                lanes.offset[lane] = (offset * by + plus) as f32;
            }
            dispatch(isa, LanesJob { from: values, to: Pixels::of(to, block, pixels), lanes, after });
        });
    }
}

/// Adds a bias to each lane of a map.
///
/// # Panics
/// If there is not one value for each lane.
pub(super) fn add_bias(isa: Isa, map: Map<'_>, bias: &[f32], after: Smooth) {
    assert_eq!(map.layout.blocks * LANES, bias.len(), "lanes of a bias");
    let pixels = pixels_of_both(map, map);
    bias.par_chunks_exact(LANES).enumerate().for_each(|(block, bias)| {
        let mut lanes = Lanes { scale: [1.0; LANES], offset: [0.0; LANES] };
        lanes.offset.copy_from_slice(bias);
        let values = Pixels::of(map, block, pixels);
        dispatch(isa, LanesJob { from: values, to: values, lanes, after });
    });
}

/// SiLU of a map, in place.
pub(super) fn smooth(isa: Isa, map: Map<'_>) {
    add_bias(isa, map, &vec![0.0; map.layout.blocks * LANES], Smooth::Silu);
}

/// Adds `strength (from + bias)` to `to`.
///
/// # Panics
/// If the maps have different sizes, or there is not one value of the bias for each lane.
pub(super) fn add_scaled(isa: Isa, from: Map<'_>, to: Map<'_>, bias: &[f32], strength: f32) {
    assert_eq!(from.layout.blocks * LANES, bias.len(), "lanes of a bias");
    let pixels = pixels_of_both(from, to);
    bias.par_chunks_exact(LANES).enumerate().for_each(|(block, bias)| {
        let mut lanes = Lanes { scale: [strength; LANES], offset: [0.0; LANES] };
        lanes.offset.iter_mut().zip(bias).for_each(|(offset, bias)| *offset = strength * bias);
        let [from, to] = [from, to].map(|map| Pixels::of(map, block, pixels));
        dispatch(isa, AddJob { from, to, lanes });
    });
}

fn pixels_of_both(from: Map<'_>, to: Map<'_>) -> usize {
    assert_eq!(from.layout.blocks, to.layout.blocks, "blocks of both maps");
    assert_eq!(from.layout.pixels(), to.layout.pixels(), "pixels of both maps");
    from.layout.pixels()
}

/// All pixels of a block.
#[derive(Clone, Copy)]
struct Pixels {
    start: *mut f32,
    count: usize,
}

impl Pixels {
    fn of(map: Map<'_>, block: usize, count: usize) -> Self {
        let first = block * map.layout.plane;
        // The end is inside the map, too.
        map.buffer.at(first + count * LANES);
        Self { start: map.buffer.at(first), count }
    }
}

/// Mean and biased variance of all values of a block.
struct Moments {
    mean: f64,
    variance: f64,
}

/// Pixels that are summed in float32.
const PART: usize = 64;

impl Op for Pixels {
    type Output = Moments;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Moments {
        let count = (self.count * LANES) as f64;
        let mut sum = 0.0;
        let mut first = 0;
        while first < self.count {
            let end = self.count.min(first + PART);
            let mut part = simd.splat(0.0);
            for pixel in first..end {
                // SAFETY: a pixel of the block.
                part = simd.add(part, unsafe { simd.load(self.start.add(pixel * LANES)) });
            }
            sum += f64::from(simd.sum(part));
            first = end;
        }
        let mean = sum / count;
        let (middle, mut squares) = (simd.splat(mean as f32), 0.0);
        let mut first = 0;
        while first < self.count {
            let end = self.count.min(first + PART);
            let mut part = simd.splat(0.0);
            for pixel in first..end {
                // SAFETY: a pixel of the block.
                let difference = simd.sub(unsafe { simd.load(self.start.add(pixel * LANES)) }, middle);
                part = simd.mul_add(difference, difference, part);
            }
            squares += f64::from(simd.sum(part));
            first = end;
        }
        Moments { mean, variance: squares / count }
    }
}

/// A scale and an offset for each lane.
struct Lanes {
    scale: [f32; LANES],
    offset: [f32; LANES],
}

struct LanesJob {
    from: Pixels,
    to: Pixels,
    lanes: Lanes,
    after: Smooth,
}

impl Op for LanesJob {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { from, to, lanes: Lanes { scale, offset }, after } = self;
        // SAFETY: arrays of LANES values, and pixels of both blocks.
        unsafe {
            let (scale, offset) = (simd.load(scale.as_ptr()), simd.load(offset.as_ptr()));
            let changed =
                |pixel: usize| simd.mul_add(simd.load(from.start.add(pixel * LANES)), scale, offset);
            match after {
                Smooth::Nothing => {
                    for pixel in 0..from.count {
                        simd.store(to.start.add(pixel * LANES), changed(pixel));
                    }
                }
                Smooth::Silu => {
                    for pixel in 0..from.count {
                        simd.store(to.start.add(pixel * LANES), silu(simd, changed(pixel)));
                    }
                }
            }
        }
    }
}

/// Adds changed pixels to others.
struct AddJob {
    from: Pixels,
    to: Pixels,
    lanes: Lanes,
}

impl Op for AddJob {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { from, to, lanes: Lanes { scale, offset } } = self;
        // SAFETY: arrays of LANES values, and pixels of both blocks.
        unsafe {
            let (scale, offset) = (simd.load(scale.as_ptr()), simd.load(offset.as_ptr()));
            for pixel in 0..from.count {
                let added = simd.mul_add(simd.load(from.start.add(pixel * LANES)), scale, offset);
                let sum = to.start.add(pixel * LANES);
                simd.store(sum, simd.add(simd.load(sum), added));
            }
        }
    }
}

/// A fraction of polynomials in `y²` that is `tanh(y) / y` for `|y| <= 9`, with a relative error of 2e-8 before rounding: fitted by
/// weighted least squares. The lowest power comes first.
const NUMERATOR: [f32; 5] = [1.0, 0.133_810_2, 0.003_495_581_2, 2.060_896_6e-5, 1.335_450_2e-8];
const DENOMINATOR: [f32; 5] = [1.0, 0.467_143_36, 0.025_876_956, 0.000_328_562_34, 7.776_492e-7];

/// Beyond this `tanh` is 1 in float32.
const SATURATED: f32 = 9.0;

/// `x / (1 + exp(-x)) = x (1 + tanh(x / 2)) / 2`.
#[inline(always)]
fn silu<S: Simd>(simd: S, x: S::V) -> S::V {
    let half = simd.mul(x, simd.splat(0.5));
    let above = simd.max(half, simd.splat(-SATURATED));
    let y = simd.sub(simd.splat(0.0), simd.max(simd.sub(simd.splat(0.0), above), simd.splat(-SATURATED)));
    let square = simd.mul(y, y);
    let [mut numerator, mut denominator] =
        [NUMERATOR, DENOMINATOR].map(|terms| simd.splat(terms[terms.len() - 1]));
    for power in (0..NUMERATOR.len() - 1).rev() {
        numerator = simd.mul_add(numerator, square, simd.splat(NUMERATOR[power]));
        denominator = simd.mul_add(denominator, square, simd.splat(DENOMINATOR[power]));
    }
    let tanh = simd.div(simd.mul(y, numerator), denominator);
    simd.mul_add(half, tanh, half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::channels::Channels;
    use crate::tiles::testing::Memory;
    use testkit::assert_close;
    use testkit::pictures::noise;

    #[test]
    fn silu_is_the_definition() {
        let values: Vec<f32> = (-4000..4000).map(|step| step as f32 / 100.0).collect();
        let expected: Vec<f32> =
            values.iter().map(|&x| (f64::from(x) / (1.0 + (-f64::from(x)).exp())) as f32).collect();
        for isa in Isa::available() {
            let channels = Channels::parts([LANES]);
            let mut map = Memory::of(&channels, 5, 10, &[0.0; 5 * 10 * LANES]);
            let room = map.layout.pixels() * LANES;
            for (values, expected) in values.chunks_exact(room).zip(expected.chunks_exact(room)) {
                map.values[..room].copy_from_slice(values);
                add_bias(isa, map.map(), &[0.0; LANES], Smooth::Silu);
                for ((found, expected), x) in map.values[..room].iter().zip(expected).zip(values) {
                    // A few roundings of the fraction, times `x`.
                    let allowed = 4e-7 * x.abs().max(1.0);
                    assert!((found - expected).abs() <= allowed, "{isa}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn a_norm_is_the_definition() {
        let channels = Channels::parts([32]);
        let (height, width) = (9, 11);
        let pixels = height * width;
        let planes: Vec<f32> = noise(1, 32 * pixels).iter().map(|value| 3.0 + 0.1 * value).collect();
        let [weight, bias, scale, offset] = [2, 3, 4, 5].map(|seed| noise(seed, 32));
        let norm = Norm { weight: weight.clone(), bias: bias.clone() };
        let change = Change { scale: scale.clone(), offset: offset.clone() };
        let expected: Vec<f32> = (0..32 * pixels)
            .map(|index| {
                let channel = index / pixels;
                let group = &planes[channel / 16 * 16 * pixels..][..16 * pixels];
                let mean = group.iter().map(|&v| f64::from(v)).sum::<f64>() / group.len() as f64;
                let variance =
                    group.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / group.len() as f64;
                let x = (f64::from(planes[index]) - mean) / (variance + GROUP_EPSILON).sqrt();
                let x = x * f64::from(weight[channel]) + f64::from(bias[channel]);
                (x * f64::from(scale[channel]) + f64::from(offset[channel])) as f32
            })
            .collect();
        for isa in Isa::available() {
            let mut from = Memory::of(&channels, height, width, &planes);
            let mut to = Memory::empty(&channels, height, width);
            norm.run(isa, from.map(), to.map(), Some(&change), Smooth::Nothing);
            assert_close(&to.map().to_planes(&channels), &expected, 1e-4);
            // In place, with the same bits.
            let map = from.map();
            norm.run(isa, map, map, Some(&change), Smooth::Nothing);
            assert_eq!(from.map().to_planes(&channels), to.map().to_planes(&channels));
        }
    }
}
