//! `lacuna inpaint --frames`: frames of a static camera, with the real program.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use assert_cmd::cargo::cargo_bin_cmd;
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use tempfile::TempDir;
use testkit::pictures::noise;

const WIDTH: u32 = 120;
const HEIGHT: u32 = 80;
const FRAMES: u32 = 16;
/// The noise is uniform, at most this much of 255, so that the mean of its absolute values is half of it.
const NOISE: f64 = 8.0;

struct Folder(TempDir);

impl Folder {
    /// A box that hides another part of a noisy background in each frame, and its masks.
    fn moving_box() -> Self {
        let folder = Self::empty();
        for number in 0..FRAMES {
            let mut frame = noisy(&background, number.into());
            for (x, y, pixel) in frame.enumerate_pixels_mut() {
                if in_box(number, x, y) {
                    *pixel = Rgb([255, 0, 0]);
                }
            }
            folder.save(number, &frame);
            mask(|x, y| in_box(number, x, y))
                .save(folder.at(&format!("masks/{}.png", name(number))))
                .unwrap();
        }
        folder
    }

    fn empty() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for name in ["frames", "masks"] {
            fs::create_dir(folder.at(name)).unwrap();
        }
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn save(&self, number: u32, frame: &RgbImage) {
        frame.save(self.at(&format!("frames/{}.png", name(number)))).unwrap();
    }

    fn frame(&self, folder: &str, number: u32) -> RgbImage {
        open(&self.at(&format!("{folder}/{}.png", name(number))))
    }

    fn run(&self, args: &str) -> Assert {
        cargo_bin_cmd!("lacuna")
            .current_dir(self.0.path())
            .args(["inpaint", "--method", "patchmatch", "--frames"])
            .args(args.split_whitespace())
            .env("NO_COLOR", "1")
            .timeout(std::time::Duration::from_secs(300))
            .assert()
    }
}

/// Without leading zeros: frame 10 comes after frame 9.
fn name(number: u32) -> String {
    format!("f{number}")
}

fn open(path: &Path) -> RgbImage {
    image::open(path).unwrap().to_rgb8()
}

fn background(x: u32, y: u32) -> f64 {
    let (x, y) = (f64::from(x), f64::from(y));
    110.0 + 45.0 * (x * 0.3).sin() * (y * 0.21).cos() + 25.0 * (x * 0.05 + y * 0.09).sin()
}

fn noisy(picture: &dyn Fn(u32, u32) -> f64, seed: u64) -> RgbImage {
    let noise = noise(seed, (3 * WIDTH * HEIGHT) as usize);
    ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| {
        Rgb([0, 1, 2].map(|channel| {
            let noise = NOISE * f64::from(noise[(3 * (y * WIDTH + x) + channel) as usize]);
            (picture(x, y) + f64::from(10 * channel) + noise).round() as u8
        }))
    })
}

fn mask(is_hole: impl Fn(u32, u32) -> bool) -> GrayImage {
    ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| Luma([if is_hole(x, y) { 255 } else { 0 }]))
}

/// 30 x 40 pixels, 5 farther in each frame.
fn in_box(number: u32, x: u32, y: u32) -> bool {
    (5 + 5 * number..35 + 5 * number).contains(&x) && (20..60).contains(&y)
}

/// The mean absolute difference of two frames where `is_wanted`, over all channels.
fn difference(one: &RgbImage, other: &RgbImage, is_wanted: impl Fn(u32, u32) -> bool) -> f64 {
    let wanted = one.enumerate_pixels().filter(|(x, y, _)| is_wanted(*x, *y));
    let differences: Vec<f64> = wanted
        .flat_map(|(x, y, pixel)| {
            (0..3).map(move |i| (f64::from(pixel[i]) - f64::from(other[(x, y)][i])).abs())
        })
        .collect();
    differences.iter().sum::<f64>() / differences.len() as f64
}

