//! The window of a picture that a predictor sees, and the exact way back.

use fast_image_resize::ResizeOptions;

use crate::resample::{KnownScaling, Padding, UP, blacken, resize};
use crate::{Mask, Picture, Planes, Predictor, Rect};

/// A window cut out of a picture, resized, and padded to what a predictor accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The window in the picture.
    pub rect: Rect,
    /// The bounds of the hole that is filled, in the picture; within the window.
    pub hole: Rect,
    /// Columns after resizing.
    pub width: usize,
    /// Rows after resizing.
    pub height: usize,
    /// Columns after padding.
    pub padded_width: usize,
    /// Rows after padding.
    pub padded_height: usize,
}

/// A pixel scaled down counts as hole if less than this share of it is known: any touch of the hole.
const KNOWN_SHARE: f32 = 0.999;

impl Frame {
    /// The frame of a window around the hole within `hole`; with `long_side`, scaled down to that many pixels
    /// on the longer side.
    pub fn new(rect: Rect, hole: Rect, long_side: Option<usize>, predictor: &dyn Predictor) -> Self {
        let scaled = |side: usize| match long_side {
            Some(target) if target < rect.long_side() => {
                ((side * target + rect.long_side() / 2) / rect.long_side()).max(1)
            }
            _ => side,
        };
        let padded = |side: usize| predictor.sides().padded(side);
        let (width, height) = (scaled(rect.width), scaled(rect.height));
        Self { rect, hole, width, height, padded_width: padded(width), padded_height: padded(height) }
    }

    /// Whether the window is scaled down.
    pub fn is_scaled(&self) -> bool {
        (self.width, self.height) != (self.rect.width, self.rect.height)
    }

    /// The part of the frame that [`Frame::restore`] looks at; all of a frame that is scaled down.
    pub fn wanted(&self) -> Rect {
        if self.is_scaled() {
            return Rect::whole(self.padded_width, self.padded_height);
        }
        Rect { x: self.hole.x - self.rect.x, y: self.hole.y - self.rect.y, ..self.hole }
    }

    /// The most bytes that cutting, predicting and restoring this frame hold, beyond the predictor's own.
    pub fn bytes(&self) -> u64 {
        const FLOAT: usize = size_of::<f32>();
        let (window, hole) = (self.rect.area(), self.hole.area());
        let (frame, padded) = (self.width * self.height, self.padded_width * self.padded_height);
        // A plane of the window and its mask; scaled, also the shares of known pixels, and the result of
        // scaling twice.
        let one_plane = (FLOAT + 1) * window;
        let scaling = if self.is_scaled() { FLOAT * (window + 3 * frame) } else { 0 };
        let cut = 3 * FLOAT * padded + one_plane + scaling;
        let predict = (2 * 3 * FLOAT + 1) * padded;
        let restore = 3 * FLOAT * (padded + hole) + 2 * FLOAT * hole + FLOAT * frame + window;
        cut.max(predict).max(restore) as u64
    }

    /// Cuts the frame out of a picture and its hole. Hole pixels come out black, so that nothing of what
    /// they held reaches the predictor.
    ///
    /// # Shapes
    /// Planes `[3, padded_height, padded_width]` and a mask of that size; padded at the right and bottom by
    /// mirroring with the edge pixel repeated ("symmetric"), as LaMa.
    pub fn cut(&self, picture: &Picture, mask: &Mask) -> (Planes, Mask) {
        let window_mask = mask.cut(self.rect);
        let scaling = self.is_scaled().then(|| KnownScaling::new(&window_mask, (self.width, self.height)));
        let scaled_mask = scaling.as_ref().map(|scaling| scaling.mask(KNOWN_SHARE));
        let frame_mask = scaled_mask.as_ref().unwrap_or(&window_mask);
        let padding = self.padding();
        let mut values = Vec::with_capacity(3 * self.padded_width * self.padded_height);
        // One colour at a time: a window may be much larger than what it is scaled down to.
        for colour in 0..3 {
            let mut plane = picture.plane(self.rect, colour);
            blacken(&mut plane, &window_mask);
            if let Some(scaling) = &scaling {
                plane = scaling.scale(&plane);
                blacken(&mut plane, frame_mask);
            }
            padding.append(&plane, &mut values);
        }
        (Planes::new(self.padded_width, self.padded_height, values), padding.mask(frame_mask))
    }

    /// Cuts a mask out as [`Frame::cut`] does the hole.
    pub fn cut_mask(&self, mask: &Mask) -> Mask {
        let window = mask.cut(self.rect);
        let scaled =
            self.is_scaled().then(|| KnownScaling::new(&window, (self.width, self.height)).mask(KNOWN_SHARE));
        self.padding().mask(scaled.as_ref().unwrap_or(&window))
    }

