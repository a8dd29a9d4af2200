//! The window of a picture that a predictor sees, and the exact way back.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::{Mask, Picture, Planes, Predictor, Rect};

/// A window cut out of a picture, resized, and padded to what a predictor accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The window in the picture.
    pub rect: Rect,
    /// Columns after resizing.
    pub width: usize,
    /// Rows after resizing.
    pub height: usize,
    /// Columns after padding.
    pub padded_width: usize,
    /// Rows after padding.
    pub padded_height: usize,
}

/// Scaling down: a filter without negative lobes, so that shares of known pixels stay between 0 and 1.
const DOWN: FilterType = FilterType::Bilinear;
/// Scaling up: sharp, and its overshoot is small.
const UP: FilterType = FilterType::CatmullRom;
/// A pixel scaled down counts as hole if less than this share of it is known: any touch of the hole.
const KNOWN_SHARE: f32 = 0.999;

impl Frame {
    /// The frame of a window; with `long_side`, scaled down to that many pixels on the longer side.
    pub fn new(rect: Rect, long_side: Option<usize>, predictor: &dyn Predictor) -> Self {
        let scaled = |side: usize| match long_side {
            Some(target) if target < rect.long_side() => {
                ((side * target + rect.long_side() / 2) / rect.long_side()).max(1)
            }
            _ => side,
        };
        let padded = |side: usize| side.max(predictor.smallest_side()).next_multiple_of(predictor.multiple());
        let (width, height) = (scaled(rect.width), scaled(rect.height));
        Self { rect, width, height, padded_width: padded(width), padded_height: padded(height) }
    }

    /// Whether the window is scaled down.
    pub fn is_scaled(&self) -> bool {
        (self.width, self.height) != (self.rect.width, self.rect.height)
    }

    /// Cuts the frame out of a picture and its hole. Hole pixels come out black, so that nothing of what
    /// they held reaches the predictor.
    ///
    /// # Shapes
    /// Planes `[3, padded_height, padded_width]` and a mask of that size; padded at the right and bottom by
    /// mirroring with the edge pixel repeated ("symmetric"), as LaMa.
    pub fn cut(&self, picture: &Picture, mask: &Mask) -> (Planes, Mask) {
        let (mut planes, mut mask) = (picture.planes(self.rect), mask.cut(self.rect));
        blacken(&mut planes, &mask);
        if self.is_scaled() {
            (planes, mask) = self.scale_down(&planes, &mask);
        }
        self.pad(&planes, &mask)
    }

    /// Takes a prediction back to the window's size.
    ///
    /// # Shapes
    /// `predicted`: `[3, padded_height, padded_width]`; returns `[3, rect.height, rect.width]`.
    pub fn restore(&self, predicted: &Planes) -> Planes {
        let mut values = Vec::with_capacity(3 * self.width * self.height);
        for channel in 0..3 {
            let rows = predicted.plane(channel).chunks_exact(self.padded_width).take(self.height);
            rows.for_each(|row| values.extend_from_slice(&row[..self.width]));
        }
        if !self.is_scaled() {
            return Planes::new(self.width, self.height, values);
        }
        let target = (self.rect.width, self.rect.height);
        let scaled = values
            .chunks_exact(self.width * self.height)
            .flat_map(|plane| resize(plane, (self.width, self.height), target, UP))
            .collect();
        Planes::new(target.0, target.1, scaled)
    }

    /// Scales known pixels down, each weighted by how much of it is known.
    fn scale_down(&self, planes: &Planes, mask: &Mask) -> (Planes, Mask) {
        let (from, to) = ((self.rect.width, self.rect.height), (self.width, self.height));
        let known: Vec<f32> = mask.hole().iter().map(|&hole| if hole { 0.0 } else { 1.0 }).collect();
        let share = resize(&known, from, to, DOWN);
        let hole: Vec<bool> = share.iter().map(|&share| share < KNOWN_SHARE).collect();
        let mut values = Vec::with_capacity(3 * to.0 * to.1);
        for channel in 0..3 {
            let scaled = resize(planes.plane(channel), from, to, DOWN);
            values.extend(
                scaled
                    .iter()
                    .zip(&share)
                    .map(|(&value, &share)| if share > 0.0 { value / share } else { 0.0 }),
            );
        }
        let (mut planes, mask) = (Planes::new(to.0, to.1, values), Mask::new(to.0, to.1, hole));
        blacken(&mut planes, &mask);
        (planes, mask)
    }

    fn pad(&self, planes: &Planes, mask: &Mask) -> (Planes, Mask) {
        let columns: Vec<usize> = (0..self.padded_width).map(|x| mirrored(x, self.width)).collect();
        let rows: Vec<usize> =
            (0..self.padded_height).map(|y| mirrored(y, self.height) * self.width).collect();
        let sources = || rows.iter().flat_map(|row| columns.iter().map(move |column| row + column));
        let values = (0..3).flat_map(|channel| sources().map(move |i| planes.plane(channel)[i])).collect();
        let hole = sources().map(|i| mask.hole()[i]).collect();
        (
            Planes::new(self.padded_width, self.padded_height, values),
            Mask::new(self.padded_width, self.padded_height, hole),
        )
    }
}

