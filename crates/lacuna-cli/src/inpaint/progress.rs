//! Progress of `lacuna inpaint`: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::row::{Row, Status};
use crate::Outcome;
use crate::output::print;

/// Progress of a run on standard error, and rows of JSON on standard output.
pub struct Progress {
    bar: ProgressBar,
    /// The number of photos; `None` if it is not known before the end.
    total: Option<usize>,
    counts: Mutex<Counts>,
    json: bool,
}

/// What happened so far.
#[derive(Default)]
struct Counts {
    done: usize,
    filled: usize,
    copied: usize,
    finished: usize,
    planned: usize,
    failed: usize,
    /// The first failures, a line each.
    failures: Vec<String>,
}

/// The bar: done, speed, time left.
const TEMPLATE: &str = "{bar:30} {pos}/{len}  {per_sec}  {eta} left  {wide_msg}";
/// Progress without a known end: done, speed.
const OPEN_TEMPLATE: &str = "{spinner} {pos}  {per_sec}  {wide_msg}";
/// The most failures that are repeated at the end of a batch.
const MOST_FAILURES: usize = 1000;

impl Progress {
    /// Progress over `total` photos; a bar only for several, and only on a terminal.
    pub fn new(total: Option<usize>, json: bool) -> Self {
        let on_terminal = total != Some(1) && std::io::stderr().is_terminal();
        let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let template = if total.is_some() { TEMPLATE } else { OPEN_TEMPLATE };
        let style = ProgressStyle::with_template(template).expect("a valid template");
        let bar = ProgressBar::with_draw_target(total.map(|total| total as u64), target).with_style(style);
        Self { bar, total, counts: Mutex::default(), json }
    }

    /// The number of photos that were reported.
    pub fn done(&self) -> usize {
        self.counts.lock().expect("no reporter panics").done
    }

    /// Reports one photo.
    ///
    /// # Errors
    /// If the row cannot be written to standard output.
    pub fn report(&self, row: &Row) -> Result<()> {
        let done = self.counts.lock().expect("no reporter panics").add(row);
        let line = describe(row);
        // The bar is locked while it is suspended.
        let without_bar = self.bar.is_hidden();
        self.bar.suspend(|| {
            row.notes.iter().for_each(|note| eprintln!("note: {note}"));
            if without_bar || matches!(row.status, Status::Failed { .. }) {
                let count = match self.total {
                    Some(1) => String::new(),
                    Some(total) => format!("[{done}/{total}] "),
                    None => format!("[{done}] "),
                };
                eprintln!("{count}{line}");
            }
            if self.json { print(&serde_json::to_string(row)?) } else { Ok(()) }
        })?;
        self.bar.set_message(row.image.clone());
        self.bar.inc(1);
        Ok(())
    }

    /// Reports the end of a batch: the counts, and failures again. Returns whether there were any.
    pub fn finish(self) -> Outcome {
        self.bar.finish_and_clear();
        let counts = self.counts.into_inner().expect("no reporter panics");
        let outcome = if counts.failed > 0 { Outcome::SomeFailed } else { Outcome::Done };
        if self.total.is_some_and(|total| total < 2) {
            return outcome;
        }
        let parts = [
            (counts.filled, "filled"),
            (counts.copied, "copied (empty mask)"),
            (counts.finished, "finished before"),
            (counts.planned, "planned"),
            (counts.failed, "failed"),
        ];
        let text: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        eprintln!("{} photos: {}", counts.done, text.join(", "));
        for failure in &counts.failures {
            eprintln!("  failed  {failure}");
        }
        let others = counts.failed - counts.failures.len();
        if others > 0 {
            eprintln!("  and {others} more");
        }
        outcome
    }
}

impl Counts {
    /// Counts a photo, and returns how many there are now.
    fn add(&mut self, row: &Row) -> usize {
        self.done += 1;
        match &row.status {
            Status::Filled(_) => self.filled += 1,
            Status::Copied => self.copied += 1,
            Status::Finished => self.finished += 1,
            Status::Planned(_) => self.planned += 1,
            Status::Failed { error } => {
                self.failed += 1;
                if self.failures.len() < MOST_FAILURES {
                    self.failures.push(format!("{}  {error}", row.image));
                }
            }
        }
        self.done
    }
}

/// One line about a photo.
fn describe(row: &Row) -> String {
    let output = row.output.as_deref().unwrap_or_default();
    let image = &row.image;
    match &row.status {
        Status::Filled(fill) => format!(
            "{image}: filled {:.1} % with {}, {}, in {:.1} s: {output}",
            100.0 * fill.hole_share,
            fill.method,
            fill.strategy,
            row.seconds
        ),
        Status::Copied => format!("{image}: the mask is empty, copied unchanged: {output}"),
        Status::Finished => format!("{image}: finished before: {output}"),
        Status::Planned(planned) => {
            let (mebibytes, seconds) =
                (planned.forecast_bytes as f64 / (1 << 20) as f64, planned.forecast_seconds);
            match &planned.fill {
                Some(fill) => format!(
                    "{image}: would fill {:.1} % with {}, {}, about {mebibytes:.0} MiB and {seconds:.1} s: {output}",
                    100.0 * fill.hole_share,
                    fill.method,
                    fill.strategy
                ),
                None => format!("{image}: the mask is empty, would be copied unchanged: {output}"),
            }
        }
        Status::Failed { error } => format!("{image}: failed: {error}"),
    }
}
