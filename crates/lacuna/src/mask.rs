//! Masks: the missing pixels of an image.

use std::path::Path;

use image::{GrayImage, Luma};
use rayon::prelude::*;

use crate::distance::squared_distances;
use crate::picture::{Limits, Picture, Samples};
use crate::words::{display_name, words};
use crate::{Rect, Result};

/// The hole in an image. Only this file decides which mask values count as hole.
///
/// # Shapes
/// `hole`: `[height, width]`, row-major, `true` = missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    hole: Vec<bool>,
}

/// The channel of a mask image that defines the hole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskChannel {
    /// Alpha if the image has an alpha channel that is not opaque everywhere, else brightness.
    #[default]
    Auto,
    /// Brightness (Rec. 601, as in LaMa's loader).
    Brightness,
    /// Alpha.
    Alpha,
}

words! {
    MaskChannel, "mask channel",
    Auto = "auto": "Alpha if the mask has an alpha channel that varies, else brightness",
    Brightness = "brightness": "Brightness",
    Alpha = "alpha": "Alpha",
}
display_name!(MaskChannel);

/// What says where the hole is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskFrom {
    /// A mask file.
    #[default]
    File,
    /// The photo itself.
    Alpha,
}

words! {
    MaskFrom, "source of masks",
    File = "file": "A mask file",
    Alpha = "alpha": "The photo's alpha channel: what is transparent is filled, and opaque in the output",
}
display_name!(MaskFrom);

/// Options for reading mask images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskOptions {
    /// Pixels above this value are hole, on the scale of an 8-bit mask. `None` selects 0, LaMa's rule, or
    /// [`LOSSY_THRESHOLD`] for lossy files.
    pub threshold: Option<u8>,
    /// The mask marks known pixels, and the rest is hole.
    pub invert: bool,
    /// The channel to read.
    pub channel: MaskChannel,
}

/// Threshold of lossy mask files: the middle, because their codec puts noise next to edges.
pub const LOSSY_THRESHOLD: u8 = 127;

/// Hole fraction from which a mask looks inverted, if the hole also touches all borders.
const INVERTED_FRACTION: f64 = 0.9;

impl MaskOptions {
    /// The threshold for a file.
    fn threshold_for(&self, picture: &Picture) -> u8 {
        self.threshold.unwrap_or(if picture.is_lossy() { LOSSY_THRESHOLD } else { 0 })
    }

    /// Notes for the user about how a mask file was read.
    pub fn notes(&self, picture: &Picture) -> Vec<String> {
        let is_cut = self.threshold.is_none() && picture.is_lossy();
        let note = format!(
            "{}: lossy mask, thresholded at half ({LOSSY_THRESHOLD}); an explicit threshold overrides this",
            picture.name()
        );
        is_cut.then_some(note).into_iter().collect()
    }
}

impl Mask {
    /// A mask from its pixels, `true` = hole.
    ///
    /// # Panics
    /// If the length of `hole` is not `width * height`.
    pub fn new(width: usize, height: usize, hole: Vec<bool>) -> Self {
        assert_eq!(hole.len(), width * height, "a mask of {width} x {height}");
        Self { width, height, hole }
    }