#[test]
fn what_other_frames_show_is_the_background_with_its_noise() {
    let folder = Folder::moving_box();
    let words = folder.run("frames masks -o clean").success().stderr(contains("note:").not());
    words
        .stderr(contains("frames (0 % of the hole in no other frame)").and(contains("16 photos: 16 filled")));
    let truth = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        Rgb([0.0, 1.0, 2.0].map(|channel| (background(x, y) + 10.0 * channel).round() as u8))
    });
    let noise = NOISE / 2.0;
    let (mut in_hole, mut around) = (0.0, 0.0);
    for number in 0..FRAMES {
        let (before, after) = (folder.frame("frames", number), folder.frame("clean", number));
        for (x, y, pixel) in after.enumerate_pixels() {
            assert!(in_box(number, x, y) || pixel == before.get_pixel(x, y), "known pixels keep their bits");
        }
        let error = difference(&after, &truth, |x, y| in_box(number, x, y));
        assert!(error <= 1.1 * noise, "frame {number}: {error}, noise {noise}");
        if number > 0 {
            let earlier = folder.frame("clean", number - 1);
            in_hole += difference(&after, &earlier, |x, y| in_box(number, x, y) && in_box(number - 1, x, y));
            around += difference(&after, &earlier, |x, y| !in_box(number, x, y) && !in_box(number - 1, x, y));
        }
    }
    let flicker = in_hole / around;
    assert!((0.7..1.1).contains(&flicker), "{flicker}");
    // The same on one thread.
    folder.run("frames masks -o again --threads 1").success();
    assert!((0..FRAMES).all(|number| folder.frame("clean", number) == folder.frame("again", number)));
}

#[test]
fn what_no_frame_shows_is_filled_once() {
    let folder = Folder::empty();
    let in_logo = |x: u32, y: u32| (80..100).contains(&x) && (10..22).contains(&y);
    for number in 0..4 {
        // The light changes.
        let brightness = 3.0 * f64::from(number);
        folder.save(number, &noisy(&|x, y| background(x, y) + brightness, number.into()));
    }
    mask(in_logo).save(folder.at("logo.png")).unwrap();
    folder
        .run("frames logo.png -o clean")
        .success()
        .stderr(contains("(100 % of the hole in no other frame)"));
    let filled: Vec<RgbImage> = (0..4).map(|number| folder.frame("clean", number)).collect();
    for (number, frame) in filled.iter().enumerate().skip(1) {
        let steps: Vec<i16> = (0..WIDTH * HEIGHT)
            .map(|i| (i % WIDTH, i / WIDTH))
            .filter(|(x, y)| in_logo(*x, *y))
            .map(|(x, y)| i16::from(frame[(x, y)][0]) - i16::from(filled[0][(x, y)][0]))
            .collect();
        let expected = 3 * number as i16;
        assert!(steps.iter().all(|step| (step - expected).abs() <= 1), "as bright as its frame: {steps:?}");
    }
    // The first frame's fill is that of a photo.
    let photo = cargo_bin_cmd!("lacuna")
        .current_dir(folder.0.path())
        .args(["inpaint", "--method", "patchmatch", "frames/f0.png", "logo.png", "-o", "photo.png"])
        .assert();
    photo.success();
    assert_eq!(open(&folder.at("photo.png")), filled[0]);
}

#[test]
fn frames_of_another_view_are_not_used() {
    let folder = Folder::moving_box();
    // The camera moves after six frames; frame 12 is damaged.
    for number in 6..FRAMES {
        let shift = if number == 12 { 400 } else { 3 };
        let mut frame = noisy(&|x, y| background(x + shift, y + shift / 3), number.into());
        for (x, y, pixel) in frame.enumerate_pixels_mut() {
            if in_box(number, x, y) {
                *pixel = Rgb([255, 0, 0]);
            }
        }
        folder.save(number, &frame);
    }
    let words = folder.run("frames masks -o clean").success();
    words.stderr(
        contains("the view changes at frames/f6.png: frames before and after")
            .and(contains("1 of 16 frames match no other").and(contains("frames/f12.png"))),
    );
    // No red of the box, and nothing of the other view's place.
    let truth = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        Rgb([0.0, 1.0, 2.0].map(|channel| (background(x + 3, y + 1) + 10.0 * channel).round() as u8))
    });
    let error = difference(&folder.frame("clean", 13), &truth, |x, y| in_box(13, x, y));
    assert!(error <= 1.1 * NOISE / 2.0, "{error}");
}

