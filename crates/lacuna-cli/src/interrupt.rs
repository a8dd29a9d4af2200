//! Ctrl+C for commands that finish what they have begun.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// Exit code of a program that Ctrl+C ended, as shells have it: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// At the first Ctrl+C (or SIGTERM or SIGHUP) says what happens now and calls `stop`; the second ends the program at once.
///
/// # Errors
/// If the system does not let the program listen to signals.
pub fn on_interrupt(what_happens: &'static str, stop: impl Fn() + Send + 'static) -> Result<()> {
    let interrupted = AtomicBool::new(false);
    let handler = move || {
        if interrupted.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        eprintln!("\nlacuna: {what_happens}; press Ctrl+C again to end at once");
        stop();
    };
    ctrlc::set_handler(handler).context("cannot listen to Ctrl+C")
}