    /// Reads a mask file.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn open(path: &Path, options: &MaskOptions, limits: &Limits) -> Result<Self> {
        Ok(Self::from_picture(&Picture::open(path, limits)?, options))
    }

    /// The mask in an image, upright.
    pub fn from_picture(picture: &Picture, options: &MaskOptions) -> Self {
        let threshold = options.threshold_for(picture);
        let channels = picture.channels();
        let hole = match picture.samples() {
            Samples::Eight(samples) => holes(samples, channels, u8::MAX, threshold, options),
            Samples::Sixteen(samples) => {
                // 257 = 65535 / 255 converts an 8-bit step to 16 bits.
                holes(samples, channels, u16::MAX, u16::from(threshold) * 257, options)
            }
            Samples::Float(_) => {
                let deep = picture.pixels().to_rgba16();
                holes(&deep, 4, u16::MAX, u16::from(threshold) * 257, options)
            }
        };
        Self::new(picture.width(), picture.height(), hole)
    }

    /// The transparent pixels of a photo: all that are not opaque, or transparent by more than the threshold. With
    /// [`MaskOptions::invert`] the others.
    ///
    /// # Errors
    /// [`crate::Error::Picture`] if the photo has no alpha channel.
    pub fn from_alpha(photo: &Picture, options: &MaskOptions) -> Result<Self> {
        if !photo.has_alpha() {
            let problem = "it has no alpha channel, so that no transparent pixels say what to fill";
            return Err(crate::Error::picture(photo.name(), problem));
        }
        let (channels, threshold) = (photo.channels(), options.threshold.unwrap_or(0));
        let mut hole = match photo.samples() {
            Samples::Eight(samples) => last_of_each(samples, channels, |alpha| u8::MAX - alpha > threshold),
            Samples::Sixteen(samples) => {
                last_of_each(samples, channels, |alpha| u16::MAX - alpha > u16::from(threshold) * 257)
            }
            Samples::Float(samples) => {
                let opaque = 1.0 - f32::from(threshold) / f32::from(u8::MAX);
                // NaN is not opaque.
                last_of_each(samples, channels, |alpha| alpha.is_nan() || alpha < opaque)
            }
        };
        if options.invert {
            hole.iter_mut().for_each(|is_hole| *is_hole = !*is_hole);
        }
        Ok(Self::new(photo.width(), photo.height(), hole))
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All pixels, row-major, `true` = hole.
    pub fn hole(&self) -> &[bool] {
        &self.hole
    }

    /// Whether the pixel at column `x`, row `y` is missing.
    pub fn is_hole(&self, x: usize, y: usize) -> bool {
        self.hole[y * self.width + x]
    }

    /// Number of missing pixels.
    pub fn count(&self) -> usize {
        self.hole.iter().filter(|&&hole| hole).count()
    }

    /// Whether the mask seems to mark what to keep: most of it is hole, and the hole touches all borders.
    pub fn looks_inverted(&self) -> bool {
        let touches_all = self.bounds() == Some(Rect::whole(self.width, self.height));
        touches_all && self.count() as f64 >= INVERTED_FRACTION * self.hole.len() as f64
    }

    /// The smallest window that contains the whole hole; `None` for an empty mask.
    pub fn bounds(&self) -> Option<Rect> {
        bounds(self.width, &self.hole)
    }

    /// The part of the mask in a window.
    ///
    /// # Panics
    /// If the window exceeds the mask.
    pub fn cut(&self, rect: Rect) -> Self {
        let rows = (rect.y..rect.bottom()).map(|y| &self.hole[y * self.width + rect.x..][..rect.width]);
        Self::new(rect.width, rect.height, rows.flatten().copied().collect())
    }

    /// The hole grown by a disc of `pixels` radius.
    pub fn expanded(&self, pixels: u32) -> Self {
        let Some(bounds) = self.bounds().filter(|_| pixels > 0) else { return self.clone() };
        let window = bounds.grown(pixels as usize, self.width, self.height);
        let reach = f64::from(pixels) * f64::from(pixels);
        let mut grown = self.clone();
        for (i, distance) in self.squared_distances(window).into_iter().enumerate() {
            let (x, y) = (window.x + i % window.width, window.y + i / window.width);
            grown.hole[y * self.width + x] = distance <= reach;
        }
        grown
    }

    /// Squared distance in pixels from each pixel of a window to the nearest hole pixel in that window, infinite
    /// without one; `[window.height, window.width]`.
    ///
    /// # Panics
    /// If the window exceeds the mask.
    pub fn squared_distances(&self, window: Rect) -> Vec<f64> {
        squared_distances(window.width, window.height, |x, y| self.is_hole(window.x + x, window.y + y))
    }

    /// The window as a grey image: 255 in the hole, 0 elsewhere.
    pub(crate) fn grey(&self, window: Rect) -> GrayImage {
        GrayImage::from_fn(window.width as u32, window.height as u32, |x, y| {
            Luma([if self.is_hole(window.x + x as usize, window.y + y as usize) { 255 } else { 0 }])
        })
    }
}

