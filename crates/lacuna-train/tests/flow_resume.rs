//! Runs that train a denoiser or a ControlNet branch of one, killed at any event and resumed, end as undisturbed ones; their result is a
//! flow file.

mod kills;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use kills::{assert_resumes_after_kills, options};
use lacuna::checkpoint::Checkpoint;
use lacuna::flow::{FlowFile, FlowStart};
use lacuna_nets::Device;
use lacuna_train::{ControlConfig, FitOptions, FlowConfig, fit_control, fit_flow};
use testkit::fixtures;
use testkit::pictures::write_noise_photos;

/// Four steps: a score after two and four, a checkpoint after three and four.
const RUN_FILE: &str = r#"
    task = "flow"
    seed = 1
    start.network = "NETWORK"
    ema = { on = true, decay = 0.9 }
    optimizer = { learning_rate = 1e-3, clip = 1.0, betas = [0.9, 0.99], schedule = { warm_up = 2, decay = "linear-end" } }
    run = { steps = 4, batch = 2, checkpoint_every = 3, validate_every = 2, grid_every = 2, log_every = 1 }

    [flow]
    denoiser = { width = 16, levels = [1, 2], blocks = 1 }
    start = { mean = { deviation = 0.5 } }
    statistics = 4

    [data]
    train = [{ kind = "folder", path = "PHOTOS" }]
    validation = [{ kind = "folder", path = "PHOTOS" }]
    validation_photos = 3
    side = 24
    augment = "light"
    masks = { kind = "half" }
    validation_masks = { kind = "half" }
"#;

const NETWORK: &str = "control/weights.safetensors";

fn config(folder: &Path, changes: &[&str]) -> FlowConfig {
    let photos = folder.join("photos");
    if !photos.exists() {
        write_noise_photos(&photos, 4, 32);
    }
    let network = fixtures::path(NETWORK);
    let text = RUN_FILE.replace("PHOTOS", photos.to_str().unwrap());
    let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
    FlowConfig::parse(&text.replace("NETWORK", network.to_str().unwrap()), &changes).unwrap()
}

/// Trains as [`kills::run`] does, without kills.
fn run(config: &FlowConfig, folder: &Path) {
    kills::run(&|options, stop, watch| fit_flow(config, options, stop, watch), folder, usize::MAX)
        .1
        .unwrap()
        .unwrap();
}

#[test]
fn a_run_resumes_after_a_kill_at_any_event() {
    resumes_after_kills(&[]);
}

#[test]
fn a_run_with_a_cache_of_latents_resumes_after_a_kill_at_any_event() {
    resumes_after_kills(&["flow.crops=1"]);
}

fn resumes_after_kills(changes: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), changes);
    assert_resumes_after_kills(
        &|options, stop, watch| fit_flow(&config, options, stop, watch),
        folder.path(),
    );
    let cache = folder.path().join("whole/latents.cache");
    assert_eq!(cache.exists(), config.flow.crops.is_some());
}

