//! The random values of one answer of a sampled network.

use lacuna_diffusion::noise::Origin;
use lacuna_diffusion::{MapShape, Noise};
use lacuna_network::CODE;

/// A code and noise, all standard normal. The code depends on the seed alone, a value of a map on the seed and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// The code `z`.
    pub code: [f32; CODE],
    /// For each refiner block, a value for each place of the latent, `[height / 8, width / 8]`.
    pub maps: Vec<Vec<f32>>,
}

impl Draw {
    /// The values of the answer with this seed, for a network with `blocks` refiner blocks and a latent of `rows` x `columns` places.
    pub fn new(seed: u64, blocks: usize, [rows, columns]: [usize; 2]) -> Self {
        use lacuna_diffusion::Draw::{Start, Step};
        let noise = Noise::new(seed);
        let code = noise.map(Start, MapShape::one(CODE, 1, 1), Origin::default());
        let map = |block| noise.map(Step(block), MapShape::one(1, rows, columns), Origin::default());
        Self {
            code: code.try_into().expect("a value for each channel"),
            maps: (0..blocks as u32).map(map).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_differ_and_sizes_change_no_value() {
        let draw = Draw::new(7, 3, [3, 4]);
        assert_eq!(draw, Draw::new(7, 3, [3, 4]));
        let larger = Draw::new(7, 5, [5, 8]);
        assert_eq!(draw.code, larger.code);
        for (map, larger) in draw.maps.iter().zip(&larger.maps) {
            for (row, larger) in map.chunks(4).zip(larger.chunks(8)) {
                assert_eq!(row, &larger[..4]);
            }
        }
        assert_ne!(draw.maps[0], draw.maps[1]);
        let other = Draw::new(8, 3, [3, 4]);
        assert!(draw.code != other.code && draw.maps[0] != other.maps[0]);
    }

    /// Seeds of answers follow each other: their codes must not resemble each other.
    #[test]
    fn neighbouring_seeds_are_not_correlated() {
        let codes: Vec<_> = (0..100).map(|seed| Draw::new(seed, 0, [0, 0]).code).collect();
        let products = codes.windows(2).map(|pair| {
            pair[0].iter().zip(&pair[1]).map(|(one, other)| f64::from(one * other)).sum::<f64>() / CODE as f64
        });
        let mean = products.sum::<f64>() / 99.0;
        // Five standard errors of a mean of 99 · 64 products.
        assert!(mean.abs() < 5.0 / (99.0 * CODE as f64).sqrt(), "mean product {mean}");
    }
}
