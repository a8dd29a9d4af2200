//! Runs that are killed at each of their events and resumed.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lacuna_nets::Device;
use lacuna_train::{Alone, Event, FitOptions, Outcome, Result};

/// The options of a run in `folder` on one device.
pub fn options(folder: &Path, resume: bool) -> FitOptions {
    FitOptions { folder: folder.to_owned(), resume, devices: vec![Device::flex()], ranks: Arc::new(Alone) }
}

/// A training: [`lacuna_train::fit`] or [`lacuna_train::fit_flow`] of a run file.
pub type Train<'a> = &'a dyn Fn(&FitOptions, &AtomicBool, &mut (dyn FnMut(Event) + Send)) -> Result<Outcome>;

/// Runs, or resumes, until the end or until the event of this number, at which the run is killed.
pub fn run(train: Train, folder: &Path, killed_at: usize) -> (usize, Option<Result<Outcome>>) {
    let mut events = 0;
    let mut watch = |_: Event| {
        assert!(events < killed_at, "killed");
        events += 1;
    };
    let (options, stop) = (options(folder, true), AtomicBool::new(false));
    let outcome = catch_unwind(AssertUnwindSafe(|| train(&options, &stop, &mut watch)));
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

/// Asserts that a run of four steps, killed at any event and resumed, ends as an undisturbed one, which is left in `whole`.
pub fn assert_resumes_after_kills(train: Train, folder: &Path) {
    let whole = folder.join("whole");
    let (events, outcome) = run(train, &whole, usize::MAX);
    outcome.unwrap().unwrap();
    // Start, four steps, two scores, two checkpoints.
    assert_eq!(events, 9);
    let expected = results(&whole);
    for event in 0..events {
        let killed = folder.join(format!("killed-{event}"));
        assert!(run(train, &killed, event).1.is_none(), "event {event}");
        let (_, outcome) = run(train, &killed, usize::MAX);
        assert_eq!(outcome.unwrap().unwrap().step, 4);
        assert!(results(&killed) == expected, "killed at event {event}");
    }
}
