//! Optimizers: gradients, clipping, Adam, averaging, schedules.

mod adam;
mod ema;
mod gradients;
mod schedule;

pub use adam::{Adam, BETAS};
pub use ema::Ema;
pub use gradients::Gradients;
pub use schedule::{Decay, Schedule};
