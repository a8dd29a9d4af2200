//! Kernels on plain slices, forward and backward, for training.

pub mod batch_norm;
pub mod conv;
mod correlation;
mod direct;
pub mod fourier;
mod mosaic;
mod pixel_product;
mod shape;
mod strip;
mod wide;
mod winograd;
