//! Training Lacuna's networks: the autoencoder, mask control, the latent loss and LaMa's adversarial losses of the thesis
//! "Image inpainting in latent space".

#![forbid(unsafe_code)]

pub mod error;
pub mod loss;
pub mod net;
pub mod optim;
pub mod tensors;

#[cfg(test)]
mod testing;

pub use error::{Error, Result};
