//! Writing a picture back as it came, or as another format that can hold it.

use std::io::Cursor;
use std::path::Path;

use image::codecs::{bmp::BmpEncoder, png::PngEncoder, webp::WebPEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageEncoder};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, QuantizationTableType, SamplingFactor};

use super::jpeg::ZIGZAG;
use super::{Format, Picture, Samples, tiff_file};
use crate::atomic::write_bytes_atomically;
use crate::{Error, Result};

/// JPEG quality of pictures that did not come as JPEG: no visible loss, about a sixth of the raw size.
const JPEG_QUALITY: u8 = 95;

/// From this quality on colours are kept at full resolution where the input does not say.
const FULL_COLOUR_QUALITY: u8 = 90;

/// Copies of the pixels that writing takes in the worst case, an image of noise.
const WRITING_COPIES: u64 = 3;

/// How to write a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaveOptions {
    /// Container format; `None` keeps the input's.
    pub format: Option<Format>,
    /// JPEG quality, 1 to 100; `None` keeps the input's quantisation tables.
    pub quality: Option<u8>,
}

impl Picture {
    /// Writes the picture to `path`: the whole file or nothing.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the format cannot hold the picture, [`Error::Write`] if the file cannot be written.
    pub fn save(&self, path: &Path, options: &SaveOptions) -> Result<()> {
        write_bytes_atomically(path, &self.encode(options)?)
    }

    /// The picture as a file's bytes.
    ///
    /// Size, depth, alpha, colour profile, EXIF and stored orientation are kept; only BMP, which has no place
    /// for them, loses the profile and EXIF and stores the picture upright.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the format cannot hold the picture's depth, alpha or size.
    pub fn encode(&self, options: &SaveOptions) -> Result<Vec<u8>> {
        let format = options.format.unwrap_or(self.format);
        self.check_fits(format, options.quality)?;
        let turned;
        let pixels = if format.holds_metadata() && self.orientation != Orientation::NoTransforms {
            let mut copy = self.pixels.clone();
            copy.apply_orientation(inverse(self.orientation));
            turned = copy;
            &turned
        } else {
            &self.pixels
        };
        let mut bytes = Vec::new();
        let encoded = match format {
            Format::Png => self.encode_with(PngEncoder::new(&mut bytes), pixels),
            Format::WebP => self.encode_with(WebPEncoder::new_lossless(&mut bytes), pixels),
            Format::Bmp => {
                // The encoder would drop the alpha channel of a grey picture.
                let rgba = (self.channels() == 2).then(|| DynamicImage::ImageRgba8(pixels.to_rgba8()));
                let pixels = rgba.as_ref().unwrap_or(pixels);
                pixels.write_with_encoder(BmpEncoder::new(&mut bytes)).map_err(|error| error.to_string())
            }
            Format::Jpeg => self.encode_jpeg(&mut bytes, pixels, options.quality),
            Format::Tiff => self.encode_tiff(&mut bytes, pixels),
        };
        encoded.map_err(|problem| {
            Error::unfit(&self.name, format!("cannot be written as {format}: {problem}"))
        })?;
        Ok(bytes)
    }

    /// Checks that a format can hold the picture as it is.
    ///
    /// # Errors
    /// [`Error::Unfit`] naming what the format cannot hold.
    pub fn check_fits(&self, format: Format, quality: Option<u8>) -> Result<()> {
        let problem = if self.depth() == 16 && !format.holds_16_bit() {
            format!("{format} cannot hold 16 bits a channel: write a PNG or TIFF file")
        } else if self.has_alpha() && !format.holds_alpha() {
            format!("{format} cannot hold transparency: write a PNG, WebP, TIFF or BMP file")
        } else if quality.is_some() && format != Format::Jpeg {
            format!("a JPEG quality was given, the output is a {format} file")
        } else if quality.is_some_and(|quality| !(1..=100).contains(&quality)) {
            format!("JPEG quality is 1 to 100, not {}", quality.unwrap_or_default())
        } else {
            return Ok(());
        };
        Err(Error::unfit(&self.name, problem))
    }

