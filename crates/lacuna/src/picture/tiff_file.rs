//! TIFF features that the `image` crate lacks: pages, orientation, metadata, writing alpha.

use std::io::{Cursor, Seek, Write};

use exif::{Context, Field, In, Value};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer};
use tiff::TiffResult;
use tiff::decoder::{Decoder, DecodingResult, ifd};
use tiff::encoder::colortype::{ColorType, Gray8, Gray16, Gray32Float, RGB8, RGB16, RGB32Float};
use tiff::encoder::{
    Compression, DirectoryEncoder, Predictor, Rational, SRational, TiffEncoder, TiffKindStandard, TiffValue,
};
use tiff::tags::{
    ByteOrder, CompressionMethod, ExtraSamples, PhotometricInterpretation, PlanarConfiguration, SampleFormat,
    Tag,
};

use super::metadata::DensityUnit;
use super::{Limits, Metadata, Samples, cmyk, photoshop, xmp};

/// The reader that a TIFF file needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The `image` crate's decoder.
    Common,
    /// [`read`]: grey with alpha, 8 or 16 bit.
    GreyAlpha,
    /// [`read`]: 8-bit YCbCr in JPEG compression.
    YCbCr,
    /// [`read`]: 8-bit CMYK.
    Cmyk,
    /// [`read`]: grey of 32-bit floats.
    GreyFloat,
}

impl Kind {
    /// Bytes per pixel during reading.
    pub fn bytes_per_pixel(self) -> u64 {
        match self {
            Self::Common | Self::GreyAlpha => 4,
            Self::YCbCr => 3,
            Self::Cmyk => cmyk::BYTES_PER_PIXEL,
            Self::GreyFloat => 12,
        }
    }
}

/// The header of a TIFF file.
pub struct Header {
    /// The reader that it needs.
    pub kind: Kind,
    /// Columns and rows.
    pub size: (u32, u32),
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// Reads a file's header, and refuses files that could not be read completely.
///
/// # Errors
/// A sentence with the reason.
pub fn check(bytes: &[u8]) -> Result<Header, String> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut notes = Vec::new();
    if decoder.more_images() {
        notes.push("only the first of several pages is read".into());
    }
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(damaged)?.unwrap_or_default();
    if extra.contains(&ExtraSamples::AssociatedAlpha.to_u16()) {
        return Err(
            "TIFF files with premultiplied alpha are not supported: save the image with straight alpha"
                .into(),
        );
    }
    // If there is one value per channel, the first one counts.
    let tag = |decoder: &mut Decoder<_>, tag, default: u16| {
        let values = decoder.find_tag_unsigned_vec::<u16>(tag).map_err(damaged)?;
        Ok::<_, String>(values.and_then(|values| values.first().copied()).unwrap_or(default))
    };
    let photometric = tag(&mut decoder, Tag::PhotometricInterpretation, u16::MAX)?;
    let planar = tag(&mut decoder, Tag::PlanarConfiguration, PlanarConfiguration::Chunky.to_u16())?;
    let format = tag(&mut decoder, Tag::SampleFormat, SampleFormat::Uint.to_u16())?;
    if tag(&mut decoder, Tag::Compression, 1)? == CompressionMethod::ModernJPEG.to_u16() {
        notes.push("JPEG compression in TIFF is read, and written as lossless LZW".into());
    }
    let is_chunky = planar == PlanarConfiguration::Chunky.to_u16();
    let is_light = photometric == PhotometricInterpretation::BlackIsZero.to_u16();
    let kind = match decoder.colortype().map_err(damaged)? {
        tiff::ColorType::CMYK(8) if is_chunky => {
            notes.push("CMYK is converted to RGB (sRGB) and written as RGB".into());
            Kind::Cmyk
        }
        tiff::ColorType::CMYK(_) | tiff::ColorType::CMYKA(_) => {
            return Err(
                "TIFF files with this kind of CMYK are not supported: convert the image to RGB".into()
            );
        }
        tiff::ColorType::YCbCr(8) if is_chunky => Kind::YCbCr,
        tiff::ColorType::Gray(32) if is_light && format == SampleFormat::IEEEFP.to_u16() => Kind::GreyFloat,
        // One extra sample with grey, which the `image` crate does not read.
        tiff::ColorType::Multiband { bit_depth: 8 | 16, num_samples: 2 } if is_light && is_chunky => {
            Kind::GreyAlpha
        }
        tiff::ColorType::Multiband { num_samples: 2, .. } => {
            return Err("grey TIFF files with this kind of alpha are not supported".into());
        }
        _ => Kind::Common,
    };
    Ok(Header { kind, size: decoder.dimensions().map_err(damaged)?, notes })
}

