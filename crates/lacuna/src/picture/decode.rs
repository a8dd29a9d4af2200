//! Reading a picture file, hostile or not.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::codecs::{
    bmp::BmpDecoder, jpeg::JpegDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder,
};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError};

use super::{Format, JpegCoding, Limits, Metadata, Picture, png, tiff_file};
use crate::units::at_most;
use crate::{Error, Result};

/// Bytes to which a PNG's colour profile may inflate. Profiles of printers have up to 4 MB; 261 kB can inflate to 256 MiB.
const MOST_PROFILE: u64 = 16 << 20;

/// Copies of an inflated profile while it is read.
const PROFILE_COPIES: u64 = 3;

/// JPEG components of a picture in printing colours.
const CMYK_COMPONENTS: u8 = 4;

impl Picture {
    /// Reads a picture file.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read; [`Error::Picture`] if it is truncated, damaged, of an
    /// unsupported kind, or if its extension names another format than it holds; [`Error::TooLarge`] and
    /// [`Error::Memory`] if `limits` do not allow it.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = read_file(path, limits)?;
        let picture = Self::decode(&bytes, &name, limits)?;
        match Format::from_extension(path) {
            Some(named) if named != picture.format => {
                let problem = format!(
                    "the extension says {named}, the file holds {}: rename it to .{}",
                    picture.format,
                    picture.format.extension()
                );
                Err(Error::picture(name, problem))
            }
            _ => Ok(picture),
        }
    }

    /// Decodes a picture file's bytes; `name` labels it in errors.
    ///
    /// # Errors
    /// [`Error::Picture`] if it is truncated, damaged or of an unsupported kind; [`Error::TooLarge`] and
    /// [`Error::Memory`] if `limits` do not allow it.
    pub fn decode(bytes: &[u8], name: &str, limits: &Limits) -> Result<Self> {
        limits.check_file(name, bytes.len() as u64)?;
        let format = Format::from_content(bytes, name)?;
        let reader = Reader { bytes, name, limits, format };
        let problem = |error: ImageError| Error::picture(name, describe(&error, format));
        let input = Cursor::new(bytes);
        match format {
            Format::Png => {
                reader.check_profile()?;
                let decoder = PngDecoder::with_limits(input, reader.decoder_limits()).map_err(problem)?;
                if decoder.is_apng().map_err(problem)? {
                    return Err(Error::picture(name, "animated PNG files are not supported"));
                }
                reader.read(decoder, None)
            }
            Format::Jpeg => {
                let coding = JpegCoding::read(bytes, name)?;
                if coding.components == CMYK_COMPONENTS {
                    return Err(Error::picture(name, "CMYK pictures are not supported: convert it to RGB"));
                }
                reader.read(JpegDecoder::new(input).map_err(problem)?, Some(coding))
            }
            Format::WebP => {
                check_riff_length(bytes).map_err(|problem| Error::picture(name, problem))?;
                let decoder = WebPDecoder::new(input).map_err(problem)?;
                if decoder.has_animation() {
                    return Err(Error::picture(name, "animated WebP files are not supported"));
                }
                reader.read(decoder, None)
            }
            Format::Tiff => {
                let damaged = |problem| Error::picture(name, problem);
                match tiff_file::check(bytes).map_err(damaged)? {
                    tiff_file::Kind::Common => reader.read(TiffDecoder::new(input).map_err(problem)?, None),
                    tiff_file::Kind::GreyAlpha(size, colour) => {
                        reader.check(size, u64::from(colour.bytes_per_pixel()), None)?;
                        let pixels = tiff_file::read_grey_alpha(bytes, limits).map_err(damaged)?;
                        let icc = tiff_file::icc_profile(bytes);
                        Ok(reader.picture(pixels, icc, None, None))
                    }
                }
            }
            Format::Bmp => reader.read(BmpDecoder::new(input).map_err(problem)?, None),
        }
    }
}

/// What all formats share.
struct Reader<'a> {
    bytes: &'a [u8],
    name: &'a str,
    limits: &'a Limits,
    format: Format,
}

