//! Bertalmio, Bertozzi and Sapiro 2001, "Navier-Stokes, fluid dynamics, and image and video inpainting", by fast marching.
//!
//! The paper takes the values for the stream function of a fluid, so that lines of equal value (isophotes) flow into the hole. Programs that offer
//! the method by this name do not solve its equations: they go inwards by fast marching, and a pixel gets the mean of its neighbours, weighted
//! by how well the isophote through each points at it. So does this one, because it is what others compare with.

use std::sync::Arc;

use lacuna::method::{Build, Method};

use super::marching::{Around, Marching, Near};

/// The method, for evaluations only.
pub const METHOD: Method = Method {
    name: "navier-stokes",
    meaning: "Isophotes continued into the hole (Bertalmio and others 2001), by fast marching",
    build: Build::Alone(|| Arc::new(Marching { name: METHOD.name, value })),
};

/// A slope below it has no direction: 1.3 of 255 grey levels over two pixels.
const LEAST_SLOPE: f32 = 0.0025;
/// The weight of a neighbour without direction, or whose isophote passes by.
const LEAST_DIRECTION: f32 = 1e-6;

fn value(around: &Around, pixel: usize) -> f32 {
    around.mean(pixel, |Near { pixel: near, to_filled: [across, down] }| {
        let square = across * across + down * down;
        let [slope_across, slope_down] = around.gradient(near);
        let slope = (slope_across * slope_across + slope_down * slope_down).sqrt();
        let direction = if slope > LEAST_SLOPE {
            // The isophote is at right angles to the gradient.
            ((down * slope_across - across * slope_down) / (square.sqrt() * slope)).abs()
        } else {
            0.0
        };
        direction.max(LEAST_DIRECTION) / (1.0 + square * square)
    })
}

#[cfg(test)]
mod tests {
    use super::super::mean_colour::MeanColour;
    use super::*;
    use lacuna::{Mask, Planes, Predictor};

    #[test]
    fn an_edge_is_continued() {
        // Dark above bright, with a hole across the edge.
        let side = 32;
        let wanted = |at: usize| if at / side % side < 16 { 0.2 } else { 0.8 };
        let image = Planes::new(side, side, (0..3 * side * side).map(wanted).collect());
        let hole = |at: usize| (12..20).contains(&(at % side)) && (8..24).contains(&(at / side));
        let mask = Mask::new(side, side, (0..side * side).map(hole).collect());
        let error = |predictor: &dyn Predictor| {
            let filled = predictor.predict(&image, &mask, 0).unwrap();
            (0..side * side).map(|at| (filled.plane(2)[at] - wanted(at)).abs()).sum::<f32>()
                / mask.count() as f32
        };
        let (own, mean) = (error(&Marching { name: METHOD.name, value }), error(&MeanColour));
        assert!(own < 0.1 && mean > 0.29, "{own} {mean}");
    }
}
