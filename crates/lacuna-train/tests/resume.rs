//! A run that is killed at any event and resumed ends as an undisturbed one.
//!
//! The kill is a panic in the callback that watches the run: nothing that the run would have written later is written.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lacuna_nets::Device;
use lacuna_train::{Alone, Event, FitOptions, Outcome, Result, RunConfig, fit};
use testkit::pictures::write_noise_photos;

/// Four steps: a score after two and four, a checkpoint after three and four.
const RUN_FILE: &str = r#"
    task = "inpainting"
    seed = 1
    network = { family = "fourier", width = 2, blocks = 1, conditioning = "control" }
    ema = { on = true, decay = 0.9 }
    loss.pixel_l1 = { known = 1.0, hole = 1.0 }
    optimizer = { learning_rate = 1e-3 }
    run = { steps = 4, batch = 2, checkpoint_every = 3, validate_every = 2, grid_every = 2, log_every = 1 }

    [data]
    train = [{ kind = "folder", path = "PHOTOS" }]
    validation = [{ kind = "folder", path = "PHOTOS" }]
    validation_photos = 1
    side = 16
    augment = "light"
    masks = { kind = "half" }
    validation_masks = { kind = "half" }
"#;

fn config(folder: &Path) -> RunConfig {
    let photos = folder.join("photos");
    write_noise_photos(&photos, 4, 24);
    RunConfig::parse(&RUN_FILE.replace("PHOTOS", photos.to_str().unwrap()), &[]).unwrap()
}

/// Runs, or resumes, until the end or until the event of this number, at which the run is killed.
fn run(config: &RunConfig, folder: &Path, killed_at: usize) -> (usize, Option<Result<Outcome>>) {
    let options = FitOptions {
        folder: folder.to_owned(),
        resume: true,
        devices: vec![Device::flex()],
        ranks: Arc::new(Alone),
    };
    let mut events = 0;
    let mut watch = |_: Event| {
        assert!(events < killed_at, "killed");
        events += 1;
    };
    let outcome =
        catch_unwind(AssertUnwindSafe(|| fit(config, &options, &AtomicBool::new(false), &mut watch)));
    (events, outcome.ok())
}

/// What a run leaves, without times.
fn results(folder: &Path) -> (Vec<u8>, Vec<u8>, Vec<(u64, String)>) {
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let metrics = String::from_utf8(read("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let lines = lines.map(|line| (line["step"].as_u64().unwrap(), line["kind"].to_string())).collect();
    (read("last.safetensors"), read("best.safetensors"), lines)
}

#[test]
fn a_run_resumes_after_a_kill_at_any_event() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let whole = folder.path().join("whole");
    let (events, outcome) = run(&config, &whole, usize::MAX);
    outcome.unwrap().unwrap();
    // Start, four steps, two scores, two checkpoints.
    assert_eq!(events, 9);
    let expected = results(&whole);
    for event in 0..events {
        let killed = folder.path().join(format!("killed-{event}"));
        assert!(run(&config, &killed, event).1.is_none(), "event {event}");
        let (_, outcome) = run(&config, &killed, usize::MAX);
        assert_eq!(outcome.unwrap().unwrap().step, 4);
        assert!(results(&killed) == expected, "killed at event {event}");
    }
}
