//! Flow files as models of `lacuna inpaint` and `lacuna eval`, the real program.

use std::borrow::Cow;
use std::path::Path;

use assert_cmd::assert::Assert;
use assert_cmd::cargo::cargo_bin_cmd;
use image::{ImageBuffer, Luma, Rgb, RgbImage};
use lacuna::HintKind;
use lacuna::checkpoint::{NamedTensor, Storage};
use lacuna::default_network;
use lacuna::flow::{Control, Flow, FlowFile, FlowStart, Statistics};
use lacuna_network::Denoiser;
use predicates::str::contains;

const SIDES: [u32; 2] = [104, 90];

fn in_hole(x: u32, y: u32) -> bool {
    (30..70).contains(&x) && (24..64).contains(&y)
}

/// Writes a photo, its mask, and a flow for the network that ships, whose weights are noise.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let [width, height] = SIDES;
    let photo: RgbImage =
        ImageBuffer::from_fn(width, height, |x, y| Rgb([(2 * x) as u8, (x + y) as u8, (2 * y) as u8]));
    photo.save(folder.path().join("photo.png")).unwrap();
    let mask = ImageBuffer::from_fn(width, height, |x, y| Luma([if in_hole(x, y) { 255u8 } else { 0 }]));
    mask.save(folder.path().join("mask.png")).unwrap();
    let generator = default_network().unwrap().fingerprint();
    write_flow(&folder.path().join("flow.safetensors"), &generator, None);
    for hint in [HintKind::Lines, HintKind::Guide] {
        write_flow(&folder.path().join(format!("{hint}.safetensors")), &generator, Some(hint));
    }
    folder
}

fn write_flow(path: &Path, generator: &str, hint: Option<HintKind>) {
    let latent = default_network().unwrap().config().latent().total();
    let denoiser = Denoiser { latent, width: 16, levels: vec![1, 2], blocks: 1, mean: false };
    let control = hint.map(|hint| Control { hint, hint_widths: [4, 8, 8, 16] });
    let statistics = Statistics { mean: vec![0.3; latent], deviation: vec![0.6; latent] };
    let start = FlowStart::Mean { deviation: 0.5 };
    let generator = generator.to_owned();
    let flow = Flow { denoiser, generator, start, halo: 1, statistics, control };
    let tensors = flow.tensors().into_iter().enumerate().map(|(seed, (name, shape))| {
        let values = testkit::pictures::noise(seed as u64, shape.iter().product());
        NamedTensor { name, shape, values: Cow::Owned(values.iter().map(|value| 0.4 * value).collect()) }
    });
    FlowFile::save(path, &flow, "noise", tensors, Storage::F32).unwrap();
}

fn lacuna(folder: &Path, arguments: &str) -> Assert {
    cargo_bin_cmd!("lacuna").current_dir(folder).args(arguments.split(' ')).assert()
}

fn open(folder: &Path, name: &str) -> RgbImage {
    image::open(folder.join(name)).unwrap().into_rgb8()
}

#[test]
fn answers_differ_in_the_hole_alone_and_come_again() {
    let folder = folder();
    let folder = folder.path();
    let photo = open(folder, "photo.png");
    lacuna(
        folder,
        "inpaint photo.png mask.png -o a.png --model flow.safetensors --steps 2 --samples 2 --seed 5",
    )
    .success();
    lacuna(
        folder,
        "inpaint photo.png mask.png -o b.png --method flow --model flow.safetensors --steps 2 --seed 6",
    )
    .success();
    let [first, second, again] = ["a-1.png", "a-2.png", "b.png"].map(|name| open(folder, name));
    assert!(second == again, "an answer does not depend on the number of answers");
    assert!(first != second, "answers have seeds of their own");
    for (x, y, pixel) in first.enumerate_pixels() {
        assert!(
            in_hole(x, y) || (pixel == photo.get_pixel(x, y) && pixel == second.get_pixel(x, y)),
            "{x}, {y}"
        );
    }
    lacuna(folder, "inpaint photo.png mask.png -o c.png --model flow.safetensors --steps 3 --seed 6")
        .success();
    assert!(open(folder, "c.png") != second, "the number of steps is ignored");
    // As PatchMatch's guide.
    lacuna(folder, "inpaint photo.png mask.png -o d.png --method guided --model flow.safetensors").success();
}

