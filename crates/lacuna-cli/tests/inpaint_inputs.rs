//! Where `lacuna inpaint` takes images and masks from, and where it writes to: the real program, with files of 12 megapixels
//! where sizes matter.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use assert_cmd::assert::Assert;
use assert_cmd::cargo::cargo_bin_cmd;
use image::codecs::png::PngEncoder;
use image::{GrayImage, ImageBuffer, ImageEncoder, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use tempfile::TempDir;

/// A phone's photo: 12 megapixels.
const PHONE: (u32, u32) = (4000, 3000);

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &str) -> Assert {
        self.run_with(args, Vec::new())
    }

    /// Runs `lacuna inpaint` in the folder with these bytes on standard input.
    fn run_with(&self, args: &str, input: Vec<u8>) -> Assert {
        cargo_bin_cmd!("lacuna")
            .current_dir(self.0.path())
            .args(["inpaint", "--method", "patchmatch"])
            .args(args.split_whitespace())
            .env("NO_COLOR", "1")
            .write_stdin(input)
            .timeout(std::time::Duration::from_secs(300))
            .assert()
    }

    fn photo(&self, name: &str, size: (u32, u32)) -> RgbImage {
        let photo = photo(size);
        photo.save(self.at(name)).unwrap();
        photo
    }

    fn mask(&self, name: &str, size: (u32, u32), hole: impl Fn(u32, u32) -> bool) {
        mask(size, hole).save(self.at(name)).unwrap();
    }

    fn image(&self, name: &str) -> RgbImage {
        image::open(self.at(name)).unwrap().to_rgb8()
    }
}

fn photo((width, height): (u32, u32)) -> RgbImage {
    ImageBuffer::from_fn(width, height, |x, y| Rgb([(x / 4) as u8, (y / 5) as u8, (x ^ y) as u8]))
}

fn mask((width, height): (u32, u32), hole: impl Fn(u32, u32) -> bool) -> GrayImage {
    ImageBuffer::from_fn(width, height, |x, y| Luma([if hole(x, y) { 255 } else { 0 }]))
}

fn png(pixels: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// The bounds of what differs: left, top, right and bottom, the last two beyond it.
fn changed(before: &RgbImage, after: &RgbImage) -> Option<[u32; 4]> {
    assert_eq!(before.dimensions(), after.dimensions());
    let differing = before.enumerate_pixels().filter(|(x, y, pixel)| *pixel != after.get_pixel(*x, *y));
    differing.fold(None, |bounds: Option<[u32; 4]>, (x, y, _)| {
        let [left, top, right, bottom] = bounds.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)])
    })
}

/// Whether bounds are these, within a pixel: a filled pixel may happen to have the colour that it had.
fn assert_about(bounds: Option<[u32; 4]>, expected: [u32; 4]) {
    let bounds = bounds.expect("something was filled");
    let near = bounds.iter().zip(expected).all(|(&side, expected)| side.abs_diff(expected) <= 2);
    assert!(near, "{bounds:?}, expected {expected:?}");
}

#[test]
fn what_is_transparent_is_filled_and_opaque() {
    let folder = Folder::new();
    let cut_out: RgbaImage = ImageBuffer::from_fn(PHONE.0, PHONE.1, |x, y| {
        let is_clear = (1000..1040).contains(&x) && (2000..2030).contains(&y);
        Rgba([(x / 4) as u8, (y / 5) as u8, (x ^ y) as u8, if is_clear { 0 } else { 255 }])
    });
    cut_out.save(folder.at("cut.png")).unwrap();
    folder.run("cut.png --mask-from alpha -o out.png").success();
    let out = image::open(folder.at("out.png")).unwrap();
    assert!(!out.color().has_alpha(), "{:?}", out.color());
    let before = image::DynamicImage::ImageRgba8(cut_out).to_rgb8();
    assert_about(changed(&before, &out.to_rgb8()), [1000, 2000, 1040, 2030]);
    folder.run("cut.png --mask-from alpha -o out.jpg").success();

    folder.photo("opaque.png", (40, 30));
    folder.run("opaque.png --mask-from alpha -o o.png").code(1).stderr(contains("no alpha channel"));
    folder.mask("mask.png", (40, 30), |x, _| x < 5);
    folder.run("opaque.png mask.png --mask-from alpha -o o.png").code(2).stderr(contains("takes no mask"));
    folder.run("opaque.png -o o.png").code(2).stderr(contains("--mask-from alpha"));
}

