//! `lacuna inpaint`, the real program in a temporary folder.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::cargo::cargo_bin_cmd;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageEncoder, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use tempfile::TempDir;

const WIDTH: u32 = 48;
const HEIGHT: u32 = 40;

/// A folder with a photo and a mask.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        photo().save(folder.at("photo.png")).unwrap();
        mask().save(folder.at("mask.png")).unwrap();
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `lacuna inpaint` in the folder.
    fn inpaint(&self, args: &str) -> assert_cmd::assert::Assert {
        cargo_bin_cmd!("lacuna")
            .current_dir(self.0.path())
            .arg("inpaint")
            .args(args.split_whitespace())
            .env("NO_COLOR", "1")
            .timeout(std::time::Duration::from_secs(120))
            .assert()
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn photo() -> RgbImage {
    ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| Rgb([(x * 5) as u8, (y * 6) as u8, (x * y) as u8]))
}

fn in_hole(x: u32, y: u32) -> bool {
    (10..22).contains(&x) && (8..20).contains(&y)
}

fn mask() -> GrayImage {
    ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| Luma([if in_hole(x, y) { 255 } else { 0 }]))
}

fn assert_known_pixels_equal(before: &DynamicImage, after: &Path, hole: impl Fn(u32, u32) -> bool) {
    let after = image::open(after).unwrap();
    assert_eq!(
        (before.width(), before.height(), before.color()),
        (after.width(), after.height(), after.color())
    );
    let (before, after) = (before.to_rgba16(), after.to_rgba16());
    let mut filled = 0;
    for (x, y, pixel) in before.enumerate_pixels() {
        if hole(x, y) {
            filled += usize::from(pixel != after.get_pixel(x, y));
        } else {
            assert_eq!(pixel, after.get_pixel(x, y), "at {x}, {y}");
        }
    }
    assert!(filled > 0, "nothing was filled");
}

#[test]
fn one_photo() {
    let folder = Folder::new();
    folder.inpaint("photo.png mask.png -o out.png").success().stdout("").stderr(contains("filled 7.5 %"));
    assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at("out.png"), in_hole);
    let first = fs::read(folder.at("out.png")).unwrap();
    folder
        .inpaint("photo.png mask.png -o again.png --json")
        .success()
        .stdout(contains("\"status\":\"filled\""));
    assert_eq!(first, fs::read(folder.at("again.png")).unwrap(), "the same seed gives the same file");
}

#[test]
fn deep_tiff_and_alpha_png() {
    let folder = Folder::new();
    let deep = ImageBuffer::<Rgb<u16>, _>::from_fn(WIDTH, HEIGHT, |x, y| {
        Rgb([(x * 1300) as u16, (y * 1500) as u16, 7])
    });
    let deep = DynamicImage::ImageRgb16(deep);
    deep.save(folder.at("deep.tiff")).unwrap();
    folder.inpaint("deep.tiff mask.png -o out.tiff").success();
    assert_known_pixels_equal(&deep, &folder.at("out.tiff"), in_hole);
    let clear: RgbaImage =
        ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| Rgba([x as u8, 9, y as u8, (x * y) as u8]));
    clear.save(folder.at("clear.png")).unwrap();
    folder.inpaint("clear.png mask.png -o out.png").success();
    let after = image::open(folder.at("out.png")).unwrap().to_rgba8();
    assert!(clear.pixels().zip(after.pixels()).all(|(a, b)| a.0[3] == b.0[3]), "alpha is kept");
    folder
        .inpaint("clear.png mask.png -o out.jpg")
        .code(1)
        .stderr(contains("JPEG cannot store transparency"));
    assert!(!folder.at("out.jpg").exists());
}

