//! Lens distortion, like albumentations' `OpticalDistortion`.
//!
//! Differs from it in: no shift of the centre, which version 0.5.2 rounds from ±0.05 to whole pixels, that is 0.

use rand::RngExt;
use rand_pcg::Pcg64;

/// Largest coefficient.
const MOST: f64 = 0.05;

/// The coefficient of both the second and the fourth power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lens(f64);

/// Draws a lens.
pub(super) fn draw(rng: &mut Pcg64) -> Lens {
    Lens(rng.random_range(-MOST..MOST))
}

impl Lens {
    /// The source of a point; both are offsets to the centre as fractions of the sides.
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