#[test]
fn a_folder_and_a_table_are_filled_from_alpha() {
    let folder = Folder::new();
    fs::create_dir(folder.at("in")).unwrap();
    for name in ["in/a.png", "in/b.png"] {
        let pixels: RgbaImage = ImageBuffer::from_fn(60, 40, |x, y| {
            Rgba([x as u8, y as u8, 9, if x < 9 && y < 9 { 0 } else { 255 }])
        });
        pixels.save(folder.at(name)).unwrap();
    }
    folder.run("in --mask-from alpha -o out --format jpeg").success().stderr(contains("2 filled"));
    assert!(folder.at("out/a.jpg").exists() && folder.at("out/b.jpg").exists());
    let again = folder.run("in --mask-from alpha -o out --format jpeg --resume").success();
    again.stderr(contains("2 finished before").or(contains("2 already finished")));
    fs::write(folder.at("list.csv"), "image,output\nin/a.png,t.png\n").unwrap();
    folder.run("--csv list.csv --mask-from alpha").success();
    assert!(folder.at("t.png").exists());
    folder.run("--csv list.csv").code(1).stderr(contains("image,mask,output"));
}

#[test]
fn masks_of_half_the_size_and_turned_ones_are_fitted() {
    let folder = Folder::new();
    let before = folder.photo("photo.png", PHONE);
    folder.mask("half.png", (2000, 1500), |x, y| (500..520).contains(&x) && (700..710).contains(&y));
    let refused = folder.run("photo.png half.png -o out.png").code(1);
    refused.stderr(contains("2000 x 1500").and(contains("4000 x 3000")).and(contains("--fit-mask")));
    folder
        .run("photo.png half.png -o out.png --fit-mask")
        .success()
        .stderr(contains("scaled from 2000 x 1500"));
    assert_about(changed(&before, &folder.image("out.png")), [1000, 1400, 1040, 1420]);

    // Orientation 6: stored 400 x 300, shown 300 x 400. The mask was drawn on the stored pixels.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let stored = photo((400, 300));
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(&stored, 400, 300, image::ExtendedColorType::Rgb8).unwrap();
    fs::write(folder.at("turned.png"), bytes).unwrap();
    folder.mask("stored.png", (400, 300), |x, y| (10..50).contains(&x) && (20..40).contains(&y));
    folder.run("turned.png stored.png -o t.png").code(1).stderr(contains("--fit-mask"));
    folder.run("turned.png stored.png -o t.png --fit-mask").success().stderr(contains("EXIF"));
    // The output is stored as the photo was.
    assert_about(changed(&stored, &folder.image("t.png")), [10, 20, 50, 40]);

    folder.mask("square.png", (100, 100), |x, _| x < 50);
    let refused = folder.run("photo.png square.png -o out2.png --fit-mask").code(1);
    refused.stderr(contains("100 x 100").and(contains("4000 x 3000")).and(contains("--anchor")));
}

#[test]
fn a_watermark_is_found_at_its_corner_in_photos_of_any_size() {
    let folder = Folder::new();
    fs::create_dir(folder.at("in")).unwrap();
    let (small, large) = (folder.photo("in/a.png", (300, 200)), folder.photo("in/b.png", PHONE));
    folder.mask("logo.png", (200, 100), |x, y| (150..190).contains(&x) && (80..90).contains(&y));
    folder.run("in logo.png -o out").code(3).stderr(contains("--fit-mask"));
    folder.run("in logo.png -o out --anchor bottom-right").success();
    assert_about(changed(&small, &folder.image("out/a.png")), [250, 180, 290, 190]);
    assert_about(changed(&large, &folder.image("out/b.png")), [3950, 2980, 3990, 2990]);
    folder.run("in/a.png logo.png -o w.png --anchor bottom-right --anchor-scale width").success();
    assert_about(changed(&small, &folder.image("w.png")), [225, 170, 285, 185]);
    folder.run("in/a.png logo.png -o x.png --anchor-scale width").code(2).stderr(contains("--anchor"));
    folder.run("in/a.png logo.png -o x.png --anchor top --fit-mask").code(2);
}

