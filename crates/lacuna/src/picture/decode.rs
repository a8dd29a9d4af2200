//! Reading image files, including hostile ones.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::codecs::{
    bmp::BmpDecoder, jpeg::JpegDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder,
};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError};

use super::format::Content;
use super::jpeg::JpegFile;
use super::{
    Floats, Format, JpegCoding, Limits, LossyWebP, Metadata, Palette, Picture, Samples, cmyk, jpeg_metadata,
    png, tiff_file, webp_file, xmp,
};
use crate::units::at_most;
use crate::{Error, Result};

/// Limit of a PNG's inflated colour profile in bytes. Profiles of printers have up to 4 MB; 261 kB can inflate to 256
/// MiB.
const MOST_PROFILE: u64 = 16 << 20;

/// Limit of other inflated metadata in bytes: XMP packets rarely exceed 64 kB.
const MOST_INFLATED: u64 = 16 << 20;

/// Copies of an inflated profile while it is read.
const PROFILE_COPIES: u64 = 3;

/// JPEG components of a CMYK image.
const CMYK_COMPONENTS: u8 = 4;

impl Picture {
    /// Reads an image file. The content decides the format; an extension that names another is noted.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read; [`Error::Picture`] if it is truncated, damaged or unsupported;
    /// [`Error::TooLarge`] and [`Error::Memory`] if it exceeds `limits`.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = read_file(path, limits)?;
        let mut picture = Self::decode(&bytes, &name, limits)?;
        if let Some(named) = Format::from_extension(path).filter(|named| *named != picture.format) {
            picture.notes.push(format!(
                "{name}: the extension is that of {named}, but the file is {}",
                picture.format
            ));
        }
        Ok(picture)
    }

    /// Decodes the bytes of an image file; `name` labels it in errors.
    ///
    /// # Errors
    /// [`Error::Picture`] if it is truncated, damaged or unsupported; [`Error::TooLarge`] and [`Error::Memory`] if it
    /// exceeds `limits`.
    pub fn decode(bytes: &[u8], name: &str, limits: &Limits) -> Result<Self> {
        limits.check_file(name, bytes.len() as u64)?;
        let content = Content::of(bytes, name)?;
        let format = match content {
            Content::Written(format) => format,
            Content::ReadOnly(_) => Format::Png,
        };
        let reader = Reader { bytes, name, limits, format };
        match content {
            Content::ReadOnly(format) => reader.read_converted(format),
            Content::Written(Format::Png) => reader.read_png(),
            Content::Written(Format::Jpeg) => reader.read_jpeg(),
            Content::Written(Format::WebP) => reader.read_webp(),
            Content::Written(Format::Tiff) => reader.read_tiff(),
            Content::Written(Format::Bmp) => reader
                .read(BmpDecoder::new(Cursor::new(bytes)).map_err(|error| reader.problem(&error))?, None),
        }
    }
}

/// The inputs that all formats need.
pub(super) struct Reader<'a> {
    pub bytes: &'a [u8],
    pub name: &'a str,
    pub limits: &'a Limits,
    /// The format that the image is written in by default.
    format: Format,
}

