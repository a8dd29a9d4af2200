//! Writing images in their original format or another one.

use std::io::Cursor;
use std::path::Path;

use image::codecs::{bmp::BmpEncoder, png::PngEncoder, webp::WebPEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageEncoder};
use jpeg_encoder::{
    ChromaSubsamplingMethod, ColorType, Encoder, PixelDensity, PixelDensityUnit, QuantizationTableType,
    SamplingFactor,
};

use super::jpeg::ZIGZAG;
use super::{
    Density, DensityUnit, Format, Palette, Picture, Samples, jpeg_metadata, png, tiff_file, webp_file,
};
use crate::atomic::write_bytes_atomically;
use crate::{Error, Result};

/// JPEG quality of images from other formats: no visible loss, about a sixth of the raw size.
const JPEG_QUALITY: u8 = 95;

/// From this quality colours are not subsampled, unless the input was.
const FULL_COLOUR_QUALITY: u8 = 90;

/// Largest growth factor of a lossy WebP file.
const LOSSY_GROWTH: f64 = 1.3;

/// Step by which the quality is lowered while a lossy WebP file is too long.
const QUALITY_STEP: f32 = 8.0;

/// Copies of the pixels during writing in the worst case, an image of noise.
const WRITING_COPIES: u64 = 3;

/// Options for writing an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaveOptions {
    /// Container format; `None` keeps the input's.
    pub format: Option<Format>,
    /// JPEG quality, 1 to 100; `None` keeps the input's quantisation tables.
    pub quality: Option<u8>,
}

impl Picture {
    /// Writes the image to `path` atomically.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the format cannot store the image, [`Error::Write`] if the file cannot be written.
    pub fn save(&self, path: &Path, options: &SaveOptions) -> Result<()> {
        write_bytes_atomically(path, &self.encode(options)?)
    }

