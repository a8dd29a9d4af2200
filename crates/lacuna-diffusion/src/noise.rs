//! Normal noise by position: a value depends on the seed, the use, the channel, the row and the column alone.
//!
//! Crops of an image, threads and machines therefore agree on the noise of each place. The generator is Philox4x32-10, which
//! computes any element of its sequence directly (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
//! <https://doi.org/10.1145/2063384.2063405>).

use crate::MapShape;

const ROUNDS: usize = 10;

/// Philox's multipliers and the increments of its key: published constants.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const INCREMENTS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// What noise is used for. Each use has values of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Draw {
    /// The start of sampling.
    Start,
    /// What a step adds; steps are counted from 0.
    Step(u32),
    /// The noise on the known region before or after a step, where it is drawn anew.
    Known(u32),
}

impl Draw {
    fn number(self) -> u32 {
        match self {
            Self::Start => 0,
            Self::Step(step) => 1 + 2 * step,
            Self::Known(step) => 2 + 2 * step,
        }
    }
}

/// The noise of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    key: [u32; 2],
}

/// The position of a map's first cell in that of the whole image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Rows above it.
    pub row: u32,
    /// Columns to its left.
    pub column: u32,
}

impl Noise {
    /// The noise of this seed. Seeds that follow each other give independent values.
    pub fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32] }
    }

    /// Standard normal values for one map of `shape`, which begins at `origin`.
    ///
    /// # Shapes
    /// The result: `[channels, height, width]`.
    pub fn map(&self, draw: Draw, shape: MapShape, origin: Origin) -> Vec<f32> {
        let MapShape { channels, height, width, .. } = shape;
        let cells = shape.cells();
        let mut values = vec![0.0; channels * cells];
        // Two channels share an element of the sequence.
        for (pair, planes) in values.chunks_mut((2 * cells).max(1)).enumerate() {
            for row in 0..height {
                for column in 0..width {
                    let position = [origin.column + column as u32, origin.row + row as u32];
                    let counter = [position[0], position[1], pair as u32, draw.number()];
                    let normal = normal_pair(philox(counter, self.key));
                    let cell = row * width + column;
                    planes[cell] = normal[0];
                    if let Some(second) = planes.get_mut(cells + cell) {
                        *second = normal[1];
                    }
                }
            }
        }
        values
    }
}

/// An element of the sequence.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [first, second] = [0, 1].map(|half| u64::from(MULTIPLIERS[half]) * u64::from(counter[2 * half]));
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [0, 1].map(|half| key[half].wrapping_add(INCREMENTS[half]));
    }
    counter
}

/// Two standard normal values of 128 random bits (Box and Muller 1958), with the functions of `libm`: the same bits on every
/// system.
fn normal_pair([a, b, c, d]: [u32; 4]) -> [f32; 2] {
    /// Bits of a float64's fraction, with the implicit one.
    const BITS: u32 = 53;
    let unit = |high: u32, low: u32| {
        let bits = (u64::from(high) << 32 | u64::from(low)) >> (u64::BITS - BITS);
        bits as f64 / (1u64 << BITS) as f64
    };
    // In (0, 1]: the logarithm is finite.
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - unit(a, b)));
    let angle = std::f64::consts::TAU * unit(c, d);
    [(radius * libm::cos(angle)) as f32, (radius * libm::sin(angle)) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(seed: u64, draw: Draw, shape: MapShape) -> Vec<f32> {
        Noise::new(seed).map(draw, shape, Origin::default())
    }

    /// Known answers of Random123 (`kat_vectors`), the generator's published implementation.
    #[test]
    fn the_generator_is_the_published_one() {
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn values_are_standard_normal() {
        const COUNT: usize = 40_000;
        let values = map(1, Draw::Start, MapShape::one(4, 100, 100));
        let mean =
            |power: i32| values.iter().map(|&value| f64::from(value).powi(power)).sum::<f64>() / COUNT as f64;
        // Five standard errors of the first, second and fourth moment: sqrt(1, 2, 96) / sqrt(count).
        for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (4, 3.0, 96.0)] {
            let allowed = 5.0 * (variance / COUNT as f64).sqrt();
            assert!((mean(power) - expected).abs() < allowed, "moment {power}: {}", mean(power));
        }
    }

    /// Neighbours in each direction, in use and in seed are not correlated.
    #[test]
    fn neighbours_are_independent() {
        let shape = MapShape::one(2, 60, 60);
        let values = map(1, Draw::Start, shape);
        let correlation = |one: &[f32], other: &[f32]| {
            let products = one.iter().zip(other).map(|(one, other)| f64::from(one * other));
            products.sum::<f64>() / one.len().min(other.len()) as f64
        };
        for (what, other) in [
            ("column", &values[1..]),
            ("row", &values[60..]),
            ("channel", &values[3600..]),
            ("use", &map(1, Draw::Step(0), shape)),
            ("other use", &map(1, Draw::Known(0), shape)),
            ("seed", &map(2, Draw::Start, shape)),
        ] {
            // Five standard errors of the shortest mean.
            assert!(
                correlation(&values, other).abs() < 5.0 / 60.0,
                "{what}: {}",
                correlation(&values, other)
            );
            assert_ne!(values[..3600], other[..3600], "{what}");
        }
    }

    #[test]
    fn a_crop_has_the_noise_of_the_whole() {
        let whole = map(7, Draw::Step(3), MapShape::one(3, 9, 8));
        let origin = Origin { row: 4, column: 1 };
        let crop = Noise::new(7).map(Draw::Step(3), MapShape::one(3, 5, 6), origin);
        for channel in 0..3 {
            for row in 0..5 {
                for column in 0..6 {
                    let there = (channel * 9 + row + 4) * 8 + column + 1;
                    assert_eq!(crop[(channel * 5 + row) * 6 + column], whole[there]);
                }
            }
        }
    }

    #[test]
    fn uses_do_not_meet() {
        let draws = [Draw::Start, Draw::Step(0), Draw::Known(0), Draw::Step(1), Draw::Known(1)];
        assert_eq!(draws.map(Draw::number), [0, 1, 2, 3, 4]);
        assert!(map(1, Draw::Start, MapShape::one(3, 0, 4)).is_empty());
    }
}
