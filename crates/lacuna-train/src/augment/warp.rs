//! All geometric steps as one map from the crop's pixels to the photo's, sampled once.

use image::{Rgb, RgbImage};

use super::affine::Affine;
use super::optical::Lens;
use super::perspective::Perspective;

/// The steps, in reverse order, as a pixel of the crop is mapped back. Each reads an image of the photo's size that is
/// mirrored (or, for perspective, repeated) at its border.
pub(super) struct Map {
    /// Columns and rows of the photo.
    pub size: [u32; 2],
    /// Corner of the crop.
    pub corner: [u32; 2],
    pub lens: Option<Lens>,
    pub affine: Option<Affine>,
    pub perspective: Option<Perspective>,
}

impl Map {
    /// Samples the crop from the photo or a resized copy of it.
    pub fn sample(&self, source: &RgbImage, side: u32) -> RgbImage {
        let scale = [
            f64::from(source.width()) / f64::from(self.size[0]),
            f64::from(source.height()) / f64::from(self.size[1]),
        ];
        RgbImage::from_fn(side, side, |x, y| {
            let [x, y] = self.source([f64::from(x), f64::from(y)]);
            // Pixel centres are at half-integers.
            bilinear(source, [(x + 0.5) * scale[0] - 0.5, (y + 0.5) * scale[1] - 0.5])
        })
    }

    /// The source in the photo of a pixel of the crop.
    fn source(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let size = self.size.map(f64::from);
        let mut point = [x + f64::from(self.corner[0]), y + f64::from(self.corner[1])];
        let middle = size.map(|side| (side - 1.0) / 2.0);
        if let Some(lens) = self.lens {
            let offsets = [(point[0] - middle[0]) / size[0], (point[1] - middle[1]) / size[1]];
            let [x, y] = lens.source(offsets);
            point = mirrored([x * size[0] + middle[0], y * size[1] + middle[1]], size);
        }
        if let Some(affine) = &self.affine {
            let [x, y] = affine.source([point[0] - middle[0], point[1] - middle[1]]);
            point = mirrored([x + middle[0], y + middle[1]], size);
        }
        if let Some(perspective) = &self.perspective {
            let last = size.map(|side| (side - 1.0).max(1.0));
            let [x, y] = perspective.source([point[0] / last[0], point[1] / last[1]]);
            point = [x * last[0], y * last[1]];
        }
        point
    }
}

/// A coordinate beyond the border, mirrored at the centres of the outermost pixels as often as needed.
fn mirrored(point: [f64; 2], size: [f64; 2]) -> [f64; 2] {
    let mirror = |at: f64, side: f64| {
        let last = side - 1.0;
        if last <= 0.0 {
            return 0.0;
        }
        let within = at.rem_euclid(2.0 * last);
        if within > last { 2.0 * last - within } else { within }
    };
    [mirror(point[0], size[0]), mirror(point[1], size[1])]
}

/// Bilinear interpolation; border colours are repeated outside.
fn bilinear(source: &RgbImage, [x, y]: [f64; 2]) -> Rgb<u8> {
    let (width, height) = (source.width() as usize, source.height() as usize);
    let along = |at: f64, side: usize| {
        let at = at.clamp(0.0, (side - 1) as f64);
        let first = at as usize;
        (first, (first + 1).min(side - 1), (at - first as f64) as f32)
    };
    let ((left, right, across), (top, bottom, down)) = (along(x, width), along(y, height));
    let pixels = source.as_raw();
    let at =
        |column: usize, row: usize, colour: usize| f32::from(pixels[3 * (row * width + column) + colour]);
    Rgb([0, 1, 2].map(|colour| {
        let upper = at(left, top, colour) * (1.0 - across) + at(right, top, colour) * across;
        let lower = at(left, bottom, colour) * (1.0 - across) + at(right, bottom, colour) * across;
        (upper * (1.0 - down) + lower * down + 0.5) as u8
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo() -> RgbImage {
        RgbImage::from_fn(3, 3, |x, y| Rgb([10 * (3 * y + x) as u8, 0, 100]))
    }

    #[test]
    fn no_step_is_a_plain_crop() {
        let map = Map { size: [3, 3], corner: [1, 1], lens: None, affine: None, perspective: None };
        let crop = map.sample(&photo(), 2);
        let reds: Vec<u8> = crop.pixels().map(|pixel| pixel.0[0]).collect();
        assert_eq!(reds, [40, 50, 70, 80]);
    }

    #[test]
    fn between_and_beyond_pixels() {
        let red = |x, y| bilinear(&photo(), [x, y]).0[0];
        assert_eq!([red(0.5, 0.0), red(0.0, 0.5), red(1.5, 1.5), red(-4.0, 9.0)], [5, 15, 60, 60]);
        let mirror = |x| mirrored([x, 0.0], [3.0, 1.0])[0];
        assert_eq!(
            [mirror(-1.0), mirror(2.5), mirror(3.0), mirror(4.0), mirror(5.0), mirror(-4.0)],
            [1.0, 1.5, 1.0, 0.0, 1.0, 0.0]
        );
    }
}
