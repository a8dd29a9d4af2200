//! Progress of `lacuna inpaint`: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::row::{Row, Status};
use crate::output::print;

/// Progress of a run on standard error, and rows of JSON on standard output.
pub struct Progress {
    bar: ProgressBar,
    total: usize,
    done: AtomicUsize,
    json: bool,
}

/// The bar: done, speed, time left.
const TEMPLATE: &str = "{bar:30} {pos}/{len}  {per_sec}  {eta} left  {wide_msg}";

impl Progress {
    /// Progress over `total` photos; a bar only for several, and only on a terminal.
    pub fn new(total: usize, json: bool) -> Self {
        let on_terminal = total > 1 && std::io::stderr().is_terminal();
        let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(TEMPLATE).expect("a valid template");
        let bar = ProgressBar::with_draw_target(Some(total as u64), target).with_style(style);
        Self { bar, total, done: AtomicUsize::new(0), json }
    }

    /// Reports one photo.
    ///
    /// # Errors
    /// If the row cannot be written to standard output.
    pub fn report(&self, row: &Row) -> Result<()> {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let line = describe(row);
        // The bar is locked while it is suspended.
        let without_bar = self.bar.is_hidden();
        self.bar.suspend(|| {
            row.notes.iter().for_each(|note| eprintln!("note: {note}"));
            if without_bar || matches!(row.status, Status::Failed { .. }) {
                let count = if self.total > 1 { format!("[{done}/{}] ", self.total) } else { String::new() };
                eprintln!("{count}{line}");
            }
            if self.json { print(&serde_json::to_string(row)?) } else { Ok(()) }
        })?;
        self.bar.set_message(row.image.clone());
        self.bar.inc(1);
        Ok(())
    }

    /// Reports the end of a batch: the counts, and each failure again.
    pub fn finish(&self, rows: &[Row]) {
        self.bar.finish_and_clear();
        if self.total < 2 {
            return;
        }
        let count = |matching: fn(&Status) -> bool| rows.iter().filter(|row| matching(&row.status)).count();
        let parts = [
            (count(|status| matches!(status, Status::Filled(_))), "filled"),
            (count(|status| matches!(status, Status::Copied)), "copied (empty mask)"),
            (count(|status| matches!(status, Status::Finished)), "finished before"),
            (count(|status| matches!(status, Status::Planned(_))), "planned"),
            (count(|status| matches!(status, Status::Failed { .. })), "failed"),
        ];
        let text: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        eprintln!("{} photos: {}", rows.len(), text.join(", "));
        for row in rows {
            if let Status::Failed { error } = &row.status {
                eprintln!("  failed  {}  {error}", row.image);
            }
        }
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
