//! The parts of a network and the generator that joins them.

pub mod control;
pub mod decoder;
pub mod encoder;
pub mod features;
pub mod generator;
pub mod refiner;

pub use control::MaskControl;
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use features::{Features, Split};
pub use generator::{Generator, Prediction};
pub use refiner::Refiner;

/// Levels of the encoder below the full resolution; each halves the sides and doubles the channels.
pub const LEVELS: usize = 3;
