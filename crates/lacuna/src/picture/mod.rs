//! Image files: decoded within limits, known pixels kept exactly, written in their original format.

mod cmyk;
mod converted;
mod decode;
mod encode;
mod format;
mod jpeg;
mod jpeg_metadata;
mod limits;
mod metadata;
mod palette;
mod photoshop;
mod png;
mod samples;
mod tiff_file;
mod webp_file;
mod xmp;

use image::DynamicImage;
use image::metadata::Orientation;

pub use decode::read_file;
pub use encode::SaveOptions;
pub(crate) use encode::inverse;
pub use format::Format;
pub use jpeg::JpegCoding;
pub use limits::Limits;
pub use metadata::{Density, DensityUnit, Metadata};
pub use palette::Palette;
pub use samples::OwnedSamples;

use crate::{Mask, Planes, Rect};

/// A decoded image with everything needed to write it as it was.
///
/// Its pixels are upright, like the displayed photo. The stored orientation is undone by reading and restored by
/// writing. Pixels are grey, grey + alpha, RGB or RGBA with 8 or 16 bits per channel, or RGB or RGBA of 32-bit floats.
#[derive(Clone, Debug)]
pub struct Picture {
    name: String,
    pixels: DynamicImage,
    orientation: Orientation,
    format: Format,
    metadata: Metadata,
    jpeg: Option<JpegCoding>,
    webp: Option<LossyWebP>,
    palette: Option<Palette>,
    floats: Option<Floats>,
    is_converted: bool,
    is_lossy: bool,
    notes: Vec<String>,
}

/// Compression parameters of a lossy WebP file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LossyWebP {
    /// Base quantiser of the frame, 0 to 127.
    quantiser: u8,
    /// Length of the file.
    bytes: usize,
}

/// Properties of float samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Floats {
    /// The values that predictors see as 0 and 1: 0 and 1 themselves, or the smallest and largest finite sample beyond
    /// them.
    range: (f32, f32),
    /// Whether the file has one channel, here repeated three times.
    is_grey: bool,
}

impl Picture {
    /// An image from pixels without a file, to be written as `format` by default.
    pub fn from_pixels(name: impl Into<String>, pixels: DynamicImage, format: Format) -> Self {
        Self {
            name: name.into(),
            pixels,
            orientation: Orientation::NoTransforms,
            format,
            metadata: Metadata::default(),
            jpeg: None,
            webp: None,
            palette: None,
            floats: None,
            is_converted: false,
            is_lossy: false,
            notes: Vec::new(),
        }
    }

    /// The file's name, or the caller's label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Columns of the upright image.
    pub fn width(&self) -> usize {
        self.pixels.width() as usize
    }

    /// Rows of the upright image.
    pub fn height(&self) -> usize {
        self.pixels.height() as usize
    }

    /// Colour and alpha channels: 1 (grey), 2 (grey + alpha), 3 (RGB) or 4 (RGBA).
    pub fn channels(&self) -> usize {
        usize::from(self.pixels.color().channel_count())
    }

    /// Bits per channel: 8, 16 or 32 (float).
    pub fn depth(&self) -> u8 {
        match self.samples() {
            Samples::Eight(_) => 8,
            Samples::Sixteen(_) => 16,
            Samples::Float(_) => 32,
        }
    }

    /// Whether colour is stored as one value, repeated for float samples.
    pub(crate) fn is_grey(&self) -> bool {
        self.channels() < 3 || self.floats.is_some_and(|floats| floats.is_grey)
    }

    /// The values of float samples that predictors see as 0 and 1.
    pub(crate) fn float_range(&self) -> (f32, f32) {
        self.floats.map_or((0.0, 1.0), |floats| floats.range)
    }

    /// Whether the file was lossy, so that edges may have noise next to them.
    pub fn is_lossy(&self) -> bool {
        self.is_lossy || self.jpeg.is_some() || self.webp.is_some()
    }

    /// Whether the file's kind cannot be written, such as GIF, so that a copy of the file cannot be the output.
    pub fn is_converted(&self) -> bool {
        self.is_converted
    }

    /// The file's palette.
    pub fn palette(&self) -> Option<&Palette> {
        self.palette.as_ref()
    }

