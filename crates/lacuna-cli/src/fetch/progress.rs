//! Progress of a download on standard error: a bar on a terminal, a line every ten percent elsewhere.

use std::io::IsTerminal;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// Lines for a whole download without a terminal.
const LINES: u64 = 10;

/// Progress of one download.
pub struct Progress {
    total: Option<u64>,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    /// Tenths reported so far.
    Lines(u64),
}

impl Progress {
    /// A download of a URL of which `start` bytes already exist.
    pub fn new(url: &str, start: u64, total: Option<u64>) -> Self {
        if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template(
                "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}",
            );
            let bar = ProgressBar::new(total.unwrap_or(0)).with_style(style.expect("a valid template"));
            let bar = bar.with_message(url.to_owned());
            bar.set_position(start);
            return Self { total, shown: Shown::Bar(bar) };
        }
        let size = total.map_or_else(String::new, |total| format!(", {}", HumanBytes(total)));
        let resumed = if start > 0 { format!(", resuming at byte {start}") } else { String::new() };
        eprintln!("downloading {url}{size}{resumed}");
        let mut progress = Self { total, shown: Shown::Lines(0) };
        progress.shown = Shown::Lines(progress.tenths(start));
        progress
    }

    fn tenths(&self, bytes: u64) -> u64 {
        self.total.filter(|&total| total > 0).map_or(0, |total| bytes.saturating_mul(LINES) / total)
    }

    /// Reports that this many bytes of the file exist now.
    pub fn reach(&mut self, bytes: u64) {
        let tenths = self.tenths(bytes);
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_position(bytes),
            Shown::Lines(reported) if *reported < tenths => {
                *reported = tenths;
                eprintln!("{} % ({})", tenths * 100 / LINES, HumanBytes(bytes));
            }
            Shown::Lines(_) => {}
        }
    }

    /// Removes the bar.
    pub fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}
