//! Formats that are read but not written. The image is written as PNG.

#[cfg(feature = "avif")]
mod avif;
#[cfg(any(feature = "avif", feature = "jxl"))]
mod boxes;
mod gif;
mod heic;
#[cfg(feature = "jxl")]
mod jxl;
mod planar;

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer};
use moxcms::{CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, TransferCharacteristics};

use super::decode::Reader;
use super::format::ReadOnly;
use super::{Palette, Picture, xmp};
use crate::{Error, Result};

/// A decoded image, upright, and its metadata.
struct Decoded {
    pixels: DynamicImage,
    icc: Option<Vec<u8>>,
    /// A TIFF structure without a header.
    exif: Block,
    xmp: Block,
    is_lossy: bool,
    notes: Vec<&'static str>,
}

/// A block of metadata, if the file has one.
type Block = Option<Result<Vec<u8>, Unreadable>>;

/// A block of metadata is damaged or too long.
#[derive(Debug, PartialEq)]
struct Unreadable;

/// What an image's header says.
struct Header {
    /// Columns and rows.
    size: (u32, u32),
    /// Bytes per pixel of the result.
    pixel_bytes: u64,
    /// Bytes per pixel of the decoder at its peak, the result included.
    working_bytes: u64,
}

impl Reader<'_> {
    /// Reads a file of a format that is not written.
    ///
    /// # Errors
    /// [`Error::Picture`] if the file is damaged or this build does not read its format, [`Error::TooLarge`] and
    /// [`Error::Memory`] if it exceeds the limits.
    pub(super) fn read_converted(&self, format: ReadOnly) -> Result<Picture> {
        if let Some(feature) = format.missing_feature() {
            let problem = format!(
                "this build cannot read {format} photos: convert it to PNG, JPEG or TIFF first, or build with the Cargo \
                 feature \"{feature}\""
            );
            return Err(Error::picture(self.name, problem));
        }
        let decode = || match format {
            ReadOnly::Heic => self.decode_heic(),
            ReadOnly::Gif => self.decode_gif(),
            #[cfg(feature = "avif")]
            ReadOnly::Avif => self.decode_avif(),
            #[cfg(feature = "jxl")]
            ReadOnly::JpegXl => self.decode_jxl(),
            #[cfg(not(all(feature = "avif", feature = "jxl")))]
            _ => unreachable!("a format whose reader is missing"),
        };
        // The decoders are large and parse what anyone may send: a panic of theirs is a damaged file.
        let decoded = catch_unwind(AssertUnwindSafe(decode))
            .unwrap_or_else(|_| Err(self.damaged(format, "the decoder stopped")))?;
        Ok(self.converted(format, decoded))
    }

    fn damaged(&self, format: ReadOnly, problem: &str) -> Error {
        Error::picture(self.name, format!("damaged or unsupported {format} file: {problem}"))
    }

    /// Checks an image's header before its pixels are decoded.
    fn check_header(&self, header: &Header) -> Result<()> {
        let (width, height) = header.size;
        self.limits.check(self.name, width, height, header.pixel_bytes)?;
        let pixels = u64::from(width) * u64::from(height);
        let needed = 2 * self.bytes.len() as u64 + pixels.saturating_mul(header.working_bytes);
        self.limits.memory.map_or(Ok(()), |budget| budget.check(format!("reading {}", self.name), needed))
    }

    fn converted(&self, format: ReadOnly, decoded: Decoded) -> Picture {
        let mut notes = vec![format!("{format} files cannot be written: the result is a PNG")];
        notes.extend(decoded.notes.iter().map(|note| (*note).to_owned()));
        let mut pixels = decoded.pixels;
        let icc = decoded.icc.and_then(|icc| match fitting(&icc, &mut pixels) {
            Ok(()) => Some(icc),
            Err(problem) => {
                notes.push(format!("the colour profile {problem} and was dropped"));
                None
            }
        });
        let mut kept = |block: Block, name| match block? {
            Ok(block) => Some(block),
            Err(Unreadable) => {
                notes.push(format!("the {name} cannot be read and was dropped"));
                None
            }
        };
        let xmp = kept(decoded.xmp, "XMP packet");
        // The pixels are upright. The orientation in the EXIF block is a copy of what the decoder has applied.
        let exif = kept(decoded.exif, "EXIF block").map(|mut block| {
            let _previous = Orientation::remove_from_exif_chunk(&mut block);
            block
        });
        let mut picture = self.picture(pixels, icc, exif, None);
        let mut xmp_notes = Vec::new();
        picture.metadata.xmp = xmp.and_then(|packet| xmp::cleaned(&packet, &mut xmp_notes));
        notes.extend(xmp_notes.iter().map(|note| note.to_string()));
        if format == ReadOnly::Gif {
            // All colours fit, as a GIF frame has at most 256.
            picture.palette = Some(Palette { colours: Vec::new() });
        }
        picture.is_converted = true;
        picture.is_lossy = decoded.is_lossy;
        picture.notes.extend(notes.iter().map(|text| self.note(text)));
        picture
    }
}

/// Checks that a profile describes the pixels; grey pixels with an RGB profile become RGB.
fn fitting(icc: &[u8], pixels: &mut DynamicImage) -> Result<(), &'static str> {
    let profile = ColorProfile::new_from_slice(icc).map_err(|_| "is damaged")?;
    match (profile.color_space, pixels.color().has_color()) {
        (DataColorSpace::Rgb, true) | (DataColorSpace::Gray, false) => Ok(()),
        (DataColorSpace::Rgb, false) => {
            *pixels = match std::mem::take(pixels) {
                grey @ DynamicImage::ImageLuma8(_) => DynamicImage::ImageRgb8(grey.into_rgb8()),
                grey @ DynamicImage::ImageLumaA8(_) => DynamicImage::ImageRgba8(grey.into_rgba8()),
                grey @ DynamicImage::ImageLuma16(_) => DynamicImage::ImageRgb16(grey.into_rgb16()),
                grey => DynamicImage::ImageRgba16(grey.into_rgba16()),
            };
            Ok(())
        }
        _ => Err("does not fit the pixels"),
    }
}

