//! `lacuna study`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lacuna_eval::judge::Judge;
use lacuna_eval::metric::Region;
use lacuna_eval::report::Column;
use lacuna_nets::DeviceName;
use lacuna_train::study::{self, Plan, Scale, StudyEvent, StudyOptions};

use super::progress::Progress;
use super::ranks::refuse_several_processes;
use super::{stop_on_interrupt, usage};
use crate::Outcome;
use crate::models::metric_weights_folder;
use crate::output::print;
use crate::units::{Threads, start_threads};

/// Train networks that differ in what a study compares, with several seeds, and report the differences
///
/// Runs that an earlier call finished in the same folder are not repeated; a stopped study continues.
#[derive(Args)]
pub struct StudyArgs {
    /// What is compared: table-5.1, table-5.2, table-A.1 (of the thesis), history (methods since 2001), grid (each of the
    /// thesis's changes alone), sampling (of a flow of latents), or a .toml file (docs/training.md)
    study: String,
    /// Size of everything: tiny (seconds), smoke (minutes), small (hours on two cores), paper (as the run files say: days on
    /// a GPU)
    #[arg(long, default_value = "smoke")]
    scale: Scale,
    /// Change a key of every run file, such as run.steps=8000
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Number of seeds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Run this arm only; may be given several times. Arms that were run before are reported, too
    #[arg(long, value_name = "ARM")]
    only: Vec<String>,
    /// After all runs, time training steps of all arms in turns, in this many rounds. Nothing else should run on the machine
    #[arg(long, value_name = "ROUNDS", default_value_t = 0)]
    time: usize,
    /// Training photos
    #[arg(long, value_name = "FOLDER")]
    photos: PathBuf,
    /// Validation photos; none of them may be among the training photos
    #[arg(long, value_name = "FOLDER", alias = "judged-by")]
    validation: PathBuf,
    /// Folder of the metrics' weights; perceptual losses take VGG16 from it [default: metrics/ in the folder of installed
    /// models, see `lacuna models`]
    #[arg(long, value_name = "FOLDER")]
    metric_weights: Option<PathBuf>,
    /// Folder for all runs and the report [default: studies/ and the study's name]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Device: cpu, cuda, cuda:N, wgpu or wgpu:N
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Number of computing threads [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<Threads>,
}

/// Runs the command.
///
/// # Errors
/// If a run fails; finished runs are kept.
pub fn study(args: &StudyArgs) -> Result<Outcome> {
    refuse_several_processes("`lacuna study` runs in one process")?;
    start_threads(args.threads)?;
    let plan = Plan::open(&args.study).map_err(usage)?;
    let metric_weights = metric_weights_folder(args.metric_weights.as_deref())?;
    let judge = Judge::open(&metric_weights)?;
    let missing = judge.missing();
    if !missing.is_empty() {
        eprintln!(
            "note: {} missing in {}: not all metrics are computed (`lacuna model fetch metrics` downloads the weights)",
            missing.join(", "),
            metric_weights.display()
        );
    }
    let options = StudyOptions {
        scale: args.scale,
        set: args.set.clone(),
        seeds: args.seeds,
        only: args.only.clone(),
        time_rounds: args.time,
        photos: args.photos.clone(),
        validation: args.validation.clone(),
        metric_weights,
        folder: args.output.clone().unwrap_or_else(|| PathBuf::from("studies").join(&plan.name)),
        plan,
        devices: vec![args.device.open()?],
    };
    let stop = stop_on_interrupt()?;
    let mut progress: Option<Progress> = None;
    let mut watch = |event: StudyEvent| match event {
        StudyEvent::Run { name, seed, steps } => {
            if let Some(before) = progress.take() {
                before.finish(false);
            }
            eprintln!("== {name}, seed {seed}, {steps} steps");
            progress = Some(Progress::new(steps));
        }
        StudyEvent::Event(event) => {
            if let Some(progress) = &mut progress {
                progress.report(&event);
            }
        }
        StudyEvent::Scored { name, seed, result } => {
            let scores =
                result.values.iter().filter(|value| matches!(value.measure, Column::Mean(_, Region::Whole)));
            let scores = scores.map(|study::Value { measure, value }| {
                format!("{} {value:.*}", measure.title(), measure.decimals())
            });
            eprintln!("== {name}, seed {seed}: {}", scores.collect::<Vec<_>>().join(", "));
        }
        StudyEvent::Timed { round } => eprintln!("== timed, round {round} of {}", args.time),
    };
    match study::study(&options, &judge, &stop, &mut watch).map_err(usage)? {
        Some(report) => print(report.trim_end())?,
        None => eprintln!("stopped; run the same command again to continue"),
    }
    Ok(Outcome::Done)
}
