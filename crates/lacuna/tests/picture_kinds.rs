//! Common file variants in `fixtures/pictures`: one photo and its mask in many forms, 200 x 160.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use image::{ImageBuffer, Rgb};
use lacuna::picture::{DensityUnit, Format, Limits, SaveOptions};
use lacuna::{Hole, HoleOptions, Mask, MaskOptions, Picture, Planes, Rect};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/pictures").join(name)
}

fn open(name: &str) -> Picture {
    Picture::open(&fixture(name), &Limits::default()).unwrap()
}

fn decode(bytes: &[u8]) -> Picture {
    Picture::decode(bytes, "test", &Limits::default()).unwrap()
}

fn encode(picture: &Picture, format: Format) -> Vec<u8> {
    picture.encode(&SaveOptions { format: Some(format), quality: None }).unwrap()
}

/// Mean difference of two photos, 0 to 255.
fn difference(a: &Picture, b: &Picture) -> f64 {
    let (a, b) = (a.pixels().to_rgb8(), b.pixels().to_rgb8());
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

/// Fills a box of the photo with grey.
fn fill(picture: &mut Picture) -> Vec<bool> {
    let rect = Rect { x: 60, y: 50, width: 20, height: 15 };
    let inside = |i: usize| (60..80).contains(&(i % 200)) && (50..65).contains(&(i / 200));
    let hole: Vec<bool> = (0..200 * 160).map(inside).collect();
    let mask = Mask::new(200, 160, hole.clone());
    let predicted = Planes::new(rect.width, rect.height, vec![0.5; 3 * rect.area()]);
    lacuna::composite::composite(
        picture,
        &Hole::new(&mask, &HoleOptions::default()).unwrap(),
        rect,
        &predicted,
    );
    hole
}

struct Case {
    file: &'static str,
    format: Format,
    /// Text in a note.
    note: &'static str,
    /// Largest mean difference from `base.png`, 0 to 255: the codec's loss.
    difference: f64,
}

#[test]
fn every_kind_is_read_and_written() {
    let base = open("base.png");
    for case in [
        Case { file: "cmyk.jpg", format: Format::Jpeg, note: "CMYK is converted", difference: 3.0 },
        Case { file: "big.tif", format: Format::Tiff, note: "", difference: 0.0 },
        Case { file: "t_jpeg.tif", format: Format::Tiff, note: "JPEG compression in TIFF", difference: 6.0 },
        Case {
            file: "wrong.png",
            format: Format::Jpeg,
            note: "the extension is that of PNG",
            difference: 6.0,
        },
        Case { file: "dpi.jpg", format: Format::Jpeg, note: "", difference: 9.0 },
        Case { file: "a.webp", format: Format::WebP, note: "", difference: 9.0 },
    ] {
        let picture = open(case.file);
        assert_eq!(picture.format(), case.format, "{}", case.file);
        let found = difference(&base, &picture);
        assert!(found <= case.difference, "{}: {found} from the base", case.file);
        let said = picture.notes().join("\n");
        assert!(
            said.contains(case.note) && (!case.note.is_empty() || said.is_empty()),
            "{}: {said}",
            case.file
        );
        let again = decode(&encode(&picture, case.format));
        assert_eq!((again.format(), again.width(), again.height()), (case.format, 200, 160));
        assert!(again.notes().is_empty(), "{:?}", again.notes());
        // A second pass of a lossy codec loses no more than the first.
        let found = difference(&picture, &again);
        assert!(found <= case.difference, "{}: {found} by writing it", case.file);
    }
}

#[test]
fn floats_keep_the_bits_of_known_pixels() {
    // Beyond 0 to 1, and NaN.
    let values = |i: usize| match i % 50 {
        0 => f32::NAN,
        1 => -3.5,
        2 => 700.25,
        _ => (i as f32 * 0.37).fract(),
    };
    for channels in [1, 3] {
        let samples: Vec<f32> = (0..200 * 160 * channels).map(values).collect();
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        if channels == 1 {
            encoder.write_image::<tiff::encoder::colortype::Gray32Float>(200, 160, &samples).unwrap();
        } else {
            encoder.write_image::<tiff::encoder::colortype::RGB32Float>(200, 160, &samples).unwrap();
        }
        let mut picture = decode(bytes.get_ref());
        assert_eq!(picture.depth(), 32);
        assert!(
            picture.planes(Rect::whole(200, 160)).values().iter().all(|value| (0.0..=1.0).contains(value))
        );
        let hole = fill(&mut picture);
        let written = encode(&picture, Format::Tiff);
        let mut decoder = tiff::decoder::Decoder::new(Cursor::new(&written)).unwrap();
        let tiff::decoder::DecodingResult::F32(after) = decoder.read_image().unwrap() else {
            panic!("floats")
        };
        assert_eq!(after.len(), samples.len());
        for (i, (before, after)) in samples.iter().zip(&after).enumerate() {
            if hole[i / channels] {
                // The midpoint of -3.5 and 700.25.
                assert!((after - 348.375).abs() < 0.01, "{after}");
            } else {
                assert_eq!(before.to_bits(), after.to_bits());
            }
        }
        let error = picture.encode(&SaveOptions { format: Some(Format::Png), quality: None }).unwrap_err();
        assert!(error.to_string().contains("PNG cannot store 32-bit floats"), "{error}");
    }
}

#[test]
fn a_palette_stays_where_it_has_room() {
    let mut picture = open("pal.png");
    let before = picture.pixels().to_rgb8();
    let length = std::fs::metadata(fixture("pal.png")).unwrap().len() as f64;
    let colour_type = |bytes: &[u8]| bytes[25];
    let hole = fill(&mut picture);
    let written = encode(&picture, Format::Png);
    assert_eq!(colour_type(&written), 3);
    assert!(written.len() as f64 <= 1.3 * length, "{} of {length} bytes", written.len());
    let after = decode(&written).pixels().to_rgb8();
    for (i, (before, after)) in before.pixels().zip(after.pixels()).enumerate() {
        assert_eq!(*after, if hole[i] { Rgb([128; 3]) } else { *before });
    }
    assert!(picture.writing_notes(&SaveOptions::default()).is_empty());

    // All 256 colours are used, and one more is needed.
    let pixels = ImageBuffer::from_fn(200, 160, |x, y| Rgb([(x + 200 * y) as u8, 0, 9]));
    let mut full = Vec::new();
    let mut encoder = png::Encoder::new(&mut full, 200, 160);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette((0..=255u8).flat_map(|i| [i, 0, 9]).collect::<Vec<_>>());
    let numbers: Vec<u8> = pixels.pixels().map(|pixel: &Rgb<u8>| pixel[0]).collect();
    encoder.write_header().unwrap().write_image_data(&numbers).unwrap();
    let mut picture = decode(&full);
    assert_eq!(colour_type(&encode(&picture, Format::Png)), 3);
    fill(&mut picture);
    assert_eq!(colour_type(&encode(&picture, Format::Png)), 2);
    let notes = picture.writing_notes(&SaveOptions::default()).join("");
    assert!(notes.contains("palette has no room"), "{notes}");
}

#[test]
fn lossy_webp_stays_lossy_and_short() {
    let mut picture = open("a.webp");
    let length = std::fs::metadata(fixture("a.webp")).unwrap().len() as usize;
    fill(&mut picture);
    let written = encode(&picture, Format::WebP);
    assert!(written.windows(4).any(|kind| kind == b"VP8 "));
    assert!(written.len() * 10 <= length * 13, "{} of {length} bytes", written.len());
    assert!(difference(&picture, &decode(&written)) < 4.0);
}

#[test]
fn a_scan_for_each_colour_is_refused_not_misread() {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    encoder.set_optimized_huffman_tables(true);
    encoder.encode(&[90; 64 * 64 * 3], 64, 64, jpeg_encoder::ColorType::Rgb).unwrap();
    let error = Picture::decode(&bytes, "a.jpg", &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("a scan for each colour"), "{error}");
}

#[test]
fn gif_gives_its_first_frame() {
    let mut bytes = Vec::new();
    {
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        for grey in [40, 200] {
            let frame = image::RgbaImage::from_pixel(20, 10, image::Rgba([grey, grey, 7, 255]));
            encoder.encode_frame(image::Frame::new(frame)).unwrap();
        }
    }
    let picture = decode(&bytes);
    assert_eq!((picture.format(), picture.channels()), (Format::Png, 3));
    assert_eq!(picture.pixels().to_rgb8().get_pixel(3, 3), &Rgb([40, 40, 7]));
    assert!(picture.is_converted() && picture.notes().iter().any(|note| note.contains("first frame")));
    for length in 0..bytes.len() / 2 {
        let _ = Picture::decode(&bytes[..length], "cut", &Limits::default());
    }
}

#[test]
fn the_first_of_several_pages_is_read() {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    for grey in [40u8, 200] {
        encoder.write_image::<tiff::encoder::colortype::Gray8>(4, 2, &[grey; 8]).unwrap();
    }
    let picture = decode(bytes.get_ref());
    assert_eq!(picture.pixels().as_bytes(), [40; 8]);
    assert!(picture.notes()[0].contains("first of several pages"), "{:?}", picture.notes());
}

#[test]
fn density_goes_from_format_to_format() {
    let picture = open("dpi.jpg");
    for format in [Format::Jpeg, Format::Png, Format::Tiff] {
        let first = decode(&encode(&picture, format));
        // And back again.
        let density = decode(&encode(&first, Format::Jpeg)).metadata().density.expect("a density");
        assert_eq!((density.unit, density.x, density.y), (DensityUnit::Inch, 300, 300), "{format}");
    }
    let notes = picture.writing_notes(&SaveOptions { format: Some(Format::WebP), quality: None }).join("");
    assert!(notes.contains("WebP files cannot store a pixel density"), "{notes}");
}

const PACKET: &[u8] = br#"<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="me"/></rdf:RDF></x:xmpmeta>"#;

/// A Photoshop resource with this number.
fn resource(id: u16, data: &[u8]) -> Vec<u8> {
    [b"8BIM", &id.to_be_bytes()[..], &[0, 0], &(data.len() as u32).to_be_bytes(), data].concat()
}

/// `dpi.jpg` with more segments, and data after its end.
fn rich_jpeg() -> Vec<u8> {
    let mut file = std::fs::read(fixture("dpi.jpg")).unwrap();
    let resources = [resource(0x0409, b"SECRET"), resource(0x0404, b"\x1C\x02\x6E\0\x02me")].concat();
    let mut segments = Vec::new();
    for (marker, data) in [
        (0xE1, [b"http://ns.adobe.com/xap/1.0/\0", PACKET].concat()),
        (0xED, [b"Photoshop 3.0\0", &resources[..]].concat()),
        (0xE2, b"MPF\0SECRET".to_vec()),
        (0xFE, b"by me".to_vec()),
    ] {
        segments.extend([0xFF, marker]);
        segments.extend((data.len() as u16 + 2).to_be_bytes());
        segments.extend(data);
    }
    file.splice(20..20, segments);
    file.extend(b"SECRET video");
    file
}

#[test]
fn xmp_and_iptc_stay_and_what_shows_the_photo_goes() {
    let picture = decode(&rich_jpeg());
    let said = picture.notes().join("\n");
    assert!(said.contains("gain map") && said.contains("thumbnail"), "{said}");
    for (format, keeps_iptc) in
        [(Format::Jpeg, true), (Format::Tiff, true), (Format::Png, false), (Format::WebP, false)]
    {
        let written = encode(&picture, format);
        assert!(!written.windows(6).any(|window| window == b"SECRET"), "{format}");
        let again = decode(&written);
        assert_eq!(again.metadata().xmp.as_deref(), Some(PACKET), "{format}");
        let iptc = again.metadata().photoshop.as_deref().unwrap_or_default();
        assert_eq!(iptc.windows(2).any(|window| window == b"me"), keeps_iptc, "{format}");
        let lost = picture.writing_notes(&SaveOptions { format: Some(format), quality: None }).join("\n");
        assert_eq!(lost.contains("IPTC"), !keeps_iptc, "{format}: {lost}");
    }
    assert_eq!(decode(&encode(&picture, Format::Jpeg)).metadata().comments, [b"by me"]);
}

/// A PNG file with chunks after its header.
fn png_with(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 2);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    for (kind, data) in chunks {
        writer.write_chunk(png::chunk::ChunkType(**kind), data).unwrap();
    }
    writer.write_image_data(&[7; 24]).unwrap();
    writer.finish().unwrap();
    bytes
}

