//! Fills that go inwards from the edge of the hole, nearest pixels first.
//!
//! The order is that of the fast marching method (Sethian 1996), which solves the eikonal equation `|grad T| = 1` on the pixel grid: `T` is the
//! distance to the edge of the hole. A pixel's value comes from the pixels around it that are known or already filled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lacuna::{Mask, Planes, Predictor, Result, Sides, Watch};

use super::check_known;

/// Radius in pixels of the disc of pixels that a value comes from. Telea recommends 3 to 10; 5 is usual.
pub const RADIUS: usize = 5;

/// Of the hole, on one core.
const SECONDS_PER_PIXEL: f64 = 4e-6;

/// Pixels between two reports of progress.
const REPORT_EVERY: usize = 4096;

/// Signed distances to the edge of a hole, in pixels, and the order in which its pixels are filled.
#[derive(Clone, Debug)]
pub struct Distances {
    /// Positive in the hole, 0 or negative outside. Known pixels further away than the radius have `-RADIUS`.
    pub signed: Vec<f32>,
    /// The hole's pixels, by their index, nearest to the edge first.
    pub order: Vec<usize>,
}

/// A pixel that waits in the front. The nearest comes first, of equal ones the one with the smaller index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    /// Bits of the distance: distances are not negative, so their bits have the same order.
    distance: u32,
    pixel: usize,
}

impl Distances {
    /// The distances of a hole.
    pub fn new(mask: &Mask) -> Self {
        let (inside, order) = march(mask, true, f32::INFINITY);
        let (outside, _) = march(mask, false, RADIUS as f32);
        let signed = inside.iter().zip(&outside).zip(mask.hole());
        let signed = signed.map(|((&inside, &outside), &hole)| if hole { inside } else { -outside });
        Self { signed: signed.collect(), order }
    }
}

/// Distances from the edge into the hole, or away from it, up to a limit; and the order in which they became final.
fn march(mask: &Mask, into_hole: bool, limit: f32) -> (Vec<f32>, Vec<usize>) {
    let (width, hole) = (mask.width(), mask.hole());
    let mut distances = vec![limit; hole.len()];
    let mut is_final = vec![false; hole.len()];
    let mut front = BinaryHeap::new();
    // The front starts at known pixels beside the hole, with distance 0.
    for pixel in 0..hole.len() {
        if !hole[pixel] && neighbours(pixel, width, hole.len()).any(|other| hole[other]) {
            distances[pixel] = 0.0;
            front.push(Reverse(Waiting { distance: 0, pixel }));
        }
    }
    let mut order = Vec::new();
    while let Some(Reverse(Waiting { distance, pixel })) = front.pop() {
        if is_final[pixel] {
            continue;
        }
        is_final[pixel] = true;
        if hole[pixel] {
            order.push(pixel);
        }
        for other in neighbours(pixel, width, hole.len()) {
            if is_final[other] || hole[other] != into_hole {
                continue;
            }
            let found = eikonal(other, width, &distances, &is_final).max(f32::from_bits(distance));
            if found < distances[other] {
                distances[other] = found;
                front.push(Reverse(Waiting { distance: found.to_bits(), pixel: other }));
            }
        }
    }
    (distances, order)
}

/// The solution of `|grad T| = 1` at a pixel from its final neighbours, upwind in both directions.
fn eikonal(pixel: usize, width: usize, distances: &[f32], is_final: &[bool]) -> f32 {
    let nearest = |[before, after]: [Option<usize>; 2]| {
        let values = [before, after].into_iter().flatten().filter(|&other| is_final[other]);
        values.map(|other| distances[other]).fold(f32::INFINITY, f32::min)
    };
    let [across, down] = axes(pixel, width, distances.len()).map(nearest);
    let apart = across - down;
    if apart.abs() < 1.0 {
        (across + down + (2.0 - apart * apart).sqrt()) / 2.0
    } else {
        1.0 + across.min(down)
    }
}

