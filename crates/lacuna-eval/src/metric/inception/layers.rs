//! Convolutions with rectangular kernels, pooling, and parallel branches.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use lacuna_cpu::Isa;
use lacuna_cpu::kernels::conv::{self, ConvShape, Padding};
use rayon::prelude::*;

use crate::metric::feature_map::Map;

/// Side of all pooling windows in pixels.
const POOL: usize = 3;

/// A step of the network.
#[derive(Debug)]
pub(super) enum Step {
    Convolution(Convolution),
    /// 3 x 3 average pooling without padding values.
    Average,
    /// 3 x 3 max pooling without padding values.
    Largest,
    /// 3 x 3 max pooling of stride 2 without a border.
    Halve,
    /// Branches with the same input; their outputs are concatenated by channel.
    Fork(Vec<Vec<Step>>),
}

/// A convolution with ReLU.
#[derive(Debug)]
pub(super) struct Convolution {
    pub channels_in: usize,
    pub channels_out: usize,
    /// Rows and columns.
    pub kernel: [usize; 2],
    pub stride: usize,
    /// Zero padding: rows and columns.
    pub padding: [usize; 2],
    /// `[channels_out, channels_in, rows, columns]`
    pub weight: Vec<f32>,
    /// `[channels_out]`
    pub bias: Vec<f32>,
}

/// Runs all steps.
pub(super) fn run(isa: Isa, steps: &[Step], map: &Map) -> Map {
    let Some((first, rest)) = steps.split_first() else { return map.clone() };
    rest.iter().fold(first.run(isa, map), |map, step| step.run(isa, &map))
}

impl Step {
    fn run(&self, isa: Isa, map: &Map) -> Map {
        match self {
            Self::Convolution(convolution) => convolution.run(isa, map),
            Self::Average => pooled(map, 1, 1, |pixels| {
                let (sum, count) = pixels.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
                sum / count
            }),
            Self::Largest => pooled(map, 1, 1, |pixels| pixels.fold(f32::NEG_INFINITY, f32::max)),
            Self::Halve => pooled(map, 2, 0, |pixels| pixels.fold(f32::NEG_INFINITY, f32::max)),
            Self::Fork(branches) => {
                let maps: Vec<Map> = branches.iter().map(|branch| run(isa, branch, map)).collect();
                let (height, width) = (maps[0].height, maps[0].width);
                let channels = maps.iter().map(|map| map.channels).sum();
                let values = maps.iter().flat_map(|map| map.values.iter().copied()).collect();
                Map { channels, height, width, values }
            }
        }
    }
}

impl Convolution {
    fn run(&self, isa: Isa, map: &Map) -> Map {
        assert_eq!(map.channels, self.channels_in, "channels of the map");
        let mut map = if self.kernel[0] == self.kernel[1] { self.square(isa, map) } else { self.oblong(map) };
        map.values.par_iter_mut().with_min_len(1 << 12).for_each(|value| *value = value.max(0.0));
        map
    }

    fn square(&self, isa: Isa, map: &Map) -> Map {
        let shape = ConvShape {
            batch: 1,
            channels_in: self.channels_in,
            channels_out: self.channels_out,
            height: map.height,
            width: map.width,
            kernel: self.kernel[0],
            stride: self.stride,
            padding: Padding::Zero(self.padding[0]),
        };
        let values = conv::forward(isa, &shape, &map.values, &self.weight, Some(&self.bias));
        Map { channels: self.channels_out, height: shape.rows(), width: shape.columns(), values }
    }

    /// Convolution by im2col: the product of the weights with the column of inputs of each pixel.
    fn oblong(&self, map: &Map) -> Map {
        let size = |length: usize, along: usize| {
            (length + 2 * self.padding[along] - self.kernel[along]) / self.stride + 1
        };
        let (height, width) = (size(map.height, 0), size(map.width, 1));
        let (taps, pixels) = (self.kernel[0] * self.kernel[1], height * width);
        let depth = self.channels_in * taps;
        let mut columns = vec![0.0f32; depth * pixels];
        columns.par_chunks_exact_mut(pixels).enumerate().for_each(|(at, seen)| {
            let (channel, down, right) = (at / taps, at % taps / self.kernel[1], at % self.kernel[1]);
            let plane = &map.values[channel * map.height * map.width..][..map.height * map.width];
            for (row, line) in seen.chunks_exact_mut(width).enumerate() {
                let row = (row * self.stride + down).checked_sub(self.padding[0]);
                let Some(row) = row.filter(|&row| row < map.height) else { continue };
                let from = &plane[row * map.width..][..map.width];
                for (column, value) in line.iter_mut().enumerate() {
                    let column = (column * self.stride + right).checked_sub(self.padding[1]);
                    *value = column.and_then(|column| from.get(column)).copied().unwrap_or(0.0);
                }
            }
        });
        let mut values: Vec<f32> =
            self.bias.iter().flat_map(|&bias| std::iter::repeat_n(bias, pixels)).collect();
        matmul(
            MatMut::from_row_major_slice_mut(&mut values, self.channels_out, pixels),
            Accum::Add,
            MatRef::from_row_major_slice(&self.weight, self.channels_out, depth),
            MatRef::from_row_major_slice(&columns, depth, pixels),
            1.0,
            Par::rayon(0),
        );
        Map { channels: self.channels_out, height, width, values }
    }
}