/// The profile of colours named by numbers (ITU-T H.273); `None` for sRGB and what is displayed as sRGB: unspecified
/// colours, and BT.709's and BT.601's transfer functions.
fn profile_of(primaries: u8, transfer: u8) -> Option<Vec<u8>> {
    const UNSPECIFIED: u8 = 2;
    let is_srgb = matches!(primaries, 1 | UNSPECIFIED);
    let transfer = if matches!(transfer, 1 | UNSPECIFIED | 6 | 14 | 15) { 13 } else { transfer };
    if is_srgb && transfer == 13 {
        return None;
    }
    let color_primaries = CicpColorPrimaries::try_from(if is_srgb { 1 } else { primaries }).ok()?;
    let transfer_characteristics = TransferCharacteristics::try_from(transfer).ok()?;
    let colours = CicpProfile {
        color_primaries,
        transfer_characteristics,
        matrix_coefficients: moxcms::MatrixCoefficients::Identity,
        full_range: true,
    };
    ColorProfile::new_from_cicp(colours).encode().ok()
}

/// Interleaved samples in file order, of 1 to 4 channels.
enum Interleaved {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

impl Interleaved {
    /// The samples as an image; `None` if their number does not fit.
    fn into_image(self, (width, height): (u32, u32), channels: usize) -> Option<DynamicImage> {
        use DynamicImage as Image;
        match (self, channels) {
            (Self::Eight(all), 1) => ImageBuffer::from_raw(width, height, all).map(Image::ImageLuma8),
            (Self::Eight(all), 2) => ImageBuffer::from_raw(width, height, all).map(Image::ImageLumaA8),
            (Self::Eight(all), 3) => ImageBuffer::from_raw(width, height, all).map(Image::ImageRgb8),
            (Self::Eight(all), 4) => ImageBuffer::from_raw(width, height, all).map(Image::ImageRgba8),
            (Self::Sixteen(all), 1) => ImageBuffer::from_raw(width, height, all).map(Image::ImageLuma16),
            (Self::Sixteen(all), 2) => ImageBuffer::from_raw(width, height, all).map(Image::ImageLumaA16),
            (Self::Sixteen(all), 3) => ImageBuffer::from_raw(width, height, all).map(Image::ImageRgb16),
            (Self::Sixteen(all), 4) => ImageBuffer::from_raw(width, height, all).map(Image::ImageRgba16),
            _ => None,
        }
    }

    /// Divides colours by alpha, the last channel, where the file stores their product.
    fn unpremultiply(&mut self, channels: usize) {
        match self {
            Self::Eight(all) => divide_by_alpha(all, channels, u32::from(u8::MAX)),
            Self::Sixteen(all) => divide_by_alpha(all, channels, u32::from(u16::MAX)),
        }
    }
}

fn divide_by_alpha<T: Copy + Into<u32> + TryFrom<u32>>(all: &mut [T], channels: usize, opaque: u32) {
    for pixel in all.chunks_exact_mut(channels) {
        let alpha: u32 = pixel[channels - 1].into();
        for colour in pixel.iter_mut().take(channels - 1).filter(|_| alpha > 0) {
            let product: u32 = (*colour).into();
            let divided = (u64::from(product) * u64::from(opaque) + u64::from(alpha / 2)) / u64::from(alpha);
            *colour = T::try_from(divided.min(u64::from(opaque)) as u32).unwrap_or(*colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_colours_have_a_profile_unless_they_are_srgb() {
        for (primaries, transfer) in [(1, 13), (2, 2), (1, 1), (2, 13), (1, 6)] {
            assert!(profile_of(primaries, transfer).is_none(), "{primaries} {transfer}");
        }
        for (primaries, transfer) in [(12, 13), (9, 16), (9, 18), (1, 8)] {
            let icc = profile_of(primaries, transfer).expect("a profile");
            assert!(ColorProfile::new_from_slice(&icc).is_ok(), "{primaries} {transfer}");
        }
    }

    #[test]
    fn colours_are_divided_by_alpha() {
        let mut samples = Interleaved::Eight(vec![100, 50, 0, 128, 7, 7, 7, 0, 9, 9, 9, 255]);
        samples.unpremultiply(4);
        let Interleaved::Eight(all) = samples else { unreachable!() };
        assert_eq!(all, [199, 100, 0, 128, 7, 7, 7, 0, 9, 9, 9, 255]);
        let mut samples = Interleaved::Sixteen(vec![0x4000, 0x8000]);
        samples.unpremultiply(2);
        assert!(matches!(samples, Interleaved::Sixteen(all) if all == [0x8000, 0x8000]));
    }

    #[test]
    fn a_profile_must_fit_the_pixels() {
        let rgb = profile_of(12, 13).unwrap();
        let mut grey = DynamicImage::new_luma_a16(2, 1);
        assert!(fitting(&rgb, &mut grey).is_ok() && matches!(grey, DynamicImage::ImageRgba16(_)));
        assert_eq!(fitting(b"no profile", &mut grey), Err("is damaged"));
        let for_grey = {
            let mut profile = ColorProfile::new_gray_with_gamma(2.2);
            profile.color_space = DataColorSpace::Gray;
            profile.encode().unwrap()
        };
        assert_eq!(fitting(&for_grey, &mut grey), Err("does not fit the pixels"));
    }
}
