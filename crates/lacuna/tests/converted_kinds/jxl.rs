//! JPEG XL files, by cjxl 0.7 (fixtures/README.md).

use std::fs;

use image::{DynamicImage, GenericImageView};
use lacuna::Picture;
use lacuna::picture::Limits;

use super::*;

/// Largest difference of a sample from another decoder's, 0 to 255: transforms and colours are computed with other rounding.
const OTHER_DECODER: u8 = 2;

const LOSSLESS: f64 = 0.0;

/// Mean difference that the distance 1, or a JPEG of quality 90 before, may cause.
const LOSSY: f64 = 3.0;

fn decode(bytes: &[u8]) -> Result<Picture, String> {
    Picture::decode(bytes, "a", &Limits::default()).map_err(|error| error.to_string())
}

#[test]
fn jpeg_xl_is_read() {
    let lossless = |file, pixels| Case { is_lossy: false, ..Case::of(file, pixels, LOSSLESS) };
    for case in [
        lossless("jxl/lossless.jxl", (3, 8)),
        lossless("jxl/deep.jxl", (3, 16)),
        lossless("jxl/alpha.jxl", (4, 8)),
        lossless("jxl/float.jxl", (3, 16)),
        lossless("jxl/animated.jxl", (3, 8)),
        Case { has_profile: true, ..lossless("jxl/p3.jxl", (3, 8)) },
        lossless("jxl/grey.jxl", (1, 8)),
        Case::of("jxl/photo.jxl", (3, 8), LOSSY),
        Case { turn: Turn::Quarter, ..Case::of("jxl/recompressed.jxl", (3, 8), LOSSY) },
        Case { turn: Turn::Quarter, ..Case::of("jxl/plain_boxes.jxl", (3, 8), LOSSY) },
    ] {
        case.check();
    }
    check_alpha("jxl/alpha.jxl");
    for (file, words) in [
        ("jxl/animated.jxl", "only the first frame of the JPEG XL file is read"),
        ("jxl/float.jxl", "are read as 16 bits"),
    ] {
        let notes = open(file).notes().join("\n");
        assert!(notes.contains(words), "{file}: {notes}");
    }
}

#[test]
fn pixels_are_those_of_another_decoder() {
    for (file, reference) in
        [("jxl/photo.jxl", "jxl/photo.png"), ("jxl/recompressed.jxl", "jxl/recompressed.png")]
    {
        let found = worst(file, reference);
        assert!(found <= OTHER_DECODER, "{file}: {found}");
    }
}

#[test]
fn exif_and_xmp_of_jpeg_xl_stay() {
    // In the first, both are compressed.
    for file in ["jxl/recompressed.jxl", "jxl/plain_boxes.jxl"] {
        check_exif(file);
        let xmp = open(file).metadata().xmp.clone().expect("XMP");
        assert!(xmp.windows(10).any(|text| text == b"image/jpeg"), "{file}");
    }
    // A damaged block is dropped with a note, and the photo is read.
    let mut whole = bytes("jxl/recompressed.jxl");
    let at = whole.windows(8).position(|kind| kind == b"brobExif").unwrap() + 8;
    whole[at..at + 20].fill(0xFF);
    let picture = decode(&whole).unwrap();
    assert!(picture.metadata().exif.is_none());
    let notes = picture.notes().join("\n");
    assert!(notes.contains("the EXIF block cannot be read and was dropped"), "{notes}");
}

#[test]
fn jpeg_xl_obeys_limits() {
    // Three channels of 16 bytes, and the RGB pixel twice.
    check_limits("jxl/photo.jxl", 3 * 16 + 2 * 3);
}

#[test]
fn a_large_photo_of_a_few_kilobytes_is_read_within_the_forecast() {
    let large = bytes("jxl/twelve_megapixels.jxl");
    let picture = decode(&large).unwrap();
    assert_eq!(picture.pixels().dimensions(), (4032, 3024));
    let photo = image::open(fixture("photo.png")).unwrap();
    let small: DynamicImage = picture.pixels().resize_exact(64, 48, image::imageops::FilterType::Triangle);
    assert!(difference(&photo, &small) < SUBSAMPLED);
    assert!(fs::metadata(fixture("jxl/twelve_megapixels.jxl")).unwrap().len() < 12_000);
}

#[test]
fn cut_and_changed_files_do_no_harm() {
    check_cut_and_changed(&[
        "jxl/lossless.jxl",
        "jxl/photo.jxl",
        "jxl/alpha.jxl",
        "jxl/float.jxl",
        "jxl/animated.jxl",
        "jxl/recompressed.jxl",
    ]);
}