/// Whether the last sample of each pixel meets a condition.
fn last_of_each<T: Copy>(samples: &[T], channels: usize, is_met: impl Fn(T) -> bool) -> Vec<bool> {
    samples.chunks_exact(channels).map(|pixel| is_met(pixel[channels - 1])).collect()
}

/// Thresholds interleaved samples.
fn holes<T: Copy + Ord + Into<u32> + Sync>(
    samples: &[T],
    channels: usize,
    opaque: T,
    threshold: T,
    options: &MaskOptions,
) -> Vec<bool> {
    let has_alpha = channels.is_multiple_of(2);
    let pixels = || samples.par_chunks_exact(channels);
    let by_alpha = match options.channel {
        MaskChannel::Auto => has_alpha && pixels().any(|pixel| pixel[channels - 1] < opaque),
        MaskChannel::Brightness => false,
        MaskChannel::Alpha => has_alpha,
    };
    let threshold: u32 = threshold.into();
    let value = |pixel: &[T]| -> u32 {
        match pixel {
            [.., alpha] if by_alpha => (*alpha).into(),
            [red, green, blue, ..] => {
                // Rec. 601 in 16-bit fixed point, rounded.
                let sum = 19_595 * u64::from((*red).into())
                    + 38_470 * u64::from((*green).into())
                    + 7_471 * u64::from((*blue).into());
                ((sum + 0x8000) >> 16) as u32
            }
            [grey, ..] => (*grey).into(),
            [] => 0,
        }
    };
    pixels().map(|pixel| (value(pixel) > threshold) != options.invert).collect()
}

