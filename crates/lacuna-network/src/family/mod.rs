//! The families: each file lists the layers of one.

mod context;
mod fourier;
mod regular;
mod sampled;
mod shared;

use crate::{Architecture, Layers};

/// Kernel of the first and the last convolution.
const OUTER_KERNEL: usize = 7;

/// Kernel of all other spatial convolutions.
const INNER_KERNEL: usize = 3;

/// The layers of a network.
pub(crate) fn layers(network: &Architecture) -> Layers {
    match network {
        Architecture::Fourier(shape) => fourier::layers(shape),
        Architecture::Regular(shape) => regular::layers(shape),
        Architecture::ContextEncoder(network) => context::layers(network),
        Architecture::Sampled(shape) => sampled::layers(shape),
    }
}
