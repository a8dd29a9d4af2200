//! Masks: generators of holes for training and evaluation, and fixed, seeded sets of masks.
//!
//! The same seed gives the same mask on every machine.

#![forbid(unsafe_code)]

pub mod generator;
pub mod set;

pub use generator::{MaskGenerator, Preset};
pub use set::MaskSet;
