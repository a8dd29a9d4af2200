//! `examples/video.sh`: from a video to a video, with the real ffmpeg and the real program.

#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::assert::Assert;
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use tempfile::TempDir;
use testkit::missing::{Missing, not_tested};

const WIDTH: u32 = 96;
const HEIGHT: u32 = 64;
const FRAMES: u32 = 12;

/// A video without loss in which a red box hides another part of a pattern in each frame, with sound; and the box's masks.
struct Folder(TempDir);

impl Folder {
    fn new() -> Option<Self> {
        let is_there =
            |name| Command::new(name).arg("-version").output().is_ok_and(|output| output.status.success());
        if !["ffmpeg", "ffprobe"].into_iter().all(is_there) {
            not_tested(Missing::Ffmpeg, "examples/video.sh");
            return None;
        }
        let folder = Self(tempfile::tempdir().unwrap());
        for name in ["in", "masks"] {
            std::fs::create_dir(folder.at(name)).unwrap();
        }
        for number in 0..FRAMES {
            let frame: RgbImage = ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| {
                if in_box(number, x, y) { Rgb([255, 0, 0]) } else { background(x, y) }
            });
            let mask: GrayImage = ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| {
                Luma([if in_box(number, x, y) { 255 } else { 0 }])
            });
            frame.save(folder.at(&format!("in/{number:02}.png"))).unwrap();
            mask.save(folder.at(&format!("masks/{number}.png"))).unwrap();
        }
        folder.ffmpeg(
            "-framerate 24000/1001 -i in/%02d.png -f lavfi -i sine=duration=0.5 -c:v ffv1 -c:a flac film.mkv",
        );
        folder.ffmpeg("-framerate 5 -start_number 0 -i masks/%d.png -c:v ffv1 masks.mkv");
        Some(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn ffmpeg(&self, args: &str) {
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-loglevel", "error"])
            .args(args.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn run(&self, args: &str) -> Assert {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/video.sh");
        assert_cmd::Command::new("bash")
            .arg(script)
            .args(args.split_whitespace())
            .current_dir(self.0.path())
            .env("LACUNA", assert_cmd::cargo::cargo_bin!("lacuna"))
            .env("TMPDIR", self.0.path())
            .timeout(std::time::Duration::from_secs(300))
            .assert()
    }

    /// The frames of a video.
    fn frames(&self, video: &str) -> Vec<RgbImage> {
        let out = format!("out-{video}");
        std::fs::create_dir(self.at(&out)).unwrap();
        self.ffmpeg(&format!("-i {video} {out}/%02d.png"));
        let open = |number: u32| image::open(self.at(&format!("{out}/{number:02}.png"))).unwrap().to_rgb8();
        let frames: Vec<RgbImage> = (1..=FRAMES).map(open).collect();
        assert!(!self.at(&format!("{out}/{:02}.png", FRAMES + 1)).exists());
        frames
    }

    /// The frame rate and the kinds of streams.
    fn streams(&self, video: &str) -> String {
        let args = "-loglevel error -show_entries stream=codec_type,r_frame_rate -of csv=p=0";
        let output = Command::new("ffprobe").args(args.split(' ')).arg(self.at(video)).output().unwrap();
        String::from_utf8(output.stdout).unwrap().replace('\n', " ")
    }
}

fn background(x: u32, y: u32) -> Rgb<u8> {
    Rgb([(40 + 2 * x) as u8, (40 + 3 * y) as u8, (90 + 40 * ((x / 4 + y / 4) % 2)) as u8])
}

/// 20 x 30 pixels, 6 farther in each frame.
fn in_box(number: u32, x: u32, y: u32) -> bool {
    (4 + 6 * number..24 + 6 * number).contains(&x) && (16..46).contains(&y)
}

#[test]
fn a_box_before_a_static_camera_goes_without_a_trace() {
    let Some(folder) = Folder::new() else { return };
    folder
        .run("--static --lossless film.mkv masks clean.mkv -- --method patchmatch")
        .success()
        .stdout(contains("clean.mkv: 12 frames"));
    for (number, frame) in folder.frames("clean.mkv").iter().enumerate() {
        let wrong = frame.enumerate_pixels().filter(|(x, y, pixel)| **pixel != background(*x, *y)).count();
        assert_eq!(wrong, 0, "frame {number}");
    }
    let streams = folder.streams("clean.mkv");
    assert!(streams.contains("video,24000/1001") && streams.contains("audio"), "{streams}");
    let left: Vec<_> =
        std::fs::read_dir(folder.0.path()).unwrap().flatten().map(|file| file.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("tmp.")), "{left:?}");
}

#[test]
fn each_frame_by_itself_as_h264() {
    let Some(folder) = Folder::new() else { return };
    let note = "note: the sound is encoded again, as AAC";
    folder.run("film.mkv masks.mkv clean.mp4 -- --method patchmatch").success().stdout(contains(note));
    assert!(folder.streams("clean.mp4").contains("audio"));
    for (number, frame) in (0..).zip(folder.frames("clean.mp4")) {
        let red = frame.pixels().filter(|pixel| pixel[0] > 240 && pixel[1] < 40).count();
        assert_eq!(red, 0, "frame {number}");
        let near = |(x, y): (u32, u32)| {
            let (found, expected) = (frame[(x, y)], background(x, y));
            (0..3).all(|i| found[i].abs_diff(expected[i]) < 24)
        };
        let known =
            || (0..WIDTH * HEIGHT).map(|i| (i % WIDTH, i / WIDTH)).filter(|(x, y)| !in_box(number, *x, *y));
        let kept = known().filter(|place| near(*place)).count();
        assert!(kept * 10 > known().count() * 9, "frame {number}: {kept} of {}", known().count());
    }
    // One mask for all frames.
    folder.run("film.mkv masks/3.png logo.mp4 -- --method patchmatch").success();
    assert!(folder.frames("logo.mp4")[3].pixels().all(|pixel| pixel[1] > 25));
}

#[test]
fn bad_arguments_are_refused_and_leave_nothing() {
    let Some(folder) = Folder::new() else { return };
    let refused = |args: &str, words: &str| {
        folder.run(args).failure().stderr(contains(words).and(contains("unbound").not()));
        assert!(!folder.at("clean.mkv").exists(), "{args}");
    };
    refused("film.mkv masks", "expected VIDEO MASK OUTPUT, got 2 arguments");
    refused("none.mkv masks clean.mkv", "there is no video none.mkv");
    refused("film.mkv none.png clean.mkv", "there is no mask none.png");
    refused("film.mkv masks film.mkv", "film.mkv exists");
    refused(
        "--lossless film.mkv masks clean.mp4",
        "--lossless needs an OUTPUT that ends in .mkv, got clean.mp4",
    );
    refused("--fast film.mkv masks clean.mkv", "unknown option --fast");
    refused("masks/1.png masks clean.mkv", "masks/1.png has 1 frames, masks has 12 masks");
    refused("film.mkv masks clean.nothing", "ffmpeg cannot write clean.nothing");
    refused("film.mkv masks clean.mkv -- --metod x", "--metod");
    std::fs::remove_file(folder.at("masks/7.png")).unwrap();
    refused("film.mkv masks clean.mkv", "film.mkv has 12 frames, masks has 11 masks");
}
