//! `lacuna latent`, the real program in a temporary folder.
#![cfg(feature = "train")]

use std::fs;
use std::path::Path;

use assert_cmd::cargo::cargo_bin_cmd;
use image::{GrayImage, Luma, Rgb, RgbImage};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use serde_json::Value;
use testkit::checkpoints::{Lama, write_lightning_checkpoint};
use testkit::fixtures;

fn lacuna(folder: &Path, args: &str) -> assert_cmd::assert::Assert {
    cargo_bin_cmd!("lacuna")
        .current_dir(folder)
        .arg("latent")
        .args(args.split_whitespace())
        .timeout(std::time::Duration::from_secs(120))
        .assert()
}

/// A folder with a photo whose sides are not multiples of 8, and a mask.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let photo = RgbImage::from_fn(101, 67, |x, y| Rgb([(2 * x) as u8, (3 * y) as u8, (x * y) as u8]));
    let mask = GrayImage::from_fn(101, 67, |x, y| Luma([if x < 30 && y < 30 { 255 } else { 0 }]));
    for set in ["photos", "masks"] {
        fs::create_dir(folder.path().join(set)).unwrap();
    }
    for name in ["a", "b"] {
        photo.save(folder.path().join(format!("photos/{name}.png"))).unwrap();
        mask.save(folder.path().join(format!("masks/{name}_mask000.png"))).unwrap();
    }
    fs::copy(fixtures::path("control/weights.safetensors"), folder.path().join("ours.safetensors")).unwrap();
    folder
}

#[test]
fn a_photo_becomes_a_sheet_a_curve_and_numbers() {
    let folder = folder();
    lacuna(folder.path(), "photos/a.png masks/a_mask000.png --model ours.safetensors -o view").success();
    let view = |name: &str| folder.path().join("view").join(name);
    // 104 x 72 pixels each: three images, three differences, and maps: five, five and two.
    let sheet = image::open(view("sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (4 + 5 * 108, 4 + 5 * 76));
    assert!(fs::read_to_string(view("curve.svg")).unwrap().contains("with mask control"));
    let page = fs::read_to_string(view("latent.html")).unwrap();
    assert!(page.contains("eq. 4.1") && page.contains("Latent of a"));
    let document: Value = serde_json::from_str(&fs::read_to_string(view("latent.json")).unwrap()).unwrap();
    let stages: Vec<&str> =
        document["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["masked", "controlled", "refined"]);
    let curve = document["stages"][0]["curve"].as_array().unwrap();
    let error = |at: usize| curve[at]["error"].as_f64().unwrap();
    // An encoder without control is not affected by a distant hole.
    assert!(error(0) > 0.0 && error(curve.len() - 1) == 0.0, "{curve:?}");
}

#[test]
fn folders_have_a_mean_and_bad_pictures_are_left_out() {
    let folder = folder();
    fs::write(folder.path().join("photos/b.png"), "torn").unwrap();
    write_lightning_checkpoint(
        &folder.path().join("lama.ckpt"),
        Lama { width: 8, blocks: 2, channels_in: 4 },
        1,
    )
    .unwrap();
    lacuna(folder.path(), "photos masks --model lama.ckpt -o view")
        .failure()
        .code(3)
        .stderr(contains("skipped: b_mask000").and(contains("was not trained on plain encodings")));
    let table = fs::read_to_string(folder.path().join("view/curve.csv")).unwrap();
    assert!(table.starts_with("stage,from,to,cells,error\nmasked,0,0,"), "{table}");
    assert!(folder.path().join("view/a_mask000/sheet.png").exists());
    for (args, code, problem) in [
        ("photos/a.png masks --model lama.ckpt -o v", 2, "masks is a folder"),
        ("photos/a.png photos/b.png --model lama.ckpt -o v", 1, "b.png"),
        ("photos/a.png masks/a_mask000.png --model nowhere.ckpt -o v", 1, "nowhere.ckpt"),
    ] {
        lacuna(folder.path(), args).failure().code(code).stderr(contains(problem));
    }
}
