//! Reports a run's progress, and checks for cancellation.

use super::plan::Plan;
use super::steps::Stage;
use crate::error::{Error, Result};

/// Counts finished work, in operations of the plan's steps.
pub(crate) struct Pace<'a> {
    /// Each stage's fraction of all operations.
    fractions: [f32; 3],
    done: f32,
    go_on: &'a dyn Fn(f32) -> bool,
}

impl<'a> Pace<'a> {
    /// The start of some stages of a plan.
    pub fn of(plan: &Plan, stages: &[Stage], go_on: &'a dyn Fn(f32) -> bool) -> Self {
        let mut operations = [0.0; 3];
        for step in plan.steps().iter().filter(|step| stages.contains(&step.stage)) {
            operations[step.stage as usize] += step.operations;
        }
        let total: f64 = operations.iter().sum();
        Self { fractions: operations.map(|sum| (sum / total) as f32), done: 0.0, go_on }
    }

    /// Reports that one of `parts` equal parts of a stage is finished.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the run was cancelled.
    pub fn passed(&mut self, stage: Stage, parts: usize) -> Result<()> {
        self.done += self.fractions[stage as usize] / parts as f32;
        if (self.go_on)(self.done.min(1.0)) { Ok(()) } else { Err(Error::Stopped) }
    }
}