/// The pixel that stands at position `i` of a side of `length` pixels continued by mirroring.
fn mirrored(i: usize, length: usize) -> usize {
    let i = i % (2 * length);
    if i < length { i } else { 2 * length - 1 - i }
}

fn blacken(planes: &mut Planes, mask: &Mask) {
    for channel in 0..3 {
        let plane = planes.plane_mut(channel);
        plane.iter_mut().zip(mask.hole()).filter(|(_, hole)| **hole).for_each(|(value, _)| *value = 0.0);
    }
}

/// Resizes one plane `[height, width]`; sizes are (width, height).
fn resize(plane: &[f32], from: (usize, usize), to: (usize, usize), filter: FilterType) -> Vec<f32> {
    let source = TypedImageRef::<F32>::from_buffer(from.0 as u32, from.1 as u32, bytemuck::cast_slice(plane))
        .expect("a plane as large as it says");
    let mut target = TypedImage::<F32>::new(to.0 as u32, to.1 as u32);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize_typed(&source, &mut target, &options).expect("two planes of one kind");
    target.pixels().iter().map(|pixel| pixel.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Format;
    use crate::predictor::tests::Constant;
    use image::{DynamicImage, ImageBuffer, Rgb};

    fn picture(width: u32, height: u32) -> Picture {
        let pixels = ImageBuffer::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7]));
        Picture::from_pixels("a", DynamicImage::ImageRgb8(pixels), Format::Png)
    }

    fn no_hole(width: usize, height: usize) -> Mask {
        Mask::new(width, height, vec![false; width * height])
    }

    #[test]
    fn cutting_and_restoring_is_exact() {
        let predictor = Constant { multiple: 8, smallest: 16 };
        for (width, height) in [(1, 1), (3, 30), (16, 16), (17, 40), (50, 33)] {
            let picture = picture(width, height);
            let rect = Rect::whole(width as usize, height as usize);
            let frame = Frame::new(rect, None, &predictor);
            let (planes, mask) = frame.cut(&picture, &no_hole(rect.width, rect.height));
            assert_eq!((planes.width() % 8, planes.height() % 8), (0, 0));
            assert!(planes.width() >= 16 && mask.height() == planes.height());
            assert_eq!(frame.restore(&planes), picture.planes(rect));
        }
    }

    #[test]
    fn padding_repeats_the_edge() {
        let predictor = Constant { multiple: 8, smallest: 8 };
        let frame = Frame::new(Rect { x: 1, y: 0, width: 3, height: 8 }, None, &predictor);
        let (planes, _) = frame.cut(&picture(5, 8), &no_hole(5, 8));
        let row: Vec<f32> = planes.plane(0)[..8].iter().map(|value| (value * 255.0).round()).collect();
        assert_eq!(row, [1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 1.0, 2.0]);
    }

    #[test]
    fn what_a_hole_held_never_leaks() {
        let predictor = Constant { multiple: 1, smallest: 1 };
        let hole = Mask::new(40, 40, (0..1600).map(|i| i % 40 > 12 && i % 40 < 25 && i / 40 > 9).collect());
        let plain = picture(40, 40);
        let mut dirty = plain.pixels().to_rgb8();
        dirty
            .enumerate_pixels_mut()
            .filter(|(x, y, _)| hole.is_hole(*x as usize, *y as usize))
            .for_each(|(_, _, pixel)| *pixel = Rgb([255, 0, 255]));
        let dirty = Picture::from_pixels("b", DynamicImage::ImageRgb8(dirty), Format::Png);
        for long_side in [None, Some(20), Some(13)] {
            let frame = Frame::new(Rect::whole(40, 40), long_side, &predictor);
            assert_eq!(frame.cut(&plain, &hole), frame.cut(&dirty, &hole), "{long_side:?}");
        }
    }

    #[test]
    fn scaling_keeps_flat_colours_beside_holes() {
        let predictor = Constant { multiple: 1, smallest: 1 };
        let flat = DynamicImage::ImageRgb8(ImageBuffer::from_pixel(60, 30, Rgb([204, 102, 51])));
        let flat = Picture::from_pixels("a", flat, Format::Png);
        let hole = Mask::new(60, 30, (0..1800).map(|i| i % 60 > 20 && i % 60 < 33).collect());
        let frame = Frame::new(Rect::whole(60, 30), Some(24), &predictor);
        assert_eq!((frame.width, frame.height), (24, 12));
        let (planes, mask) = frame.cut(&flat, &hole);
        for (value, _) in planes.plane(0).iter().zip(mask.hole()).filter(|(_, hole)| !**hole) {
            assert!((value - 0.8).abs() < 1e-5, "{value}");
        }
        assert_eq!(frame.restore(&planes).width(), 60);
    }
}
