//! Studies: arms that are trained with several seeds, scored on the same photos and masks, and compared. Plans ([`Plan`]) say what is
//! compared: the thesis's tables, a history of methods, a grid of changes, or a file. Finished work is not repeated.

mod arm;
mod differences;
mod effects;
mod flow;
mod grid;
mod plan;
mod report;
mod scale;
mod scores;
mod time;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use lacuna_eval::judge::Judge;
use serde::{Deserialize, Serialize};

pub use plan::{Arm, By, Claim, Plan, Printed, Work};
pub use scale::Scale;
pub use scores::Value;

use crate::fit::Event;
use crate::validate::Validation;
use crate::{Error, Result};
use arm::Runs;
use scores::Panel;

/// Options of a study.
#[derive(Clone, Debug)]
pub struct StudyOptions {
    /// What is compared.
    pub plan: Plan,
    /// Its size.
    pub scale: Scale,
    /// Changes of every run file at this size, as of `--set`.
    pub set: Vec<String>,
    /// Number of seeds, at least 1.
    pub seeds: u64,
    /// Names of the arms that are run; all if empty. Others are reported if they were run before.
    pub only: Vec<String>,
    /// Rounds of timed steps, after all runs; none if 0.
    pub time_rounds: usize,
    /// Training photos.
    pub photos: PathBuf,
    /// Validation photos.
    pub validation: PathBuf,
    /// Folder of the metrics' weights: VGG16's for perceptual losses, AlexNet's for the curves of LPIPS.
    pub metric_weights: PathBuf,
    /// Output folder.
    pub folder: PathBuf,
    /// The devices.
    pub devices: Vec<Device>,
}

/// The result of an arm with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmResult {
    /// Hash of the photos, masks, metrics and run file. Another one is scored again.
    pub identity: String,
    /// Scored photos.
    pub photos: usize,
    /// Steps of the arm's own training.
    pub steps: u64,
    /// Trained parameters.
    pub learning: usize,
    /// Its scores.
    pub values: Vec<Value>,
}

/// Results of an arm by seed.
pub type Results = BTreeMap<u64, ArmResult>;

/// An event of a study.
#[derive(Debug)]
pub enum StudyEvent<'a> {
    /// A run starts.
    Run {
        /// The run's name.
        name: &'a str,
        /// The seed.
        seed: u64,
        /// Number of steps.
        steps: u64,
    },
    /// An event of the run.
    Event(Event<'a>),
    /// An arm is scored.
    Scored {
        /// The arm's name.
        name: &'a str,
        /// The seed.
        seed: u64,
        /// Its result.
        result: &'a ArmResult,
    },
    /// A round of timed steps is finished.
    Timed {
        /// The round, from 1.
        round: usize,
    },
}

/// Runs a study, scores it by the metrics of `judge`, and writes its report: `report.md`, `report.html`, `report.json`, `table.csv`, `table.tex` and `examples.png`. Returns the
/// report's text, or `None` if it was stopped.
///
/// # Errors
/// As [`crate::fit()`].
pub fn study(
    options: &StudyOptions,
    judge: &Judge,
    stop: &AtomicBool,
    watch: &mut (dyn FnMut(StudyEvent) + Send),
) -> Result<Option<String>> {
    let plan = &options.plan;
    if !plan.scales.is_empty() && !plan.scales.contains(&options.scale) {
        let scales: Vec<String> = plan.scales.iter().map(ToString::to_string).collect();
        return Err(Error::Config(format!(
            "{plan}: its networks do not run at the scale {}: choose the scale {}",
            options.scale,
            join(&scales, "or")
        )));
    }
    if let Some(name) = options.only.iter().find(|name| plan.arm(name).is_none()) {
        let names: Vec<String> = plan.arms.iter().map(|arm| format!("{:?}", arm.name)).collect();
        return Err(Error::Config(format!("{plan}: no arm {name:?}, expected {}", join(&names, "or"))));
    }
    let runs = Runs { options };
    // Invalid settings are refused before the first hour of computing.
    runs.check()?;
    let panel = Panel::new(Validation::open(&runs.validation_data()?)?, judge);
    let mut results = vec![Results::new(); plan.arms.len()];
    for seed in 1..=options.seeds {
        for (arm, results) in plan.arms.iter().zip(&mut results) {
            if !options.only.is_empty() && !options.only.contains(&arm.name) {
                results.extend(runs.earlier(arm, seed, &panel)?.map(|result| (seed, result)));
                continue;
            }
            let Some(result) = runs.run(arm, seed, &panel, stop, watch)? else { return Ok(None) };
            watch(StudyEvent::Scored { name: &arm.name, seed, result: &result });
            results.insert(seed, result);
        }
    }
    if options.time_rounds > 0 && !time::measure(&runs, &panel, stop, watch)? {
        return Ok(None);
    }
    report::write(&runs, &results, &panel).map(Some)
}

/// Words as a list: "a, b or c".
fn join(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
