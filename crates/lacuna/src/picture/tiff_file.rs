//! TIFF files: what the `image` crate leaves out. Several pages, orientation, metadata, alpha at writing.

use std::io::{Cursor, Seek, Write};

use exif::{Context, Field, In, Value};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer};
use tiff::TiffResult;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::encoder::colortype::{ColorType, Gray8, Gray16, RGB8, RGB16};
use tiff::encoder::{
    Compression, DirectoryEncoder, Predictor, Rational, SRational, TiffEncoder, TiffKindStandard, TiffValue,
};
use tiff::tags::{ExtraSamples, PhotometricInterpretation, PlanarConfiguration, Tag};

use super::{Limits, Metadata, Samples};

/// What has to read a TIFF file.
pub enum Kind {
    /// The `image` crate's decoder.
    Common,
    /// [`read_grey_alpha`]: width and height, and the pixels' type.
    GreyAlpha((u32, u32), image::ColorType),
}

/// Looks at a file's header and refuses files of which something would be lost.
///
/// # Errors
/// A sentence about why.
pub fn check(bytes: &[u8]) -> Result<Kind, String> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged)?;
    if decoder.more_images() {
        return Err("TIFF files with several pages are not supported: split it into single pages".into());
    }
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(damaged)?.unwrap_or_default();
    if extra.contains(&ExtraSamples::AssociatedAlpha.to_u16()) {
        return Err("TIFF files with premultiplied alpha are not supported: save it with plain alpha".into());
    }
    let kind = match decoder.colortype().map_err(damaged)? {
        tiff::ColorType::CMYK(_) | tiff::ColorType::CMYKA(_) => {
            return Err("CMYK pictures are not supported: convert it to RGB".into());
        }
        // One extra sample beside grey; the `image` crate does not read that.
        tiff::ColorType::Multiband { bit_depth: 8, num_samples: 2 } => image::ColorType::La8,
        tiff::ColorType::Multiband { bit_depth: 16, num_samples: 2 } => image::ColorType::La16,
        _ => return Ok(Kind::Common),
    };
    let tag = |decoder: &mut Decoder<_>, tag, default: u16| {
        decoder.find_tag_unsigned::<u16>(tag).map(|value| value.unwrap_or(default)).map_err(damaged)
    };
    let photometric = tag(&mut decoder, Tag::PhotometricInterpretation, u16::MAX)?;
    let planar = tag(&mut decoder, Tag::PlanarConfiguration, PlanarConfiguration::Chunky.to_u16())?;
    if photometric != PhotometricInterpretation::BlackIsZero.to_u16()
        || planar != PlanarConfiguration::Chunky.to_u16()
    {
        return Err("this kind of grey TIFF file with alpha is not supported".into());
    }
    Ok(Kind::GreyAlpha(decoder.dimensions().map_err(damaged)?, kind))
}

/// Reads grey pixels with alpha, as stored.
///
/// # Errors
/// A sentence about what is wrong with the file.
pub fn read_grey_alpha(bytes: &[u8], limits: &Limits) -> Result<DynamicImage, String> {
    let mut decoder_limits = tiff::decoder::Limits::default();
    decoder_limits.decoding_buffer_size = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged)?.with_limits(decoder_limits);
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    let pixels = match decoder.read_image().map_err(damaged)? {
        DecodingResult::U8(samples) => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA8)
        }
        DecodingResult::U16(samples) => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA16)
        }
        _ => None,
    };
    pixels.ok_or_else(|| "damaged TIFF file: its samples do not fit its size".into())
}

/// The colour profile, if there is one.
pub fn icc_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?;
    decoder.get_tag_u8_vec(Tag::IccProfile).ok()
}

fn damaged(error: tiff::TiffError) -> String {
    format!("damaged TIFF file: {error}")
}

/// The orientation that the file stores.
pub fn orientation(bytes: &[u8]) -> Orientation {
    let stored = Decoder::new(Cursor::new(bytes))
        .ok()
        .and_then(|mut decoder| decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten());
    stored.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// Pixels to write: samples interleaved, `channels` a pixel.
pub struct Pixels<'a> {
    /// Stored columns.
    pub width: u32,
    /// Stored rows.
    pub height: u32,
    /// Channels: 1 to 4.
    pub channels: usize,
    /// `[height, width, channels]`.
    pub samples: Samples<'a>,
}

