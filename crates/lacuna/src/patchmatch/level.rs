//! One resolution of the picture while it is being completed.

use super::areas::Areas;
use super::patch_map::PatchMap;
use super::roughness;
use crate::depth::depths;
use crate::{Planes, Rect, mask};
use rayon::prelude::*;

/// Red, green, blue and roughness, each in `[0, FULL_SCALE]`: four 16-bit lanes, so that a row of a patch fits into
/// one 64-byte register and differences are squared and added in one instruction.
pub(super) type Pixel = [i16; 4];

/// The number for 1.0. With 11 bits the distance of two patches, at most 4 * 49 * 2047^2, fits into 32 bits,
/// and 8-bit pictures keep every step.
pub(super) const FULL_SCALE: f32 = 2047.0;

/// Pixels of a level beyond which it is large.
const LARGE: usize = 512 * 512;

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
    /// The window that the hole needs.
    pub(super) bounds: Rect,
    /// `[height, width]`, `true` = must not be copied; none if all that is known may be.
    pub(super) barred: Option<Vec<bool>>,
    /// `[height, width]`, how deep inside the hole each pixel lies; 0 outside.
    pub(super) depths: Vec<u16>,
    /// Sources and targets.
    pub(super) patches: PatchMap,
    /// `[height, width]`: what the whole picture, hole and all, looks like roughly, if something says so.
    pub(super) guide: Option<Vec<Pixel>>,
}

impl Level {
    /// The picture at full size, black where it is unknown whatever `image` holds there.
    ///
    /// # Panics
    /// If there is no hole.
    pub(super) fn finest(image: &Planes, areas: &Areas<'_>) -> Self {
        let (width, height) = (image.width(), image.height());
        let unknown = areas.unknown.hole();
        let roughness = roughness::of_known(image, areas.unknown);
        let mut pixels = vec![[0; 4]; width * height];
        pixels.par_iter_mut().enumerate().for_each(|(index, pixel)| {
            if !unknown[index] {
                let [red, green, blue] = [0, 1, 2].map(|channel| quantise(image.plane(channel)[index]));
                *pixel = [red, green, blue, roughness[index]];
            }
        });
        let (hole, barred) = (areas.hole.hole().to_vec(), areas.barred.clone());
        let patches = PatchMap::new(width, height, &hole, barred.as_deref());
        Self {
            width,
            height,
            pixels,
            depths: depths(width, height, &hole),
            bounds: mask::bounds(width, &hole).expect("a hole"),
            hole,
            barred,
            patches,
            guide: None,
        }
    }

    /// Whether time matters more than it does for small pictures.
    pub(super) fn is_large(&self) -> bool {
        self.pixels.len() > LARGE
    }

    /// The picture at full size, whose whole hole is filled from anywhere.
    #[cfg(test)]
    pub(super) fn whole(image: &Planes, mask: &crate::Mask) -> Self {
        Self::finest(image, &Areas::of(&crate::predictor::Scene::new(image, mask, 0)))
    }

    /// This level with a guide of its size.
    pub(super) fn guided(self, guide: &Planes) -> Self {
        let pixel = |index: usize| {
            let [red, green, blue] = [0, 1, 2].map(|channel| quantise(guide.plane(channel)[index]));
            [red, green, blue, 0]
        };
        let guide = (0..self.pixels.len()).into_par_iter().map(pixel).collect();
        Self { guide: Some(guide), ..self }
    }

    /// Half the resolution, sides rounded up: means of 2 x 2 pixels, a hole wherever one of them is.
    pub(super) fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let block = |index: usize| {
            let (left, upper) = (2 * (index % width), 2 * (index / width));
            let (right, lower) = ((left + 1).min(self.width - 1), (upper + 1).min(self.height - 1));
            [(left, upper), (right, upper), (left, lower), (right, lower)].map(|(x, y)| y * self.width + x)
        };
        let every = || (0..width * height).into_par_iter();
        let any = |pixels: &[bool]| -> Vec<bool> {
            every().map(|index| block(index).iter().any(|&index| pixels[index])).collect()
        };
        let (hole, barred) = (any(&self.hole), self.barred.as_deref().map(any));
        let pixel = |index: usize| if hole[index] { [0; 4] } else { mean(&self.pixels, block(index)) };
        let pixels = every().map(pixel).collect();
        let guide = self.guide.as_ref().map(|guide| every().map(|index| mean(guide, block(index))).collect());
        let patches = PatchMap::new(width, height, &hole, barred.as_deref());
        let depths = depths(width, height, &hole);
        let bounds = mask::bounds(width, &hole).expect("a hole");
        Self { width, height, pixels, hole, bounds, barred, depths, patches, guide }
    }
}

/// The mean of the four pixels of a block, rounded.
fn mean(pixels: &[Pixel], block: [usize; 4]) -> Pixel {
    std::array::from_fn(|channel| {
        let sum: i16 = block.iter().map(|&index| pixels[index][channel]).sum();
        (sum + 2) / 4
    })
}

/// A value in `[0, 1]` on the scale of [`Pixel`]; what is outside is clamped, what is no number is 0.
fn quantise(value: f32) -> i16 {
    (value * FULL_SCALE).round().clamp(0.0, FULL_SCALE) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;

    #[test]
    fn halving_averages_known_blocks_and_keeps_holes() {
        let image = Planes::new(3, 3, (0..27).map(|value| (value % 9) as f32 / 8.0).collect());
        let hole = (0..9).map(|index| index == 8).collect();
        let level = Level::whole(&image, &Mask::new(3, 3, hole)).halved();
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
        let level = Level::whole(&image, &Mask::new(2, 1, vec![false, true]));
        assert_eq!(level.pixels[1], [0; 4]);
    }
}