fn deflated(size: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b' '; size]).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn png_text_and_colour_chunks_stay() {
    let chunks = [
        (b"gAMA", 45_455u32.to_be_bytes().to_vec()),
        (b"cHRM", (0..8u32).flat_map(|i| (i * 1000 + 9).to_be_bytes()).collect()),
        (b"tEXt", b"Author\0me".to_vec()),
        (b"zTXt", [b"Comment\0\0", &deflated(99)[..]].concat()),
        (b"iTXt", b"Title\0\0\0\0\0mine".to_vec()),
        (b"pHYs", [&2835u32.to_be_bytes()[..], &2835u32.to_be_bytes(), &[1]].concat()),
    ];
    let picture = decode(&png_with(&chunks));
    let written = encode(&picture, Format::Png);
    for (kind, data) in &chunks {
        let whole = [&kind[..], data].concat();
        assert!(written.windows(whole.len()).any(|window| window == whole), "{}", kind.escape_ascii());
    }
    assert!(decode(&written).notes().is_empty());
}

#[test]
fn inflated_chunks_are_bounded() {
    const SIZE: usize = 64 << 20;
    let bomb = deflated(SIZE);
    let inflates = |head: &[u8]| [head, &bomb].concat();
    let held = lacuna::budget::Budget::new(64 << 20, 0);
    let tight = Limits { memory: Some(held), ..Limits::default() };
    for limits in [Limits::default(), tight] {
        let profile = png_with(&[(b"iCCP", inflates(b"icc\0\0"))]);
        let error = Picture::decode(&profile, "a.png", &limits).unwrap_err().to_string();
        assert!(error.contains("profile"), "{error}");
        // XMP beyond the limit is dropped with a note; other text stays compressed.
        let xmp = png_with(&[(b"iTXt", inflates(b"XML:com.adobe.xmp\0\x01\0\0\0"))]);
        let picture = Picture::decode(&xmp, "a.png", &limits).unwrap();
        assert!(picture.metadata().xmp.is_none() && picture.notes()[0].contains("too large"));
        for (kind, head) in [(b"zTXt", &b"Comment\0\0"[..]), (b"iTXt", b"Title\0\x01\0\0\0")] {
            let picture = Picture::decode(&png_with(&[(kind, inflates(head))]), "a.png", &limits).unwrap();
            assert!(picture.metadata().chunks[0].1.len() < SIZE / 100);
        }
    }
    assert!(Picture::open(&fixture("iccp-256mib.png"), &Limits::default()).is_err());
}

#[test]
fn masks_compressed_with_loss_are_cut_at_half() {
    let options = MaskOptions::default();
    let mask = |name, options: &MaskOptions| Mask::from_picture(&open(name), options);
    let plain = mask("m.png", &options);
    let lossy = mask("m_jpg.jpg", &options);
    let differing = plain.hole().iter().zip(lossy.hole()).filter(|(a, b)| a != b).count();
    assert!(differing * 100 <= plain.count(), "{differing} of {} pixels differ", plain.count());
    assert!(options.notes(&open("m.png")).is_empty());
    assert!(options.notes(&open("m_jpg.jpg"))[0].contains("thresholded at half"));
    let zero = MaskOptions { threshold: Some(0), ..options };
    assert!(mask("m_jpg.jpg", &zero).count() > lossy.count() && zero.notes(&open("m_jpg.jpg")).is_empty());
}