impl Reader<'_> {
    pub fn decoder_limits(&self) -> image::Limits {
        let mut limits = image::Limits::no_limits();
        // `Limits::check` checks the sides, with a better message.
        limits.max_alloc = Some(self.limits.bytes);
        limits
    }

    /// Checks the size of a PNG's compressed colour profile before the decoder inflates it.
    fn check_profile(&self) -> Result<()> {
        // A damaged profile is left to the decoder, which reads the image without it.
        let Ok(Some(size)) = png::inflated_profile(self.bytes, MOST_PROFILE) else { return Ok(()) };
        if size > MOST_PROFILE {
            let problem = format!("its colour profile inflates to more than {}", at_most(MOST_PROFILE));
            return Err(Error::picture(self.name, problem));
        }
        let what = format!("reading the colour profile of {}", self.name);
        self.limits.memory.map_or(Ok(()), |budget| budget.check(what, PROFILE_COPIES * size))
    }

    /// Limit of an inflated metadata block in bytes, beside pixels of `held` bytes.
    pub fn most_inflated(&self, held: u64) -> u64 {
        // XMP is in memory twice: inflated and cleaned.
        let left = self.limits.memory.map_or(MOST_INFLATED, |budget| budget.holding(held).left() / 2);
        left.min(MOST_INFLATED)
    }

    fn problem(&self, error: &ImageError) -> Error {
        Error::picture(self.name, describe(error, self.format))
    }

    pub fn note(&self, text: &str) -> String {
        format!("{}: {text}", self.name)
    }

    fn read_png(&self) -> Result<Picture> {
        self.check_profile()?;
        let input = Cursor::new(self.bytes);
        let decoder =
            PngDecoder::with_limits(input, self.decoder_limits()).map_err(|error| self.problem(&error))?;
        if decoder.is_apng().map_err(|error| self.problem(&error))? {
            return Err(Error::picture(self.name, "animated PNG files are not supported"));
        }
        let mut picture = self.read(decoder, None)?;
        picture.palette = Palette::of_png(self.bytes);
        let mut notes = Vec::new();
        if picture.metadata.icc.is_none() && png::inflated_profile(self.bytes, MOST_PROFILE).is_err() {
            notes.push("the colour profile is damaged and was dropped".to_owned());
        }
        let most = self.most_inflated(picture.pixel_bytes());
        png::read(self.bytes, most, &mut picture.metadata, &mut notes);
        picture.notes.extend(notes.iter().map(|text| self.note(text)));
        Ok(picture)
    }

    fn read_jpeg(&self) -> Result<Picture> {
        let file = JpegFile::read(self.bytes, self.name)?;
        let input = Cursor::new(self.bytes);
        let mut decoder = JpegDecoder::new(input).map_err(|error| self.problem(&error))?;
        let mut picture = if file.coding.components == CMYK_COMPONENTS {
            let (width, height) = decoder.dimensions();
            self.check((width, height), cmyk::BYTES_PER_PIXEL, Some(&file.coding))?;
            let icc = decoder.icc_profile().map_err(|error| self.problem(&error))?;
            let exif = decoder.exif_metadata().map_err(|error| self.problem(&error))?;
            drop(decoder);
            let rgb = cmyk::read_jpeg(self.bytes, icc.as_deref(), file.has_adobe_marker())
                .map_err(|problem| Error::picture(self.name, problem))?;
            let pixels = ImageBuffer::from_raw(width, height, rgb).ok_or_else(|| {
                Error::picture(self.name, "damaged JPEG file: its samples do not fit its size")
            })?;
            // The quantisation tables of inks do not fit luma and chroma.
            let coding = JpegCoding { chroma: None, sampling: (1, 1), components: 3, ..file.coding.clone() };
            let mut picture = self.picture(DynamicImage::ImageRgb8(pixels), None, exif, Some(coding));
            picture.notes.push(self.note("CMYK is converted to RGB (sRGB) and written as RGB"));
            picture
        } else {
            self.read(decoder, Some(file.coding.clone()))?
        };
        let mut notes = Vec::new();
        jpeg_metadata::read(&file.segments, file.trailer, &mut picture.metadata, &mut notes);
        picture.notes.extend(notes.iter().map(|text| self.note(text)));
        Ok(picture)
    }

    fn read_webp(&self) -> Result<Picture> {
        check_riff_length(self.bytes).map_err(|problem| Error::picture(self.name, problem))?;
        let decoder = WebPDecoder::new(Cursor::new(self.bytes)).map_err(|error| self.problem(&error))?;
        if decoder.has_animation() {
            return Err(Error::picture(self.name, "animated WebP files are not supported"));
        }
        let mut picture = self.read(decoder, None)?;
        let quantiser = webp_file::quantiser(self.bytes);
        picture.webp = quantiser.map(|quantiser| LossyWebP { quantiser, bytes: self.bytes.len() });
        let mut notes = Vec::new();
        let packet = webp_file::chunks(self.bytes).find(|(kind, _)| kind == b"XMP ");
        picture.metadata.xmp = packet.and_then(|(_, packet)| xmp::cleaned(packet, &mut notes));
        picture.notes.extend(notes.iter().map(|text| self.note(text)));
        Ok(picture)
    }

    fn read_tiff(&self) -> Result<Picture> {
        let damaged = |problem| Error::picture(self.name, problem);
        let header = tiff_file::check(self.bytes).map_err(damaged)?;
        let mut picture = match header.kind {
            tiff_file::Kind::Common => {
                let decoder =
                    TiffDecoder::new(Cursor::new(self.bytes)).map_err(|error| self.problem(&error))?;
                self.read(decoder, None)?
            }
            kind => {
                self.check(header.size, kind.bytes_per_pixel(), None)?;
                let icc = tiff_file::icc_profile(self.bytes);
                let pixels =
                    tiff_file::read(self.bytes, kind, icc.as_deref(), self.limits).map_err(damaged)?;
                let icc = icc.filter(|_| !matches!(kind, tiff_file::Kind::Cmyk));
                let mut picture = self.picture(pixels, icc, None, None);
                if let Some(floats) = &mut picture.floats {
                    floats.is_grey = matches!(kind, tiff_file::Kind::GreyFloat);
                }
                picture
            }
        };
        let mut notes = Vec::new();
        tiff_file::read_metadata(self.bytes, &mut picture.metadata, &mut notes);
        notes.extend(header.notes);
        picture.notes.extend(notes.iter().map(|text| self.note(text)));
        Ok(picture)
    }

    /// Checks the size of an image (columns, rows) before it is allocated.
    pub fn check(&self, size: (u32, u32), bytes_per_pixel: u64, jpeg: Option<&JpegCoding>) -> Result<()> {
        self.limits.check(self.name, size.0, size.1, bytes_per_pixel)?;
        let pixel_bytes = u64::from(size.0) * u64::from(size.1) * bytes_per_pixel;
        let progressive = jpeg.is_some_and(|coding| coding.progressive);
        self.limits.check_memory(self.name, self.format, progressive, self.bytes.len() as u64, pixel_bytes)
    }

    fn read(&self, mut decoder: impl ImageDecoder, jpeg: Option<JpegCoding>) -> Result<Picture> {
        let problem = |error: ImageError| self.problem(&error);
        let (width, height) = decoder.dimensions();
        let colour = decoder.color_type();
        self.check((width, height), u64::from(colour.bytes_per_pixel()), jpeg.as_ref())?;
        decoder.set_limits(self.decoder_limits()).map_err(problem)?;
        let icc = match self.format {
            Format::Tiff => tiff_file::icc_profile(self.bytes),
            _ => decoder.icc_profile().map_err(problem)?,
        };
        let exif = decoder.exif_metadata().map_err(problem)?;
        let pixels = DynamicImage::from_decoder(decoder).map_err(problem)?;
        Ok(self.picture(pixels, icc, exif, jpeg))
    }

    /// An image from decoded pixels in stored orientation, and metadata.
    pub fn picture(
        &self,
        mut pixels: DynamicImage,
        icc: Option<Vec<u8>>,
        exif: Option<Vec<u8>>,
        jpeg: Option<JpegCoding>,
    ) -> Picture {
        let mut notes = Vec::new();
        let (metadata, orientation) = if self.format == Format::Tiff {
            let metadata = Metadata::from_tiff(icc.clone(), self.bytes).unwrap_or_else(|error| {
                notes.push(format!("{}: the EXIF block cannot be read and was dropped ({error})", self.name));
                Metadata::new(icc, None)
            });
            (metadata, tiff_file::orientation(self.bytes))
        } else {
            let metadata = Metadata::new(icc, exif);
            let orientation = metadata.orientation();
            (metadata, orientation)
        };
        if orientation != Orientation::NoTransforms {
            pixels.apply_orientation(orientation);
        }
        let mut picture = Picture::from_pixels(self.name, pixels, self.format);
        picture.floats = match picture.samples() {
            Samples::Float(samples) => Some(Floats { range: range(samples), is_grey: false }),
            _ => None,
        };
        Picture { orientation, metadata, jpeg, notes, ..picture }
    }
}