/// Reads the kinds that the `image` crate does not.
///
/// # Errors
/// A sentence that describes the problem.
pub fn read(bytes: &[u8], kind: Kind, icc: Option<&[u8]>, limits: &Limits) -> Result<DynamicImage, String> {
    let mut decoder = decoder(bytes, limits).map_err(damaged)?;
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    let pixels = match (decoder.read_image().map_err(damaged)?, kind) {
        (DecodingResult::U8(samples), Kind::GreyAlpha) => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA8)
        }
        (DecodingResult::U16(samples), Kind::GreyAlpha) => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA16)
        }
        (DecodingResult::U8(mut samples), Kind::YCbCr) => {
            for pixel in samples.chunks_exact_mut(3) {
                pixel.copy_from_slice(&cmyk::ycbcr_to_rgb([pixel[0], pixel[1], pixel[2]]));
            }
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)
        }
        (DecodingResult::U8(inks), Kind::Cmyk) => {
            ImageBuffer::from_raw(width, height, cmyk::to_rgb(&inks, icc)).map(DynamicImage::ImageRgb8)
        }
        (DecodingResult::F32(samples), Kind::GreyFloat) => {
            let samples = samples.into_iter().flat_map(|sample| [sample; 3]).collect();
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb32F)
        }
        _ => None,
    };
    pixels.ok_or_else(|| "damaged TIFF file: its samples do not fit its size".into())
}

fn decoder<'a>(bytes: &'a [u8], limits: &Limits) -> TiffResult<Decoder<Cursor<&'a [u8]>>> {
    let mut decoder_limits = tiff::decoder::Limits::default();
    decoder_limits.decoding_buffer_size = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
    // A strip or tile may be the whole image.
    decoder_limits.intermediate_buffer_size = decoder_limits.decoding_buffer_size;
    Ok(Decoder::new(Cursor::new(bytes))?.with_limits(decoder_limits))
}

/// The bytes of a tag of the first page; `None` without it. Values are part of the file, so they need no limit of their
/// own.
fn tag_bytes(bytes: &[u8], tag: u16) -> Option<Vec<u8>> {
    let mut limits = tiff::decoder::Limits::default();
    limits.ifd_value_size = bytes.len().saturating_mul(TAG_COPIES);
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?.with_limits(limits);
    let value = decoder.find_tag(Tag::from_u16_exhaustive(tag)).ok()??;
    match value.clone().into_u8_vec() {
        Ok(bytes) => Some(bytes),
        // IPTC is often declared as 32-bit integers; its bytes are in file order.
        Err(_) => {
            let order = decoder.byte_order();
            let numbers = value.into_u32_vec().ok()?.into_iter();
            Some(match order {
                ByteOrder::LittleEndian => numbers.flat_map(u32::to_le_bytes).collect(),
                ByteOrder::BigEndian => numbers.flat_map(u32::to_be_bytes).collect(),
            })
        }
    }
}

/// Size of a tag's values in memory relative to the file: the decoder stores each byte in a value of its own.
const TAG_COPIES: usize = 32;

const XMP: u16 = 700;
const IPTC: u16 = 33723;
const PHOTOSHOP: u16 = 34377;

/// Adds XMP and IPTC to `metadata`, and appends notes about what is dropped.
pub fn read_metadata(bytes: &[u8], metadata: &mut Metadata, notes: &mut Vec<String>) {
    metadata.xmp = tag_bytes(bytes, XMP).and_then(|packet| xmp::cleaned(&packet, notes));
    metadata.photoshop = tag_bytes(bytes, PHOTOSHOP).and_then(|blocks| photoshop::cleaned(&blocks, notes));
    let has_iptc = metadata.photoshop.as_deref().is_some_and(|blocks| photoshop::iptc(blocks).is_some());
    if let Some(records) = tag_bytes(bytes, IPTC).filter(|_| !has_iptc) {
        metadata.photoshop.get_or_insert_default().extend(photoshop::of_iptc(&records));
    }
}

/// The colour profile, if there is one.
pub fn icc_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    tag_bytes(bytes, Tag::IccProfile.to_u16())
}

/// Whether offsets have 64 bits.
pub fn is_big(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+")
}

/// The fields of a BigTIFF file's first directory that are listed in `wanted`, as EXIF fields.
///
/// # Errors
/// A sentence that describes the problem.
pub fn big_fields(bytes: &[u8], wanted: &[u16]) -> Result<Vec<Field>, String> {
    let mut limits = tiff::decoder::Limits::default();
    limits.ifd_value_size = bytes.len().saturating_mul(TAG_COPIES);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(damaged)?.with_limits(limits);
    let mut fields = Vec::new();
    for &number in wanted {
        let Some(value) = decoder.find_tag(Tag::from_u16_exhaustive(number)).map_err(damaged)? else {
            continue;
        };
        if let Some(value) = exif_value(value) {
            fields.push(Field { tag: exif::Tag(Context::Tiff, number), ifd_num: In::PRIMARY, value });
        }
    }
    Ok(fields)
}