#[test]
fn masks_stand_upright() {
    let folder = Folder::new();
    // Orientation 6 in a minimal EXIF block: the stored image is rotated by 90 degrees for display.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    photo().write_with_encoder(encoder).unwrap();
    fs::write(folder.at("turned.png"), bytes).unwrap();
    let wrong = contains("the mask is 48 x 40 pixels, the image 40 x 48").and(contains("upright"));
    folder.inpaint("turned.png mask.png -o out.png").code(1).stderr(wrong);
    image::imageops::rotate90(&mask()).save(folder.at("upright.png")).unwrap();
    folder.inpaint("turned.png upright.png -o out.png").success();
    assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at("out.png"), in_hole);
    let written = fs::read(folder.at("out.png")).unwrap();
    assert!(written.windows(exif.len()).any(|window| window == exif), "the EXIF block is kept as it was");
}

#[test]
fn empty_and_full_masks() {
    let folder = Folder::new();
    GrayImage::new(WIDTH, HEIGHT).save(folder.at("empty.png")).unwrap();
    folder.inpaint("photo.png empty.png -o out.png").success().stderr(contains("the mask is empty"));
    assert_eq!(fs::read(folder.at("photo.png")).unwrap(), fs::read(folder.at("out.png")).unwrap());
    folder
        .inpaint("photo.png empty.png -o full.png --invert")
        .code(1)
        .stderr(contains("covers the whole image"));
    assert!(!folder.at("full.png").exists());
}

#[test]
fn mask_options() {
    let folder = Folder::new();
    let soft = ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| Luma([if in_hole(x, y) { 200u8 } else { 30 }]));
    soft.save(folder.at("soft.png")).unwrap();
    folder.inpaint("photo.png soft.png -o a.png").code(1);
    folder.inpaint("photo.png soft.png -o a.png --threshold 100").success();
    assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at("a.png"), in_hole);
    folder.inpaint("photo.png mask.png -o b.png --expand 4 --feather 2").success();
    let near = |x: u32, y: u32| (6..26).contains(&x) && (4..24).contains(&y);
    assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at("b.png"), near);
}

#[test]
fn bad_files_give_one_clear_line() {
    let folder = Folder::new();
    let whole = fs::read(folder.at("photo.png")).unwrap();
    fs::write(folder.at("cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(folder.at("zero.png"), "").unwrap();
    fs::write(folder.at("text.png"), "not a picture").unwrap();
    fs::create_dir(folder.at("masks")).unwrap();
    GrayImage::new(5, 5).save(folder.at("small.png")).unwrap();
    for (args, words) in [
        ("cut.png mask.png -o out.png", "truncated PNG file"),
        ("zero.png mask.png -o out.png", "the file is empty"),
        ("text.png mask.png -o out.png", "this is not a PNG"),
        ("nowhere.png mask.png -o out.png", "cannot read nowhere.png"),
        ("photo.png cut.png -o out.png", "truncated PNG file"),
        ("photo.png small.png -o out.png", "the mask is 5 x 5 pixels, the image 48 x 40"),
        ("photo.png mask.png -o out.xyz", "cannot write .xyz files"),
        (
            "photo.png mask.png -o out.png --quality 80",
            "a JPEG quality was given, but the output is a PNG file",
        ),
        ("photo.png mask.png -o out.png --max-side 40", "the longest allowed side is 40 (--max-side)"),
        ("photo.png mask.png -o out.png --max-pixels 100", "at most 100 are allowed (--max-pixels)"),
        ("photo.png mask.png -o out.png --max-bytes 100", "at most 100 are allowed (--max-bytes)"),
        ("photo.png mask.png -o out.png --method guided --model nowhere.ckpt", "nowhere.ckpt"),
        ("photo.png mask.png -o out.png --device cuda", "device cuda"),
    ] {
        let stderr = String::from_utf8(folder.inpaint(args).code(1).get_output().stderr.clone()).unwrap();
        assert!(stderr.contains(words) && stderr.trim_end().lines().count() == 1, "{args}: {stderr}");
        assert!(!folder.at("out.png").exists(), "{args}");
    }
    for (args, words) in [
        ("photo.png masks -o out.png", "masks is a folder, photo.png a single photo"),
        ("masks mask.png -o photo.png", "photo.png is a file, masks a folder"),
        ("photo.png mask.png -o mask.png --overwrite", "is an input and would be overwritten"),
        ("photo.png mask.png -o out.png --resume", "a single photo has no manifest"),
        ("photo.png mask.png", "--output"),
    ] {
        folder.inpaint(args).code(2).stderr(contains(words));
    }
    folder
        .inpaint("photo.png mask.png -o photo.png")
        .code(1)
        .stderr(contains("exists (--overwrite replaces it)"));
    assert_eq!(whole, fs::read(folder.at("photo.png")).unwrap());
    folder.inpaint("photo.png mask.png -o photo.png --overwrite").success();
    assert_eq!(
        folder.files(".").iter().filter(|name| name.contains("tmp")).count(),
        0,
        "no temporary files stay"
    );
}

/// A folder `photos` of twenty, three of them broken.
fn twenty() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.at("photos")).unwrap();
    for i in 0..20 {
        let path = folder.at(&format!("photos/p{i:02}.png"));
        if i % 7 == 3 { fs::write(path, "broken").unwrap() } else { photo().save(path).unwrap() }
    }
    folder
}

