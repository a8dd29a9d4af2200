//! Ctrl+C for commands that finish the work in progress.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// Exit code of a program ended by Ctrl+C, as in shells: 128 plus the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// At the first Ctrl+C (or SIGTERM or SIGHUP) prints what happens now and calls `stop`; at the second exits at once.
///
/// # Errors
/// If the system does not let the program handle signals.
pub fn on_interrupt(what_happens: &'static str, stop: impl Fn() + Send + 'static) -> Result<()> {
    let interrupted = AtomicBool::new(false);
    let handler = move || {
        if interrupted.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        eprintln!("\nlacuna: {what_happens}; press Ctrl+C again to exit at once");
        stop();
    };
    ctrlc::set_handler(handler).context("cannot handle Ctrl+C")
}
