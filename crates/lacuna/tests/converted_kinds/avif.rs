//! AVIF files, by avifenc 0.11 (fixtures/README.md).

use std::fs;

use image::{DynamicImage, GenericImageView};
use lacuna::Picture;
use lacuna::picture::Limits;

use super::*;

/// Largest difference of a sample from another decoder's, 0 to 255: chroma between pixels is interpolated with other
/// rounding.
const OTHER_DECODER: u8 = 3;

#[test]
fn avif_is_read() {
    for case in [
        Case::of("avif/lossless.avif", (3, 8), 0.0),
        Case::of("avif/photo.avif", (3, 8), SUBSAMPLED),
        Case::of("avif/limited.avif", (3, 8), SUBSAMPLED),
        Case::of("avif/ten_bit.avif", (3, 16), SUBSAMPLED),
        Case::of("avif/twelve_bit.avif", (3, 16), CODEC),
        Case::of("avif/grey.avif", (1, 8), CODEC),
        Case::of("avif/alpha.avif", (4, 8), CODEC),
        Case::of("avif/premultiplied.avif", (4, 8), CODEC),
        Case { turn: Turn::Quarter, ..Case::of("avif/turned.avif", (3, 8), SUBSAMPLED) },
        Case { has_profile: true, ..Case::of("avif/p3.avif", (3, 8), CODEC) },
        // avifenc has turned its EXIF orientation into a rotation of the container.
        Case { turn: Turn::Quarter, has_profile: true, ..Case::of("avif/metadata.avif", (3, 8), SUBSAMPLED) },
        Case::of("avif/sequence.avif", (4, 8), SUBSAMPLED),
    ] {
        case.check();
    }
    check_alpha("avif/alpha.avif");
    check_alpha("avif/premultiplied.avif");
    let notes = open("avif/sequence.avif").notes().join("\n");
    assert!(notes.contains("only the first picture of the AVIF sequence is read"), "{notes}");
}

#[test]
fn pixels_are_those_of_another_decoder() {
    for (file, reference, most) in [
        ("avif/photo.avif", "avif/photo.png", OTHER_DECODER),
        ("avif/limited.avif", "avif/limited.png", OTHER_DECODER),
        ("avif/ten_bit.avif", "avif/ten_bit.png", OTHER_DECODER),
        // One step of rounding, divided by a quarter.
        ("avif/premultiplied.avif", "avif/premultiplied.png", 4),
    ] {
        let found = worst(file, reference);
        assert!(found <= most, "{file}: {found}");
    }
}

#[test]
fn exif_and_xmp_of_avif_stay() {
    check_exif("avif/metadata.avif");
    let picture = open("avif/metadata.avif");
    let xmp = picture.metadata().xmp.clone().expect("XMP");
    assert!(xmp.windows(10).any(|text| text == b"image/avif"));
}

#[test]
fn crops_turns_and_mirrors_are_applied_in_their_order() {
    let photo = image::open(fixture("photo.png")).unwrap();
    let expected = photo.crop_imm(8, 4, 40, 32).rotate270().fliph();
    let found = open("avif/cropped.avif");
    assert!(difference(&expected, found.pixels()) < CODEC);
}

#[test]
fn tiles_make_one_image() {
    let photo = image::open(fixture("photo.png")).unwrap();
    let expected = photo.resize_exact(256, 192, image::imageops::FilterType::Nearest);
    let found = open("avif/grid.avif");
    assert!(difference(&expected, found.pixels()) < SUBSAMPLED);
    let name = "avif/grid.avif";
    // A grid of one row more needs tiles that are not there.
    let mut whole = bytes(name);
    let grid = [0, 0, 1, 1, 1, 0, 0, 192];
    let at = whole.windows(8).position(|window| window == grid).expect("the grid");
    whole[at + 2] = 2;
    let error = decode(&whole).unwrap_err();
    assert!(error.contains("its grid of 2 x 3 has 4 tiles"), "{error}");
    // 4 tiles of 128 x 96 pixels do not make 400 x 192.
    whole[at + 2] = 1;
    whole[at + 5] = 144;
    let error = decode(&whole).unwrap_err();
    assert!(error.contains("does not make 400 x 192 pixels"), "{error}");
}

fn decode(bytes: &[u8]) -> Result<Picture, String> {
    Picture::decode(bytes, "a", &Limits::default()).map_err(|error| error.to_string())
}

