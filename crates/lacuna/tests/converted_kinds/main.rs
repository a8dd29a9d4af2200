//! Formats that are read and written as PNG, in `fixtures/converted`: one photo of 64 x 48 pixels in many forms, with a
//! red corner at its top left.

#[cfg(feature = "avif")]
mod avif;
#[cfg(feature = "jxl")]
mod jxl;

use std::path::{Path, PathBuf};

use image::DynamicImage;
use lacuna::Picture;
use lacuna::budget::Budget;
use lacuna::picture::{Format, Limits, SaveOptions};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/converted").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

fn open(name: &str) -> Picture {
    Picture::open(&fixture(name), &Limits::default()).unwrap()
}

/// How a file's pixels differ from those of `photo.png`.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    Upright,
    /// By 90 degrees clockwise.
    Quarter,
}

struct Case {
    file: &'static str,
    /// Channels and bits per channel.
    pixels: (usize, u8),
    turn: Turn,
    /// Largest mean difference from the photo, 0 to 255.
    difference: f64,
    has_profile: bool,
    is_lossy: bool,
}

impl Case {
    const fn of(file: &'static str, pixels: (usize, u8), difference: f64) -> Self {
        Self { file, pixels, turn: Turn::Upright, difference, has_profile: false, is_lossy: true }
    }

    fn check(&self) {
        let picture = open(self.file);
        let name = self.file;
        assert_eq!((picture.channels(), picture.depth()), self.pixels, "{name}");
        assert_eq!(picture.format(), Format::Png, "{name}");
        assert!(picture.is_converted(), "{name}");
        assert_eq!(picture.is_lossy(), self.is_lossy, "{name}");
        assert_eq!(picture.metadata().icc.is_some(), self.has_profile, "{name}");
        let notes = picture.notes().join("\n");
        assert!(notes.contains("the result is a PNG"), "{name}: {notes}");
        let photo = open("photo.png").pixels().clone();
        let expected = match self.turn {
            Turn::Upright => photo,
            Turn::Quarter => photo.rotate90(),
        };
        let found = difference(&expected, picture.pixels());
        assert!(found <= self.difference, "{name}: {found} from the photo");
        // What is written is the same.
        let written = picture.encode(&SaveOptions::default()).unwrap();
        let again = Picture::decode(&written, "again", &Limits::default()).unwrap();
        assert_eq!(again.pixels(), picture.pixels(), "{name}");
        assert_eq!(again.metadata().icc, picture.metadata().icc, "{name}");
        self.check_damaged();
    }

    /// Damaged files are errors or images, never a panic.
    fn check_damaged(&self) {
        let whole = bytes(self.file);
        let limits = Limits { pixels: 1 << 20, ..Limits::default() };
        for length in (0..whole.len()).step_by(whole.len() / 40) {
            let _ = Picture::decode(&whole[..length], "cut", &limits);
        }
        for place in (0..whole.len()).step_by(whole.len() / 80) {
            for value in [0, 0xFF, whole[place] ^ 0x10] {
                let mut damaged = whole.clone();
                damaged[place] = value;
                let _ = Picture::decode(&damaged, "damaged", &limits);
            }
        }
    }
}

/// Mean difference of two images, 0 to 255. Grey is compared with the photo's green, which it was made from.
fn difference(photo: &DynamicImage, other: &DynamicImage) -> f64 {
    let is_grey = !other.color().has_color();
    let (photo, other) = (photo.to_rgb8(), other.to_rgb8());
    assert_eq!(photo.dimensions(), other.dimensions());
    let sum: u64 = photo
        .pixels()
        .zip(other.pixels())
        .flat_map(|(a, b)| (0..3).map(move |c| u64::from(a[if is_grey { 1 } else { c }].abs_diff(b[c]))))
        .sum();
    sum as f64 / photo.len() as f64
}

/// Mean difference that a lossy codec may cause here; a wrong matrix or range causes more than 4, and subsampled chroma
/// 2 at the red corner's edges.
const CODEC: f64 = 1.5;
const SUBSAMPLED: f64 = 3.0;

#[test]
fn heic_is_read() {
    for case in [
        Case::of("photo.heic", (3, 8), SUBSAMPLED),
        Case::of("grey.heic", (1, 8), CODEC),
        Case::of("alpha.heic", (4, 8), SUBSAMPLED),
        Case::of("ten_bit.heic", (3, 16), SUBSAMPLED),
        Case { has_profile: true, ..Case::of("profile.heic", (3, 8), SUBSAMPLED) },
        Case { turn: Turn::Quarter, ..Case::of("turned.heic", (3, 8), SUBSAMPLED) },
        // Its container names no rotation, and only the container counts (ISO/IEC 23008-12). It names no colours either.
        Case::of("exif.heic", (3, 8), SUBSAMPLED),
    ] {
        case.check();
    }
    check_alpha("alpha.heic");
}