#[test]
fn batches_go_on_after_bad_files() {
    let folder = twenty();
    let result = folder.inpaint("photos mask.png -o out --jobs 2 --json").code(3);
    let output = result.get_output();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(stdout.lines().count(), 20);
    assert_eq!(stdout.lines().filter(|line| line.contains("\"status\":\"failed\"")).count(), 3);
    assert!(stderr.contains("20 photos: 17 filled, 3 failed"), "{stderr}");
    assert!(stderr.contains("failed  photos/p03.png"), "{stderr}");
    assert_eq!(folder.files("out").iter().filter(|name| name.ends_with(".png")).count(), 17);
}

#[test]
fn killed_batches_go_on() {
    let folder = twenty();
    folder.inpaint("photos mask.png -o out").code(3);
    let manifest = folder.at("out/lacuna-manifest.jsonl");
    // As after a kill when the fifth output was written but not recorded, and later ones not started.
    let text = fs::read_to_string(&manifest).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.is_empty()).take(10).collect();
    fs::write(&manifest, kept.join("\n") + "\n{\"event\":\"fini").unwrap();
    for i in 8..20 {
        let _ = fs::remove_file(folder.at(&format!("out/p{i:02}.png")));
    }
    for i in [6, 7] {
        fs::remove_file(folder.at(&format!("out/p{i:02}.png"))).unwrap();
    }
    let resumed = folder.inpaint("photos mask.png -o out --resume").code(3);
    resumed.stderr(contains("13 filled, 4 finished before, 3 failed"));
    // Other settings mean other work; earlier outputs belong to the batch and may be replaced.
    folder
        .inpaint("photos mask.png -o out --resume --seed 5")
        .code(3)
        .stderr(contains("17 filled, 3 failed"));
    // Without --resume no existing file is changed.
    folder.inpaint("photos mask.png -o out").code(3).stderr(contains("20 failed"));
    // What was finished before stays recorded.
    folder
        .inpaint("photos mask.png -o out --resume --seed 5")
        .code(3)
        .stderr(contains("17 finished before, 3 failed"));
}

#[test]
fn tables_and_dry_runs() {
    let folder = Folder::new();
    fs::write(
        folder.at("list.csv"),
        "image,mask,output\nphoto.png,mask.png,a/b.png\nphoto.png,gone.png,c.png\n",
    )
    .unwrap();
    let planned = folder.inpaint("--csv list.csv --dry-run --json").code(3);
    planned.stdout(contains("\"status\":\"planned\"").and(contains("\"forecast_bytes\":")));
    assert_eq!(folder.files("."), ["list.csv", "mask.png", "photo.png"], "a dry run writes nothing");
    folder.inpaint("--csv list.csv").code(3).stderr(contains("1 filled, 1 failed").and(contains("gone.png")));
    assert!(folder.at("a/b.png").exists() && folder.at("list.csv.lacuna-manifest.jsonl").exists());
}

