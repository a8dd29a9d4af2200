//! The random values of one answer of a sampled network.

use lacuna_network::CODE;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;

/// A code and noise, all standard normal. They depend on the seed alone: the code is the same for images of any size.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// The code `z`.
    pub code: [f32; CODE],
    /// For each refiner block, a value for each place of the latent, `[height / 8, width / 8]`.
    pub maps: Vec<Vec<f32>>,
}

impl Draw {
    /// The values of the answer with this seed, for a network with `blocks` refiner blocks and a latent of `places` places.
    pub fn new(seed: u64, blocks: usize, places: usize) -> Self {
        let mut own = Pcg64::seed_from_u64(seed);
        let state = u128::from(own.random::<u64>()) << 64 | u128::from(own.random::<u64>());
        // A stream for the code and one for each map: none depends on the length of another.
        let mut values = (0..).map(|stream| Normal::new(Pcg64::new(state, stream)));
        let mut next = || values.next().expect("endless");
        let mut code = next();
        let code = std::array::from_fn(|_| code.draw());
        let map = |mut normal: Normal| (0..places).map(|_| normal.draw()).collect();
        Self { code, maps: (0..blocks).map(|_| map(next())).collect() }
    }
}

/// Standard normal values (Box and Muller 1958), with the functions of `libm`: the same bits on every system.
struct Normal {
    rng: Pcg64,
    second: Option<f64>,
}

impl Normal {
    fn new(rng: Pcg64) -> Self {
        Self { rng, second: None }
    }

    fn draw(&mut self) -> f32 {
        if let Some(second) = self.second.take() {
            return second as f32;
        }
        // In (0, 1]: the logarithm is finite.
        let radius = 1.0 - self.rng.random::<f64>();
        let radius = libm::sqrt(-2.0 * libm::log(radius));
        let angle = std::f64::consts::TAU * self.rng.random::<f64>();
        self.second = Some(radius * libm::sin(angle));
        (radius * libm::cos(angle)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_standard_normal() {
        const COUNT: usize = 40_000;
        let Draw { maps, .. } = Draw::new(1, 1, COUNT);
        let mean = |power: i32| {
            maps[0].iter().map(|&value| f64::from(value).powi(power)).sum::<f64>() / COUNT as f64
        };
        // Five standard errors of the first, second and fourth moment: sqrt(1, 2, 96) / sqrt(count).
        for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (4, 3.0, 96.0)] {
            let allowed = 5.0 * (variance / COUNT as f64).sqrt();
            assert!((mean(power) - expected).abs() < allowed, "moment {power}: {}", mean(power));
        }
    }

    #[test]
    fn answers_differ_and_sizes_do_not_change_the_code() {
        let draw = Draw::new(7, 3, 12);
        assert_eq!(draw, Draw::new(7, 3, 12));
        let larger = Draw::new(7, 5, 40);
        assert_eq!(draw.code, larger.code);
        for (map, larger) in draw.maps.iter().zip(&larger.maps) {
            assert_eq!(map[..], larger[..12]);
        }
        assert_ne!(draw.maps[0], draw.maps[1]);
        let other = Draw::new(8, 3, 12);
        assert!(draw.code != other.code && draw.maps[0] != other.maps[0]);
    }

    /// Seeds of answers follow each other: their codes must not resemble each other.
    #[test]
    fn neighbouring_seeds_are_not_correlated() {
        let codes: Vec<_> = (0..100).map(|seed| Draw::new(seed, 0, 0).code).collect();
        let products = codes.windows(2).map(|pair| {
            pair[0].iter().zip(&pair[1]).map(|(one, other)| f64::from(one * other)).sum::<f64>() / CODE as f64
        });
        let mean = products.sum::<f64>() / 99.0;
        // Five standard errors of a mean of 99 · 64 products.
        assert!(mean.abs() < 5.0 / (99.0 * CODE as f64).sqrt(), "mean product {mean}");
    }
}
