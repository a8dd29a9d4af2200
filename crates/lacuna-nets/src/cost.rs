//! What a forward pass costs, counted from the network's shape.

use lacuna::checkpoint::{Family, NetworkConfig};

use crate::net::{LEVELS, Split};

/// The work of one forward pass for one picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations of all convolutions and Fourier transforms; a multiplication and its addition
    /// count as two.
    pub operations: f64,
    /// Values that these write, all together.
    pub written: f64,
    /// Values of one feature map at full resolution: the largest tensor there is.
    pub largest: f64,
    /// Values of all weights of the convolutions.
    pub weights: f64,
}

impl Cost {
    /// The cost of predicting a picture of `width x height` pixels.
    pub fn of(config: &NetworkConfig, width: usize, height: usize) -> Self {
        let n = config.width;
        let pixels = |level: usize| width.div_ceil(1 << level) * height.div_ceil(1 << level);
        let latent = Split::latent(config.family, n);
        let mut cost = Self { largest: (n * pixels(0)) as f64, ..Self::default() };
        cost.conv(config.channels_in, n, 7, pixels(0));
        for level in 0..LEVELS {
            cost.conv(n << level, n << (level + 1), 3, pixels(level + 1));
        }
        if config.control {
            cost.conv(1, n, 1, pixels(0));
            for level in 0..LEVELS {
                cost.conv(n << level, n << (level + 1), 3, pixels(level + 1));
            }
            for level in 0..=LEVELS {
                cost.conv(n << level, n << level, 1, pixels(level));
            }
        }
        let (columns, rows) = (width.div_ceil(8), height.div_ceil(8));
        for _ in 0..2 * config.blocks {
            match config.family {
                Family::Fourier => cost.ffc(latent, columns, rows),
                Family::Regular => cost.conv(latent.total(), latent.total(), 3, columns * rows),
            }
        }
        for level in (0..LEVELS).rev() {
            // A transposed convolution computes at its input's resolution and writes at its output's.
            cost.conv(n << (level + 1), n << level, 3, pixels(level + 1));
            cost.written += ((n << level) * (pixels(level) - pixels(level + 1))) as f64;
        }
        cost.conv(n, 3, 7, pixels(0));
        cost
    }

    fn conv(&mut self, channels_in: usize, channels_out: usize, kernel: usize, pixels: usize) {
        let weights = (channels_in * channels_out * kernel * kernel) as f64;
        self.weights += weights;
        self.operations += 2.0 * weights * pixels as f64;
        self.written += (channels_out * pixels) as f64;
    }

    fn ffc(&mut self, channels: Split, columns: usize, rows: usize) {
        let Split { local, global } = channels;
        let pixels = columns * rows;
        self.conv(local, local, 3, pixels);
        self.conv(local, global, 3, pixels);
        self.conv(global, local, 3, pixels);
        let half = global / 2;
        let frequencies = columns / 2 + 1;
        self.conv(global, half, 1, pixels);
        self.conv(2 * half, 2 * half, 1, frequencies * rows);
        self.conv(half, global, 1, pixels);
        // Each direction: products with a [columns, 2 frequencies] and a [2 rows, 2 rows] matrix.
        let transform = 2 * rows * frequencies * columns + 4 * rows * rows * frequencies;
        self.operations += 2.0 * 2.0 * (half * transform) as f64;
        self.written += 2.0 * (half * 4 * rows * frequencies) as f64;
    }

    /// The peak memory in bytes that this takes on the processor, beyond the picture itself.
    pub fn bytes(&self) -> u64 {
        (size_of::<f32>() as f64 * (self.weights + HELD * self.largest)) as u64 + FIXED_BYTES
    }

    /// The time in seconds that this takes on a device that multiplies large matrices at `rate` operations a second
    /// (see [`crate::speed`]).
    pub fn seconds(&self, rate: f64) -> f64 {
        self.operations / (EFFICIENCY * rate) + self.written * OPERATIONS_PER_VALUE / rate
    }
}

/// Full-resolution feature maps alive at the worst moment, in the last layers of the decoder. Measured with
/// `examples/cost.rs` on Burn's Flex backend: 3.6 to 4.2 from 256 x 256 to 2048 x 2048, widths 8 and 64.
const HELD: f64 = 4.25;

/// What the process needs besides: code, threads, and the scratch space of convolutions, which does not grow with
/// the picture. Measured likewise: 30 MiB for width 8, 70 MiB for width 64.
const FIXED_BYTES: u64 = 72 << 20;

/// The speed of convolutions as a part of that of large matrix products, and the time to write a value (with all
/// normalising, rectifying and copying around it) as a number of such products' operations. Fitted to the times of
/// widths 8 and 64 from 256 x 256 to 1024 x 1024 on Burn's Flex backend, each beside a matrix product measured at
/// the same moment: medians of four runs within 14 %. Not measured on GPUs.
const EFFICIENCY: f64 = 0.79;
const OPERATIONS_PER_VALUE: f64 = 900.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{is_statistic, named_shapes};
    use lacuna::checkpoint::Delta;

    fn config(family: Family, width: usize, blocks: usize) -> NetworkConfig {
        NetworkConfig { family, channels_in: 4, width, blocks, control: false, delta: Delta::None }
    }

    #[test]
    fn big_lama_takes_as_many_operations_as_known() {
        let cost = Cost::of(&config(Family::Fourier, 64, 18), 512, 512);
        // 440 GFLOP of convolutions; 36 pairs of transforms with 0.62 GFLOP each.
        assert!((460e9..465e9).contains(&cost.operations), "{:e}", cost.operations);
    }

    #[test]
    fn the_weights_counted_are_the_networks_kernels() {
        for family in [Family::Fourier, Family::Regular] {
            let config = NetworkConfig { control: true, ..config(family, 8, 3) };
            let kernels: usize = named_shapes(&config)
                .unwrap()
                .iter()
                .filter(|named| named.shape.len() == 4 && !is_statistic(&named.name))
                .map(|named| named.shape.iter().product::<usize>())
                .sum();
            assert_eq!(Cost::of(&config, 64, 64).weights, kernels as f64, "{family:?}");
        }
    }

    #[test]
    fn a_pointwise_layer_by_hand() {
        let mut cost = Cost::default();
        cost.conv(2, 3, 1, 10);
        assert_eq!(cost, Cost { operations: 120.0, written: 30.0, largest: 0.0, weights: 6.0 });
    }

    #[test]
    fn seconds_by_hand() {
        let cost = Cost { operations: 79e9, written: 1e9, ..Cost::default() };
        assert!((cost.seconds(100e9) - 10.0).abs() < 1e-9, "{}", cost.seconds(100e9));
    }

    #[test]
    fn larger_pictures_and_networks_cost_more() {
        let small = Cost::of(&config(Family::Fourier, 8, 9), 256, 256);
        for larger in [
            Cost::of(&config(Family::Fourier, 8, 9), 264, 256),
            Cost::of(&config(Family::Fourier, 8, 9), 256, 264),
            Cost::of(&config(Family::Fourier, 9, 9), 256, 256),
            Cost::of(&config(Family::Fourier, 8, 10), 256, 256),
            Cost::of(&NetworkConfig { control: true, ..config(Family::Fourier, 8, 9) }, 256, 256),
        ] {
            assert!(larger.bytes() > small.bytes(), "{larger:?}");
            assert!(larger.seconds(1e9) > small.seconds(1e9), "{larger:?}");
        }
    }
}