#[test]
fn strategies() {
    let folder = Folder::new();
    for (strategy, words) in
        [("full", "full"), ("crop", "crop (1 window)"), ("resize --long-side 32", "resize to 32")]
    {
        folder
            .inpaint(&format!("photo.png mask.png -o out.png --overwrite --strategy {strategy}"))
            .success()
            .stderr(contains(words));
        assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at("out.png"), in_hole);
    }
}

/// `photo.png mask.png -o OUTPUT` with the fixtures' network.
fn with_network(output: &str, more: &str) -> String {
    let model = testkit::fixtures::path("generator/bare.safetensors");
    format!("photo.png mask.png -o {output} --model {} {more}", model.display())
}

#[test]
fn networks_fill_from_every_container() {
    let folder = Folder::new();
    let mut outputs = Vec::new();
    for model in
        ["bare.safetensors", "lightning.ckpt", "lightning-legacy.ckpt", "torchscript.pt", "rewrapped.pth"]
    {
        let model = testkit::fixtures::path(&format!("generator/{model}"));
        let args = format!("photo.png mask.png -o out.png --overwrite --model {}", model.display());
        folder.inpaint(&args).success().stderr(contains("with fourier-w4-b2 (cpu, "));
        assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at("out.png"), in_hole);
        outputs.push(fs::read(folder.at("out.png")).unwrap());
    }
    assert!(outputs.iter().all(|output| *output == outputs[0]), "the same weights give the same fill");
    folder.inpaint(&with_network("one.png", "--threads 1")).success();
    assert!(fs::read(folder.at("one.png")).unwrap() == outputs[0], "on any number of threads");
    let control = testkit::fixtures::path("control/weights.safetensors");
    folder
        .inpaint(&format!("photo.png mask.png -o control.png --model {}", control.display()))
        .success()
        .stderr(contains("with fourier"));
    assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at("control.png"), in_hole);
}

#[test]
fn every_method_fills_without_any_file() {
    let folder = Folder::new();
    let fill = |method: &str, words: &str| {
        folder
            .inpaint(&format!("photo.png mask.png -o out.png --overwrite {method}"))
            .success()
            .stderr(contains(words.to_owned()));
        assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at("out.png"), in_hole);
        fs::read(folder.at("out.png")).unwrap()
    };
    let unasked = fill("", "with patchmatch guided by fourier-");
    assert!(unasked == fill("--method guided --threads 1", "with patchmatch guided by fourier-"));
    assert!(unasked != fill("--method network", "with fourier-"));
    fill("--method patchmatch", "with patchmatch,");
    let own = testkit::fixtures::path("generator/bare.safetensors");
    fill(&format!("--method guided --model {}", own.display()), "guided by fourier-w4-b2");
}

#[test]
fn contradictions_about_engines_are_errors() {
    let folder = Folder::new();
    for (args, words) in [
        (with_network("new.png", "--method patchmatch"), "uses no model"),
        (with_network("new.png", "--engine cpu --device cuda:1"), "--device cuda:1 was given"),
        (with_network("new.png", "--engine fpga"), "invalid value 'fpga'"),
        (with_network("new.png", "--threads 0"), "invalid value '0'"),
        ("photo.png mask.png -o new.png --method patchmatch --engine cpu".into(), "runs no network"),
        ("photo.png mask.png -o new.png --method patchmatch --device cuda".into(), "runs on the cpu"),
    ] {
        folder.inpaint(&args).code(2).stderr(contains(words));
        assert!(!folder.at("new.png").exists(), "{args}");
    }
    for device in ["cuda", "toaster"] {
        folder
            .inpaint(&with_network("new.png", &format!("--device {device}")))
            .code(1)
            .stderr(contains(device));
    }
    #[cfg(not(feature = "burn"))]
    folder
        .inpaint(&with_network("new.png", "--engine burn"))
        .code(1)
        .stderr(contains("--engine burn needs Burn"));
}