/// A file with a box renamed, so that readers skip it.
fn without(file: &str, kind: &[u8; 4]) -> Vec<u8> {
    let mut whole = bytes(file);
    let at = whole.windows(4).position(|name| name == kind).unwrap();
    whole[at..at + 4].copy_from_slice(b"skip");
    whole
}

#[test]
fn without_a_label_the_coded_picture_names_its_colours() {
    let expected = open("avif/limited.avif");
    assert_eq!(decode(&without("avif/limited.avif", b"colr")).unwrap().pixels(), expected.pixels());
}

#[test]
fn damaged_containers_are_refused_with_a_reason() {
    for (kind, words) in [
        (b"pitm", "names no primary item"),
        (b"iloc", "box iloc is damaged"),
        (b"ispe", "has no size"),
        (b"av1C", "needs the unknown property"),
        (b"meta", "no single image"),
    ] {
        let error = decode(&without("avif/photo.avif", kind)).unwrap_err();
        assert!(error.contains("AVIF file") && error.contains(words), "{error}");
    }
    let unknown = decode(&without("avif/turned.avif", b"irot")).unwrap_err();
    assert!(unknown.contains("needs the unknown property \"skip\""), "{unknown}");
    let whole = bytes("avif/photo.avif");
    let cut = decode(&whole[..whole.len() - 1]).unwrap_err();
    assert!(cut.contains("truncated"), "{cut}");
}

#[test]
fn avif_obeys_limits() {
    // Planes of 6 bytes, RGB twice, two frames of 1.5 bytes, the decoder's 1.
    check_limits("avif/photo.avif", 6 + 2 * 3 + 2 * 2 + 1);
}

#[test]
fn sizes_that_contradict_the_picture_are_refused() {
    let error = decode(&enlarged("avif/photo.avif")).unwrap_err();
    assert!(error.contains("60000 x 60000 pixels: the longest allowed side"), "{error}");
    for (width, height, words) in [
        (65u32, 48u32, "64 x 48 pixels, but its container says 65 x 48"),
        (32, 48, "the AV1 decoder reports"),
        (0, 48, "no pixels"),
    ] {
        let mut whole = bytes("avif/photo.avif");
        let at = whole.windows(4).position(|kind| kind == b"ispe").unwrap() + 8;
        whole[at..at + 4].copy_from_slice(&width.to_be_bytes());
        whole[at + 4..at + 8].copy_from_slice(&height.to_be_bytes());
        let error = decode(&whole).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    // 8 bits become 10 in the container's description.
    let mut whole = bytes("avif/photo.avif");
    let at = whole.windows(4).position(|kind| kind == b"av1C").unwrap() + 6;
    whole[at] |= 0x40;
    let error = decode(&whole).unwrap_err();
    assert!(error.contains("8 bits per sample, but its container says 10"), "{error}");
}

#[test]
fn hidden_frames_are_refused() {
    let mut whole = bytes("avif/photo.avif");
    let at = whole.windows(4).position(|kind| kind == b"mdat").unwrap() + 4;
    // Frame headers without content, in place of the coded picture.
    whole[at..].chunks_exact_mut(2).for_each(|unit| unit.copy_from_slice(&[0x1A, 0]));
    let error = decode(&whole).unwrap_err();
    assert!(error.contains("frames: 1 to 4 are expected"), "{error}");
}

#[test]
fn a_large_photo_of_a_few_kilobytes_is_read_within_the_forecast() {
    let large = bytes("avif/twelve_megapixels.avif");
    let picture = decode(&large).unwrap();
    assert_eq!(picture.pixels().dimensions(), (4032, 3024));
    let photo = image::open(fixture("photo.png")).unwrap();
    let small: DynamicImage = picture.pixels().resize_exact(64, 48, image::imageops::FilterType::Triangle);
    assert!(difference(&photo, &small) < SUBSAMPLED);
    assert!(fs::metadata(fixture("avif/twelve_megapixels.avif")).unwrap().len() < 10_000);
}

#[test]
fn cut_and_changed_files_do_no_harm() {
    check_cut_and_changed(&[
        "avif/photo.avif",
        "avif/grid.avif",
        "avif/alpha.avif",
        "avif/sequence.avif",
        "avif/metadata.avif",
    ]);
}
