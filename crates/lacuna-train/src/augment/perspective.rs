//! Perspective: the photo's corners move inwards.
//!
//! Like imgaug's `PerspectiveTransform` with `keep_size`: the part between the moved corners fills the image.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

/// Corners never reach the centre.
const FARTHEST: f64 = 0.45;

/// A projective map of the unit square into itself: `(a x + b y + c, d x + e y + f) / (g x + h y + 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Perspective([f64; 8]);

/// Corners moved by `|N(0, deviation)|` of the sides, with a deviation up to `most`.
pub(super) fn draw(most: f64, rng: &mut Pcg64) -> Perspective {
    let deviation = rng.random_range(0.0..most);
    let mut inwards = || {
        let normal: f64 = StandardNormal.sample(rng);
        (deviation * normal).abs().min(FARTHEST)
    };
    let [top_left, top_right, bottom_right, bottom_left] = [(); 4].map(|()| [inwards(), inwards()]);
    Perspective::to([
        top_left,
        [1.0 - top_right[0], top_right[1]],
        [1.0 - bottom_right[0], 1.0 - bottom_right[1]],
        [bottom_left[0], 1.0 - bottom_left[1]],
    ])
}

impl Perspective {
    /// The map of (0, 0), (1, 0), (1, 1), (0, 1) to these corners (Heckbert 1989, section 2.2.3).
    fn to([p, q, r, s]: [[f64; 2]; 4]) -> Self {
        let difference = |axis: usize| p[axis] - q[axis] + r[axis] - s[axis];
        let [dx1, dy1] = [q[0] - r[0], q[1] - r[1]];
        let [dx2, dy2] = [s[0] - r[0], s[1] - r[1]];
        let determinant = dx1 * dy2 - dx2 * dy1;
        let g = (difference(0) * dy2 - dx2 * difference(1)) / determinant;
        let h = (dx1 * difference(1) - difference(0) * dy1) / determinant;
        Self([
            q[0] - p[0] + g * q[0],
            s[0] - p[0] + h * s[0],
            p[0],
            q[1] - p[1] + g * q[1],
            s[1] - p[1] + h * s[1],
            p[1],
            g,
            h,
        ])
    }

    /// The source of a point of the image; both as fractions of the sides.
    pub fn source(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [a, b, c, d, e, f, g, h] = self.0;
        let depth = g * x + h * y + 1.0;
        [(a * x + b * y + c) / depth, (d * x + e * y + f) / depth]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn corners_go_where_they_shall() {
        let corners = [[0.1, 0.05], [0.9, 0.2], [1.0, 0.8], [0.0, 0.9]];
        let map = Perspective::to(corners);
        for (from, to) in [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]].into_iter().zip(corners) {
            let found = map.source(from);
            assert!(
                (found[0] - to[0]).abs() < 1e-12 && (found[1] - to[1]).abs() < 1e-12,
                "{from:?}: {found:?}"
            );
        }
        let plain = Perspective::to([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        assert_eq!(plain.source([0.25, 0.75]), [0.25, 0.75]);
    }

    #[test]
    fn everything_comes_from_within() {
        for seed in 0..100 {
            let map = draw(0.06, &mut Pcg64::seed_from_u64(seed));
            for point in [[0.0, 0.0], [0.5, 0.5], [1.0, 0.3], [0.2, 1.0]] {
                assert!(map.source(point).iter().all(|fraction| (-1e-9..=1.0 + 1e-9).contains(fraction)));
            }
        }
    }
}
