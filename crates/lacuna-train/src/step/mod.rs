//! One step of training, on one page: `learner.rs`. What the generator is asked in it is in `pass.rs`, what its
//! discriminators are in `adversary.rs`; `build.rs` makes everything that learns from a run file.

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
