//! What the tests of the engine share: maps from planes, and convolution by its definition.

use testkit::pictures::noise;

use super::channels::{Channels, Layout};
use lacuna_network::Border;

use super::map::Map;
use crate::simd::LANES;

/// A map's memory and its places.
pub struct Memory {
    pub values: Vec<f32>,
    pub layout: Layout,
}

impl Memory {
    /// A map of zeros … and of nonsense where no pixel is, which nobody may read.
    pub fn empty(channels: &Channels, rows: usize, columns: usize) -> Self {
        let layout = Layout::new(channels.blocks(), rows, columns);
        Self { values: vec![f32::NAN; layout.len()], layout }
    }

    /// A map of these planes `[channels, rows, columns]`.
    pub fn of(channels: &Channels, rows: usize, columns: usize, planes: &[f32]) -> Self {
        let mut memory = Self::empty(channels, rows, columns);
        let pixels = rows * columns;
        for block in 0..channels.blocks() {
            let block_start = block * memory.layout.plane;
            memory.values[block_start..][..pixels * LANES].fill(0.0);
            for (lane, channel) in channels.of(block).enumerate() {
                for pixel in 0..pixels {
                    memory.values[block_start + pixel * LANES + lane] = planes[channel * pixels + pixel];
                }
            }
        }
        memory
    }

    pub fn map(&mut self) -> Map<'_> {
        Map::whole(&mut self.values, self.layout)
    }
}

/// A convolution of planes by its definition, in float64.
pub struct Reference<'a> {
    pub kernel: usize,
    pub stride: usize,
    pub border: Border,
    /// `[outputs, inputs, kernel, kernel]`.
    pub weights: &'a [f32],
}

impl Reference<'_> {
    /// The outputs `[outputs, rows, columns]`.
    pub fn run(&self, planes: &[f32], [inputs, outputs, height, width]: [usize; 4]) -> Vec<f32> {
        let Self { kernel, stride, border, weights } = *self;
        let half = (kernel / 2) as isize;
        let (rows, columns) = (height.div_ceil(stride), width.div_ceil(stride));
        let mut result = Vec::new();
        for output in 0..outputs {
            for row in 0..rows {
                for column in 0..columns {
                    let mut sum = 0.0f64;
                    for input in 0..inputs {
                        for y in 0..kernel {
                            for x in 0..kernel {
                                let iy = border.place((row * stride + y) as isize - half, height);
                                let ix = border.place((column * stride + x) as isize - half, width);
                                if let (Some(iy), Some(ix)) = (iy, ix) {
                                    let weight =
                                        weights[((output * inputs + input) * kernel + y) * kernel + x];
                                    let value = planes[(input * height + iy) * width + ix];
                                    sum += f64::from(weight) * f64::from(value);
                                }
                            }
                        }
                    }
                    result.push(sum as f32);
                }
            }
        }
        result
    }
}

/// Weights that keep the size of values, as PyTorch draws them.
pub fn weights(outputs: usize, inputs: usize, kernel: usize, seed: u64) -> Vec<f32> {
    let scale = 1.0 / ((inputs * kernel * kernel) as f32).sqrt();
    noise(seed, outputs * inputs * kernel * kernel).into_iter().map(|value| value * scale).collect()
}
