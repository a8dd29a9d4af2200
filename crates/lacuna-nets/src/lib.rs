//! The networks as Burn modules: LaMa's generator of fast Fourier convolutions, the pix2pixHD global
//! generator, the mask control of the thesis "Image inpainting in latent space", context encoders, and denoisers of latents.
//!
//! `lacuna-network` describes networks as data. Here [`block`] has the blocks of their layers, on the operations of
//! [`ops`], [`net`] the parts of a network and the [`Generator`] that joins them, [`weights`] reads and writes tensors
//! by name, [`device`] selects a device, [`latent`] computes views into the latent space, and [`predictor`] is a
//! [`lacuna::Predictor`] for filling holes, whose latent [`refinement`] optimises.
//!
//! The path of a parameter through the structs *is* its key in Lacuna's checkpoints: renaming a field changes the file
//! format.

#![forbid(unsafe_code)]

pub mod block;
pub mod context_predictor;
pub mod cost;
pub mod device;
pub mod error;
pub mod features;
pub mod latent;
pub mod net;
pub mod ops;
pub mod predictor;
pub mod refinement;
pub mod speed;
pub mod tensors;
pub mod viewer;
pub mod weights;

#[cfg(test)]
mod testing;

pub use burn::tensor::Device;
pub use context_predictor::network_predictor;
pub use device::DeviceName;
pub use error::{Error, Result};
pub use features::Features;
pub use lacuna_network::Split;
pub use net::{ContextEncoder, ControlNet, Denoiser, Generator, Network, Prediction};
pub use predictor::NetworkPredictor;
pub use viewer::LatentViewer;