/// Left of the hole lies red, right of it blue; both fit. What is avoided is not copied.
#[test]
fn what_is_avoided_is_not_copied() {
    let folder = Folder::new();
    let is_hole = |x: u32, y: u32| (140..160).contains(&x) && (40..60).contains(&y);
    let grey = |x: u32, y: u32| ((x * 7919 + y * 104_729) % 97) as u8;
    let pixels = ImageBuffer::from_fn(300, 100, |x, y| {
        if (60..240).contains(&x) {
            Rgb([90 + grey(x % 32, y), 100, 100])
        } else {
            Rgb([90 + grey(x % 32, y), 255, 0])
        }
    });
    pixels.save(folder.at("photo.png")).unwrap();
    folder.mask("mask.png", (300, 100), is_hole);
    // All of the middle but a column at its left end may be copied, or nothing but the green sides.
    folder.mask("avoid.png", (300, 100), |x, y| (60..240).contains(&x) && !is_hole(x, y));
    let green = |name: &str| {
        let image = folder.image(name);
        let hole = image.enumerate_pixels().filter(|(x, y, _)| is_hole(*x, *y));
        hole.filter(|(_, _, pixel)| pixel[1] > 180).count()
    };
    folder.run("photo.png mask.png -o free.png").success();
    assert_eq!(green("free.png"), 0);
    folder.run("photo.png mask.png -o out.png --avoid avoid.png").success();
    assert!(green("out.png") > 300, "{} of 400", green("out.png"));
    let guided = cargo_bin_cmd!("lacuna")
        .current_dir(folder.0.path())
        .args(["inpaint", "photo.png", "mask.png", "-o", "guided.png", "--avoid", "avoid.png"])
        .assert();
    guided.success();
    assert!(green("guided.png") > 300, "{} of 400", green("guided.png"));
    folder.mask("small.png", (30, 10), |_, _| true);
    let refused = folder.run("photo.png mask.png -o no.png --avoid small.png").code(1);
    refused.stderr(contains("30 x 10"));
    folder.run("photo.png mask.png -o no.png --avoid missing.png").code(1).stderr(contains("missing.png"));
}

#[test]
fn the_hole_grows_to_the_soft_edge() {
    let folder = Folder::new();
    let blurred = |x: u32, y: u32| {
        let distance = (x as f32 - 100.0).hypot(y as f32 - 100.0);
        let inside = (1.0 - (distance - 40.0) / 6.0).clamp(0.0, 1.0);
        Rgb([(200.0 - 160.0 * inside) as u8; 3])
    };
    ImageBuffer::from_fn(200, 200, blurred).save(folder.at("photo.png")).unwrap();
    folder.mask("mask.png", (200, 200), |x, y| (x as f32 - 100.0).hypot(y as f32 - 100.0) <= 40.0);
    folder.run("photo.png mask.png -o out.png").success();
    let dark = |name: &str| folder.image(name).pixels().filter(|pixel| pixel[0] < 195).count();
    assert!(dark("out.png") > 500, "the edge is left: {}", dark("out.png"));
    folder.run("photo.png mask.png -o auto.png --expand auto").success().stderr(contains("expanded by "));
    assert_eq!(dark("auto.png"), 0);
    folder.run("photo.png mask.png -o x.png --expand wide").code(2).stderr(contains("auto"));
}

