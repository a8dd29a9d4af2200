//! Seconds of a training step of each arm, or of a fill where ways to sample are compared, measured in turns.
//!
//! A run's own time depends on what else the machine did. Here every arm takes a few steps in each round, so that all see the same machine,
//! and the median over rounds counts. Nothing else should run meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lacuna::Predictor;
use lacuna::atomic::write_bytes_atomically;
use lacuna_eval::report::sheet::masked;

use super::StudyEvent;
use super::arm::{Job, Runs};
use super::plan::Arm;
use super::scores::Panel;
use crate::data::{Batch, Part, Position};
use crate::step::Learner;
use crate::{Error, Result};

/// File name of the times in the study's folder.
const TIMES: &str = "times.json";
/// Steps or fills of an arm in a round.
const REPEATED: usize = 3;

/// Seconds of a step or fill of each arm, by its name: the median over rounds.
pub(super) type Times = BTreeMap<String, f64>;

/// What is timed.
type Timed<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

/// A training step of an arm, if it was trained.
fn a_step<'a>(runs: &'a Runs, arm: &Arm) -> Result<Option<Timed<'a>>> {
    let Job::Train(run) = runs.job(arm, 1)? else { return Ok(None) };
    if !runs.folder(arm, 1).join("last.safetensors").exists() {
        return Ok(None);
    }
    let (config, devices) = (run.config, &runs.options.devices);
    let photos = config.batches().photos()?;
    let part = Part::of_rank(0, 1, devices.len());
    let mut loader = config.batches().loader(photos, Position::default(), part)?;
    let batches = (0..config.run.accumulate).map(|_| Ok(loader.next()?.batch));
    let batches: Vec<Batch> = batches.collect::<Result<_>>()?;
    let mut learner = Learner::new(config, devices)?;
    Ok(Some(Box::new(move || lacuna_nets::ops::among_workers(|| learner.step(&batches).map(drop)))))
}

/// A fill of an arm that trains no network of its own, if what it needs was trained.
fn a_fill<'a>(runs: &Runs, arm: &Arm, panel: &'a Panel) -> Result<Option<Timed<'a>>> {
    let predictor: Arc<dyn Predictor> = match runs.job(arm, 1)? {
        Job::Fill(predictor) => predictor,
        Job::Flow(job) if job.folder.join("last.safetensors").exists() => Arc::new(job.predictor()?),
        Job::Flow(_) | Job::Train(_) => return Ok(None),
    };
    let (photo, mask) = &panel.pairs()[0];
    let image = masked(photo, mask);
    Ok(Some(Box::new(move || Ok(predictor.predict(&image, mask, 0).map(drop)?))))
}

/// Measures all arms that were trained, and writes the medians. Returns whether it was not stopped.
pub(super) fn measure(
    runs: &Runs,
    panel: &Panel,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(StudyEvent) + Send),
) -> Result<bool> {
    let options = runs.options;
    let mut timed: Vec<(String, Timed, Vec<f64>)> = Vec::new();
    for arm in &options.plan.arms {
        let work =
            if options.plan.compares_samplings() { a_fill(runs, arm, panel)? } else { a_step(runs, arm)? };
        timed.extend(work.map(|work| (arm.name.clone(), work, Vec::new())));
    }
    // The first round warms up.
    for round in 0..=options.time_rounds {
        for (_, work, seconds) in &mut timed {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let start = Instant::now();
            (0..REPEATED).try_for_each(|_| work())?;
            if round > 0 {
                seconds.push(start.elapsed().as_secs_f64() / REPEATED as f64);
            }
        }
        if round > 0 {
            watch(StudyEvent::Timed { round });
        }
    }
    let times: Times = timed.into_iter().map(|(name, _, seconds)| (name, median(seconds))).collect();
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