    /// The image as the bytes of a file.
    ///
    /// Size, depth, alpha, stored orientation and metadata are kept as far as the format supports them;
    /// [`Picture::writing_notes`] lists what is lost. BMP stores the image upright.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the format cannot store the image's depth, alpha or size.
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
            Format::Png => self.encode_png(&mut bytes, pixels),
            Format::WebP => self.encode_webp(&mut bytes, pixels),
            Format::Bmp => {
                // The encoder would drop the alpha channel of a grey image.
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

    /// What is lost when the image is written, as sentences for the user. Whether a palette is kept depends on the
    /// pixels: call this again after filling.
    pub fn writing_notes(&self, options: &SaveOptions) -> Vec<String> {
        let format = options.format.unwrap_or(self.format);
        let held = &self.metadata;
        let mut lost = Vec::new();
        let mut lose = |is_lost: bool, what: &str| {
            if is_lost {
                lost.push(format!("{}: {format} files cannot store {what}: dropped", self.name));
            }
        };
        let bare = format == Format::Bmp;
        lose(bare && held.icc.is_some(), "a colour profile");
        lose(bare && held.exif.is_some(), "EXIF");
        lose(bare && held.xmp.is_some(), "XMP");
        let lists = matches!(format, Format::Jpeg | Format::Tiff);
        lose(!lists && held.photoshop.is_some(), "IPTC and Photoshop resources");
        lose(matches!(format, Format::Bmp | Format::WebP) && held.density.is_some(), "a pixel density");
        lose(format != Format::Jpeg && !held.comments.is_empty(), "JPEG comments");
        lose(format != Format::Png && !held.chunks.is_empty(), "PNG text and colour chunks");
        let long_xmp = held.xmp.as_ref().is_some_and(|packet| !jpeg_metadata::fits_xmp(packet));
        lose(format == Format::Jpeg && long_xmp, "XMP of this length");
        if format == Format::WebP && self.webp.is_some() && !webp_file::WRITES_LOSSY {
            lost.push(format!("{}: lossy WebP cannot be written in a browser: written lossless", self.name));
        }
        if format == Format::Png && self.palette.is_some() && self.palette_numbers(&self.pixels).is_none() {
            lost.push(format!("{}: the palette has no room for the new colours: written as RGB", self.name));
        }
        lost
    }

    /// Checks that a format can store the image.
    ///
    /// # Errors
    /// [`Error::Unfit`] that names what the format cannot store.
    pub fn check_fits(&self, format: Format, quality: Option<u8>) -> Result<()> {
        let problem = if self.depth() == 32 && format != Format::Tiff {
            format!("{format} cannot store 32-bit floats: write a TIFF file")
        } else if self.depth() == 16 && !format.holds_16_bit() {
            format!("{format} cannot store 16 bits per channel: write a PNG or TIFF file")
        } else if self.has_alpha() && !format.holds_alpha() {
            format!("{format} cannot store transparency: write a PNG, WebP, TIFF or BMP file")
        } else if quality.is_some() && format != Format::Jpeg {
            format!("a JPEG quality was given, but the output is a {format} file")
        } else if quality.is_some_and(|quality| !(1..=100).contains(&quality)) {
            format!("JPEG quality must be 1 to 100, not {}", quality.unwrap_or_default())
        } else {
            return Ok(());
        };
        Err(Error::unfit(&self.name, problem))
    }

    /// Peak bytes of writing the image, beyond its pixels: the encoded file, JPEG's coefficients (two bytes per sample)
    /// or the compressed lines of other formats, and a rotated copy if the stored orientation is not upright.
    pub(crate) fn writing_bytes(&self) -> u64 {
        let turned = u64::from(self.orientation != Orientation::NoTransforms);
        (WRITING_COPIES + turned) * self.pixel_bytes()
    }

    /// A palette file if the image came with a palette that contains all colours or has room for them.
    fn encode_png(&self, bytes: &mut Vec<u8>, pixels: &DynamicImage) -> Result<(), String> {
        match self.palette_numbers(pixels) {
            Some((palette, numbers)) => {
                *bytes = palette.write(&numbers, (pixels.width(), pixels.height()))?;
                png::insert_profile_and_exif(bytes, &self.metadata).map_err(|error| error.to_string())?;
            }
            None => self.encode_with(PngEncoder::new(&mut *bytes), pixels)?,
        }
        png::insert(bytes, &self.metadata);
        Ok(())
    }

    fn palette_numbers(&self, pixels: &DynamicImage) -> Option<(Palette, Vec<u8>)> {
        let palette = self.palette.as_ref()?;
        match pixels {
            DynamicImage::ImageRgb8(image) => {
                palette.numbers(image.pixels().map(|pixel| [pixel[0], pixel[1], pixel[2], u8::MAX]))
            }
            DynamicImage::ImageRgba8(image) => palette.numbers(image.pixels().map(|pixel| pixel.0)),
            _ => None,
        }
    }

    /// Lossy if the image was, at about its quality and at most [`LOSSY_GROWTH`] times as long; else lossless.
    fn encode_webp(&self, bytes: &mut Vec<u8>, pixels: &DynamicImage) -> Result<(), String> {
        let size = (pixels.width(), pixels.height());
        let is_8_bit = matches!(pixels, DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgba8(_));
        let is_lossy = |_: &_| webp_file::WRITES_LOSSY && is_8_bit;
        let Some(source) = self.webp.filter(is_lossy) else {
            let mut encoded = Vec::new();
            pixels
                .write_with_encoder(WebPEncoder::new_lossless(&mut encoded))
                .map_err(|error| error.to_string())?;
            *bytes = webp_file::with_metadata(&encoded, size, &self.metadata);
            return Ok(());
        };
        let most = (source.bytes as f64 * LOSSY_GROWTH) as usize;
        let mut quality = webp_quality(source.quantiser);
        loop {
            let encoded = webp_file::lossy(pixels, quality)?;
            *bytes = webp_file::with_metadata(&encoded, size, &self.metadata);
            if bytes.len() <= most || quality <= QUALITY_STEP {
                return Ok(());
            }
            quality -= QUALITY_STEP;
        }
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
        let mut encoder = Encoder::new(&mut *bytes, quality.unwrap_or(kept_quality));
        encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
        match source {
            Some(coding) => {
                encoder.set_progressive(coding.progressive);
                let (horizontal, vertical) = coding.sampling;
                encoder.set_sampling_factor(
                    SamplingFactor::from_factors(horizontal, vertical)
                        // The encoder writes larger factors in separate scans too.
                        .filter(|_| horizontal.max(vertical) <= 2)
                        .unwrap_or(SamplingFactor::F_1_1),
                );
                // Tables with 16-bit values belong to qualities so low that the estimate is good enough.
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
        // With optimised tables the encoder writes subsampled colours in separate scans, which some decoders misread,
        // including the one that Lacuna uses.
        let is_subsampled = encoder.sampling_factor() != SamplingFactor::F_1_1;
        encoder.set_optimized_huffman_tables(!is_subsampled);
        if let Some(density) = self.metadata.density.map(Density::per_inch) {
            let count = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
            let unit = match density.unit {
                DensityUnit::Aspect => PixelDensityUnit::PixelAspectRatio,
                DensityUnit::Centimetre => PixelDensityUnit::Centimeters,
                DensityUnit::Inch | DensityUnit::Metre => PixelDensityUnit::Inches,
            };
            encoder.set_density(PixelDensity { density: (count(density.x), count(density.y)), unit });
        }
        if let Some(icc) = &self.metadata.icc {
            encoder.add_icc_profile(icc).map_err(|error| error.to_string())?;
        }
        if let Some(exif) = &self.metadata.exif {
            encoder.add_exif_metadata(exif).map_err(|error| error.to_string())?;
        }
        for (number, data) in jpeg_metadata::app_segments(&self.metadata) {
            encoder.add_app_segment(number, data).map_err(|error| error.to_string())?;
        }
        let colour = if self.channels() == 1 { ColorType::Luma } else { ColorType::Rgb };
        encoder.encode(pixels.as_bytes(), width, height, colour).map_err(|error| error.to_string())?;
        jpeg_metadata::insert_comments(bytes, &self.metadata.comments);
        Ok(())
    }

    fn encode_tiff(&self, bytes: &mut Vec<u8>, pixels: &DynamicImage) -> Result<(), String> {
        let sixteen: Vec<u16>;
        let floats: Vec<f32>;
        let is_grey = self.floats.is_some_and(|floats| floats.is_grey);
        let samples = match self.depth() {
            16 => {
                sixteen = bytemuck::pod_collect_to_vec(pixels.as_bytes());
                Samples::Sixteen(&sixteen)
            }
            32 => {
                let all: Vec<f32> = bytemuck::pod_collect_to_vec(pixels.as_bytes());
                floats = if is_grey { all.into_iter().step_by(3).collect() } else { all };
                Samples::Float(&floats)
            }
            _ => Samples::Eight(pixels.as_bytes()),
        };
        let pixels = tiff_file::Pixels {
            width: pixels.width(),
            height: pixels.height(),
            channels: if is_grey { 1 } else { self.channels() },
            samples,
        };
        tiff_file::write(&mut Cursor::new(bytes), &pixels, &self.metadata).map_err(|error| error.to_string())
    }
}

/// The libwebp quality with the nearest base quantiser, from the inverse of libwebp's rule: quantiser = 127 (1 - c),
/// where c is the cube root of a piecewise linear function of the quality.
fn webp_quality(quantiser: u8) -> f32 {
    let compression = 1.0 - f32::from(quantiser.min(127)) / 127.0;
    let line = compression.powi(3);
    let quality = if line < 0.5 { 1.5 * line } else { (line + 1.0) / 2.0 };
    (100.0 * quality).clamp(1.0, 100.0)
}

/// The inverse of an orientation.
pub(crate) fn inverse(orientation: Orientation) -> Orientation {
    match orientation {
        Orientation::Rotate90 => Orientation::Rotate270,
        Orientation::Rotate270 => Orientation::Rotate90,
        // Flips, half turns and the two diagonal flips are their own inverse.
        other => other,
    }
}

/// Converts a quantisation table from zigzag to row-major order.
fn row_major(zigzag: &[u16; 64]) -> [u16; 64] {
    let mut table = [0; 64];
    ZIGZAG.iter().zip(zigzag).for_each(|(&position, &step)| table[position] = step);
    table
}