#[test]
fn standard_input_and_output() {
    let folder = Folder::new();
    let before = folder.photo("photo.png", PHONE);
    let is_hole = |x: u32, y: u32| (100..140).contains(&x) && (200..220).contains(&y);
    folder.mask("mask.png", PHONE, is_hole);
    let (photo, mask) = (fs::read(folder.at("photo.png")).unwrap(), fs::read(folder.at("mask.png")).unwrap());

    let out = folder.run_with("- mask.png -o -", photo.clone()).success();
    let out = image::load_from_memory_with_format(&out.get_output().stdout, ImageFormat::Png).unwrap();
    assert_about(changed(&before, &out.to_rgb8()), [100, 200, 140, 220]);
    let out = folder.run_with("photo.png - -o - --format jpeg", mask.clone()).success();
    assert!(out.get_output().stdout.starts_with(b"\xff\xd8"), "a JPEG and nothing else");
    folder.run_with("photo.png - -o file.png", mask.clone()).success().stdout("");
    assert_about(changed(&before, &folder.image("file.png")), [100, 200, 140, 220]);

    folder.run_with("- - -o out.png", photo.clone()).code(2).stderr(contains("both"));
    folder.run_with("- mask.png -o - --json", photo.clone()).code(2).stderr(contains("--json"));
    let planned = folder.run_with("- mask.png -o - --dry-run --json", photo.clone()).success();
    planned.stdout(contains("\"status\":\"planned\""));
    folder.run_with("- mask.png -o x.png", b"no image".to_vec()).code(1).stderr(contains("standard input"));
    folder.run_with("- mask.png -o x.png --max-bytes 1K", photo).code(1).stderr(contains("--max-bytes"));
    assert!(!folder.at("x.png").exists());
}

#[test]
fn a_mask_from_standard_input_serves_a_folder() {
    let folder = Folder::new();
    fs::create_dir(folder.at("in")).unwrap();
    folder.photo("in/a.png", (60, 40));
    folder.photo("in/b.png", (60, 40));
    let bytes = png(&ImageBuffer::from_fn(60, 40, |x, y| Rgb([if x < 9 && y < 9 { 255 } else { 0 }; 3])));
    folder.run_with("in - -o out --dry-run", bytes.clone()).success().stderr(contains("2 planned"));
    assert!(!folder.at("out").exists());
    folder.run_with("in - -o out", bytes.clone()).success().stderr(contains("2 filled"));
    folder.run_with("in - -o -", bytes).code(2).stderr(contains("a folder of photos"));
}

#[test]
fn a_dry_run_plans_anchors_and_alpha_and_writes_nothing() {
    let folder = Folder::new();
    folder.photo("photo.png", (60, 40));
    folder.mask("logo.png", (20, 10), |x, _| x > 10);
    folder
        .run("photo.png logo.png -o a.png --anchor bottom-right --dry-run")
        .success()
        .stderr(contains("would fill"));
    let cut: RgbaImage = ImageBuffer::from_fn(60, 40, |x, _| Rgba([9, 9, 9, if x < 9 { 0 } else { 255 }]));
    cut.save(folder.at("cut.png")).unwrap();
    folder.run("cut.png --mask-from alpha -o b.png --dry-run").success().stderr(contains("would fill"));
    assert!(!folder.at("a.png").exists() && !folder.at("b.png").exists());
}

#[test]
fn the_format_that_is_given_wins_unless_the_name_says_otherwise() {
    let folder = Folder::new();
    folder.photo("photo.png", (60, 40));
    folder.mask("mask.png", (60, 40), |x, y| x < 9 && y < 9);
    folder.run("photo.png mask.png -o out --format webp").success();
    assert!(fs::read(folder.at("out")).unwrap().starts_with(b"RIFF"));
    folder.run("photo.png mask.png -o out.png --format jpeg").code(1).stderr(contains("--format JPEG"));
}

#[test]
fn masks_that_look_inverted_are_reported() {
    let folder = Folder::new();
    folder.photo("photo.png", (100, 100));
    folder.mask("mask.png", (100, 100), |x, y| !((40..60).contains(&x) && (40..60).contains(&y)));
    folder
        .run("photo.png mask.png -o out.png")
        .success()
        .stderr(contains("note: mask.png: nearly the whole mask"));
}

/// Columns and rows of the photos in `fixtures/converted`.
const CONVERTED: (u32, u32) = (64, 48);

/// Copies a file of `fixtures/converted` into the folder.
fn copy_converted(folder: &Folder, name: &str, to: &str) {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/converted");
    fs::copy(fixtures.join(name), folder.at(to)).unwrap();
}