/// The smallest window that contains all `true` pixels; `None` if there are none.
///
/// # Shapes
/// `pixels`: `[height, width]`.
pub(crate) fn bounds(width: usize, pixels: &[bool]) -> Option<Rect> {
    let rows = || pixels.chunks_exact(width);
    let top = rows().position(|row| row.contains(&true))?;
    let bottom = rows().rposition(|row| row.contains(&true))? + 1;
    // Columns beyond what is known to be inside: fewer with every row.
    let (mut left, mut right) = (width, 0);
    for row in rows().take(bottom).skip(top) {
        left = row[..left].iter().position(|&pixel| pixel).unwrap_or(left);
        right += row[right..].iter().rposition(|&pixel| pixel).map_or(0, |last| last + 1);
    }
    Some(Rect { x: left, y: top, width: right - left, height: bottom - top })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::picture::Format;
    use image::{DynamicImage, ImageBuffer, LumaA, Rgb};

    /// The mask of a drawing: `#` is hole.
    pub(crate) fn mask(rows: &[&str]) -> Mask {
        let hole = rows.iter().flat_map(|row| row.bytes().map(|byte| byte == b'#')).collect();
        Mask::new(rows[0].len(), rows.len(), hole)
    }

    fn read(pixels: impl Into<DynamicImage>, options: MaskOptions) -> Vec<bool> {
        Mask::from_picture(&Picture::from_pixels("mask", pixels.into(), Format::Png), &options).hole
    }

    #[test]
    fn above_the_threshold_is_hole() {
        let grey = || GrayImage::from_raw(3, 1, vec![0, 1, 128]).unwrap();
        let options = MaskOptions::default();
        assert_eq!(read(grey(), options), [false, true, true]);
        assert_eq!(read(grey(), MaskOptions { threshold: Some(127), ..options }), [false, false, true]);
        assert_eq!(read(grey(), MaskOptions { invert: true, ..options }), [true, false, false]);
        let deep = ImageBuffer::<Luma<u16>, _>::from_raw(3, 1, vec![1, 127 * 257, 127 * 257 + 1]).unwrap();
        assert_eq!(read(deep.clone(), options), [true, true, true]);
        assert_eq!(read(deep, MaskOptions { threshold: Some(127), ..options }), [false, false, true]);
        let colour = ImageBuffer::<Rgb<u8>, _>::from_raw(2, 1, vec![0, 0, 0, 255, 0, 0]).unwrap();
        assert_eq!(read(colour, options), [false, true]);
    }

    #[test]
    fn alpha_is_the_mask_where_it_varies() {
        let pixels = |alpha: [u8; 2]| {
            ImageBuffer::<LumaA<u8>, _>::from_raw(2, 1, vec![255, alpha[0], 0, alpha[1]]).unwrap()
        };
        let options = MaskOptions::default();
        assert_eq!(read(pixels([255, 255]), options), [true, false]);
        assert_eq!(read(pixels([0, 9]), options), [false, true]);
        assert_eq!(
            read(pixels([0, 9]), MaskOptions { channel: MaskChannel::Brightness, ..options }),
            [true, false]
        );
        assert_eq!(
            read(pixels([255, 255]), MaskOptions { channel: MaskChannel::Alpha, ..options }),
            [true, true]
        );
    }

    #[test]
    fn what_is_transparent_is_hole() {
        let pixels = ImageBuffer::<LumaA<u8>, _>::from_raw(3, 1, vec![9, 255, 9, 254, 9, 0]).unwrap();
        let photo = Picture::from_pixels("photo", pixels.into(), Format::Png);
        let read = |options| Mask::from_alpha(&photo, &options).unwrap().hole;
        let options = MaskOptions::default();
        assert_eq!(read(options), [false, true, true]);
        assert_eq!(read(MaskOptions { threshold: Some(1), ..options }), [false, false, true]);
        assert_eq!(read(MaskOptions { invert: true, ..options }), [true, false, false]);
        let deep = ImageBuffer::<LumaA<u16>, _>::from_raw(2, 1, vec![9, u16::MAX, 9, 65_000]).unwrap();
        let deep = Picture::from_pixels("photo", deep.into(), Format::Png);
        assert_eq!(Mask::from_alpha(&deep, &options).unwrap().hole, [false, true]);
        let float =
            ImageBuffer::<image::Rgba<f32>, _>::from_raw(2, 1, vec![0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.5]);
        let float = Picture::from_pixels("photo", float.unwrap().into(), Format::Tiff);
        assert_eq!(Mask::from_alpha(&float, &options).unwrap().hole, [false, true]);
        let opaque = Picture::from_pixels("photo", GrayImage::new(2, 1).into(), Format::Png);
        let error = Mask::from_alpha(&opaque, &options).unwrap_err().to_string();
        assert!(error.starts_with("photo: it has no alpha channel"), "{error}");
    }

    #[test]
    fn bounds_and_cuts() {
        let mask = mask(&[".....", "..#..", ".#...", "....."]);
        let bounds = mask.bounds().unwrap();
        assert_eq!(bounds, Rect { x: 1, y: 1, width: 2, height: 2 });
        assert_eq!(mask.cut(bounds), super::tests::mask(&[".#", "#."]));
        assert_eq!(Mask::new(2, 2, vec![false; 4]).bounds(), None);
    }

    #[test]
    fn mostly_hole_up_to_all_borders_looks_inverted() {
        let with_known = |known: &[usize]| Mask::new(10, 10, (0..100).map(|i| !known.contains(&i)).collect());
        let ten = [44, 45, 46, 54, 55, 56, 64, 65, 66, 34];
        assert!(with_known(&ten).looks_inverted());
        assert!(!with_known(&[&ten[..], &[35]].concat()).looks_inverted(), "89 %");
        let top_row: Vec<usize> = (0..10).collect();
        assert!(!with_known(&top_row).looks_inverted(), "90 %, but the top border is known");
    }

    #[test]
    fn expansion_is_a_disc() {
        let mask = mask(&[".......", ".......", ".......", "...#...", ".......", ".......", "......."]);
        let expected = ["...#...", ".#####.", ".#####.", "#######", ".#####.", ".#####.", "...#..."];
        assert_eq!(mask.expanded(3), super::tests::mask(&expected));
        assert_eq!(mask.expanded(0), mask);
        assert_eq!(mask.expanded(1000).count(), 49);
    }
}