/// Writes a whole TIFF file: LZW, one page, with its metadata in TIFF's own directories.
///
/// # Errors
/// Whatever the encoder or the writer says.
pub fn write(file: &mut (impl Write + Seek), pixels: &Pixels<'_>, metadata: &Metadata) -> TiffResult<()> {
    let with_colour = pixels.channels > 2;
    match pixels.samples {
        Samples::Eight(samples) if with_colour => write_as::<RGB8, _>(file, pixels, samples, metadata),
        Samples::Eight(samples) => write_as::<Gray8, _>(file, pixels, samples, metadata),
        Samples::Sixteen(samples) if with_colour => write_as::<RGB16, _>(file, pixels, samples, metadata),
        Samples::Sixteen(samples) => write_as::<Gray16, _>(file, pixels, samples, metadata),
    }
}

fn write_as<C, W>(
    file: &mut W,
    pixels: &Pixels<'_>,
    samples: &[C::Inner],
    metadata: &Metadata,
) -> TiffResult<()>
where
    C: ColorType,
    W: Write + Seek,
    [C::Inner]: TiffValue,
{
    let has_alpha = pixels.channels.is_multiple_of(2);
    // The encoder's predictor does not count extra samples, so that it would garble pictures with alpha.
    let predictor = if has_alpha { Predictor::None } else { Predictor::Horizontal };
    let mut encoder = TiffEncoder::new(file)?.with_compression(Compression::Lzw).with_predictor(predictor);
    let parsed = metadata.parsed_exif();
    let fields: Vec<&Field> =
        parsed.iter().flat_map(|exif| exif.fields()).filter(|field| field.ifd_num == In::PRIMARY).collect();
    let mut pointers = Vec::new();
    for (context, pointer) in [(Context::Exif, Tag::ExifDirectory), (Context::Gps, Tag::GpsDirectory)] {
        if fields.iter().any(|field| field.tag.context() == context) {
            let mut directory = encoder.extra_directory()?;
            write_fields(&mut directory, &fields, context)?;
            pointers.push((pointer, directory.finish_with_offsets()?.offset));
        }
    }
    let mut page = encoder.new_image::<C>(pixels.width, pixels.height)?;
    if has_alpha {
        page.extra_samples(&[ExtraSamples::UnassociatedAlpha])?;
    }
    write_fields(page.encoder(), &fields, Context::Tiff)?;
    for (pointer, offset) in pointers {
        page.encoder().write_tag(pointer, offset)?;
    }
    if let Some(icc) = &metadata.icc {
        page.encoder().write_tag(Tag::IccProfile, &icc[..])?;
    }
    page.write_data(samples)
}

fn write_fields<W: Write + Seek>(
    directory: &mut DirectoryEncoder<'_, W, TiffKindStandard>,
    fields: &[&Field],
    context: Context,
) -> TiffResult<()> {
    for field in fields.iter().filter(|field| field.tag.context() == context) {
        let tag = Tag::from_u16_exhaustive(field.tag.number());
        match &field.value {
            Value::Byte(values) | Value::Undefined(values, _) => directory.write_tag(tag, &values[..])?,
            Value::Ascii(lines) => {
                let text =
                    lines.iter().map(|line| String::from_utf8_lossy(line)).collect::<Vec<_>>().join(" ");
                let ascii: String =
                    text.chars().map(|c| if c.is_ascii() && c != '\0' { c } else { '?' }).collect();
                directory.write_tag(tag, ascii.as_str())?;
            }
            Value::Short(values) => directory.write_tag(tag, &values[..])?,
            Value::Long(values) => directory.write_tag(tag, &values[..])?,
            Value::SByte(values) => directory.write_tag(tag, &values[..])?,
            Value::SShort(values) => directory.write_tag(tag, &values[..])?,
            Value::SLong(values) => directory.write_tag(tag, &values[..])?,
            Value::Float(values) => directory.write_tag(tag, &values[..])?,
            Value::Double(values) => directory.write_tag(tag, &values[..])?,
            Value::Rational(values) => {
                let values: Vec<_> = values.iter().map(|r| Rational { n: r.num, d: r.denom }).collect();
                directory.write_tag(tag, &values[..])?;
            }
            Value::SRational(values) => {
                let values: Vec<_> = values.iter().map(|r| SRational { n: r.num, d: r.denom }).collect();
                directory.write_tag(tag, &values[..])?;
            }
            Value::Unknown(..) => {}
        }
    }
    Ok(())
}
