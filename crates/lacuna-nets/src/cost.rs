//! What a forward pass costs, counted from the network's shape.

use lacuna::checkpoint::{Family, NetworkConfig};

use crate::device::DeviceName;
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

    /// The time in seconds that this takes on a device.
    pub fn seconds(&self, device: DeviceName) -> f64 {
        if device.is_cpu() {
            let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
            (self.operations / CPU_OPERATIONS + self.written / CPU_VALUES) / threads
        } else {
            self.operations / GPU_OPERATIONS
        }
    }
}

/// Full-resolution feature maps alive at the worst moment. PLACEHOLDER
const HELD: f64 = 5.0;

/// PLACEHOLDER
const FIXED_BYTES: u64 = 30 << 20;

/// PLACEHOLDER
const CPU_OPERATIONS: f64 = 60e9;

/// PLACEHOLDER
const CPU_VALUES: f64 = 5e8;

/// PLACEHOLDER
const GPU_OPERATIONS: f64 = 5e12;
