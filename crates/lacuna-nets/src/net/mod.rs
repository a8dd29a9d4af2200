//! The parts of a network and the generator that joins them, context encoders and denoisers. Each is built from layers of
//! `lacuna-network`.

pub mod answers;
pub mod context_encoder;
pub mod control;
pub mod decoder;
pub mod denoiser;
pub mod encoder;
pub mod generator;
pub mod mapping;
pub mod modulation;
pub mod network;
pub mod refiner;

pub use answers::{Answers, Drawn};
pub use context_encoder::ContextEncoder;
pub use control::MaskControl;
pub use decoder::Decoder;
pub use denoiser::{ControlNet, Denoiser};
pub use encoder::Encoder;
pub use generator::{Generator, Prediction};
pub use mapping::Mapping;
pub use modulation::Modulation;
pub use network::Network;
pub use refiner::Refiner;