/// The values that map to 0 and 1: 0 and 1 themselves, or the smallest and largest finite sample beyond them.
fn range(samples: &[f32]) -> (f32, f32) {
    let finite = samples.iter().filter(|sample| sample.is_finite());
    finite.fold((0.0f32, 1.0f32), |(low, high), &sample| (low.min(sample), high.max(sample)))
}

/// Checks that a WebP file is as long as its header says, which the decoder does not.
fn check_riff_length(bytes: &[u8]) -> Result<(), String> {
    let [_, _, _, _, a, b, c, d, ..] = *bytes else { return Err("truncated WebP file".into()) };
    let expected = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    if (bytes.len() as u64) < expected {
        return Err(format!("truncated WebP file: {} of {expected} bytes", bytes.len()));
    }
    Ok(())
}

/// Reads a file within `limits`.
///
/// # Errors
/// [`Error::Read`], [`Error::Picture`] for a folder, or [`Error::TooLarge`] for a file that is too long.
pub fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let failed = |source| Error::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let name = path.display().to_string();
    if about.is_dir() {
        return Err(Error::picture(name, "this is a folder, not an image"));
    }
    limits.check_file(&name, about.len())?;
    let mut bytes = Vec::new();
    // The length of a pipe or device is not known beforehand: read at most one byte more than allowed.
    (&mut file).take(limits.bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    limits.check_file(&name, bytes.len() as u64)?;
    Ok(bytes)
}

/// A decoder's error in one line.
fn describe(error: &ImageError, format: Format) -> String {
    let text = error.to_string().replace('\n', " ");
    match error {
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("truncated {format} file")
        }
        ImageError::Limits(_) => format!("the {format} file needs more memory than allowed: {text}"),
        ImageError::Unsupported(_) => format!("unsupported {format} file: {text}"),
        _ => format!("damaged {format} file: {text}"),
    }
}