impl Reader<'_> {
    fn decoder_limits(&self) -> image::Limits {
        let mut limits = image::Limits::no_limits();
        // Sides are checked by `Limits::check`, with a better message.
        limits.max_alloc = Some(self.limits.bytes);
        limits
    }

    /// Checks what a PNG's compressed colour profile takes before the decoder inflates it.
    fn check_profile(&self) -> Result<()> {
        // A damaged one is left to the decoder, which reads the picture without it.
        let Ok(Some(size)) = png::inflated_profile(self.bytes, MOST_PROFILE) else { return Ok(()) };
        if size > MOST_PROFILE {
            let problem = format!("its colour profile inflates to more than {}", at_most(MOST_PROFILE));
            return Err(Error::picture(self.name, problem));
        }
        let what = format!("reading the colour profile of {}", self.name);
        self.limits.memory.map_or(Ok(()), |budget| budget.check(what, PROFILE_COPIES * size))
    }

    /// Checks a picture's size (columns, rows) before it is allocated.
    fn check(&self, size: (u32, u32), bytes_per_pixel: u64, jpeg: Option<&JpegCoding>) -> Result<()> {
        self.limits.check(self.name, size.0, size.1, bytes_per_pixel)?;
        let pixel_bytes = u64::from(size.0) * u64::from(size.1) * bytes_per_pixel;
        let progressive = jpeg.is_some_and(|coding| coding.progressive);
        self.limits.check_memory(self.name, self.format, progressive, self.bytes.len() as u64, pixel_bytes)
    }

    fn read(&self, mut decoder: impl ImageDecoder, jpeg: Option<JpegCoding>) -> Result<Picture> {
        let problem = |error: ImageError| Error::picture(self.name, describe(&error, self.format));
        let (width, height) = decoder.dimensions();
        let colour = decoder.color_type();
        self.check((width, height), u64::from(colour.bytes_per_pixel()), jpeg.as_ref())?;
        if matches!(colour, ColorType::Rgb32F | ColorType::Rgba32F) {
            return Err(Error::picture(
                self.name,
                "32-bit float pictures are not supported (8 and 16 bit are)",
            ));
        }
        decoder.set_limits(self.decoder_limits()).map_err(problem)?;
        let icc = match self.format {
            Format::Tiff => tiff_file::icc_profile(self.bytes),
            _ => decoder.icc_profile().map_err(problem)?,
        };
        let exif = decoder.exif_metadata().map_err(problem)?;
        let pixels = DynamicImage::from_decoder(decoder).map_err(problem)?;
        Ok(self.picture(pixels, icc, exif, jpeg))
    }

    /// The picture of decoded pixels as they are stored, and of metadata.
    fn picture(
        &self,
        mut pixels: DynamicImage,
        icc: Option<Vec<u8>>,
        exif: Option<Vec<u8>>,
        jpeg: Option<JpegCoding>,
    ) -> Picture {
        let mut notes = Vec::new();
        if self.format == Format::Png
            && icc.is_none()
            && png::inflated_profile(self.bytes, MOST_PROFILE).is_err()
        {
            notes.push(format!("{}: the colour profile is damaged and is left out", self.name));
        }
        let (metadata, orientation) = if self.format == Format::Tiff {
            let metadata = Metadata::from_tiff(icc.clone(), self.bytes).unwrap_or_else(|error| {
                notes.push(format!("{}: the EXIF block cannot be read and is left out ({error})", self.name));
                Metadata { icc, exif: None }
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
        Picture { name: self.name.into(), pixels, orientation, format: self.format, metadata, jpeg, notes }
    }
}

/// Checks that a WebP file is as long as its header says; the decoder is content with less.
fn check_riff_length(bytes: &[u8]) -> Result<(), String> {
    let [_, _, _, _, a, b, c, d, ..] = *bytes else { return Err("truncated WebP file".into()) };
    let expected = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    if (bytes.len() as u64) < expected {
        return Err(format!("truncated WebP file: {} of {expected} bytes", bytes.len()));
    }
    Ok(())
}

/// A file's bytes, if `limits` allow so many.
///
/// # Errors
/// [`Error::Read`], [`Error::Picture`] for a folder, or [`Error::TooLarge`] for a file that is too long.
pub fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let failed = |source| Error::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let name = path.display().to_string();
    if about.is_dir() {
        return Err(Error::picture(name, "this is a folder, not a picture"));
    }
    limits.check_file(&name, about.len())?;
    let mut bytes = Vec::new();
    // A pipe or device has no length to check beforehand: read one byte more than is allowed at most.
    (&mut file).take(limits.bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    limits.check_file(&name, bytes.len() as u64)?;
    Ok(bytes)
}

/// One line about a decoder's error.
fn describe(error: &ImageError, format: Format) -> String {
    let text = error.to_string().replace('\n', " ");
    match error {
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("truncated {format} file")
        }
        ImageError::Limits(_) => format!("the {format} file needs more memory than is allowed: {text}"),
        ImageError::Unsupported(_) => format!("unsupported {format} file: {text}"),
        _ => format!("damaged {format} file: {text}"),
    }
}
