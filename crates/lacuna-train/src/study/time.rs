//! Seconds of a training step of each arm, measured in turns.
//!
//! A run's own time depends on what else the machine did. Here every arm takes a few steps in each round, so that all see the same machine,
//! and the median over rounds counts. Nothing else should run meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lacuna::atomic::write_bytes_atomically;

use super::StudyEvent;
use super::arm::{Job, Runs};
use crate::data::{Batch, Part, Position};
use crate::step::Learner;
use crate::{Error, Result};

/// File name of the times in the study's folder.
const TIMES: &str = "times.json";
/// Steps of an arm in a round.
const STEPS: usize = 3;

/// Seconds of a step of each arm, by its name: the median over rounds.
pub(super) type Times = BTreeMap<String, f64>;

/// Measures all arms that were trained, and writes the medians. Returns whether it was not stopped.
pub(super) fn measure(
    runs: &Runs,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(StudyEvent) + Send),
) -> Result<bool> {
    let options = runs.options;
    let mut timed: Vec<(String, Learner, Vec<Batch>, Vec<f64>)> = Vec::new();
    for arm in &options.plan.arms {
        let Job::Train(run) = runs.job(arm, 1)? else { continue };
        if !runs.folder(arm, 1).join("last.safetensors").exists() {
            continue;
        }
        let config = run.config;
        let photos = config.batches().photos()?;
        let accumulate = config.run.accumulate;
        let part = Part::of_rank(0, 1, options.devices.len());
        let mut loader = config.batches().loader(photos, Position::default(), part)?;
        let batches: Vec<Batch> = (0..accumulate).map(|_| Ok(loader.next()?.batch)).collect::<Result<_>>()?;
        let learner = Learner::new(config, &options.devices)?;
        timed.push((arm.name.clone(), learner, batches, Vec::new()));
    }
    // The first round warms up.
    for round in 0..=options.time_rounds {
        for (_, learner, batches, seconds) in &mut timed {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let start = Instant::now();
            lacuna_nets::ops::among_workers(|| {
                (0..STEPS).try_for_each(|_| learner.step(batches).map(|_| ()))
            })?;
            if round > 0 {
                seconds.push(start.elapsed().as_secs_f64() / STEPS as f64);
            }
        }
        if round > 0 {
            watch(StudyEvent::Timed { round });
        }
    }
    let times: Times = timed.into_iter().map(|(name, .., seconds)| (name, median(seconds))).collect();
    let text = serde_json::to_string_pretty(&times).expect("plain data");
    write_bytes_atomically(&options.folder.join(TIMES), text.as_bytes())?;
    Ok(true)
}

/// The times of an earlier measurement; none if there was none.
pub(super) fn read(runs: &Runs) -> Result<Times> {
    let path = runs.options.folder.join(TIMES);
    match fs::read_to_string(&path) {
        Ok(text) => {
            serde_json::from_str(&text).map_err(|error| Error::Config(format!("{}: {error}", path.display())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Times::new()),
        Err(source) => Err(Error::Read { path, source }),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
