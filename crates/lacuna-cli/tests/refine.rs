//! `lacuna inpaint --refine`, the real program.

use std::path::Path;
#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};
#[cfg(target_os = "linux")]
use std::time::Duration;

#[cfg(target_os = "linux")]
use assert_cmd::cargo::cargo_bin;
use assert_cmd::cargo::cargo_bin_cmd;
use image::{ImageBuffer, Luma, Rgb, RgbImage};
use predicates::str::contains;

const SIDE: u32 = 96;

fn in_hole(x: u32, y: u32) -> bool {
    (30..70).contains(&x) && (24..64).contains(&y)
}

/// Writes a photo of waves and its mask.
fn write_inputs(folder: &Path) -> RgbImage {
    let wave = |x: u32, period: f32| (128.0 + 90.0 * (x as f32 * std::f32::consts::TAU / period).sin()) as u8;
    let photo =
        ImageBuffer::from_fn(SIDE, SIDE, |x, y| Rgb([wave(x, 24.0), wave(y, 31.0), wave(x + y, 40.0)]));
    photo.save(folder.join("photo.png")).unwrap();
    let mask = ImageBuffer::from_fn(SIDE, SIDE, |x, y| Luma([if in_hole(x, y) { 255u8 } else { 0 }]));
    mask.save(folder.join("mask.png")).unwrap();
    photo
}

/// Mean absolute difference of two images in the hole; outside they are equal.
fn difference(one: &RgbImage, other: &RgbImage) -> f64 {
    let mut sum = 0.0;
    for (x, y, pixel) in one.enumerate_pixels() {
        let other = other.get_pixel(x, y);
        assert!(in_hole(x, y) || pixel == other, "{x}, {y}");
        sum += pixel.0.iter().zip(other.0).map(|(&a, b)| f64::from(a.abs_diff(b))).sum::<f64>();
    }
    sum / f64::from(3 * 40 * 40)
}

#[test]
fn refinement_changes_the_hole_alone() {
    let folder = tempfile::tempdir().unwrap();
    let photo = write_inputs(folder.path());
    let fill = |output: &str, args: &[&str]| {
        let program = cargo_bin_cmd!("lacuna")
            .current_dir(folder.path())
            .args(["inpaint", "photo.png", "mask.png", "-o", output, "--method", "network"])
            .args(args)
            .assert();
        program.success();
        image::open(folder.path().join(output)).unwrap().into_rgb8()
    };
    let plain = fill("plain.png", &[]);
    let one_pass = fill("one.png", &["--refine=1"]);
    assert_eq!(plain, one_pass, "the first pass is the plain fill");
    let refined = fill("refined.png", &["--refine=8"]);
    difference(&photo, &refined);
    assert!(difference(&plain, &refined) > 0.2);
    assert_eq!(refined, fill("again.png", &["--refine=8"]));
}

#[test]
fn a_method_without_a_network_cannot_be_refined() {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path());
    cargo_bin_cmd!("lacuna")
        .current_dir(folder.path())
        .args(["inpaint", "photo.png", "mask.png", "-o", "out.png", "--method", "patchmatch", "--refine"])
        .assert()
        .failure()
        .stderr(contains("patchmatch"));
    assert!(!folder.path().join("out.png").exists());
}

/// Waits until a process handles SIGINT, as Linux reports it.
#[cfg(target_os = "linux")]
fn wait_for_handler(pid: u32) {
    for _ in 0..600 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        if u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 1) != 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("no handler of SIGINT after a minute");
}

/// 200 passes at 768 x 768 take a minute and more; Ctrl+C ends them after the pass in progress.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_refinement_writes_its_best_result() {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path());
    for name in ["photo.png", "mask.png"] {
        let path = folder.path().join(name);
        let small = image::open(&path).unwrap();
        small.resize_exact(768, 768, image::imageops::FilterType::Nearest).save(&path).unwrap();
    }
    let mut program = Command::new(cargo_bin!("lacuna"))
        .current_dir(folder.path())
        .args(["inpaint", "photo.png", "mask.png", "-o", "out.png", "--method", "network", "--refine=200"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_handler(program.id());
    std::thread::sleep(Duration::from_secs(1));
    assert!(program.try_wait().unwrap().is_none(), "it is not finished before the signal");
    let pid = program.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = program.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("best result so far"), "{stderr}");
    assert_eq!(image::image_dimensions(folder.path().join("out.png")).unwrap(), (768, 768));
}
