//! One training step on one page: `learner.rs`. `pass.rs` runs the generator and computes its losses, `adversary.rs`
//! those of its discriminators; `build.rs` builds everything from a run file.

mod adversary;
mod build;
mod count;
mod learner;
mod pass;

pub use adversary::Adversary;
pub use count::count_parameters;
pub use learner::{Learner, Parts, StepReport};
pub use pass::{Fixed, Pictures};

#[cfg(test)]
mod tests;
