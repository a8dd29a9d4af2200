//! `lacuna train` and `lacuna study`.

mod progress;
mod ranks;
mod study;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use clap::Args;
use lacuna_nets::DeviceName;
use lacuna_train::{Collective, Event, FitOptions, Forecast, RunFile, fit, fit_control, fit_flow};

pub use study::{StudyArgs, study};

use crate::Outcome;
use crate::interrupt::on_interrupt;
use crate::output::print;
use crate::units::{Threads, start_threads};
use crate::usage::UsageError;
use progress::{Progress, duration};

/// Train a network, a denoiser of a network's latents, or a ControlNet branch of a denoiser, from a run file
#[derive(Args)]
pub struct TrainArgs {
    /// The run file, such as configs/autoencoder.toml
    config: PathBuf,
    /// The run folder [default: runs/ and the run file's name]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Continue from the newest intact checkpoint of the run folder; the result has the same bits as an uninterrupted
    /// run
    #[arg(long)]
    resume: bool,
    /// Change a key of the run file, such as run.steps=1000; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda, cuda:N, wgpu or wgpu:N; several, separated by commas, split the batches of a step
    #[arg(long, default_value = "cpu", value_delimiter = ',')]
    device: Vec<DeviceName>,
    /// Number of computing threads [default: one per core]; photos are decoded by data.workers more
    #[arg(long, value_name = "N")]
    threads: Option<Threads>,
    /// Run twelve steps and report what the whole run would need; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Report at the end how long steps took, and how long they waited for data
    #[arg(long)]
    profile: bool,
}

/// Runs the command.
///
/// # Errors
/// If the run file is wrong, or the run fails; it can then be resumed.
pub fn run(args: &TrainArgs) -> Result<Outcome> {
    ranks::among_ranks(|ranks| train(args, ranks))
}

fn train(args: &TrainArgs, ranks: Arc<dyn Collective>) -> Result<Outcome> {
    start_threads(args.threads)?;
    // An error in the file alone is not an error in the arguments.
    let config = match RunFile::open(&args.config, &args.set) {
        Err(error) if !args.set.is_empty() => {
            RunFile::open(&args.config, &[])?;
            return Err(usage(error));
        }
        config => config?,
    };
    let devices = args.device.iter().map(|device| device.open()).collect::<Result<Vec<_>, _>>()?;
    let is_writer = ranks.is_writer();
    if args.dry_run {
        let forecast = match &config {
            RunFile::Network(config) => Forecast::measure(config, &devices, &ranks),
            RunFile::Flow(config) => Forecast::measure_flow(config, &devices, ranks.size()),
            RunFile::Control(config) => Forecast::measure_control(config, &devices, ranks.size()),
        };
        let forecast = forecast.map_err(usage)?;
        return if is_writer { print_forecast(&forecast) } else { Ok(Outcome::Done) };
    }
    let stem = args.config.file_stem().context("the run file has no name")?;
    let folder = args.output.clone().unwrap_or_else(|| PathBuf::from("runs").join(stem));
    let options = FitOptions { folder: folder.clone(), resume: args.resume, devices, ranks };
    let stop = stop_on_interrupt()?;
    let mut progress = Progress::new(config.run().steps);
    let mut watch = |event: Event| progress.report(&event);
    let outcome = match &config {
        RunFile::Network(config) => fit(config, &options, &stop, &mut watch),
        RunFile::Flow(config) => fit_flow(config, &options, &stop, &mut watch),
        RunFile::Control(config) => fit_control(config, &options, &stop, &mut watch),
    };
    let outcome = outcome.map_err(usage)?;
    if !is_writer {
        return Ok(Outcome::Done);
    }
    progress.finish(args.profile);
    let folder = folder.display();
    if outcome.stopped {
        eprintln!("stopped after step {} of {}; continue with --resume", outcome.step, config.run().steps);
    }
    print(&format!("{folder}/last.safetensors"))?;
    Ok(Outcome::Done)
}

/// A flag that the first Ctrl+C sets.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    on_interrupt("stopping after this step", move || flag.store(true, Ordering::Relaxed))?;
    Ok(stop)
}

/// After the run file was read, errors of the configuration come from the arguments.
fn usage(error: lacuna_train::Error) -> anyhow::Error {
    match error {
        lacuna_train::Error::Config(problem) => UsageError(problem).into(),
        error => error.into(),
    }
}

fn print_forecast(forecast: &Forecast) -> Result<Outcome> {
    let Forecast {
        photos, parameters, learning, discriminators, steps, seconds_per_step, loader_wait, ..
    } = *forecast;
    print(&format!("photos             {photos}"))?;
    print(&format!("parameters         {parameters}, {learning} of them trained"))?;
    if discriminators > 0 {
        print(&format!("discriminators     {discriminators} parameters"))?;
    }
    print(&format!("steps              {steps}"))?;
    print(&format!(
        "time per step      {seconds_per_step:.3} s, {:.1} % of it waiting for data",
        100.0 * loader_wait / seconds_per_step
    ))?;
    print(&format!("time of all steps  {}", duration(forecast.seconds())))?;
    if let Some(bytes) = forecast.peak_bytes {
        print(&format!("memory             {} MiB", bytes >> 20))?;
    }
    Ok(Outcome::Done)
}