/// Applies `of` to the window around each `stride`-th pixel; the `padding` pixels beyond the border are excluded.
fn pooled(
    map: &Map,
    stride: usize,
    padding: usize,
    of: impl Fn(&mut dyn Iterator<Item = f32>) -> f32 + Sync,
) -> Map {
    let [height, width] = [map.height, map.width].map(|length| (length + 2 * padding - POOL) / stride + 1);
    let mut values = vec![0.0; map.channels * height * width];
    let planes = map.values.par_chunks_exact(map.height * map.width);
    values.par_chunks_exact_mut(height * width).zip(planes).for_each(|(out, plane)| {
        let reach = |at: usize, length: usize| {
            let start = at * stride;
            start.saturating_sub(padding)..(start + POOL - padding).min(length)
        };
        for (at, value) in out.iter_mut().enumerate() {
            let columns = reach(at % width, map.width);
            let rows = reach(at / width, map.height);
            let mut pixels = rows.flat_map(|row| plane[row * map.width..][columns.clone()].iter().copied());
            *value = of(&mut pixels);
        }
    });
    Map { channels: map.channels, height, width, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::assert_close;
    use testkit::pictures::noise;

    /// For values near 1.
    const TOLERANCE: f32 = 1e-5;

    fn map(channels: usize, height: usize, width: usize) -> Map {
        Map { channels, height, width, values: noise(1, channels * height * width) }
    }

    #[test]
    fn oblong_kernels_are_square_ones_with_zeros() {
        for (kernel, height, width) in [([1, 3], 5, 7), ([3, 1], 4, 3), ([1, 7], 9, 17), ([7, 1], 17, 2)] {
            let side = usize::max(kernel[0], kernel[1]);
            let (channels_in, channels_out) = (3, 5);
            let weight = noise(2, channels_out * channels_in * side);
            let mut squares = vec![0.0; weight.len() * side];
            for (square, line) in squares.chunks_exact_mut(side * side).zip(weight.chunks_exact(side)) {
                for (at, &value) in line.iter().enumerate() {
                    let middle = side / 2;
                    square[if kernel[0] == 1 { middle * side + at } else { at * side + middle }] = value;
                }
            }
            let oblong = Convolution {
                channels_in,
                channels_out,
                kernel,
                stride: 1,
                padding: kernel.map(|length| length / 2),
                weight,
                bias: noise(3, channels_out),
            };
            let square = Convolution {
                kernel: [side; 2],
                padding: [side / 2; 2],
                weight: squares,
                bias: oblong.bias.clone(),
                ..oblong
            };
            let map = map(channels_in, height, width);
            let [one, other] = [&oblong, &square].map(|convolution| convolution.run(Isa::best(), &map));
            assert_eq!([one.channels, one.height, one.width], [channels_out, height, width]);
            assert_close(&one.values, &other.values, TOLERANCE);
        }
    }

    #[test]
    fn poolings_by_hand() {
        let map = Map { channels: 1, height: 3, width: 3, values: (1..=9u8).map(f32::from).collect() };
        let run = |step: Step| run(Isa::best(), &[step], &map).values;
        // A corner has four pixels, an edge six.
        assert_eq!(run(Step::Average), [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]);
        assert_eq!(run(Step::Largest), [5.0, 6.0, 6.0, 8.0, 9.0, 9.0, 8.0, 9.0, 9.0]);
        assert_eq!(run(Step::Halve), [9.0]);
        let fork = run(Step::Fork(vec![vec![Step::Halve], vec![Step::Halve, Step::Largest]]));
        assert_eq!(fork, [9.0, 9.0]);
    }

    #[test]
    fn halving_leaves_an_odd_pixel_out() {
        let halved = run(Isa::best(), &[Step::Halve], &map(2, 8, 5));
        assert_eq!([halved.channels, halved.height, halved.width], [2, 3, 2]);
    }
}
