//! `lacuna train`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lacuna_nets::DeviceName;
use lacuna_train::{Event, FitOptions, Forecast, RunConfig, fit};

use crate::Outcome;
use crate::output::print;

/// Plain lines about progress come no more often than this.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// The bar: what is done, how fast, how long it will still take.
const TEMPLATE: &str = "{bar:24} {pos}/{len}  {eta} left  {wide_msg}";

/// Train a network as a run file says
#[derive(Args)]
pub struct TrainArgs {
    /// The run file, such as configs/autoencoder.toml
    config: PathBuf,
    /// The run folder [default: runs/ and the run file's name]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Go on from the newest whole checkpoint of the run folder, bit for bit
    #[arg(long)]
    resume: bool,
    /// Change a key of the run file, such as run.steps=1000; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to train: cpu, cuda, cuda:N, wgpu or wgpu:N; several, with commas, share out the batches of a step
    #[arg(long, default_value = "cpu", value_delimiter = ',')]
    device: Vec<DeviceName>,
    /// Take twelve steps, tell what the whole run would need, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Tell at the end how long steps took, and how long they waited for data
    #[arg(long)]
    profile: bool,
}

/// Runs the command.
///
/// # Errors
/// If the run file is wrong, or the run fails; it can then be resumed.
pub fn run(args: &TrainArgs) -> Result<Outcome> {
    let config = RunConfig::open(&args.config, &args.set)?;
    let devices = args.device.iter().map(|device| device.open()).collect::<Result<Vec<_>, _>>()?;
    if args.dry_run {
        return tell(&Forecast::measure(&config, &devices)?);
    }
    let stem = args.config.file_stem().context("the run file has no name")?;
    let folder = args.output.clone().unwrap_or_else(|| PathBuf::from("runs").join(stem));
    let options = FitOptions { folder: folder.clone(), resume: args.resume, devices };
    let stop = stop_on_interrupt()?;
    let mut progress = Progress::new(config.run.steps);
    let outcome = fit(&config, &options, &stop, &mut |event| progress.tell(&event))?;
    progress.finish(args.profile);
    let folder = folder.display();
    if outcome.stopped {
        eprintln!("stopped after step {} of {}; go on with --resume", outcome.step, config.run.steps);
    }
    print(&format!("{folder}/last.safetensors"))?;
    Ok(Outcome::Done)
}

/// A flag that the first Ctrl-C sets; the second ends the program at once.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    const INTERRUPTED: i32 = 130;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        eprintln!("\nstopping after this step; once more to stop at once");
    })
    .context("cannot listen to Ctrl-C")?;
    Ok(stop)
}

fn tell(forecast: &Forecast) -> Result<Outcome> {
    let Forecast {
        photos, parameters, learning, discriminators, steps, seconds_per_step, loader_wait, ..
    } = *forecast;
    print(&format!("photos             {photos}"))?;
    print(&format!("parameters         {parameters}, {learning} of them learn"))?;
    if discriminators > 0 {
        print(&format!("discriminators     {discriminators} parameters"))?;
    }
    print(&format!("steps              {steps}"))?;
    print(&format!(
        "time of a step     {seconds_per_step:.3} s, {:.1} % of it waiting for data",
        100.0 * loader_wait / seconds_per_step
    ))?;
    print(&format!("time of all steps  {}", duration(forecast.seconds())))?;
    if let Some(bytes) = forecast.peak_bytes {
        print(&format!("memory             {} MiB", bytes >> 20))?;
    }
    Ok(Outcome::Done)
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// What a person sees: a bar on a terminal, plain lines elsewhere.
struct Progress {
    bar: ProgressBar,
    told: Instant,
    images: f64,
    took: Vec<f64>,
    waited: f64,
    last: Instant,
}

impl Progress {
    fn new(steps: u64) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(TEMPLATE).expect("a valid template");
        let bar = ProgressBar::with_draw_target(Some(steps), target).with_style(style);
        let now = Instant::now();
        Self { bar, told: now, images: 0.0, took: Vec::new(), waited: 0.0, last: now }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    fn tell(&mut self, event: &Event) {
        match event {
            Event::Started { step, photos } => {
                self.line(&format!("{photos} photos, starting behind step {step}"));
                self.bar.set_position(*step);
                self.bar.reset_eta();
            }
            Event::Damaged(error) => self.line(&format!("note: {error}; taking the checkpoint before it")),
            Event::Step { report, photos, took, waited } => {
                self.took.push(took.as_secs_f64());
                self.waited += waited.as_secs_f64();
                self.images = *photos as f64 / took.as_secs_f64();
                let terms: Vec<String> =
                    report.terms.iter().map(|(term, value)| format!("{term} {value:.4}")).collect();
                let message = format!("{:.1} images/s  {}", self.images, terms.join("  "));
                self.bar.set_position(report.step);
                if self.bar.is_hidden() && (self.last.elapsed() >= LINE_EVERY || self.took.len() == 1) {
                    eprintln!("step {}  {message}", report.step);
                    self.last = Instant::now();
                }
                self.bar.set_message(message);
            }
            Event::Judged { step, scores, best } => {
                let best = if *best { "  best so far" } else { "" };
                let lacuna_train::validate::Scores { ssim, psnr, l1 } = scores;
                self.line(&format!("step {step}: SSIM {ssim:.4}  PSNR {psnr:.2} dB  L1 {l1:.4}{best}"));
            }
            Event::Saved(path) => self.line(&format!("saved {}", path.display())),
            Event::Skipped(photo) => self.line(&format!("note: skipped {}: {}", photo.name, photo.problem)),
        }
    }

    fn finish(mut self, profile: bool) {
        self.bar.finish_and_clear();
        if !profile || self.took.is_empty() {
            return;
        }
        let sum: f64 = self.took.iter().sum();
        self.took.sort_by(f64::total_cmp);
        eprintln!(
            "{} steps in {}: median {:.3} s, waiting for data {:.4} s a step ({:.1} %)",
            self.took.len(),
            duration(self.told.elapsed().as_secs_f64()),
            self.took[self.took.len() / 2],
            self.waited / self.took.len() as f64,
            100.0 * self.waited / sum
        );
    }
}