/// The neighbours before and after a pixel, in its row and in its column.
fn axes(pixel: usize, width: usize, pixels: usize) -> [[Option<usize>; 2]; 2] {
    let column = pixel % width;
    let (left, right) = (column > 0, column + 1 < width);
    let (above, below) = (pixel >= width, pixel + width < pixels);
    [
        [left.then(|| pixel - 1), right.then(|| pixel + 1)],
        [above.then(|| pixel - width), below.then(|| pixel + width)],
    ]
}

fn neighbours(pixel: usize, width: usize, pixels: usize) -> impl Iterator<Item = usize> {
    axes(pixel, width, pixels).into_iter().flatten().flatten()
}

/// What a fill knows when it comes to a pixel.
pub struct Around<'a> {
    plane: &'a [f32],
    filled: &'a [bool],
    width: usize,
    /// Signed distances of all pixels.
    pub distances: &'a [f32],
}

/// Another pixel and where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Near {
    /// Its index.
    pub pixel: usize,
    /// From it to the pixel that is filled: columns, rows.
    pub to_filled: [f32; 2],
}

impl Around<'_> {
    /// Gradient of the values at a known or filled pixel: central differences where both neighbours are known or filled, one-sided or 0
    /// elsewhere.
    pub fn gradient(&self, pixel: usize) -> [f32; 2] {
        self.slope(pixel, self.plane, |other| self.filled[other])
    }

    /// Gradient of the distances at any pixel.
    pub fn distance_gradient(&self, pixel: usize) -> [f32; 2] {
        self.slope(pixel, self.distances, |_| true)
    }

    fn slope(&self, pixel: usize, values: &[f32], counts: impl Fn(usize) -> bool) -> [f32; 2] {
        axes(pixel, self.width, values.len()).map(|sides| {
            let [before, after] = sides.map(|other| other.filter(|&other| counts(other)));
            match (before, after) {
                (Some(before), Some(after)) => (values[after] - values[before]) / 2.0,
                (Some(before), None) => values[pixel] - values[before],
                (None, Some(after)) => values[after] - values[pixel],
                (None, None) => 0.0,
            }
        })
    }

    /// The mean of the known and filled pixels within the radius, with these weights.
    pub fn mean(&self, pixel: usize, weight: impl Fn(Near) -> f32) -> f32 {
        let [mut sum, mut weights] = [0.0f32; 2];
        for near in self.near(pixel) {
            let weight = weight(near);
            sum += weight * self.plane[near.pixel];
            weights += weight;
        }
        sum / weights
    }

    /// The known and filled pixels within the radius.
    fn near(&self, pixel: usize) -> impl Iterator<Item = Near> {
        let (row, column) = ((pixel / self.width) as isize, (pixel % self.width) as isize);
        let (width, height) = (self.width as isize, (self.plane.len() / self.width) as isize);
        let reach = RADIUS as isize;
        let offsets =
            (-reach..=reach).flat_map(move |down| (-reach..=reach).map(move |across| (down, across)));
        offsets.filter_map(move |(down, across)| {
            let (near_row, near_column) = (row + down, column + across);
            let is_inside = (0..height).contains(&near_row) && (0..width).contains(&near_column);
            if !is_inside || down * down + across * across > reach * reach {
                return None;
            }
            let pixel = (near_row * width + near_column) as usize;
            self.filled[pixel].then_some(Near { pixel, to_filled: [-across as f32, -down as f32] })
        })
    }
}

/// A method that fills from the edge inwards.
#[derive(Clone, Copy, Debug)]
pub struct Marching {
    /// Its name.
    pub name: &'static str,
    /// The value of a pixel, from what is around it. Only known and filled pixels have values.
    pub value: fn(&Around, usize) -> f32,
}

impl Predictor for Marching {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn predict_watched(&self, image: &Planes, mask: &Mask, _: u64, watch: &Watch) -> Result<Planes> {
        check_known(self.name, mask)?;
        let width = mask.width();
        let Distances { signed, order } = Distances::new(mask);
        let steps = 3 * order.len();
        let mut result = image.clone();
        for colour in 0..3 {
            let plane = result.plane_mut(colour);
            let mut filled: Vec<bool> = mask.hole().iter().map(|hole| !hole).collect();
            for (done, &pixel) in order.iter().enumerate() {
                if done % REPORT_EVERY == 0 {
                    watch.reached((colour * order.len() + done) as f32 / steps as f32)?;
                }
                let around = Around { plane, filled: &filled, width, distances: &signed };
                plane[pixel] = (self.value)(&around, pixel).clamp(0.0, 1.0);
                filled[pixel] = true;
            }
        }
        Ok(result)
    }

