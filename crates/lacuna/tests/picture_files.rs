//! Images from file to file: every format, depth, channel count and orientation.

use std::path::Path;

use exif::experimental::Writer;
use exif::{Field, In, Tag, Value};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageBuffer, ImageEncoder};
use lacuna::Picture;
use lacuna::picture::{Format, JpegCoding, Limits, SaveOptions};

/// An ICC profile as far as file formats check it.
const PROFILE: &[u8] = b"not a real colour profile, but kept as it is";

fn limits() -> Limits {
    Limits::default()
}

/// Pixels that differ everywhere, 23 x 14.
fn pixels(channels: usize, sixteen: bool) -> DynamicImage {
    let (width, height) = (23u32, 14u32);
    let count = (width * height) as usize * channels;
    let eight = || (0..count).map(|i| (i * 37 % 251) as u8).collect::<Vec<_>>();
    let deep = || (0..count).map(|i| (i * 7919 % 65_521) as u16).collect::<Vec<_>>();
    match (channels, sixteen) {
        (1, false) => DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, eight()).unwrap()),
        (2, false) => DynamicImage::ImageLumaA8(ImageBuffer::from_raw(width, height, eight()).unwrap()),
        (3, false) => DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, eight()).unwrap()),
        (4, false) => DynamicImage::ImageRgba8(ImageBuffer::from_raw(width, height, eight()).unwrap()),
        (1, true) => DynamicImage::ImageLuma16(ImageBuffer::from_raw(width, height, deep()).unwrap()),
        (2, true) => DynamicImage::ImageLumaA16(ImageBuffer::from_raw(width, height, deep()).unwrap()),
        (3, true) => DynamicImage::ImageRgb16(ImageBuffer::from_raw(width, height, deep()).unwrap()),
        (4, true) => DynamicImage::ImageRgba16(ImageBuffer::from_raw(width, height, deep()).unwrap()),
        _ => unreachable!("1 to 4 channels"),
    }
}

fn exif_block(orientation: u8) -> Vec<u8> {
    let field = |tag, value| Field { tag, ifd_num: In::PRIMARY, value };
    let fields = [
        field(Tag::Make, Value::Ascii(vec![b"Lacuna Cameras".to_vec()])),
        field(Tag::Orientation, Value::Short(vec![u16::from(orientation)])),
        field(Tag::ExposureTime, Value::Rational(vec![exif::Rational { num: 1, denom: 60 }])),
        field(Tag::GPSLatitudeRef, Value::Ascii(vec![b"N".to_vec()])),
    ];
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut block = std::io::Cursor::new(Vec::new());
    writer.write(&mut block, true).unwrap();
    block.into_inner()
}

/// A PNG file with orientation and colour profile.
fn png(pixels: &DynamicImage, orientation: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif_block(orientation)).unwrap();
    encoder.set_icc_profile(PROFILE.to_vec()).unwrap();
    pixels.write_with_encoder(encoder).unwrap();
    bytes
}

fn convert(bytes: &[u8], format: Format) -> Vec<u8> {
    let picture = Picture::decode(bytes, "test", &limits()).unwrap();
    picture.encode(&SaveOptions { format: Some(format), quality: None }).unwrap()
}

fn exif_text(picture: &Picture, tag: Tag) -> String {
    let block = picture.metadata().exif.clone().expect("an EXIF block");
    let parsed = exif::Reader::new().read_raw(block).expect("a sound EXIF block");
    parsed.get_field(tag, In::PRIMARY).expect("the field").display_value().to_string()
}

#[test]
fn lossless_formats_keep_every_bit() {
    for format in [Format::Png, Format::Tiff, Format::WebP, Format::Bmp] {
        for channels in 1..=4 {
            for sixteen in [false, true] {
                if sixteen && !format.holds_16_bit() {
                    continue;
                }
                let before = pixels(channels, sixteen);
                let first = convert(&png(&before, 1), format);
                // What a format converts grey to (WebP has only RGB) must not change any more.
                let second = Picture::decode(&convert(&first, format), "second", &limits()).unwrap();
                let first = Picture::decode(&first, "first", &limits()).unwrap();
                assert_eq!(first.format(), format);
                assert!(first.pixels() == second.pixels(), "{format} {channels} {sixteen}");
                let same = first.pixels().to_rgba16() == before.to_rgba16();
                assert!(same, "{format}, {channels} channels, 16 bit: {sixteen}");
                if matches!(format, Format::Png | Format::Tiff) {
                    assert!(first.pixels() == &before, "{format} {channels} {sixteen}");
                }
            }
        }
    }
}

#[test]
fn orientation_profile_and_exif_survive_every_conversion() {
    let upright = pixels(3, false);
    for orientation in 1..=8u8 {
        let turn = Orientation::from_exif(orientation).unwrap();
        let file = png(&upright, orientation);
        let mut expected = upright.clone();
        expected.apply_orientation(turn);
        for format in [Format::Png, Format::Tiff, Format::WebP, Format::Jpeg, Format::Bmp] {
            let name = format!("{format}, orientation {orientation}");
            let picture = Picture::decode(&convert(&file, format), &name, &limits()).unwrap();
            assert_eq!(
                (picture.width(), picture.height()),
                (expected.width() as usize, expected.height() as usize)
            );
            if format != Format::Jpeg {
                assert!(picture.pixels().to_rgb8() == expected.to_rgb8(), "{name}");
            }
            if format == Format::Bmp {
                assert_eq!(picture.orientation(), Orientation::NoTransforms);
                continue;
            }
            assert_eq!(picture.orientation(), turn, "{name}");
            assert_eq!(picture.metadata().icc.as_deref(), Some(PROFILE), "{name}");
            assert_eq!(exif_text(&picture, Tag::Make), "\"Lacuna Cameras\"", "{name}");
            assert_eq!(exif_text(&picture, Tag::ExposureTime), "1/60", "{name}");
            assert_eq!(exif_text(&picture, Tag::GPSLatitudeRef), "N", "{name}");
            assert!(picture.notes().is_empty(), "{:?}", picture.notes());
        }
    }
}