/// The largest difference of two images, in grey levels.
fn difference(one: &Path, other: &Path) -> u8 {
    let (one, other) = (image::open(one).unwrap().to_rgb8(), image::open(other).unwrap().to_rgb8());
    assert_eq!(one.dimensions(), other.dimensions());
    one.as_raw().iter().zip(other.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn every_instruction_set_gives_the_same_fill() {
    /// Sums in another order may round to the next level.
    const TOLERANCE: u8 = 1;
    let folder = Folder::new();
    folder.inpaint(&with_network("best.png", "")).success();
    let mut filled = 0;
    for isa in lacuna_cpu::Isa::ALL.map(|isa| isa.to_string()) {
        let output = format!("{isa}.png");
        let result = cargo_bin_cmd!("lacuna")
            .current_dir(folder.0.path())
            .arg("inpaint")
            .args(with_network(&output, "").split_whitespace())
            .env("LACUNA_ISA", &isa)
            .assert();
        if lacuna_cpu::Isa::available().any(|available| available.to_string() == isa) {
            result.success().stderr(contains(format!("(cpu, {isa})")));
            assert!(difference(&folder.at("best.png"), &folder.at(&output)) <= TOLERANCE, "{isa}");
            filled += 1;
        } else {
            result.code(1).stderr(contains("this processor has"));
        }
    }
    assert!(filled > 0);
    let nonsense = cargo_bin_cmd!("lacuna")
        .current_dir(folder.0.path())
        .arg("inpaint")
        .args(with_network("nonsense.png", "").split_whitespace())
        .env("LACUNA_ISA", "nonsense")
        .assert()
        .code(1);
    let stderr = String::from_utf8_lossy(&nonsense.get_output().stderr).into_owned();
    assert_eq!(stderr.trim_end(), "lacuna: LACUNA_ISA=nonsense: expected portable, neon, avx2 or avx512");
    assert!(!folder.at("nonsense.png").exists());
}

#[cfg(feature = "burn")]
#[test]
fn burn_gives_nearly_the_same_fill() {
    /// Other kernels round in another order.
    const TOLERANCE: u8 = 2;
    let folder = Folder::new();
    folder.inpaint(&with_network("cpu.png", "--engine cpu")).success();
    folder.inpaint(&with_network("burn.png", "--engine burn")).success().stderr(contains("(burn, cpu)"));
    assert!(difference(&folder.at("cpu.png"), &folder.at("burn.png")) <= TOLERANCE);
}

#[test]
fn memory_is_promised_or_refused() {
    let folder = Folder::new();
    let model = with_network("out.png", "");
    // Less than the program itself needs.
    let refused = folder.inpaint(&format!("{model} --max-memory 3M")).code(1);
    refused.stderr(contains("3.0 MiB are allowed (--max-memory)").and(contains("MiB of memory are needed")));
    // Enough for the image, not for the network.
    for strategy in ["full", "crop", "auto"] {
        let refused = folder.inpaint(&format!("{model} --max-memory 30M --strategy {strategy}")).code(1);
        refused.stderr(contains("30.0 MiB are allowed").and(contains("MiB of memory are needed")));
    }
    folder.inpaint(&format!("{model} --max-memory 1GB")).code(2).stderr(contains("such as 2G"));
    assert_eq!(folder.files("."), ["mask.png", "photo.png"], "nothing was written");
    folder.inpaint(&format!("{model} --max-memory 1G")).success().stderr(contains(", full, in"));
    // An image that its header alone rules out: 16000 x 16000 empty pixels.
    let mut bytes = Vec::new();
    let mut huge = PngEncoder::new(&mut bytes);
    huge.set_exif_metadata(Vec::new()).unwrap();
    photo().write_with_encoder(huge).unwrap();
    let (width, height) = (16_000u32.to_be_bytes(), 16_000u32.to_be_bytes());
    bytes[16..20].copy_from_slice(&width);
    bytes[20..24].copy_from_slice(&height);
    let crc = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&crc);
    fs::write(folder.at("huge.png"), bytes).unwrap();
    folder
        .inpaint("huge.png mask.png -o huge-out.png --max-memory 1G --max-pixels 1000000000")
        .code(1)
        .stderr(contains("reading huge.png").and(contains("1.0 GiB are allowed")));
}

/// PNG's checksum.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn a_budget_crops_before_it_scales() {
    let folder = Folder::new();
    let (width, height) = (1200, 1000);
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x + y) as u8]))
        .save(folder.at("large.png"))
        .unwrap();
    let in_hole = |x: u32, y: u32| (600..640).contains(&x) && (500..530).contains(&y);
    GrayImage::from_fn(width, height, |x, y| Luma([if in_hole(x, y) { 255 } else { 0 }]))
        .save(folder.at("large-mask.png"))
        .unwrap();
    let model = testkit::fixtures::path("generator/bare.safetensors");
    let args = |output: &str, more: &str| {
        format!("large.png large-mask.png -o {output} --model {} {more}", model.display())
    };
    folder.inpaint(&args("full.png", "")).success().stderr(contains(", full, in"));
    let planned = folder.inpaint(&args("full.png", "--overwrite --dry-run --json")).success();
    let planned: serde_json::Value = serde_json::from_slice(&planned.get_output().stdout).unwrap();
    let needed = planned["forecast_bytes"].as_u64().unwrap();
    let cropped = contains("crop (1 window), to stay within");
    folder.inpaint(&args("crop.png", &format!("--max-memory {}", needed - 1))).success().stderr(cropped);
    let error = contains("filling (full): ").and(contains("are needed"));
    let less = format!("--strategy full --max-memory {}", needed - 1);
    folder.inpaint(&args("none.png", &less)).code(1).stderr(error);
    assert!(!folder.at("none.png").exists());
    let before = image::open(folder.at("large.png")).unwrap();
    assert_known_pixels_equal(&before, &folder.at("crop.png"), in_hole);
}

