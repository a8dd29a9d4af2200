//! Progress of training: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lacuna_train::Event;
use lacuna_train::flow::FlowScores;
use lacuna_train::validate::Scores;

/// Shortest time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// The bar: done, time left, losses.
const TEMPLATE: &str = "{bar:24} {pos}/{len}  {eta} left  {wide_msg}";

/// The progress of one run.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    images: f64,
    took: Vec<f64>,
    waited: f64,
    last: Instant,
}

impl Progress {
    /// A run of `steps` that has not started.
    pub fn new(steps: u64) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(TEMPLATE).expect("a valid template");
        let bar = ProgressBar::with_draw_target(Some(steps), target).with_style(style);
        let now = Instant::now();
        Self { bar, started: now, images: 0.0, took: Vec::new(), waited: 0.0, last: now }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Reports an event.
    pub fn report(&mut self, event: &Event) {
        match event {
            Event::Started { step, photos } => {
                self.line(&format!("{photos} photos, starting after step {step}"));
                self.bar.set_position(*step);
                self.bar.reset_eta();
            }
            Event::Damaged(error) => self.line(&format!("note: {error}; using the checkpoint before it")),
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
            Event::Validated { step, scores, best } => {
                let best = if *best { "  best so far" } else { "" };
                let Scores { ssim, psnr, l1, lpips } = scores;
                let lpips = lpips.map_or_else(String::new, |lpips| format!("  LPIPS {lpips:.4}"));
                self.line(&format!(
                    "step {step}: SSIM {ssim:.4}  PSNR {psnr:.2} dB  L1 {l1:.4}{lpips}{best}"
                ));
            }
            Event::FlowValidated { step, scores, best } => {
                let best = if *best { "  best so far" } else { "" };
                let FlowScores { velocity_mse, trivial_mse, ratio, steered, fills } = scores;
                let steered = steered.map_or_else(String::new, |steered| {
                    let (with, without) = (steered.hint_distance, steered.unsteered_hint_distance);
                    format!("  hint {with:.4}, without {without:.4}")
                });
                let lpips = fills.lpips.map_or_else(String::new, |lpips| format!("  LPIPS {lpips:.4}"));
                self.line(&format!(
                    "step {step}: velocity {velocity_mse:.4}, {ratio:.3} of {trivial_mse:.4}  fills: SSIM {:.4}{lpips}{steered}{best}",
                    fills.ssim
                ));
            }
            Event::Saved(path) => self.line(&format!("saved {}", path.display())),
            Event::Skipped(photo) => self.line(&format!("note: skipped {}: {}", photo.name, photo.problem)),
        }
    }

    /// Removes the bar; with `profile`, reports where the time went.
    pub fn finish(mut self, profile: bool) {
        self.bar.finish_and_clear();
        if !profile || self.took.is_empty() {
            return;
        }
        let sum: f64 = self.took.iter().sum();
        self.took.sort_by(f64::total_cmp);
        eprintln!(
            "{} steps in {}: median {:.3} s, waiting for data {:.4} s per step ({:.1} %)",
            self.took.len(),
            duration(self.started.elapsed().as_secs_f64()),
            self.took[self.took.len() / 2],
            self.waited / self.took.len() as f64,
            100.0 * self.waited / sum
        );
    }
}

/// A duration in readable units.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
