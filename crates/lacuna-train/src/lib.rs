//! Training Lacuna's networks: the autoencoder, mask control, the latent loss and LaMa's adversarial losses of the thesis
//! "Image inpainting in latent space".
//!
//! A run: [`config`] reads its file, [`data`] and [`augment`] make batches, [`step`] trains on them with the terms of
//! [`loss`] and the optimizer of [`optim`], [`fit()`] is the loop around it, [`validate`] scores the network, and
//! [`checkpoint`] makes runs resumable.

#![forbid(unsafe_code)]

pub mod augment;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod error;
pub mod fit;
pub mod forecast;
pub mod grid;
pub mod log;
pub mod loss;
pub mod net;
pub mod optim;
pub mod step;
pub mod study;
pub mod tensors;
pub mod validate;

#[cfg(test)]
mod testing;

pub use self::fit::{Event, FitOptions, Outcome, fit};
pub use config::RunConfig;
pub use error::{Error, Result};
pub use forecast::Forecast;