#[test]
fn several_answers_for_one_hole() {
    let folder = Folder::new();
    let bytes = |name: &str| fs::read(folder.at(name)).unwrap();
    folder
        .inpaint("photo.png mask.png -o out.png --samples 5 --seed 7 --contact-sheet sheet.png --jobs 2")
        .success()
        .stderr(contains("[5/5]"));
    assert_eq!(folder.files(".").len(), 2 + 5 + 1, "{:?}", folder.files("."));
    for answer in 1..=5 {
        let name = format!("out-{answer}.png");
        assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at(&name), in_hole);
        folder
            .inpaint(&format!("photo.png mask.png -o alone.png --overwrite --seed {}", 6 + answer))
            .success();
        assert_eq!(bytes(&name), bytes("alone.png"), "an answer depends on the seed and its number alone");
    }
    let different = (2..=5).filter(|answer| bytes(&format!("out-{answer}.png")) != bytes("out-1.png"));
    assert!(different.count() > 0);
    // The hole of 12 x 12 with 6 pixels around it; the photo and five answers, four in a row.
    let sheet = image::open(folder.at("sheet.png")).unwrap().to_rgb8();
    assert_eq!(sheet.dimensions(), (4 + 4 * (24 + 4), 4 + 2 * (24 + 4)));
    let (photo, answer) = (photo(), image::open(folder.at("out-4.png")).unwrap().to_rgb8());
    assert_eq!(sheet.get_pixel(4, 4), photo.get_pixel(4, 2));
    assert_eq!(sheet.get_pixel(4 + 12, 4 + 12), &Rgb([0; 3]));
    assert_eq!(sheet.get_pixel(4 + 12, 32 + 12), answer.get_pixel(16, 14));

    fs::create_dir(folder.at("photos")).unwrap();
    fs::copy(folder.at("photo.png"), folder.at("photos/a.png")).unwrap();
    folder.inpaint("photos mask.png -o outs --samples 2 --seed 7").success();
    assert_eq!(folder.files("outs"), ["a-1.png", "a-2.png", "lacuna-manifest.jsonl"]);
    assert_eq!(bytes("outs/a-2.png"), bytes("out-2.png"));
    folder.inpaint("photos mask.png -o outs --samples 3 --seed 7 --resume").success();
    assert_eq!(bytes("outs/a-3.png"), bytes("out-3.png"));

    for (args, problem) in [
        ("photo.png mask.png -o - --samples 2", "standard output takes one photo, --samples is 2"),
        (
            "photo.png mask.png -o o.png --samples 2 --method network",
            "has one answer for each hole, --samples is 2",
        ),
        ("photo.png mask.png -o o.png --samples 0", "0 is not in 1..=999"),
        ("photo.png mask.png -o o.png --samples 2 --contact-sheet o-1.png", "would replace an answer"),
        ("photo.png mask.png -o o.png --samples 2 --contact-sheet sheet.png", "--overwrite replaces it"),
        ("photos mask.png -o outs2 --samples 2 --contact-sheet s.png", "photos is a folder"),
        ("photo.png mask.png -o o.png --samples 2 --contact-sheet s.gif", "cannot write .gif files"),
    ] {
        folder.inpaint(args).failure().stderr(contains(problem));
    }
    assert!(!folder.at("o-1.png").exists() && !folder.at("outs2").exists());
}

