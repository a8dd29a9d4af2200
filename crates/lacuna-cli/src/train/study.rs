//! `lacuna study`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lacuna_eval::published::LPIPS_VGG;
use lacuna_nets::DeviceName;
use lacuna_train::study::{self, Scale, StudyEvent, StudyOptions, Table};

use super::progress::{Progress, duration};
use super::ranks::refuse_several_processes;
use super::{stop_on_interrupt, usage};
use crate::Outcome;
use crate::models::metric_weights_folder;
use crate::output::print;
use crate::units::{Threads, start_threads};

/// Train a whole table, of the thesis or of the history of methods, with several seeds, and compare its rows
///
/// Runs that an earlier call finished in the same folder are not repeated.
#[derive(Args)]
pub struct StudyArgs {
    /// The table: table-5.1, table-5.2, table-A.1 (of the thesis), or history (methods since 2016)
    table: Table,
    /// Size of everything: tiny (seconds), smoke (minutes), small (an hour on two cores), paper (days on a GPU)
    #[arg(long, default_value = "smoke")]
    scale: Scale,
    /// Number of seeds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Training photos
    #[arg(long, value_name = "FOLDER")]
    photos: PathBuf,
    /// Validation photos; none of them may be among the training photos
    #[arg(long, value_name = "FOLDER", alias = "judged-by")]
    validation: PathBuf,
    /// Folder of the weights of LPIPS (VGG), for validation and for tables with a perceptual loss [default: metrics/ in
    /// the folder of installed models, see `lacuna models`]
    #[arg(long, value_name = "FOLDER")]
    metric_weights: Option<PathBuf>,
    /// An older option: the weights for perceptual losses alone
    #[arg(long, value_name = "FILE", hide = true)]
    vgg16: Option<PathBuf>,
    /// An older option: the weights for validation alone
    #[arg(long, value_name = "FILE", hide = true)]
    lpips: Option<PathBuf>,
    /// Folder for all runs and the report [default: studies/ and the table's name]
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
    let weights = metric_weights_folder(args.metric_weights.as_deref())?.join(LPIPS_VGG);
    let weights = weights.is_file().then_some(weights);
    let lpips = args.lpips.clone().or_else(|| weights.clone());
    if lpips.is_none() {
        eprintln!(
            "note: {LPIPS_VGG} is missing: no LPIPS (`lacuna model fetch metrics` downloads the weights)"
        );
    }
    let options = StudyOptions {
        table: args.table,
        scale: args.scale,
        seeds: args.seeds,
        photos: args.photos.clone(),
        validation: args.validation.clone(),
        vgg16: args.vgg16.clone().or(weights),
        lpips,
        folder: args.output.clone().unwrap_or_else(|| PathBuf::from("studies").join(args.table.to_string())),
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
        StudyEvent::Validated { name, seed, reached } => {
            let scores = &reached.judgement.scores;
            eprintln!(
                "== {name}, seed {seed}: SSIM {:.4}, PSNR {:.2} dB, L1 {:.4}, in {}",
                scores.ssim,
                scores.psnr,
                scores.l1,
                duration(reached.seconds)
            );
        }
    };
    match study::study(&options, &stop, &mut watch).map_err(usage)? {
        Some(report) => print(report.trim_end())?,
        None => eprintln!("stopped; run the same command again to continue"),
    }
    Ok(Outcome::Done)
}
