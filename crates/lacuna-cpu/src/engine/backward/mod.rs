//! The backward pass from a prediction to the latent: how each value of the latent changes the image.
//!
//! Nothing is trained and norms are folded into convolutions, so blocks and decoder are linear up to the signs of their
//! ReLUs and the last sigmoid. A forward pass that keeps these signs (one bit for each value) and the predicted image is
//! all that the backward pass needs. It runs the transposed convolutions with the same kernels, over the same arena.

mod head;
mod pass;
mod plan;
mod run;
mod weights;

pub use plan::LatentPlan;
pub use run::{LatentPart, LatentRun};
pub use weights::Backward;