#[test]
fn interrupted_runs_continue_with_the_same_pixels() {
    let folder = Folder::moving_box();
    folder.run("frames masks -o clean").success();
    let expected: Vec<Vec<u8>> = (0..FRAMES)
        .map(|number| fs::read(folder.at(&format!("clean/{}.png", name(number)))).unwrap())
        .collect();
    folder.run("frames masks -o clean").code(1).stderr(contains("exists (--overwrite replaces it)"));
    for number in [3, 9] {
        fs::remove_file(folder.at(&format!("clean/{}.png", name(number)))).unwrap();
    }
    folder.run("frames masks -o clean --resume").success().stderr(contains("2 filled, 14 finished before"));
    folder.run("frames masks -o clean --resume").success().stderr(contains("16 finished before"));
    for (number, bytes) in (0..FRAMES).zip(&expected) {
        let again = fs::read(folder.at(&format!("clean/{}.png", name(number)))).unwrap();
        assert!(again == *bytes, "frame {number}");
    }
    // A frame decides the pixels of all.
    folder.save(5, &noisy(&background, 99));
    folder.run("frames masks -o clean --resume").success().stderr(contains("16 filled"));
}

#[test]
fn what_is_no_video_is_refused_before_anything_is_written() {
    let folder = Folder::moving_box();
    let refused = |args: &str, code: i32, words: &str| {
        folder.run(args).code(code).stderr(contains(words));
        let written = fs::read_dir(folder.at("clean")).map_or(0, |files| {
            files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "png")).count()
        });
        assert_eq!(written, 0, "{args}");
    };
    refused(
        "frames/f1.png masks/f1.png -o clean.png",
        2,
        "--frames takes a folder of frames, frames/f1.png is a file",
    );
    refused("frames masks -o clean --jobs 2", 2, "but --jobs is 2");
    refused("frames masks -o clean --samples 3", 2, "cannot be used with");
    refused("frames masks -o clean --max-memory 100K", 1, "of memory are needed");
    fs::create_dir(folder.at("frames/sub")).unwrap();
    fs::copy(folder.at("frames/f1.png"), folder.at("frames/sub/f1.png")).unwrap();
    refused("frames masks/f0.png -o clean", 1, "both have frames: a video is one folder");
    fs::remove_dir_all(folder.at("frames/sub")).unwrap();
    fs::copy(folder.at("masks/f2.png"), folder.at("masks/f2_mask.png")).unwrap();
    refused("frames masks -o clean", 1, "frames/f2.png has two masks, masks/f2.png and masks/f2_mask.png");
    fs::remove_file(folder.at("masks/f2_mask.png")).unwrap();
    fs::remove_file(folder.at("masks/f7.png")).unwrap();
    refused(
        "frames masks -o clean",
        1,
        "frames/f7.png: no mask of that name in masks: each frame needs a mask",
    );
    mask(|x, y| in_box(7, x, y)).save(folder.at("masks/f7.png")).unwrap();
    RgbImage::new(WIDTH, HEIGHT - 1).save(folder.at("frames/f9.png")).unwrap();
    mask(|x, _| x < 9).save(folder.at("masks/f9.png")).unwrap();
    refused("frames masks -o clean", 1, "the mask is 120 x 80 pixels, the image 120 x 79");
    ImageBuffer::from_pixel(WIDTH, HEIGHT - 1, Luma([0u8])).save(folder.at("masks/f9.png")).unwrap();
    let sizes = "frames/f9.png: it has 120 x 79 pixels, frames/f0.png has 120 x 80: the frames of a video have one size";
    refused("frames masks -o clean", 1, sizes);
    fs::write(folder.at("frames/f9.png"), b"no picture").unwrap();
    refused("frames masks -o clean", 1, "frames/f9.png");
}
