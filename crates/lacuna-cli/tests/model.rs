//! `lacuna model`, the real program in a temporary folder.

use std::fs;

use assert_cmd::cargo::cargo_bin_cmd;
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};

fn model(args: &[&str]) -> assert_cmd::assert::Assert {
    cargo_bin_cmd!("lacuna").arg("model").args(args).assert()
}

fn fixture(name: &str) -> String {
    testkit::fixtures::path(name).display().to_string()
}

#[test]
fn info_tells_what_a_file_is() {
    let expected = contains("family      fourier")
        .and(contains("width       4"))
        .and(contains("blocks      2"))
        .and(contains("inputs      4"))
        .and(contains("container   torch-zip"))
        .and(contains("discriminator."))
        .and(contains("counters of BatchNorm"))
        .and(contains("num_batches_tracked").not());
    model(&["info", &fixture("generator/lightning.ckpt")]).success().stdout(expected);
    model(&["info", &fixture("control/weights.safetensors")]).success().stdout(contains("control     yes"));
}

#[test]
fn the_plan_has_every_step() {
    let control = fixture("control/weights.safetensors");
    let args = ["plan", &control, "--size", "64x48", "--threads", "2"];
    let expected = contains("plan for 64 x 48 on 2 threads")
        .and(contains("encoder.stem"))
        .and(contains("control.zero.3"))
        .and(contains("refiner.blocks.0.first.mix"))
        .and(contains("decoder.out"));
    model(&args).success().stdout(expected);
    let output = model(&[&args[..], &["--json"]].concat()).success();
    let plan: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!((plan["width"].as_u64(), plan["height"].as_u64()), (Some(64), Some(48)));
    let steps = plan["steps"].as_array().unwrap();
    let sum: f64 = steps.iter().map(|step| step["operations"].as_f64().unwrap()).sum();
    assert!((sum / plan["operations"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    assert!(
        steps.iter().all(|step| step["kernel"].is_string() && step["shape"].as_array().unwrap().len() == 3)
    );
    for key in ["weight_bytes", "arena_bytes", "forecast_bytes", "forecast_s"] {
        assert!(plan[key].as_f64().is_some_and(|value| value > 0.0), "{key}");
    }
    let older = ["info", &control, "--plan", "--size", "64x48", "--threads", "2"];
    model(&older).success().stdout(contains("plan for 64 x 48 on 2 threads"));
    model(&["plan", &control, "--size", "20"]).code(1).stderr(contains("multiples of 8"));
    model(&["info", &control, "--size", "64"]).code(2).stderr(contains("--plan"));
}

#[test]
fn conversion_is_exact_and_repeatable() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (first, second, half) = (path("a.safetensors"), path("b.safetensors"), path("half.safetensors"));
    model(&["convert", &fixture("generator/torchscript.pt"), &first, "--provenance", "test"]).success();
    model(&["convert", &fixture("generator/rewrapped.pth"), &second, "--provenance", "test"]).success();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    model(&["convert", &first, &half, "--dtype", "f16"]).success();
    assert!(fs::metadata(&half).unwrap().len() * 3 < fs::metadata(&first).unwrap().len() * 2);
    model(&["verify", &half]).success().stdout(contains("sound"));
    model(&["convert", &first, &half]).code(1).stderr(contains("exists (--overwrite replaces it)"));
    model(&["convert", &first, &path("a.pth")]).code(2).stderr(contains("end in .safetensors"));
}

#[test]
fn onnx_models_are_written_with_options_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let weights = fixture("generator/bare.safetensors");
    let (any, fixed) = (path("any.onnx"), path("fixed.onnx"));
    model(&["convert", &weights, &any]).success().stderr(contains("parameters written"));
    model(&["convert", &weights, &fixed, "--size", "64x48", "--pipeline"]).success();
    let (any_size, fixed_size) = (fs::metadata(&any).unwrap().len(), fs::metadata(&fixed).unwrap().len());
    let weights_size = fs::metadata(&weights).unwrap().len();
    assert!(any_size > weights_size / 2 && fixed_size > any_size / 2);
    model(&["convert", &weights, &any]).code(1).stderr(contains("exists (--overwrite replaces it)"));
    model(&["convert", &weights, &path("a.onnx"), "--dtype", "f16"]).code(2).stderr(contains("--dtype"));
    model(&["convert", &weights, &path("a.safetensors"), "--pipeline"])
        .code(2)
        .stderr(contains("--pipeline"));
    assert!(!folder.path().join("a.onnx").exists());
}

#[test]
fn unusable_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evil.pth");
    // Protocol 2: os.system('true').
    fs::write(&path, b"\x80\x02cos\nsystem\n(S'true'\ntR.").unwrap();
    model(&["info", &path.display().to_string()]).code(1).stderr(contains("os.system"));
    fs::write(&path, b"hello").unwrap();
    model(&["info", &path.display().to_string()]).code(1).stderr(contains("evil.pth"));
    let whole = fs::read(fixture("generator/bare.safetensors")).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    model(&["verify", &path.display().to_string()]).code(1).stderr(contains("evil.pth"));
}