    /// Cuts the frame out of a picture without a hole: what a prediction is compared with.
    ///
    /// # Shapes
    /// Planes `[3, padded_height, padded_width]`, padded as [`Frame::cut`].
    pub fn cut_whole(&self, picture: &Picture) -> Planes {
        let (width, height) = (picture.width(), picture.height());
        self.cut(picture, &Mask::new(width, height, vec![false; width * height])).0
    }

    /// Takes a prediction back to the picture's scale, where the hole is.
    ///
    /// # Shapes
    /// `predicted`: `[3, padded_height, padded_width]`; returns `[3, hole.height, hole.width]`.
    pub fn restore(&self, predicted: &Planes) -> Planes {
        let (left, top) = (self.hole.x - self.rect.x, self.hole.y - self.rect.y);
        let (columns, rows) = (self.hole.width, self.hole.height);
        let mut values = Vec::with_capacity(3 * columns * rows);
        for colour in 0..3 {
            if self.is_scaled() {
                let frame = self.padding().remove(predicted.plane(colour));
                let shrink = |at: usize, window: usize, frame: usize| (at * frame) as f64 / window as f64;
                let (x, y) =
                    (shrink(left, self.rect.width, self.width), shrink(top, self.rect.height, self.height));
                // Rounding must not lead beyond the frame.
                let part = ResizeOptions::new().crop(
                    x,
                    y,
                    shrink(columns, self.rect.width, self.width).min(self.width as f64 - x),
                    shrink(rows, self.rect.height, self.height).min(self.height as f64 - y),
                );
                values.extend(resize(&frame, (self.width, self.height), (columns, rows), UP, &part));
            } else {
                let lines = predicted.plane(colour).chunks_exact(self.padded_width);
                lines.skip(top).take(rows).for_each(|line| values.extend(&line[left..left + columns]));
            }
        }
        Planes::new(columns, rows, values)
    }

    fn padding(&self) -> Padding {
        Padding { from: (self.width, self.height), to: (self.padded_width, self.padded_height) }
    }
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
            let frame = Frame::new(rect, rect, None, &predictor);
            let (planes, mask) = frame.cut(&picture, &no_hole(rect.width, rect.height));
            assert_eq!((planes.width() % 8, planes.height() % 8), (0, 0));
            assert!(planes.width() >= 16 && mask.height() == planes.height());
            assert_eq!(frame.restore(&planes), picture.planes(rect));
        }
    }

    #[test]
    fn padding_repeats_the_edge() {
        let predictor = Constant { multiple: 8, smallest: 8 };
        let rect = Rect { x: 1, y: 0, width: 3, height: 8 };
        let frame = Frame::new(rect, rect, None, &predictor);
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
            let whole = Rect::whole(40, 40);
            let frame = Frame::new(whole, whole, long_side, &predictor);
            assert_eq!(frame.cut(&plain, &hole), frame.cut(&dirty, &hole), "{long_side:?}");
        }
    }

    #[test]
    fn scaling_keeps_flat_colours_beside_holes() {
        let predictor = Constant { multiple: 1, smallest: 1 };
        let flat = DynamicImage::ImageRgb8(ImageBuffer::from_pixel(60, 30, Rgb([204, 102, 51])));
        let flat = Picture::from_pixels("a", flat, Format::Png);
        let hole = Mask::new(60, 30, (0..1800).map(|i| i % 60 > 20 && i % 60 < 33).collect());
        let whole = Rect::whole(60, 30);
        let frame = Frame::new(whole, whole, Some(24), &predictor);
        assert_eq!((frame.width, frame.height), (24, 12));
        let (planes, mask) = frame.cut(&flat, &hole);
        for (value, _) in planes.plane(0).iter().zip(mask.hole()).filter(|(_, hole)| !**hole) {
            assert!((value - 0.8).abs() < 1e-5, "{value}");
        }
        assert_eq!(frame.restore(&planes).width(), 60);
    }

    #[test]
    fn only_the_hole_is_restored() {
        let predictor = Constant { multiple: 8, smallest: 16 };
        let (window, hole) =
            (Rect { x: 3, y: 5, width: 61, height: 40 }, Rect { x: 20, y: 30, width: 31, height: 15 });
        let picture = picture(70, 50);
        for long_side in [None, Some(40), Some(17)] {
            let whole = Frame::new(window, window, long_side, &predictor);
            let part = Frame { hole, ..whole };
            let (planes, _) = whole.cut(&picture, &no_hole(70, 50));
            let (everything, restored) = (whole.restore(&planes), part.restore(&planes));
            assert_eq!((restored.width(), restored.height()), (hole.width, hole.height));
            for channel in 0..3 {
                for (i, value) in restored.plane(channel).iter().enumerate() {
                    let (x, y) = (hole.x - window.x + i % hole.width, hole.y - window.y + i / hole.width);
                    let expected = everything.plane(channel)[y * window.width + x];
                    assert!(
                        (value - expected).abs() < 1e-5,
                        "{long_side:?} at {x}, {y}: {value}, {expected}"
                    );
                }
            }
        }
    }
}
