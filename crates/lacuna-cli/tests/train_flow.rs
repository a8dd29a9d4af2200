//! `lacuna train` with the task `flow`, the real program, on latents of the network that ships.
#![cfg(feature = "train")]

use std::fs;
use std::path::Path;

use assert_cmd::cargo::cargo_bin_cmd;
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use testkit::pictures::write_noise_photos;

const RUN_FILE: &str = r#"
    task = "flow"
    seed = 1
    flow = { denoiser = { width = 16, levels = [1, 2], blocks = 1 }, start = { mean = { deviation = 0.5 } }, statistics = 4 }
    optimizer = { learning_rate = 1e-3, clip = 1.0, betas = [0.9, 0.99] }
    run = { steps = 4, batch = 2, checkpoint_every = 2, validate_every = 4, grid_every = 4, log_every = 2 }

    [data]
    train = [{ kind = "folder", path = "photos" }]
    validation = [{ kind = "folder", path = "photos" }]
    validation_photos = 2
    side = 32
    augment = "light"
    masks = { kind = "half" }
    validation_masks = { kind = "half" }
"#;

fn lacuna(folder: &Path, args: &str) -> assert_cmd::assert::Assert {
    let mut command = cargo_bin_cmd!("lacuna");
    command.current_dir(folder).args(args.split_whitespace()).assert()
}

fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_noise_photos(&folder.path().join("photos"), 4, 40);
    fs::write(folder.path().join("run.toml"), RUN_FILE).unwrap();
    folder
}

#[test]
fn a_denoiser_is_trained_and_its_flow_fills_a_hole() {
    let folder = place();
    let place = folder.path();
    lacuna(place, "train run.toml -o one --threads 1 --profile")
        .success()
        .stdout(contains("one/last.safetensors"))
        .stderr(contains("velocity_mse").and(contains("step 4: velocity")).and(contains("fills: SSIM")));
    // Stopped half-way and resumed, on other threads: the same bits.
    lacuna(place, "train run.toml -o two --threads 2 --set run.steps=2").success();
    lacuna(place, "train run.toml -o two --threads 2 --resume").success();
    let read = |name: &str| fs::read(place.join(name)).unwrap();
    assert!(read("one/last.safetensors") == read("two/last.safetensors"));

    lacuna(place, "model info one/last.safetensors").success().stdout(contains("denoiser-c256-w16"));
    lacuna(place, "model plan one/last.safetensors").failure().stderr(contains("is a flow file"));
    image::GrayImage::from_fn(40, 40, |x, y| image::Luma([if x.min(y) > 24 { 255 } else { 0 }]))
        .save(place.join("mask.png"))
        .unwrap();
    let photo = fs::read_dir(place.join("photos")).unwrap().next().unwrap().unwrap().path();
    let args = format!("inpaint {} mask.png -o filled.png --model one/last.safetensors", photo.display());
    lacuna(place, &args).success();
    assert!(place.join("filled.png").exists());
}

#[test]
fn a_dry_run_reports_and_what_makes_no_sense_is_refused() {
    let folder = place();
    lacuna(folder.path(), "train run.toml --dry-run -o out")
        .success()
        .stdout(contains("photos             4").and(contains("time per step")));
    assert!(!folder.path().join("out").exists());
    for (args, code, words) in [
        ("--set flow.halo=17", 2, "flow.halo: expected at most 16, got 17"),
        ("--set flow.hallo=1", 2, "unknown field `hallo`"),
        ("--set task=inpainting", 2, "--set task: unknown variant `inpainting`"),
        ("--device cpu,cpu", 2, "one device in one process, got 2 devices"),
        ("--set start.network=nothing.safetensors", 1, "nothing.safetensors"),
    ] {
        let args = format!("train run.toml -o out {args}");
        lacuna(folder.path(), &args).code(code).stdout("").stderr(contains(words));
    }
}