    /// Whether the image has an alpha channel.
    pub fn has_alpha(&self) -> bool {
        self.pixels.color().has_alpha()
    }

    /// The container format of the file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The rotation that made the stored pixels upright.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Colour profile, EXIF and other metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Compression parameters, if the file was a JPEG.
    pub fn jpeg(&self) -> Option<&JpegCoding> {
        self.jpeg.as_ref()
    }

    /// Notes for the user about the file, such as metadata that could not be read.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Bytes of the pixels.
    pub(crate) fn pixel_bytes(&self) -> u64 {
        self.pixels.as_bytes().len() as u64
    }

    /// The upright pixels.
    pub fn pixels(&self) -> &DynamicImage {
        &self.pixels
    }

    /// The image at 8 bits, small enough for a screen: at most `long_side` pixels on its longer side.
    pub fn preview(&self, long_side: u32) -> DynamicImage {
        let pixels = if self.has_alpha() {
            DynamicImage::ImageRgba8(self.pixels.to_rgba8())
        } else {
            DynamicImage::ImageRgb8(self.pixels.to_rgb8())
        };
        let fits = pixels.width().max(pixels.height()) <= long_side;
        if fits { pixels } else { pixels.thumbnail(long_side, long_side) }
    }

    /// The window `rect` as colour planes; grey is repeated three times, alpha is dropped.
    ///
    /// # Panics
    /// If the window exceeds the image.
    pub fn planes(&self, rect: Rect) -> Planes {
        let mut values = Vec::with_capacity(3 * rect.area());
        (0..3).for_each(|colour| self.append_plane(rect, colour, &mut values));
        Planes::new(rect.width, rect.height, values)
    }

    /// The colour of a pixel, red, green and blue in `[0, 1]`.
    ///
    /// # Panics
    /// If the pixel lies beyond the picture.
    pub fn colour(&self, x: usize, y: usize) -> [f32; 3] {
        let channels = self.channels();
        let pixel = (y * self.width() + x) * channels;
        let at = |colour: usize| pixel + if channels < 3 { 0 } else { colour };
        let (low, high) = self.float_range();
        [0, 1, 2].map(|colour| match self.samples() {
            Samples::Eight(all) => f32::from(all[at(colour)]) / f32::from(u8::MAX),
            Samples::Sixteen(all) => f32::from(all[at(colour)]) / f32::from(u16::MAX),
            Samples::Float(all) => ((all[at(colour)] - low) / (high - low)).clamp(0.0, 1.0).max(0.0),
        })
    }

    /// Makes the hole's pixels opaque; the alpha channel goes if then all are.
    pub(crate) fn make_opaque(&mut self, mask: &Mask) {
        if !self.has_alpha() {
            return;
        }
        let channels = self.channels();
        let is_opaque = match self.samples_mut() {
            SamplesMut::Eight(samples) => fill_alpha(samples, channels, mask, u8::MAX),
            SamplesMut::Sixteen(samples) => fill_alpha(samples, channels, mask, u16::MAX),
            SamplesMut::Float(samples) => fill_alpha(samples, channels, mask, 1.0),
        };
        if is_opaque {
            self.pixels = match &self.pixels {
                DynamicImage::ImageLumaA8(_) => DynamicImage::ImageLuma8(self.pixels.to_luma8()),
                DynamicImage::ImageLumaA16(_) => DynamicImage::ImageLuma16(self.pixels.to_luma16()),
                DynamicImage::ImageRgba8(_) => DynamicImage::ImageRgb8(self.pixels.to_rgb8()),
                DynamicImage::ImageRgba16(_) => DynamicImage::ImageRgb16(self.pixels.to_rgb16()),
                DynamicImage::ImageRgba32F(_) => DynamicImage::ImageRgb32F(self.pixels.to_rgb32f()),
                _ => unreachable!("the kinds of pixels with alpha"),
            };
        }
    }

    /// One colour of the window `rect`, `[rect.height, rect.width]` in `[0, 1]`; `colour` 0 is red.
    ///
    /// # Panics
    /// If the window exceeds the image.
    pub fn plane(&self, rect: Rect, colour: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(rect.area());
        self.append_plane(rect, colour, &mut values);
        values
    }