/// A network of the sampled family with random weights, whose answers differ.
fn sampled_network(path: &Path) {
    use lacuna::checkpoint::{Delta, Family, NamedTensor, Shape, Storage, is_parameter, save};
    let shape = Shape { channels_in: 3, width: 2, blocks: 1, control: true, delta: Delta::None };
    let config = Family::Sampled.network(shape);
    let tensors = config.layers().tensors().into_iter().enumerate().map(|(index, (name, shape))| {
        let noise = testkit::pictures::noise(index as u64, shape.iter().product());
        let fan_in = shape.iter().skip(1).product::<usize>() as f32;
        let value = |noise: f32| match () {
            () if name.ends_with("running_var") => 1.0,
            () if shape.len() == 1 && name.ends_with(".weight") => 1.0,
            () if is_parameter(&name) => noise / fan_in.sqrt(),
            () => 0.0,
        };
        let values: Vec<f32> = noise.into_iter().map(value).collect();
        NamedTensor { name: name.clone(), shape, values: values.into() }
    });
    save(path, &config, "test", tensors, Storage::F32).unwrap();
}

#[test]
fn several_answers_of_a_network() {
    let folder = Folder::new();
    sampled_network(&folder.at("sampled.safetensors"));
    let bytes = |name: &str| fs::read(folder.at(name)).unwrap();
    for method in ["network", "guided"] {
        let run = |rest: &str| {
            let args =
                format!("photo.png mask.png --model sampled.safetensors --method {method} --overwrite");
            folder.inpaint(&format!("{args} {rest}")).success();
        };
        run("-o out.png --samples 4 --seed 3");
        for answer in 1..=4 {
            let name = format!("out-{answer}.png");
            assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at(&name), in_hole);
            run(&format!("-o alone.png --seed {}", 2 + answer));
            assert_eq!(
                bytes(&name),
                bytes("alone.png"),
                "{method}: an answer depends on seed and number alone"
            );
        }
        let distinct: std::collections::BTreeSet<Vec<u8>> =
            (1..=4).map(|answer| bytes(&format!("out-{answer}.png"))).collect();
        assert!(distinct.len() > 1, "{method}: all answers are equal");
    }
    let error = contains("cannot be refined: it has several answers");
    folder
        .inpaint("photo.png mask.png -o r.png --model sampled.safetensors --method network --refine")
        .failure()
        .stderr(error);
}
