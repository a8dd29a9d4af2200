//! Compositing of predicted pixels into an image; known pixels keep their bits.

use crate::hole::Hole;
use crate::picture::{Picture, SamplesMut};
use crate::planes::luma;
use crate::{Planes, Rect};

/// Writes the predicted pixels of a window into the image's hole. Pixels outside the hole and the alpha channel do not
/// change. A grey image gets the prediction's luma (Rec. 601).
///
/// # Shapes
/// `predicted`: `[3, rect.height, rect.width]`, clamped to `[0, 1]`.
///
/// # Panics
/// If the sizes of prediction and window, or of hole and image, differ.
pub fn composite(picture: &mut Picture, hole: &Hole, rect: Rect, predicted: &Planes) {
    assert_eq!((predicted.width(), predicted.height()), (rect.width, rect.height), "prediction and window");
    assert_eq!(
        (hole.mask().width(), hole.mask().height()),
        (picture.width(), picture.height()),
        "hole and picture"
    );
    let (width, channels) = (picture.width(), picture.channels());
    let target = Target { hole, rect, predicted, width, channels, is_grey: picture.is_grey() };
    let (low, high) = picture.float_range();
    match picture.samples_mut() {
        SamplesMut::Eight(samples) => {
            target.blend(samples, f32::from(u8::MAX), |value| f32::from(*value), |value| value as u8);
        }
        SamplesMut::Sixteen(samples) => {
            target.blend(samples, f32::from(u16::MAX), |value| f32::from(*value), |value| value as u16);
        }
        SamplesMut::Float(samples) => target.blend_floats(samples, low, high),
    }
}

struct Target<'a> {
    hole: &'a Hole,
    rect: Rect,
    predicted: &'a Planes,
    width: usize,
    channels: usize,
    is_grey: bool,
}

impl Target<'_> {
    fn blend<T>(&self, samples: &mut [T], white: f32, read: impl Fn(&T) -> f32, write: impl Fn(f32) -> T) {
        self.each(samples, |sample, weight, filled| {
            *sample = write((weight * filled * white + (1.0 - weight) * read(sample)).round());
        });
    }

    /// Like `blend`, for values from `low` to `high`. Where the fill's weight is 1 the original value is ignored, as it
    /// may be NaN.
    fn blend_floats(&self, samples: &mut [f32], low: f32, high: f32) {
        self.each(samples, |sample, weight, filled| {
            let filled = low + filled * (high - low);
            *sample = if weight < 1.0 { weight * filled + (1.0 - weight) * *sample } else { filled };
        });
    }

    /// Calls `blend` with each colour sample in the hole, its weight, and the fill in `[0, 1]`.
    fn each<T>(&self, samples: &mut [T], blend: impl Fn(&mut T, f32, f32)) {
        for y in 0..self.rect.height {
            for x in 0..self.rect.width {
                let (column, row) = (self.rect.x + x, self.rect.y + y);
                let weight = self.hole.weight(column, row);
                if weight == 0.0 {
                    continue;
                }
                let at = |channel: usize| self.predicted.plane(channel)[y * self.rect.width + x];
                let rgb = [at(0), at(1), at(2)];
                let colours = if self.is_grey { [luma(rgb); 3] } else { rgb };
                let colours = &colours[..if self.channels < 3 { 1 } else { 3 }];
                let pixel = (row * self.width + column) * self.channels;
                for (sample, colour) in samples[pixel..].iter_mut().zip(colours) {
                    blend(sample, weight, colour.clamp(0.0, 1.0));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;
    use crate::hole::HoleOptions;
    use crate::picture::{Format, OwnedSamples};
    use image::{DynamicImage, ImageBuffer, LumaA, Rgb};

    fn hole(pixels: &[bool]) -> Hole {
        Hole::new(&Mask::new(pixels.len(), 1, pixels.to_vec()), &HoleOptions::default()).unwrap()
    }

    #[test]
    fn only_the_hole_changes() {
        let pixels = ImageBuffer::<Rgb<u16>, _>::from_raw(2, 1, vec![1, 2, 3, 40_000, 5, 6]).unwrap();
        let mut picture = Picture::from_pixels("a", DynamicImage::ImageRgb16(pixels), Format::Png);
        let predicted = Planes::new(2, 1, vec![0.5, 1.0, 0.5, 0.0, 0.5, 2.0]);
        composite(&mut picture, &hole(&[false, true]), Rect::whole(2, 1), &predicted);
        assert_eq!(picture.pixels().as_rgb16().unwrap().as_raw(), &[1, 2, 3, 65_535, 0, 65_535]);
    }

    #[test]
    fn grey_takes_brightness_and_keeps_alpha() {
        let pixels = ImageBuffer::<LumaA<u8>, _>::from_raw(2, 1, vec![10, 77, 20, 88]).unwrap();
        let mut picture = Picture::from_pixels("a", DynamicImage::ImageLumaA8(pixels), Format::Png);
        let predicted = Planes::new(1, 1, vec![1.0, 0.5, 0.25]);
        composite(&mut picture, &hole(&[false, true]), Rect { x: 1, y: 0, width: 1, height: 1 }, &predicted);
        // 0.299 + 0.587 / 2 + 0.114 / 4 = 0.621, times 255.
        assert_eq!(picture.pixels().as_luma_alpha8().unwrap().as_raw(), &[10, 77, 158, 88]);
    }

    #[test]
    fn grey_floats_take_brightness_and_keep_what_is_known() {
        let known = f32::from_bits(0x3EAA_AAAB);
        let mut picture =
            Picture::from_samples("a", (2, 1), 1, OwnedSamples::Float(vec![known, 0.25])).unwrap();
        let predicted = Planes::new(2, 1, vec![0.0, 1.0, 0.0, 0.5, 0.0, 0.25]);
        composite(&mut picture, &hole(&[false, true]), Rect::whole(2, 1), &predicted);
        let luma = 0.299 + 0.587 * 0.5 + 0.114 * 0.25;
        assert_eq!(picture.into_samples(), OwnedSamples::Float(vec![known, luma]));
    }
}
