//! Progress and cancellation of a running fill.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::{Error, Result};

/// A handle on a running fill, or on a part of it. Clones refer to the same fill.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    shared: Arc<Shared>,
    part: Part,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    finishing: AtomicBool,
    /// The bits of the finished fraction, 0 to 1.
    done: AtomicU32,
    /// Called with the finished fraction whenever something is finished.
    listener: Option<fn(f32)>,
}

/// The part of the whole fill that a handle reports on.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: f32,
    length: f32,
}

impl Default for Part {
    fn default() -> Self {
        Self { start: 0.0, length: 1.0 }
    }
}

impl Watch {
    /// A handle on a fill that calls `listener` with its finished fraction after every step, on the fill's threads. Others poll
    /// [`Self::done`]; where there is one thread, nobody can.
    pub fn calling(listener: fn(f32)) -> Self {
        Self {
            shared: Arc::new(Shared { listener: Some(listener), ..Shared::default() }),
            part: Part::default(),
        }
    }

    /// Cancels the fill at its next step.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }

    /// Asks for the best result so far: a fill that improves pass by pass ends after the current pass.
    pub fn finish(&self) {
        self.shared.finishing.store(true, Ordering::Relaxed);
    }

    /// Whether the best result so far was asked for.
    pub fn is_finishing(&self) -> bool {
        self.shared.finishing.load(Ordering::Relaxed)
    }

    /// The finished fraction of the whole fill, 0 to 1.
    pub fn done(&self) -> f32 {
        f32::from_bits(self.shared.done.load(Ordering::Relaxed))
    }

    /// Reports that the fraction `fraction` (0 to 1) of this handle's part is finished.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the fill was cancelled.
    pub fn reached(&self, fraction: f32) -> Result<()> {
        let done = self.part.start + self.part.length * fraction.clamp(0.0, 1.0);
        // Fractions are not negative, so their bits have the same order.
        self.shared.done.fetch_max(done.to_bits(), Ordering::Relaxed);
        if let Some(listener) = self.shared.listener {
            listener(self.done());
        }
        if self.shared.stopped.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }

    /// A handle for the part of the work between two fractions of this handle's.
    pub fn part(&self, from: f32, to: f32) -> Self {
        let Part { start, length } = self.part;
        let part = Part { start: start + length * from, length: length * (to - from) };
        Self { shared: Arc::clone(&self.shared), part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let watch = Watch::default();
        let second = watch.part(0.5, 1.0);
        let inner = second.part(0.5, 1.0);
        inner.reached(0.0).unwrap();
        assert_eq!(watch.done(), 0.75);
        second.reached(0.25).unwrap();
        assert_eq!(watch.done(), 0.75, "never backwards");
        inner.reached(2.0).unwrap();
        assert_eq!(second.done(), 1.0);
    }

    #[test]
    fn a_report_after_cancelling_is_an_error() {
        let watch = Watch::default();
        let part = watch.part(0.0, 0.5);
        watch.stop();
        assert!(matches!(part.reached(0.1), Err(Error::Stopped)));
    }
}
