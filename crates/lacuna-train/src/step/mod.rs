//! One training step on one page: `learner.rs`, or `context.rs` for context encoders. `pass.rs` runs the generator and computes its losses
//! (`answers.rs` with several answers for each photo), `adversary.rs` those of its discriminators; `sums.rs` adds up
//! their results over batches, devices and processes; `build.rs` builds everything from a run file.

mod adversary;
mod answers;
mod build;
mod context;
mod count;
mod learner;
mod pass;
mod sums;

pub use adversary::Adversary;
pub use count::count_parameters;
pub(crate) use learner::clip;
pub use learner::{Learner, Parts, StepReport};
pub use pass::{Fixed, Pictures};

#[cfg(test)]
mod context_tests;
#[cfg(test)]
mod tests;