    fn uses_seed(&self) -> bool {
        false
    }

    fn sides(&self) -> Sides {
        Sides::any(usize::MAX)
    }

    /// The result, two maps of distances, whether pixels are final and filled, order and front.
    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        let each = 5 * size_of::<f32>() + 2 + size_of::<usize>() + size_of::<Waiting>();
        (width * height * each) as u64
    }

    fn forecast_seconds(&self, _: usize, _: usize, hole_pixels: usize) -> f64 {
        hole_pixels as f64 * SECONDS_PER_PIXEL
    }
}

#[cfg(test)]
mod tests {
    use super::super::{navier_stokes, telea};
    use super::*;
    use lacuna::method::Build;

    #[test]
    fn distances_are_euclidean_along_and_across_the_grid() {
        // One known pixel in the middle: the hole around it.
        let side = 41;
        let mut hole = vec![true; side * side];
        hole[20 * side + 20] = false;
        let Distances { signed, order } = Distances::new(&Mask::new(side, side, hole));
        assert_eq!(order.len(), side * side - 1);
        assert_eq!(
            [signed[20 * side + 20], signed[20 * side + 30], signed[5 * side + 20]],
            [0.0, 10.0, 15.0]
        );
        // The error of the first-order scheme is largest at 45 degrees: 4 %.
        let corner = signed[0];
        assert!((corner / (20.0 * 2f32.sqrt()) - 1.0).abs() < 0.04, "{corner}");
        assert!(order.windows(2).all(|pair| signed[pair[0]] <= signed[pair[1]]));
    }

    #[test]
    fn known_pixels_have_negative_distances_up_to_the_radius() {
        let width = 20;
        let mask = Mask::new(width, 1, (0..width).map(|column| column >= 10).collect());
        let Distances { signed, order } = Distances::new(&mask);
        assert_eq!(signed[3..12], [-5.0, -5.0, -4.0, -3.0, -2.0, -1.0, -0.0, 1.0, 2.0]);
        assert_eq!(order, (10..20).collect::<Vec<_>>());
    }

    #[test]
    fn without_a_known_pixel_there_is_nothing_to_start_from() {
        let white = Marching { name: "white", value: |_, _| 1.0 };
        let predict = |hole| white.predict(&Planes::black(4, 2), &Mask::new(4, 2, vec![hole; 8]), 0);
        let error = predict(true).unwrap_err().to_string();
        assert!(error.contains("the hole covers all 4 x 2 pixels"), "{error}");
        assert_eq!(predict(false).unwrap().values(), Planes::black(4, 2).values());
    }

    #[test]
    fn values_of_the_hole_do_not_count() {
        let (width, height) = (30, 20);
        let hole = |at: usize| (8..22).contains(&(at % width)) && (5..15).contains(&(at / width));
        let mask = Mask::new(width, height, (0..width * height).map(hole).collect());
        let photo = |inside: f32| {
            let mut photo = Planes::new(width, height, testkit::pictures::picture(width, height));
            let values =
                |plane: &mut [f32]| (0..plane.len()).filter(|&at| hole(at)).for_each(|at| plane[at] = inside);
            (0..3).for_each(|colour| values(photo.plane_mut(colour)));
            photo
        };
        for method in [telea::METHOD, navier_stokes::METHOD] {
            let Build::Alone(build) = method.build else { panic!("{method} needs a network") };
            let [black, white] = [0.0, 1.0].map(|inside| build().predict(&photo(inside), &mask, 0).unwrap());
            assert_eq!(black.values(), white.values(), "{method}");
            let known = (0..width * height).filter(|&at| !hole(at));
            known.for_each(|at| assert_eq!(black.plane(1)[at], photo(0.0).plane(1)[at], "{method}"));
        }
    }
}
