//! How far a run is, told to whoever watches it.

use super::plan::Plan;
use crate::error::{Error, Result};

/// The parts of a run, as the names of a plan's steps begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// Encoder and mask control.
    Encode,
    /// Refiner.
    Refine,
    /// Decoder.
    Decode,
}

/// Counts what is done by the operations that the plan lists.
pub(crate) struct Pace<'a> {
    /// Each stage's share of all operations.
    shares: [f32; 3],
    done: f32,
    go_on: &'a dyn Fn(f32) -> bool,
}

impl<'a> Pace<'a> {
    /// At the start of a plan.
    pub fn new(plan: &Plan, go_on: &'a dyn Fn(f32) -> bool) -> Self {
        let mut operations = [0.0; 3];
        for step in plan.steps() {
            let stage = match step.name.split('.').next() {
                Some("refiner") => Stage::Refine,
                Some("decoder") => Stage::Decode,
                _ => Stage::Encode,
            };
            operations[stage as usize] += step.operations;
        }
        let total: f64 = operations.iter().sum();
        Self { shares: operations.map(|sum| (sum / total) as f32), done: 0.0, go_on }
    }

    /// One of `parts` equal parts of a stage is done.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the run shall stop.
    pub fn passed(&mut self, stage: Stage, parts: usize) -> Result<()> {
        self.done += self.shares[stage as usize] / parts as f32;
        if (self.go_on)(self.done.min(1.0)) { Ok(()) } else { Err(Error::Stopped) }
    }
}
