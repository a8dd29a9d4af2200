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
    folder.inpaint("clear.png mask.png -o out.jpg").code(1).stderr(contains("JPEG cannot hold transparency"));
    assert!(!folder.at("out.jpg").exists());
}

#[test]
fn masks_stand_upright() {
    let folder = Folder::new();
    // Orientation 6 in a minimal EXIF block: the stored picture is turned by 90 degrees to be seen.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    photo().write_with_encoder(encoder).unwrap();
    fs::write(folder.at("turned.png"), bytes).unwrap();
    let wrong = contains("the mask is 48 x 40 pixels, the picture 40 x 48").and(contains("upright"));
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
        .stderr(contains("covers the whole picture"));
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
    fs::copy(folder.at("photo.png"), folder.at("wrong.jpg")).unwrap();
    fs::create_dir(folder.at("masks")).unwrap();
    GrayImage::new(5, 5).save(folder.at("small.png")).unwrap();
    for (args, words) in [
        ("cut.png mask.png -o out.png", "truncated PNG file"),
        ("zero.png mask.png -o out.png", "the file is empty"),
        ("text.png mask.png -o out.png", "this is not a PNG"),
        ("wrong.jpg mask.png -o out.png", "the extension says JPEG, the file holds PNG"),
        ("nowhere.png mask.png -o out.png", "cannot read nowhere.png"),
        ("photo.png cut.png -o out.png", "truncated PNG file"),
        ("photo.png small.png -o out.png", "the mask is 5 x 5 pixels, the picture 48 x 40"),
        ("photo.png masks -o out.png", "masks is a folder, photo.png a single photo"),
        ("photo.png mask.png -o out.xyz", ".xyz is not a format that can be written"),
        ("photo.png mask.png -o mask.png --overwrite", "is a mask and would be overwritten"),
        ("photo.png mask.png -o out.png --quality 80", "--quality is for JPEG files"),
        ("photo.png mask.png -o out.png --max-side 40", "the longest allowed side is 40 (--max-side)"),
        ("photo.png mask.png -o out.png --max-pixels 100", "at most 100 are allowed (--max-pixels)"),
        ("photo.png mask.png -o out.png --max-bytes 100", "at most 100 are allowed (--max-bytes)"),
        ("photo.png mask.png -o out.png --resume", "a single picture has no manifest"),
        ("photo.png mask.png -o out.png --method network", "--method network needs --model FILE"),
        ("photo.png mask.png -o out.png --device cuda", "--device cuda"),
    ] {
        let stderr = String::from_utf8(folder.inpaint(args).code(1).get_output().stderr.clone()).unwrap();
        assert!(stderr.contains(words) && stderr.trim_end().lines().count() == 1, "{args}: {stderr}");
        assert!(!folder.at("out.png").exists(), "{args}");
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
    let result = folder.inpaint("photos mask.png -o out --jobs 2 --json").code(2);
    let output = result.get_output();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(stdout.lines().count(), 20);
    assert_eq!(stdout.lines().filter(|line| line.contains("\"status\":\"failed\"")).count(), 3);
    assert!(stderr.contains("20 pictures: 17 filled, 3 failed"), "{stderr}");
    assert!(stderr.contains("failed  photos/p03.png"), "{stderr}");
    assert_eq!(folder.files("out").iter().filter(|name| name.ends_with(".png")).count(), 17);
}

#[test]
fn killed_batches_go_on() {
    let folder = twenty();
    folder.inpaint("photos mask.png -o out").code(2);
    let manifest = folder.at("out/lacuna-manifest.jsonl");
    // As if it had been killed while the fifth output was done but not recorded, and later ones not begun.
    let text = fs::read_to_string(&manifest).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.is_empty()).take(10).collect();
    fs::write(&manifest, kept.join("\n") + "\n{\"event\":\"fini").unwrap();
    for i in 8..20 {
        let _ = fs::remove_file(folder.at(&format!("out/p{i:02}.png")));
    }
    for i in [6, 7] {
        fs::remove_file(folder.at(&format!("out/p{i:02}.png"))).unwrap();
    }
    let resumed = folder.inpaint("photos mask.png -o out --resume").code(2);
    resumed.stderr(contains("13 filled, 4 finished before, 3 failed"));
    // Other settings are other work; what was made before is the batch's own to replace.
    folder
        .inpaint("photos mask.png -o out --resume --seed 5")
        .code(2)
        .stderr(contains("17 filled, 3 failed"));
    // Without --resume nothing that exists is touched.
    folder.inpaint("photos mask.png -o out").code(2).stderr(contains("20 failed"));
}

#[test]
fn tables_and_dry_runs() {
    let folder = Folder::new();
    fs::write(
        folder.at("list.csv"),
        "image,mask,output\nphoto.png,mask.png,a/b.png\nphoto.png,gone.png,c.png\n",
    )
    .unwrap();
    let planned = folder.inpaint("--csv list.csv --dry-run --json").code(2);
    planned.stdout(contains("\"status\":\"planned\"").and(contains("\"forecast_bytes\":")));
    assert_eq!(folder.files("."), ["list.csv", "mask.png", "photo.png"], "a dry run writes nothing");
    folder.inpaint("--csv list.csv").code(2).stderr(contains("1 filled, 1 failed").and(contains("gone.png")));
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

#[cfg(feature = "burn")]
#[test]
fn networks_fill_from_every_container() {
    let folder = Folder::new();
    let mut outputs = Vec::new();
    for model in
        ["bare.safetensors", "lightning.ckpt", "lightning-legacy.ckpt", "torchscript.pt", "rewrapped.pth"]
    {
        let model = testkit::fixtures::path(&format!("generator/{model}"));
        let args = format!("photo.png mask.png -o out.png --overwrite --model {}", model.display());
        folder.inpaint(&args).success().stderr(contains("with fourier"));
        assert_known_pixels_equal(&DynamicImage::ImageRgb8(photo()), &folder.at("out.png"), in_hole);
        outputs.push(fs::read(folder.at("out.png")).unwrap());
    }
    assert!(outputs.iter().all(|output| *output == outputs[0]), "the same weights give the same fill");
    let model = testkit::fixtures::path("generator/bare.safetensors");
    let with = |more: &str| format!("photo.png mask.png -o new.png --model {} {more}", model.display());
    folder.inpaint(&with("--device cuda")).code(1).stderr(contains("cuda"));
    folder.inpaint(&with("--device toaster")).code(1).stderr(contains("toaster"));
    folder.inpaint(&with("--method patchmatch")).code(1).stderr(contains("uses no model"));
}