/// Hints change the hole alone; without one, or without strength, a branch changes nothing.
#[test]
fn hints_steer_fills() {
    let folder = folder();
    let folder = folder.path();
    let photo = open(folder, "photo.png");
    let [width, height] = SIDES;
    let lines = ImageBuffer::from_fn(width, height, |x, y| Luma([if x.abs_diff(y) < 3 { 255u8 } else { 0 }]));
    lines.save(folder.join("sketch.png")).unwrap();
    let fill = |name: &str, arguments: &str| {
        lacuna(folder, &format!("inpaint photo.png mask.png -o {name} --steps 2 {arguments}")).success();
        open(folder, name)
    };
    let plain = fill("plain.png", "--model flow.safetensors");
    for hint in ["lines", "guide"] {
        let model = format!("--model {hint}.safetensors");
        assert!(fill(&format!("{hint}-none.png"), &model) == plain);
        let file = if hint == "lines" { "sketch.png" } else { "photo.png" };
        let given = |name: &str, strength: &str| {
            fill(&format!("{hint}-{name}.png"), &format!("{model} --hint {file} --hint-strength {strength}"))
        };
        assert!(given("zero", "0") == plain);
        let (whole, half) = (given("whole", "1"), given("half", "0.5"));
        assert!(whole != plain && half != plain && whole != half, "{hint}");
        for (x, y, pixel) in whole.enumerate_pixels() {
            assert!(in_hole(x, y) || pixel == photo.get_pixel(x, y), "{hint} at {x}, {y}");
        }
    }
    lacuna(folder, "model info lines.safetensors").success().stdout(contains("hint        lines"));
    lacuna(
        folder,
        "inpaint photo.png mask.png -o sketch.png --overwrite --model lines.safetensors --hint sketch.png",
    )
    .code(2)
    .stderr(contains("sketch.png is an input and would be overwritten"));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let folder = folder();
    let folder = folder.path();
    write_flow(&folder.join("other.safetensors"), &"0".repeat(64), None);
    image::GrayImage::new(9, 9).save(folder.join("small.png")).unwrap();
    for (arguments, code, words) in [
        ("--method flow", 1, "method flow needs a flow file as model"),
        ("--steps 4", 2, "--steps needs a flow file as --model"),
        ("--method patchmatch --steps 4", 2, "--steps needs a flow file as --model"),
        ("--model flow.safetensors --generator flow.safetensors", 1, "flow"),
        ("--model other.safetensors", 1, "0000000000000000"),
        ("--model flow.safetensors --steps 0", 2, "0 is not in 1..=1000"),
        ("--model flow.safetensors --refine", 1, "cannot be refined"),
        ("--model flow.safetensors --hint mask.png", 1, "takes no hint"),
        ("--hint mask.png", 1, "takes no hint: that needs a flow file with a ControlNet branch"),
        ("--method guided --model lines.safetensors --hint mask.png", 1, "takes no hint"),
        ("--model lines.safetensors --hint absent.png", 1, "absent.png"),
        ("--model lines.safetensors --hint small.png", 1, "9 x 9"),
        ("--model guide.safetensors --hint small.png", 1, "a hint of 9 x 9 pixels for a photo of 104 x 90"),
        ("--model lines.safetensors --hint mask.png --hint-strength 3", 2, "possible are 0 to 2"),
        ("--model lines.safetensors --hint-strength 1", 2, "--hint"),
        (
            "--model flow.safetensors --engine burn",
            2,
            "flow.safetensors is a flow file, which only --engine cpu runs",
        ),
    ] {
        lacuna(folder, &format!("inpaint photo.png mask.png -o out.png {arguments}"))
            .code(code)
            .stderr(contains(words));
        assert!(!folder.join("out.png").exists(), "{arguments}");
    }
}

#[test]
fn flow_files_are_described_and_verified() {
    let folder = folder();
    let folder = folder.path();
    for words in
        ["denoiser-c", "the network's fill with noise of deviation 0.5", "(the network that ships)", "noise"]
    {
        lacuna(folder, "model info flow.safetensors").success().stdout(contains(words));
    }
    lacuna(folder, "model verify flow.safetensors --json").success().stdout(contains("\"sha256\": \""));
    let file = folder.join("flow.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&file, bytes).unwrap();
    lacuna(folder, "model verify flow.safetensors").code(1).stderr(contains("NaN"));
    lacuna(folder, "model convert flow.safetensors x.onnx").code(1).stderr(contains("flow"));
}

#[test]
fn evaluations_know_flows() {
    let folder = folder();
    let folder = folder.path();
    let set = folder.join("set");
    std::fs::create_dir(&set).unwrap();
    std::fs::copy(folder.join("photo.png"), set.join("a.png")).unwrap();
    std::fs::copy(folder.join("mask.png"), set.join("a_mask000.png")).unwrap();
    lacuna(
        folder,
        "eval --masks set --method mine=flow:flow.safetensors --method mean-colour --steps 1 --samples 2 -o report",
    )
    .success();
    let [one, other] =
        ["mine", "mine-2"].map(|name| open(folder, &format!("report/fills/{name}/a_mask000.png")));
    assert!(one != other);
    lacuna(folder, "eval --masks set --method mean-colour --steps 1 -o other")
        .code(2)
        .stderr(contains("--steps needs a flow file"));
}
