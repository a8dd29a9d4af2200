//! What Lacuna's networks are made of, as data.
//!
//! An [`Architecture`] is what a weights file says about its network. It expands to [`Layers`], and everything else
//! follows from these: the names and shapes of tensors ([`Layers::tensors`]), the arithmetic and memory of a forward pass
//! ([`Cost`]), the network that the CPU engine compiles and the one that Burn trains. There are no tensors, files or
//! threads here.
//!
//! A new family is a variant of [`Architecture`] and a file in `family/`.

#![forbid(unsafe_code)]

pub mod config;
mod cost;
mod family;
pub mod geometry;
mod layer;
mod layers;
mod pieces;
mod tensors;

pub use config::{Architecture, BLOCK_LIMIT, ConfigError, Delta, Family, Shape, UnknownFamily, WIDTH_LIMIT};
pub use cost::Cost;
pub use geometry::Split;
pub use layer::{Activation, Border, Form, Layer, Operation};
pub use layers::{Control, Layers};
pub use pieces::{Bias, Domain, FastFourier, Kernel, Norm, Pieces, Plain, Spectral};
pub use tensors::is_parameter;
