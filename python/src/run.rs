//! A fill on threads of its own, while Python runs other threads and sees its signals.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use lacuna::error::panic_text;
use lacuna::{Error, Result, Watch};
use pyo3::prelude::*;

use crate::errors::{Class, raise, raised};
use crate::loaded::Loaded;

/// How often Python looks for signals: unnoticed by people who press Ctrl+C, and by the fill.
const POLL: Duration = Duration::from_millis(50);

/// Why a fill was cancelled.
enum Cancelled {
    /// Python's handler of a signal raised this.
    Signal(PyErr),
    /// It took longer than allowed.
    Timeout(Duration),
}

/// Runs `work` on the threads of `loaded`, without the interpreter's lock. Ctrl+C and `timeout` (in seconds) cancel it.
///
/// # Errors
/// The exception for an error of `work`, `KeyboardInterrupt` (or what the handler of a signal raises), or `Stopped`.
pub fn run<T: Send>(
    py: Python<'_>,
    loaded: &Loaded,
    timeout: Option<f64>,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
) -> PyResult<T> {
    let watch = Watch::default();
    let timeout = timeout.map(Duration::from_secs_f64);
    let (done, cancelled) = py.detach(|| {
        let (sender, receiver) = channel();
        let start = Instant::now();
        loaded.pool.in_place_scope(|scope| {
            let worker = watch.clone();
            scope.spawn(move |_| {
                let done = catch_unwind(AssertUnwindSafe(|| work(&worker)));
                // The receiver lives as long as this scope.
                let _ = sender.send(done);
            });
            let mut cancelled = None;
            loop {
                match receiver.recv_timeout(POLL) {
                    Ok(done) => return (Some(done), cancelled),
                    Err(RecvTimeoutError::Disconnected) => return (None, cancelled),
                    Err(RecvTimeoutError::Timeout) if cancelled.is_none() => {
                        cancelled = signal().or_else(|| exceeded(timeout, start.elapsed()));
                        if cancelled.is_some() {
                            watch.stop();
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    });
    match (done, cancelled) {
        (_, Some(Cancelled::Signal(error))) => Err(error),
        (Some(Ok(Err(Error::Stopped))), Some(Cancelled::Timeout(timeout))) => {
            let text = format!("the fill was stopped: it takes longer than the timeout of {timeout:?}");
            Err(raised(py, Class::Stopped, &text))
        }
        (Some(Ok(done)), _) => done.map_err(|error| raise(py, &error)),
        (Some(Err(panic)), _) => {
            Err(raised(py, Class::Error, &format!("internal error: {}", panic_text(panic.as_ref()))))
        }
        (None, _) => Err(raised(py, Class::Error, "internal error: the fill ended without a result")),
    }
}

fn signal() -> Option<Cancelled> {
    // Python may be ending.
    Python::try_attach(|py| py.check_signals())?.err().map(Cancelled::Signal)
}

fn exceeded(timeout: Option<Duration>, elapsed: Duration) -> Option<Cancelled> {
    timeout.filter(|timeout| elapsed > *timeout).map(Cancelled::Timeout)
}