#[test]
fn jpeg_is_written_with_the_tables_that_it_came_with() {
    let smooth = DynamicImage::ImageRgb8(ImageBuffer::from_fn(64, 48, |x, y| {
        image::Rgb([(x * 3) as u8, (y * 5) as u8, (x + y) as u8])
    }));
    for quality in [30, 77, 92] {
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality)
            .encode(smooth.as_bytes(), 64, 48, ExtendedColorType::Rgb8)
            .unwrap();
        let again = convert(&bytes, Format::Jpeg);
        let (before, after) =
            (JpegCoding::read(&bytes, "a").unwrap(), JpegCoding::read(&again, "b").unwrap());
        assert_eq!((before.luma, before.chroma, before.sampling), (after.luma, after.chroma, after.sampling));
        let picture = Picture::decode(&bytes, "a", &limits()).unwrap();
        let low = picture.encode(&SaveOptions { format: None, quality: Some(10) }).unwrap();
        assert!(low.len() < again.len());
        let worst = |a: &Picture, b: &Picture| {
            let pairs = a.pixels().as_bytes().iter().zip(b.pixels().as_bytes());
            pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
        };
        let again = Picture::decode(&again, "b", &limits()).unwrap();
        // Second compression with the same tables: a step or two of rounding.
        assert!(worst(&picture, &again) <= 4, "quality {quality}: {}", worst(&picture, &again));
    }
}

#[test]
fn formats_refuse_what_they_cannot_hold() {
    let deep = Picture::decode(&png(&pixels(3, true), 1), "deep.png", &limits()).unwrap();
    let clear = Picture::decode(&png(&pixels(4, false), 1), "clear.png", &limits()).unwrap();
    for (picture, format, words) in [
        (&deep, Format::Jpeg, "JPEG cannot store 16 bits"),
        (&deep, Format::WebP, "WebP cannot store 16 bits"),
        (&clear, Format::Jpeg, "JPEG cannot store transparency"),
    ] {
        let options = SaveOptions { format: Some(format), quality: None };
        let error = picture.encode(&options).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = clear.encode(&SaveOptions { format: None, quality: Some(80) }).unwrap_err().to_string();
    assert!(error.contains("a JPEG quality was given"), "{error}");
}

#[test]
fn truncated_files_are_errors_in_every_format() {
    let source = png(&pixels(3, false), 6);
    for format in [Format::Png, Format::Tiff, Format::WebP, Format::Jpeg, Format::Bmp] {
        let bytes = convert(&source, format);
        // PNG ends with a chunk of 12 bytes without pixels.
        for length in (0..bytes.len() - 16).step_by(7) {
            let result = Picture::decode(&bytes[..length], "cut", &limits());
            assert!(result.is_err(), "{format}: {length} of {} bytes were accepted", bytes.len());
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let source = png(&pixels(4, false), 3);
    for format in [Format::Png, Format::Tiff, Format::WebP, Format::Bmp] {
        let bytes = convert(&source, format);
        for position in 0..bytes.len().min(600) {
            for value in [0x00, 0x7F, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[position] = value;
                let small = Limits { side: 4096, pixels: 1 << 20, bytes: 1 << 24, memory: None };
                let _ = Picture::decode(&damaged, "damaged", &small);
            }
        }
    }
}

#[test]
fn limits_hold_before_anything_is_allocated() {
    // A PNG header that states 60,000 x 60,000 pixels.
    let mut bytes = png(&pixels(3, false), 1);
    bytes[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = Picture::decode(&bytes, "bomb.png", &limits()).unwrap_err().to_string();
    assert!(error.contains("60000 x 60000 pixels: the longest allowed side is 16384"), "{error}");
    let small = Limits { bytes: 500, ..limits() };
    let error = Picture::decode(&png(&pixels(3, false), 1), "a.png", &small).unwrap_err().to_string();
    assert!(error.contains("at most 500 are allowed"), "{error}");
}

/// The checksum of PNG chunks (PNG specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}

#[test]
fn content_decides_and_a_wrong_extension_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    std::fs::write(&path, png(&pixels(3, false), 1)).unwrap();
    let picture = Picture::open(&path, &limits()).unwrap();
    assert_eq!(picture.format(), Format::Png);
    assert!(
        picture.notes()[0].contains("the extension is that of JPEG, but the file is PNG"),
        "{:?}",
        picture.notes()
    );
    assert!(
        Picture::open(Path::new("/nowhere/a.png"), &limits())
            .unwrap_err()
            .to_string()
            .contains("cannot read")
    );
    assert!(Picture::open(folder.path(), &limits()).unwrap_err().to_string().contains("folder"));
    let bare = folder.path().join("photo");
    std::fs::rename(&path, &bare).unwrap();
    let picture = Picture::open(&bare, &limits()).unwrap();
    assert!(picture.format() == Format::Png && picture.notes().is_empty());
}