/// A tag's value as an EXIF value; `None` for types that no wanted tag has.
fn exif_value(value: ifd::Value) -> Option<Value> {
    Some(match value {
        ifd::Value::Ascii(text) => Value::Ascii(vec![text.into_bytes()]),
        ifd::Value::Short(value) => Value::Short(vec![value]),
        ifd::Value::Unsigned(value) => Value::Long(vec![value]),
        ifd::Value::Rational(num, denom) => Value::Rational(vec![exif::Rational { num, denom }]),
        ifd::Value::Double(value) => Value::Double(vec![value]),
        ifd::Value::List(values) => match values.first()? {
            ifd::Value::Short(_) => Value::Short(ifd::Value::List(values).into_u16_vec().ok()?),
            ifd::Value::Byte(_) => Value::Byte(ifd::Value::List(values).into_u8_vec().ok()?),
            ifd::Value::Double(_) => Value::Double(ifd::Value::List(values).into_f64_vec().ok()?),
            _ => return None,
        },
        _ => return None,
    })
}

fn damaged(error: tiff::TiffError) -> String {
    format!("damaged TIFF file: {error}")
}

/// The orientation stored in the file.
pub fn orientation(bytes: &[u8]) -> Orientation {
    let stored = Decoder::new(Cursor::new(bytes))
        .ok()
        .and_then(|mut decoder| decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten());
    stored.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// Pixels to write: interleaved samples, `channels` per pixel.
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

/// Writes a complete TIFF file: LZW, one page, with its metadata in TIFF directories.
///
/// # Errors
/// The error of the encoder or the writer.
pub fn write(file: &mut (impl Write + Seek), pixels: &Pixels<'_>, metadata: &Metadata) -> TiffResult<()> {
    let with_colour = pixels.channels > 2;
    match pixels.samples {
        Samples::Eight(samples) if with_colour => write_as::<RGB8, _>(file, pixels, samples, metadata),
        Samples::Eight(samples) => write_as::<Gray8, _>(file, pixels, samples, metadata),
        Samples::Sixteen(samples) if with_colour => write_as::<RGB16, _>(file, pixels, samples, metadata),
        Samples::Sixteen(samples) => write_as::<Gray16, _>(file, pixels, samples, metadata),
        Samples::Float(samples) if with_colour => write_as::<RGB32Float, _>(file, pixels, samples, metadata),
        Samples::Float(samples) => write_as::<Gray32Float, _>(file, pixels, samples, metadata),
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
    // Floats have a predictor of their own, which the encoder lacks. The encoder's predictor ignores extra samples, so
    // it would corrupt images with alpha.
    let is_float = matches!(pixels.samples, Samples::Float(_));
    let predictor = if has_alpha || is_float { Predictor::None } else { Predictor::Horizontal };
    let mut encoder = TiffEncoder::new(file)?.with_compression(Compression::Lzw).with_predictor(predictor);
    let parsed = metadata.parsed_exif();
    let fields: Vec<&Field> =
        parsed.iter().flat_map(|exif| exif.fields()).filter(|field| field.ifd_num == In::PRIMARY).collect();
    let has = |tag: Tag| {
        fields.iter().any(|field| field.tag.context() == Context::Tiff && field.tag.number() == tag.to_u16())
    };
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
    if let Some(density) = metadata.density.filter(|_| !has(Tag::XResolution)) {
        let density = density.per_inch();
        let unit = match density.unit {
            DensityUnit::Aspect => 1u16,
            DensityUnit::Centimetre => 3,
            DensityUnit::Inch | DensityUnit::Metre => 2,
        };
        page.encoder().write_tag(Tag::ResolutionUnit, unit)?;
        page.encoder().write_tag(Tag::XResolution, Rational { n: density.x, d: 1 })?;
        page.encoder().write_tag(Tag::YResolution, Rational { n: density.y, d: 1 })?;
    }
    if let Some(packet) = &metadata.xmp {
        page.encoder().write_tag(Tag::from_u16_exhaustive(XMP), &packet[..])?;
    }
    if let Some(blocks) = &metadata.photoshop {
        page.encoder().write_tag(Tag::from_u16_exhaustive(PHOTOSHOP), &blocks[..])?;
        if let Some(records) = photoshop::iptc(blocks) {
            page.encoder().write_tag(Tag::from_u16_exhaustive(IPTC), records)?;
        }
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
