//! One resolution of the picture while it is being completed.

use super::patch_map::PatchMap;
use super::roughness;
use crate::{Mask, Planes};
use rayon::prelude::*;

/// Red, green, blue and roughness, each in `[0, FULL_SCALE]`: four 16-bit lanes, so that a row of a patch fits into
/// one 64-byte register and differences are squared and added in one instruction.
pub(super) type Pixel = [i16; 4];

/// The number for 1.0. With 11 bits the distance of two patches, at most 4 * 49 * 2047^2, fits into 32 bits,
/// and 8-bit pictures keep every step.
pub(super) const FULL_SCALE: f32 = 2047.0;

/// A picture at one resolution; inside the hole it holds the current estimate.
pub(super) struct Level {
    /// Pixels in a row.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
    /// `[height, width]`.
    pub(super) pixels: Vec<Pixel>,
    /// `[height, width]`, `true` = missing.
    pub(super) hole: Vec<bool>,
    /// Sources and targets.
    pub(super) patches: PatchMap,
}

impl Level {
    /// The picture at full size, black inside the hole whatever `image` holds there.
    pub(super) fn finest(image: &Planes, mask: &Mask) -> Self {
        let (width, height) = (image.width(), image.height());
        let hole = mask.hole();
        let roughness = roughness::of_known(image, mask);
        let mut pixels = vec![[0; 4]; width * height];
        pixels.par_iter_mut().enumerate().for_each(|(index, pixel)| {
            if !hole[index] {
                let [red, green, blue] = [0, 1, 2].map(|channel| quantise(image.plane(channel)[index]));
                *pixel = [red, green, blue, roughness[index]];
            }
        });
        Self { width, height, pixels, hole: hole.to_vec(), patches: PatchMap::new(width, height, hole) }
    }

    /// Half the resolution, sides rounded up: means of 2 x 2 pixels, a hole wherever one of them is.
    pub(super) fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut pixels = vec![[0; 4]; width * height];
        let mut hole = vec![false; width * height];
        let rows = pixels.par_chunks_exact_mut(width).zip(hole.par_chunks_exact_mut(width));
        rows.enumerate().for_each(|(y, (pixels, hole))| {
            let upper = 2 * y * self.width;
            let lower = (2 * y + 1).min(self.height - 1) * self.width;
            for (x, (pixel, hole)) in pixels.iter_mut().zip(hole).enumerate() {
                let (left, right) = (2 * x, (2 * x + 1).min(self.width - 1));
                let block = [upper + left, upper + right, lower + left, lower + right];
                *hole = block.iter().any(|&index| self.hole[index]);
                if !*hole {
                    *pixel = std::array::from_fn(|channel| {
                        let sum: i16 = block.iter().map(|&index| self.pixels[index][channel]).sum();
                        (sum + 2) / 4
                    });
                }
            }
        });
        let patches = PatchMap::new(width, height, &hole);
        Self { width, height, pixels, hole, patches }
    }
}

/// A value in `[0, 1]` on the scale of [`Pixel`]; what is outside is clamped, what is no number is 0.
fn quantise(value: f32) -> i16 {
    (value * FULL_SCALE).round().clamp(0.0, FULL_SCALE) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_averages_known_blocks_and_keeps_holes() {
        let image = Planes::new(3, 3, (0..27).map(|value| (value % 9) as f32 / 8.0).collect());
        let hole = (0..9).map(|index| index == 8).collect();
        let level = Level::finest(&image, &Mask::new(3, 3, hole)).halved();
        assert_eq!((level.width, level.height), (2, 2));
        assert_eq!(level.hole, [false, false, false, true]);
        let quarter = FULL_SCALE / 8.0;
        assert_eq!(level.pixels[0][0], (2.0 * quarter).round() as i16);
        assert_eq!(level.pixels[1][1], (3.5 * quarter).round() as i16);
        assert_eq!(level.pixels[3], [0; 4]);
    }

    #[test]
    fn the_hole_is_black_whatever_the_picture_holds() {
        let image = Planes::new(2, 1, vec![0.5, f32::NAN, 0.5, f32::INFINITY, 0.5, -7.0]);
        let level = Level::finest(&image, &Mask::new(2, 1, vec![false, true]));
        assert_eq!(level.pixels[1], [0; 4]);
    }
}
