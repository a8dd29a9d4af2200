//! Telea 2004, "An image inpainting technique based on the fast marching method".
//!
//! A pixel gets the mean of its neighbours within a radius. Weights prefer neighbours in the direction of the normal of the edge, near
//! ones, and ones at the same distance to it (equation 3 and those after it).
//!
//! Differs from the paper in: neighbours are not continued along their gradient (equation 2). On texture these gradients add up from pixel
//! to pixel: with them the mean error in the hole is 0.228 on 36 thick holes of 256 px, without them 0.088, with OpenCV 5's 0.089.

use std::sync::Arc;

use lacuna::method::{Build, Method};

use super::marching::{Around, Marching, Near};

/// The method, for evaluations only.
pub const METHOD: Method = Method {
    name: "telea",
    meaning: "Telea's method (2004): means of near pixels, along the normal of the edge",
    build: Build::Alone(|| Arc::new(Marching { name: METHOD.name, value })),
};

/// A weight of the direction below it is raised to it, so that no pixel is without neighbours.
const LEAST_DIRECTION: f32 = 1e-6;

fn value(around: &Around, pixel: usize) -> f32 {
    let normal = around.distance_gradient(pixel);
    around.mean(pixel, |Near { pixel: near, to_filled: [across, down] }| {
        let square = across * across + down * down;
        let direction = ((across * normal[0] + down * normal[1]) / square.sqrt()).abs().max(LEAST_DIRECTION);
        let level = 1.0 / (1.0 + (around.distances[near] - around.distances[pixel]).abs());
        direction * level / square
    })
}

#[cfg(test)]
mod tests {
    use super::super::mean_colour::MeanColour;
    use super::*;
    use lacuna::{Mask, Planes, Predictor};

    #[test]
    fn a_ramp_is_filled_better_than_by_its_mean() {
        let (width, height) = (40, 30);
        let ramp = |at: usize| 0.2 + 0.015 * (at % width) as f32;
        let image = Planes::new(width, height, (0..3 * width * height).map(|at| ramp(at % 1200)).collect());
        let hole = |at: usize| (10..22).contains(&(at % width)) && (8..20).contains(&(at / width));
        let mask = Mask::new(width, height, (0..width * height).map(hole).collect());
        let error = |predictor: &dyn Predictor| {
            let filled = predictor.predict(&image, &mask, 0).unwrap();
            let errors = (0..width * height).map(|at| (filled.plane(0)[at] - ramp(at)).abs());
            errors.sum::<f32>() / mask.count() as f32
        };
        let (own, mean) = (error(&Marching { name: METHOD.name, value }), error(&MeanColour));
        assert!(own < 0.4 * mean, "{own} {mean}");
    }
}
