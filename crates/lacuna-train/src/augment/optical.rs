//! A lens: straight lines near the border bend, as albumentations' `OpticalDistortion`.
//!
//! Differs from it in: no shift of the middle, which its 0.5.2 rounds to whole pixels of ±0.05, that is none.

use rand::RngExt;
use rand_pcg::Pcg64;

/// The largest coefficient.
const MOST: f64 = 0.05;

/// The lens's coefficient, of the second and the fourth power alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lens(f64);

/// A lens.
pub(super) fn draw(rng: &mut Pcg64) -> Lens {
    Lens(rng.random_range(-MOST..MOST))
}

impl Lens {
    /// Where a point comes from; both as distances to the middle in shares of the sides.
    pub fn source(self, [x, y]: [f64; 2]) -> [f64; 2] {
        let square = x * x + y * y;
        let factor = 1.0 + self.0 * square + self.0 * square * square;
        [x * factor, y * factor]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(Lens(0.5).source([1.0, 0.0]), [2.0, 0.0]);
        assert_eq!(Lens(0.5).source([0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(Lens(0.0).source([0.3, -0.4]), [0.3, -0.4]);
    }
}
