//! Kernels on plain slices, forward and backward, for training.

pub mod conv;
mod correlation;
mod direct;
mod strip;