    fn append_plane(&self, rect: Rect, colour: usize, values: &mut Vec<f32>) {
        assert!(rect.right() <= self.width() && rect.bottom() <= self.height(), "{rect:?} in the picture");
        let channels = self.channels();
        let channel = if channels < 3 { 0 } else { colour };
        for y in rect.y..rect.bottom() {
            let row = y * self.width();
            let samples = (rect.x..rect.right()).map(|x| (row + x) * channels + channel);
            match self.samples() {
                Samples::Eight(all) => values.extend(samples.map(|i| f32::from(all[i]) / f32::from(u8::MAX))),
                Samples::Sixteen(all) => {
                    values.extend(samples.map(|i| f32::from(all[i]) / f32::from(u16::MAX)));
                }
                Samples::Float(all) => {
                    let (low, high) = self.float_range();
                    // NaN counts as the lowest value.
                    values.extend(samples.map(|i| ((all[i] - low) / (high - low)).clamp(0.0, 1.0).max(0.0)));
                }
            }
        }
    }

    /// All samples, row-major, channels interleaved.
    pub fn samples(&self) -> Samples<'_> {
        match &self.pixels {
            DynamicImage::ImageLuma8(image) => Samples::Eight(image),
            DynamicImage::ImageLumaA8(image) => Samples::Eight(image),
            DynamicImage::ImageRgb8(image) => Samples::Eight(image),
            DynamicImage::ImageRgba8(image) => Samples::Eight(image),
            DynamicImage::ImageLuma16(image) => Samples::Sixteen(image),
            DynamicImage::ImageLumaA16(image) => Samples::Sixteen(image),
            DynamicImage::ImageRgb16(image) => Samples::Sixteen(image),
            DynamicImage::ImageRgba16(image) => Samples::Sixteen(image),
            DynamicImage::ImageRgb32F(image) => Samples::Float(image),
            DynamicImage::ImageRgba32F(image) => Samples::Float(image),
            _ => unreachable!("the kinds of pixels that are read"),
        }
    }

    /// All samples, row-major, channels interleaved, mutable.
    pub(crate) fn samples_mut(&mut self) -> SamplesMut<'_> {
        match &mut self.pixels {
            DynamicImage::ImageLuma8(image) => SamplesMut::Eight(image),
            DynamicImage::ImageLumaA8(image) => SamplesMut::Eight(image),
            DynamicImage::ImageRgb8(image) => SamplesMut::Eight(image),
            DynamicImage::ImageRgba8(image) => SamplesMut::Eight(image),
            DynamicImage::ImageLuma16(image) => SamplesMut::Sixteen(image),
            DynamicImage::ImageLumaA16(image) => SamplesMut::Sixteen(image),
            DynamicImage::ImageRgb16(image) => SamplesMut::Sixteen(image),
            DynamicImage::ImageRgba16(image) => SamplesMut::Sixteen(image),
            DynamicImage::ImageRgb32F(image) => SamplesMut::Float(image),
            DynamicImage::ImageRgba32F(image) => SamplesMut::Float(image),
            _ => unreachable!("the kinds of pixels that are read"),
        }
    }
}

/// Gives the hole's pixels this alpha; whether all pixels have it then.
fn fill_alpha<T: Copy + PartialEq>(samples: &mut [T], channels: usize, mask: &Mask, opaque: T) -> bool {
    let mut is_opaque = true;
    for (pixel, &hole) in samples.chunks_exact_mut(channels).zip(mask.hole()) {
        let alpha = &mut pixel[channels - 1];
        if hole {
            *alpha = opaque;
        }
        is_opaque &= *alpha == opaque;
    }
    is_opaque
}

/// A picture's samples at their own depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Samples<'a> {
    /// 8 bits per channel.
    Eight(&'a [u8]),
    /// 16 bits per channel.
    Sixteen(&'a [u16]),
    /// 32-bit floats.
    Float(&'a [f32]),
}

/// The mutable samples of an image in their own type.
pub(crate) enum SamplesMut<'a> {
    Eight(&'a mut [u8]),
    Sixteen(&'a mut [u16]),
    Float(&'a mut [f32]),
}