/// A photo of each format that is read but not written: its file, its extension, and the format's name.
const READ_ONLY: &[(&str, &str, &str)] = &[
    ("photo.heic", "heic", "HEIC"),
    #[cfg(feature = "avif")]
    ("avif/photo.avif", "avif", "AVIF"),
    #[cfg(feature = "jxl")]
    ("jxl/photo.jxl", "jxl", "JPEG XL"),
];

#[test]
fn converted_photos_are_filled_and_written_by_the_output_name() {
    for (file, extension, format) in READ_ONLY {
        let folder = Folder::new();
        fs::create_dir(folder.at("photos")).unwrap();
        let photo = format!("photos/a.{extension}");
        copy_converted(&folder, file, &photo);
        // The content decides, never the name.
        copy_converted(&folder, file, "photos/b.jpg");
        folder.mask("m.png", CONVERTED, |x, y| (30..40).contains(&x) && (20..30).contains(&y));
        let note = format!("{format} files cannot be written: the result is a PNG");
        folder.run(&format!("{photo} m.png -o a.png")).success().stderr(contains(note));
        folder.run(&format!("{photo} m.png -o a.jpg")).success();
        let refused = folder.run(&format!("{photo} m.png -o a.{extension}")).failure();
        refused.stderr(contains(format!("cannot write .{extension} files")));
        for (name, kind) in [("a.png", ImageFormat::Png), ("a.jpg", ImageFormat::Jpeg)] {
            assert_eq!(image::guess_format(&fs::read(folder.at(name)).unwrap()).unwrap(), kind);
            assert_eq!(folder.image(name).dimensions(), CONVERTED);
        }
        folder.run("photos m.png -o out").success();
        let written = fs::read(folder.at("out/a.png")).unwrap();
        assert_eq!(image::guess_format(&written).unwrap(), ImageFormat::Png);
        // An empty mask copies none of the file's bytes into a PNG.
        folder.mask("empty.png", CONVERTED, |_, _| false);
        folder.run(&format!("{photo} empty.png -o same.png")).success();
        assert_eq!(folder.image("same.png").dimensions(), CONVERTED);
    }
}

#[test]
fn damaged_converted_photos_are_refused_with_a_reason() {
    for (file, extension, format) in READ_ONLY {
        let folder = Folder::new();
        folder.mask("m.png", CONVERTED, |x, y| (30..40).contains(&x) && (20..30).contains(&y));
        copy_converted(&folder, file, "whole");
        let whole = fs::read(folder.at("whole")).unwrap();
        fs::write(folder.at(&format!("half.{extension}")), &whole[..whole.len() / 2]).unwrap();
        let refused = folder.run(&format!("half.{extension} m.png -o a.png")).failure();
        refused.stderr(contains(format!("{format} file")));
        assert!(!folder.at("a.png").exists());
    }
}

#[test]
#[cfg(not(feature = "avif"))]
fn without_its_reader_an_avif_photo_is_refused_by_name() {
    let folder = Folder::new();
    folder.mask("m.png", CONVERTED, |x, y| (30..40).contains(&x) && (20..30).contains(&y));
    copy_converted(&folder, "avif/photo.avif", "a.avif");
    let said = "this build cannot read AVIF photos: convert it to PNG, JPEG or TIFF first, or build with the Cargo feature \"avif\"";
    folder.run("a.avif m.png -o a.png").failure().stderr(contains(said));
}

#[test]
#[cfg(feature = "avif")]
fn twelve_megapixels_of_avif_are_filled() {
    let folder = Folder::new();
    let size = (4032, 3024);
    copy_converted(&folder, "avif/twelve_megapixels.avif", "a.avif");
    folder.mask("m.png", size, |x, y| (2000..2100).contains(&x) && (1000..1100).contains(&y));
    folder.run("a.avif m.png -o a.jpg").success();
    assert_eq!(folder.image("a.jpg").dimensions(), size);
    // Planes, pixels and the decoder take about 17 bytes per pixel.
    let refused = folder.run("a.avif m.png -o b.jpg --max-memory 150M").failure();
    refused.stderr(contains("reading a.avif"));
}