/// The file's size in its header, changed to 60,000 x 60,000.
fn enlarged(file: &str) -> Vec<u8> {
    let mut whole = bytes(file);
    let at = whole.windows(4).position(|kind| kind == b"ispe").unwrap() + 8;
    whole[at..at + 4].copy_from_slice(&60_000u32.to_be_bytes());
    whole[at + 4..at + 8].copy_from_slice(&60_000u32.to_be_bytes());
    whole
}

/// Every file cut at every 97th byte, and with one bit of every fifth byte changed, is an error or an image.
#[cfg(any(feature = "avif", feature = "jxl"))]
fn check_cut_and_changed(files: &[&str]) {
    let limits = Limits { pixels: 1 << 16, ..Limits::default() };
    for file in files {
        let whole = bytes(file);
        for length in (0..whole.len()).step_by(97) {
            let cut = Picture::decode(&whole[..length], "cut", &limits);
            // What is cut off may be a second picture.
            assert!(cut.is_err() || length > whole.len() / 2, "{file}: {length} of {} bytes", whole.len());
        }
        for place in (0..whole.len()).step_by(5) {
            let mut changed = whole.clone();
            changed[place] ^= 1 << (place % 8);
            let _ = Picture::decode(&changed, "changed", &limits);
        }
    }
}

/// Largest difference of a sample from that of another decoder's PNG, 0 to 255.
#[cfg(any(feature = "avif", feature = "jxl"))]
fn worst(file: &str, reference: &str) -> u8 {
    let (ours, expected) = (open(file), image::open(fixture(reference)).unwrap());
    let (ours, expected) = (ours.pixels().to_rgba8(), expected.to_rgba8());
    assert_eq!(ours.dimensions(), expected.dimensions(), "{file}");
    // Colours of transparent pixels are free.
    let seen = |image: &image::RgbaImage| {
        let pixels = image.pixels();
        pixels
            .flat_map(|pixel| pixel.0.map(|sample| if pixel[3] == 0 { 0 } else { sample }))
            .collect::<Vec<_>>()
    };
    seen(&ours).iter().zip(seen(&expected)).map(|(a, b)| a.abs_diff(b)).max().unwrap()
}

/// The lower right part is transparent to three quarters.
fn check_alpha(file: &str) {
    let pixels = open(file).pixels().to_rgba8();
    assert!(pixels[(2, 2)][3] >= 253 && pixels[(60, 44)][3].abs_diff(64) <= 2, "{file}");
}

/// The EXIF block stays, but its orientation, which says what the container says or does not count, is reset.
fn check_exif(file: &str) {
    let picture = open(file);
    let exif = picture.metadata().exif.as_deref().expect("EXIF");
    assert!(exif.windows(2).any(|text| text == b"me"), "{file}");
    assert_eq!(picture.metadata().orientation(), image::metadata::Orientation::NoTransforms, "{file}");
}

#[test]
fn exif_of_heic_stays() {
    check_exif("exif.heic");
}

/// Limits hold before pixels are decoded, at the limit and one beyond; `pixel` is the memory per pixel.
fn check_limits(file: &str, pixel: u64) {
    let whole = bytes(file);
    let decode = |limits: &Limits| Picture::decode(&whole, "a", limits);
    // The process, twice the file, and the pixels.
    let needed = (16 << 20) + 2 * whole.len() as u64 + 64 * 48 * pixel;
    let within = |total| Some(Budget::new(total, 0));
    let exact = Limits { side: 64, pixels: 64 * 48, memory: within(needed), ..Limits::default() };
    assert!(decode(&exact).is_ok(), "{file}");
    for (limits, words) in [
        (Limits { side: 63, ..Limits::default() }, "the longest allowed side is 63"),
        (Limits { pixels: 64 * 48 - 1, ..Limits::default() }, "3072 pixels: at most 3071"),
        (Limits { memory: within(needed - 1), ..Limits::default() }, "reading a"),
    ] {
        let error = decode(&limits).unwrap_err().to_string();
        assert!(error.contains(words), "{file}: {error}");
    }
}

#[test]
fn heic_obeys_limits() {
    // Nine copies of the planes of 6 bytes, and the RGB pixel itself.
    check_limits("photo.heic", 9 * 6 + 3);
}

#[test]
fn a_wrong_size_of_heic_is_refused_or_ignored() {
    // The picture's own header counts, as in other readers.
    match Picture::decode(&enlarged("photo.heic"), "a", &Limits::default()) {
        Ok(picture) => assert_eq!((picture.width(), picture.height()), (64, 48)),
        Err(error) => assert!(error.to_string().contains("a: "), "{error}"),
    }
}
