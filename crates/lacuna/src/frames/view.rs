//! Which frames show the same view: the camera stands still, and only the brightness may differ.
//!
//! A frame is compared with the first frame of a view, on pixels around its hole that both show. Means of 4 x 4 pixels are
//! compared, in which noise is four times weaker. The view is another one if another place fits clearly better, so that
//! the camera moved, or if most means differ, as after a cut. What differs everywhere alike is brightness.

use crate::planes::LUMA;
use crate::{Mask, Picture, Rect};

/// Pixels around the hole that are compared.
const RING: usize = 24;
/// Most pixels that are compared: enough for a median to 0.1 of the noise.
const MOST_POINTS: usize = 16_384;
/// Fewest pixels that say something.
const FEWEST_POINTS: usize = 64;
/// Side of the squares whose means are compared.
const SQUARE: usize = 4;
/// Farthest shift that is tried, in pixels. Larger ones change most means.
const REACH: isize = 2;
/// Means that differ by more than this show something else. Noise of 15 of 255 makes them differ by 5.
const SAME: f32 = 10.0 / 255.0;
/// The fraction of means that must be the same: things may move in a part of the view.
const MOST: f32 = 0.5;
/// Another place fits better if the difference there is below this fraction of the difference here. Noise alone comes to 0.88
/// with the fewest pixels.
const CLEARLY: f32 = 0.75;

/// The first frame of a view.
pub struct Anchor {
    picture: Picture,
    hole: Mask,
    means: Means,
}

/// How a frame differs from the first one of its view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// What is added to red, green and blue of the first frame, in `[-1, 1]`.
    pub offset: [f32; 3],
    /// Standard deviation of a frame's noise, in `[0, 1]`.
    pub noise: f32,
}

impl Likeness {
    /// That of the first frame.
    pub const SAME: Self = Self { offset: [0.0; 3], noise: 0.0 };
}

impl Anchor {
    /// Bytes of an anchor, for a picture of so many bytes and pixels.
    pub fn bytes(picture: u64, pixels: u64) -> u64 {
        /// The mask; the means and whether they are known.
        const PER_PIXEL: u64 = 1 + 4 + 1;
        picture + PER_PIXEL * pixels
    }

    /// The first frame of a view, with its hole.
    pub fn new(picture: Picture, hole: Mask) -> Self {
        let means = Means::new(&picture, &hole, Rect::whole(picture.width(), picture.height()));
        Self { picture, hole, means }
    }

    /// The hole of the frame.
    pub fn hole(&self) -> &Mask {
        &self.hole
    }

    /// How a frame of the same size differs; `None` if it shows another view, or too little of this one.
    pub fn compare(&self, picture: &Picture, hole: &Mask) -> Option<Likeness> {
        let (width, height) = (picture.width(), picture.height());
        let region = hole.bounds().map_or(Rect::whole(width, height), |hole| hole.grown(RING, width, height));
        let stride = (region.area() as f64 / MOST_POINTS as f64).sqrt().ceil().max(1.0) as usize;
        let rows = (region.y..region.bottom()).step_by(stride);
        let points = rows.flat_map(|y| (region.x..region.right()).step_by(stride).map(move |x| (x, y)));
        let known: Vec<(usize, usize)> =
            points.filter(|&(x, y)| !hole.is_hole(x, y) && !self.hole.is_hole(x, y)).collect();
        if known.len() < FEWEST_POINTS {
            return None;
        }
        let differences: Vec<[f32; 3]> = known
            .iter()
            .map(|&(x, y)| {
                let (here, there) = (picture.colour(x, y), self.picture.colour(x, y));
                [0, 1, 2].map(|channel| here[channel] - there[channel])
            })
            .collect();
        let offset = [0, 1, 2].map(|channel| median(differences.iter().map(|values| values[channel])));
        if !self.is_same_view(&Means::new(picture, hole, region), offset, &known) {
            return None;
        }
        let deviations = differences.iter().flat_map(|values| (0..3).map(|i| (values[i] - offset[i]).abs()));
        // The median of |x| is 0.6745 standard deviations; the difference of two frames has the noise of both.
        let noise = median(deviations) / (0.6745 * std::f32::consts::SQRT_2);
        Some(Likeness { offset, noise })
    }

