//! Scale, rotation and shear around the centre, like imgaug's `Affine`.

use rand::RngExt;
use rand_pcg::Pcg64;

/// The inverse map: from an offset to the centre in the new image to that in the old one, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    scale: [f64; 2],
    inverse: [[f64; 2]; 2],
}

impl Affine {
    /// Draws both scales from one range, and rotation and shears up to the given degrees.
    pub fn draw(scale: [f64; 2], rotate: f64, shear: f64, rng: &mut Pcg64) -> Self {
        let scale = [(); 2].map(|()| rng.random_range(scale[0]..scale[1]));
        let turn = rng.random_range(-rotate..rotate);
        let shear = [(); 2].map(|()| rng.random_range(-shear..shear));
        Self::new(scale, turn, shear)
    }

    fn new(scale: [f64; 2], turn: f64, shear: [f64; 2]) -> Self {
        let (sine, cosine) = turn.to_radians().sin_cos();
        let [shear_x, shear_y] = shear.map(|degrees| degrees.to_radians().tan());
        // The map is rotate(shear(scale)), so the inverse is unscale(unshear(unrotate)).
        let determinant = 1.0 - shear_x * shear_y;
        let back = [[1.0 / determinant, -shear_x / determinant], [-shear_y / determinant, 1.0 / determinant]];
        let turned_back = [[cosine, sine], [-sine, cosine]];
        let product = |row: usize, column: usize| {
            (back[row][0] * turned_back[0][column] + back[row][1] * turned_back[1][column]) / scale[row]
        };
        Self { scale, inverse: [[product(0, 0), product(0, 1)], [product(1, 0), product(1, 1)]] }
    }

    /// The larger of both scales.
    pub fn larger_scale(&self) -> f64 {
        self.scale[0].max(self.scale[1])
    }

    /// The source of a point; both are offsets to the centre.
    pub fn source(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        self.inverse.map(|[by_x, by_y]| by_x * x + by_y * y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_point(found: [f64; 2], expected: [f64; 2]) {
        assert!(
            found.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-9),
            "{found:?}, {expected:?}"
        );
    }

    #[test]
    fn by_hand() {
        assert_point(Affine::new([1.0, 1.0], 0.0, [0.0, 0.0]).source([3.0, -4.0]), [3.0, -4.0]);
        // Twice as wide: a point comes from half the distance.
        assert_point(Affine::new([2.0, 0.5], 0.0, [0.0, 0.0]).source([3.0, 4.0]), [1.5, 8.0]);
        // A quarter turn maps (1, 0) to (0, 1).
        assert_point(Affine::new([1.0, 1.0], 90.0, [0.0, 0.0]).source([0.0, 1.0]), [1.0, 0.0]);
        // A shear of 45 degrees maps (0, 1) to (1, 1).
        assert_point(Affine::new([1.0, 1.0], 0.0, [45.0, 0.0]).source([1.0, 1.0]), [0.0, 1.0]);
    }
}