    /// The most bytes that writing the image takes beyond its pixels: the file before it is written, JPEG's
    /// coefficients (two bytes a sample) or the compressed lines of other formats, and the turned copy if it is
    /// stored turned.
    pub(crate) fn writing_bytes(&self) -> u64 {
        let turned = u64::from(self.orientation != Orientation::NoTransforms);
        (WRITING_COPIES + turned) * self.pixel_bytes()
    }

    fn encode_with<E: ImageEncoder>(&self, mut encoder: E, pixels: &DynamicImage) -> Result<(), String> {
        if let Some(icc) = &self.metadata.icc {
            encoder.set_icc_profile(icc.clone()).map_err(|error| error.to_string())?;
        }
        if let Some(exif) = &self.metadata.exif {
            encoder.set_exif_metadata(exif.clone()).map_err(|error| error.to_string())?;
        }
        pixels.write_with_encoder(encoder).map_err(|error| error.to_string())
    }

    fn encode_jpeg(
        &self,
        bytes: &mut Vec<u8>,
        pixels: &DynamicImage,
        quality: Option<u8>,
    ) -> Result<(), String> {
        let side =
            |pixels: u32| u16::try_from(pixels).map_err(|_| format!("{pixels} pixels a side are too many"));
        let (width, height) = (side(pixels.width())?, side(pixels.height())?);
        let source = self.jpeg.as_ref();
        let kept_quality = source.map_or(JPEG_QUALITY, |coding| coding.quality());
        let mut encoder = Encoder::new(bytes, quality.unwrap_or(kept_quality));
        encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
        encoder.set_optimized_huffman_tables(true);
        match source {
            Some(coding) => {
                encoder.set_progressive(coding.progressive);
                let (horizontal, vertical) = coding.sampling;
                encoder.set_sampling_factor(
                    SamplingFactor::from_factors(horizontal, vertical).unwrap_or(SamplingFactor::F_1_1),
                );
                // Tables of 16-bit steps stand for qualities so low that the estimate serves as well.
                let fits = |table: &[u16; 64]| table.iter().all(|&step| (1..=255).contains(&step));
                let chroma = coding.chroma.unwrap_or(coding.luma);
                if quality.is_none() && fits(&coding.luma) && fits(&chroma) {
                    let table = |table| QuantizationTableType::Custom(Box::new(row_major(table)));
                    encoder.set_quantization_tables(table(&coding.luma), table(&chroma));
                }
            }
            None if quality.unwrap_or(kept_quality) >= FULL_COLOUR_QUALITY => {
                encoder.set_sampling_factor(SamplingFactor::F_1_1);
            }
            None => {}
        }
        if let Some(icc) = &self.metadata.icc {
            encoder.add_icc_profile(icc).map_err(|error| error.to_string())?;
        }
        if let Some(exif) = &self.metadata.exif {
            encoder.add_exif_metadata(exif).map_err(|error| error.to_string())?;
        }
        let colour = if self.channels() == 1 { ColorType::Luma } else { ColorType::Rgb };
        encoder.encode(pixels.as_bytes(), width, height, colour).map_err(|error| error.to_string())
    }

    fn encode_tiff(&self, bytes: &mut Vec<u8>, pixels: &DynamicImage) -> Result<(), String> {
        let sixteen: Vec<u16>;
        let samples = if self.depth() == 16 {
            sixteen = bytemuck::pod_collect_to_vec(pixels.as_bytes());
            Samples::Sixteen(&sixteen)
        } else {
            Samples::Eight(pixels.as_bytes())
        };
        let pixels = tiff_file::Pixels {
            width: pixels.width(),
            height: pixels.height(),
            channels: self.channels(),
            samples,
        };
        tiff_file::write(&mut Cursor::new(bytes), &pixels, &self.metadata).map_err(|error| error.to_string())
    }
}

/// The turn that undoes another.
fn inverse(orientation: Orientation) -> Orientation {
    match orientation {
        Orientation::Rotate90 => Orientation::Rotate270,
        Orientation::Rotate270 => Orientation::Rotate90,
        // Flips, half turns and the two diagonal flips undo themselves.
        other => other,
    }
}

/// A quantisation table from zigzag to row-major order.
fn row_major(zigzag: &[u16; 64]) -> [u16; 64] {
    let mut table = [0; 64];
    ZIGZAG.iter().zip(zigzag).for_each(|(&position, &step)| table[position] = step);
    table
}