#[test]
fn a_run_leaves_a_flow_of_its_generator_and_all_that_is_promised() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &["run.accumulate=2", "flow.start=noise", "flow.halo=0"]);
    let out = folder.path().join("out");
    run(&config, &out);
    let file = FlowFile::open(out.join("last.safetensors")).unwrap();
    let network = Checkpoint::open(fixtures::path(NETWORK)).unwrap();
    file.check_generator(&network).unwrap();
    assert_eq!((file.flow().start, file.flow().halo), (FlowStart::Noise, 0));
    assert_eq!(file.flow().denoiser.latent, network.config().latent().total());
    assert_eq!(file.provenance(), "lacuna train, task flow, seed 1, step 4");
    // A new denoiser predicts zero; a trained one does not.
    assert!(file.values("conv_out.weight").unwrap().iter().any(|&value| value != 0.0));

    let metrics = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    let validation: Vec<_> = lines.iter().filter(|line| line["kind"] == "validation").collect();
    assert_eq!((lines.len(), validation.len()), (6, 2));
    for line in &validation {
        let get = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name} of {line}"));
        assert!((get("ratio") - get("velocity_mse") / get("trivial_mse")).abs() < 1e-9);
        assert!(get("ssim") < 1.0 && get("l1") > 0.0);
    }
    assert!(lines.iter().filter(|line| line["kind"] == "train").all(|line| line["velocity_mse"].is_number()));
    // Three rows of photo, masked photo, the generator's fill and the flow's.
    let sheet = image::open(out.join("grids/step-000000004.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (4 + 4 * 28, 4 + 3 * 28));
    for name in ["config.toml", "run.json", "best.safetensors", "checkpoints/step-000000003.safetensors"] {
        assert!(out.join(name).exists(), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let plain = config(folder.path(), &[]);
    let attempt = |config: &FlowConfig, options: &FitOptions| {
        let outcome = fit_flow(config, options, &AtomicBool::new(false), &mut |_| ());
        outcome.unwrap_err().to_string()
    };
    let two = FitOptions { devices: vec![Device::flex(), Device::flex()], ..options(&out, false) };
    assert!(attempt(&plain, &two).contains("one device in one process, got 2 devices"));

    run(&plain, &out);
    assert!(attempt(&plain, &options(&out, false)).contains("already contains a run"));
    let other = config(folder.path(), &["flow.halo=2"]);
    assert!(attempt(&other, &options(&out, true)).contains("contains another run"));
    // A longer run may continue.
    let longer = config(folder.path(), &["run.steps=5"]);
    fit_flow(&longer, &options(&out, true), &AtomicBool::new(false), &mut |_| ()).unwrap();
}

#[test]
fn a_run_does_not_resume_on_another_generator() {
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network.safetensors");
    fs::copy(fixtures::path(NETWORK), &network).unwrap();
    let config = config(folder.path(), &[&format!("start.network={}", network.display())]);
    let out = folder.path().join("out");
    run(&config, &out);
    // Another network of the same sides.
    let other = fixtures::path("generator/bare.safetensors");
    fs::copy(&other, &network).unwrap();
    let outcome = fit_flow(&config, &options(&out, true), &AtomicBool::new(false), &mut |_| ());
    let problem = outcome.unwrap_err().to_string();
    for path in [fixtures::path(NETWORK), other] {
        let hash = Checkpoint::open(path).unwrap().fingerprint();
        assert!(problem.contains(&hash), "{problem}");
    }
}

/// A branch of the denoiser that `folder/out` has, whose validation shows hints.
fn control(folder: &Path) -> ControlConfig {
    let base = config(folder, &[]);
    run(&base, &folder.join("out"));
    let text = base.to_toml();
    let shared = text.split("[flow]").next().unwrap().replace("task = \"flow\"", "task = \"control\"");
    let rest = text.split("[data]").nth(1).unwrap();
    let flow = folder.join("out/last.safetensors");
    let branch = format!(
        "[control]\nflow = {flow:?}\nhint = {{ kind = \"lines\", shown = 0.5 }}\nhint_widths = [4, 8, 8, 16]\n[data]{rest}"
    );
    ControlConfig::parse(&(shared + &branch), &[]).unwrap()
}

#[test]
fn a_run_of_a_branch_resumes_after_a_kill_at_any_event() {
    let folder = tempfile::tempdir().unwrap();
    let config = control(folder.path());
    assert_resumes_after_kills(
        &|options, stop, watch| fit_control(&config, options, stop, watch),
        folder.path(),
    );
    let out = folder.path().join("whole");
    let file = FlowFile::open(out.join("last.safetensors")).unwrap();
    assert!(file.flow().control.is_some());
    let metrics = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let validation: Vec<_> = lines.filter(|line| line["kind"] == "validation").collect();
    assert_eq!(validation.len(), 2);
    for line in validation {
        for name in ["velocity_mse", "unsteered_velocity_mse", "hint_distance", "unsteered_hint_distance"] {
            assert!(line[name].as_f64().is_some_and(|value| value > 0.0), "{name} of {line}");
        }
    }
    // Three rows of photo, masked photo, hint, the generator's fill, and the flow's without and with the hint.
    let sheet = image::open(out.join("grids/step-000000004.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (4 + 6 * 28, 4 + 3 * 28));
}

#[test]
fn a_branch_does_not_resume_on_another_flow() {
    let folder = tempfile::tempdir().unwrap();
    let config = control(folder.path());
    let out = folder.path().join("branch");
    let fit =
        |resume: bool| fit_control(&config, &options(&out, resume), &AtomicBool::new(false), &mut |_| ());
    fit(false).unwrap();
    let path = &config.control.flow;
    let before = lacuna::hash::sha256_of_file(path).unwrap();
    let other = folder.path().join("other");
    run(&self::config(folder.path(), &["run.steps=3"]), &other);
    fs::copy(other.join("last.safetensors"), path).unwrap();
    let after = lacuna::hash::sha256_of_file(path).unwrap();
    assert_ne!(before, after);
    let problem = fit(true).unwrap_err().to_string();
    assert!(problem.contains(&before) && problem.contains(&after), "{problem}");
}