    fn is_same_view(&self, means: &Means, offset: [f32; 3], points: &[(usize, usize)]) -> bool {
        let offset: f32 = offset.iter().zip(LUMA).map(|(offset, weight)| offset * weight).sum();
        let shifts = || (-REACH..=REACH).flat_map(|y| (-REACH..=REACH).map(move |x| (x, y)));
        let mut sums = [0.0f32; ((2 * REACH + 1) * (2 * REACH + 1)) as usize];
        let (mut count, mut same) = (0, 0);
        for &(x, y) in points {
            let Some(here) = means.at((x, y), (0, 0)) else { continue };
            let mut there = [0.0; ((2 * REACH + 1) * (2 * REACH + 1)) as usize];
            let is_known = shifts().zip(&mut there).all(|(shift, value)| {
                let mean = self.means.at((x, y), shift);
                *value = mean.unwrap_or_default();
                mean.is_some()
            });
            if is_known {
                let differences = there.map(|there| (here - there - offset).abs());
                count += 1;
                same += usize::from(differences[sums.len() / 2] <= SAME);
                // What moves in the view counts no more than it must.
                sums.iter_mut().zip(differences).for_each(|(sum, difference)| *sum += difference.min(SAME));
            }
        }
        let least = sums.iter().copied().fold(f32::INFINITY, f32::min);
        count >= FEWEST_POINTS
            && same as f32 >= MOST * count as f32
            && least >= CLEARLY * sums[sums.len() / 2]
    }
}

/// The luma of a window's squares.
struct Means {
    window: Rect,
    /// The mean of the square that begins at each pixel, `[height, width]`; unused where the square leaves the window.
    values: Vec<f32>,
    /// Whether no pixel of the square is hole.
    known: Vec<bool>,
}

impl Means {
    fn new(picture: &Picture, hole: &Mask, window: Rect) -> Self {
        let planes = picture.planes(window);
        let area = window.area();
        let mut values = vec![0.0; area];
        for (channel, weight) in LUMA.into_iter().enumerate() {
            values.iter_mut().zip(planes.plane(channel)).for_each(|(luma, value)| *luma += weight * value);
        }
        let mut known: Vec<bool> = hole.cut(window).hole().iter().map(|hole| !hole).collect();
        // Rows, then columns; a window's last squares are shorter and unused.
        for (line, between) in [(window.width, 1), (area, window.width)] {
            for start in (0..area).step_by(line) {
                for i in start..start + line {
                    let square = || (i..start + line).step_by(between).take(SQUARE);
                    values[i] = square().map(|i| values[i]).sum::<f32>() / SQUARE as f32;
                    known[i] = square().all(|i| known[i]);
                }
            }
        }
        Self { window, values, known }
    }

    fn at(&self, (x, y): (usize, usize), (right, down): (isize, isize)) -> Option<f32> {
        let Rect { width, height, .. } = self.window;
        let x = x.checked_add_signed(right)?.checked_sub(self.window.x)?;
        let y = y.checked_add_signed(down)?.checked_sub(self.window.y)?;
        let is_inside = x + SQUARE <= width && y + SQUARE <= height;
        (is_inside && self.known[y * width + x]).then(|| self.values[y * width + x])
    }
}

fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Format;
    use image::{DynamicImage, Rgb, RgbImage};
    use rand::{RngExt as _, SeedableRng as _};
    use rand_pcg::Pcg32;

    const SIDE: usize = 96;

    /// A smooth texture at a place, with noise and brightness.
    fn frame(shift: (f32, f32), brightness: f32, noise: f32, seed: u64) -> Picture {
        let mut random = Pcg32::seed_from_u64(seed);
        let pixels = RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
            let (x, y) = (x as f32 + shift.0, y as f32 + shift.1);
            let texture =
                110.0 + 40.0 * (x * 0.31).sin() * (y * 0.23).cos() + 20.0 * (x * 0.07 + y * 0.11).sin();
            // The sum of twelve uniform values is nearly normal.
            let normal: f32 = (0..12).map(|_| random.random::<f32>() - 0.5).sum();
            Rgb([0.0, 1.0, 2.0].map(|step| (texture + step + brightness + noise * normal).round() as u8))
        });
        Picture::from_pixels("frame", DynamicImage::ImageRgb8(pixels), Format::Png)
    }

    fn hole(left: usize) -> Mask {
        let is_hole = |i: usize| (left..left + 20).contains(&(i % SIDE)) && (30..60).contains(&(i / SIDE));
        Mask::new(SIDE, SIDE, (0..SIDE * SIDE).map(is_hole).collect())
    }

    fn compare(shift: (f32, f32), brightness: f32, noise: f32) -> Option<Likeness> {
        let anchor = Anchor::new(frame((0.0, 0.0), 0.0, noise, 1), hole(20));
        anchor.compare(&frame(shift, brightness, noise, 2), &hole(45))
    }

    #[test]
    fn a_static_camera_is_recognised_with_its_noise_and_brightness() {
        assert_eq!(compare((0.0, 0.0), 0.0, 0.0), Some(Likeness::SAME));
        let exact = compare((0.0, 0.0), 9.0, 0.0).unwrap();
        assert!(exact.offset.iter().all(|offset| (offset * 255.0 - 9.0).abs() < 1e-3), "{exact:?}");
        for noise in [2.0, 6.0, 15.0] {
            let found = compare((0.0, 0.0), -6.0, noise).unwrap();
            assert!(
                found.offset.iter().all(|offset| (offset * 255.0 + 6.0).abs() < 0.1 * noise + 0.5),
                "{found:?}"
            );
            assert!((found.noise * 255.0 / noise - 1.0).abs() < 0.2, "{noise}: {found:?}");
        }
    }

    #[test]
    fn a_camera_that_moved_is_another_view() {
        for shift in [(1.0, 0.0), (0.0, -1.0), (2.0, 1.0), (0.7, 0.0), (5.0, 3.0)] {
            assert_eq!(compare(shift, 0.0, 0.0), None, "{shift:?}");
            assert_eq!(compare(shift, 4.0, 3.0), None, "{shift:?}");
        }
    }

    #[test]
    fn other_scenes_and_hidden_ones_are_other_views() {
        let anchor = Anchor::new(frame((0.0, 0.0), 0.0, 2.0, 1), hole(20));
        assert_eq!(anchor.compare(&frame((37.0, 51.0), 0.0, 2.0, 2), &hole(45)), None);
        let nearly_all = Mask::new(SIDE, SIDE, (0..SIDE * SIDE).map(|i| i > 50).collect());
        assert_eq!(anchor.compare(&frame((0.0, 0.0), 0.0, 2.0, 2), &nearly_all), None);
        // A frame without a hole is compared as a whole.
        let none = Mask::new(SIDE, SIDE, vec![false; SIDE * SIDE]);
        assert!(anchor.compare(&frame((0.0, 0.0), 0.0, 2.0, 2), &none).is_some());
    }

    #[test]
    fn noise_without_texture_is_the_same_view() {
        let flat = |seed| frame((0.0, 0.0), 0.0, 0.0, 0).with_noise(seed);
        for seed in 0..20 {
            let anchor = Anchor::new(flat(2 * seed), hole(20));
            assert!(anchor.compare(&flat(2 * seed + 1), &hole(45)).is_some(), "{seed}");
        }
    }

    impl Picture {
        /// A grey picture of noise.
        fn with_noise(self, seed: u64) -> Self {
            let mut random = Pcg32::seed_from_u64(seed);
            let pixels =
                RgbImage::from_fn(SIDE as u32, SIDE as u32, |_, _| Rgb([random.random_range(100..140); 3]));
            Self::from_pixels("noise", DynamicImage::ImageRgb8(pixels), Format::Png)
        }
    }
}
