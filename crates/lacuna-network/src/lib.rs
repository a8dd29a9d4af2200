//! Lacuna's networks as data.
//!
//! An [`Architecture`] is a network's configuration in its weights file. It expands to [`Layers`], from which
//! everything else is derived: names and shapes of tensors ([`Layers::tensors`]), operations and memory of a forward
//! pass ([`Cost`]), the network that the CPU engine compiles and the one that Burn trains. This crate has no tensors,
//! files or threads.
//!
//! A new family is a variant of [`Architecture`] and a file in `family/`. A [`Denoiser`] is no family: it fills no image, and has its
//! own layers.

#![forbid(unsafe_code)]

pub mod config;
pub mod context;
mod cost;
mod denoiser;
mod family;
pub mod geometry;
mod layer;
mod layers;
mod modulation;
mod pieces;
mod tensors;

pub use config::{Architecture, BLOCK_LIMIT, ConfigError, Delta, Family, Shape, UnknownFamily, WIDTH_LIMIT};
pub use context::{ContextEncoder, ContextHole, Middle};
pub use cost::Cost;
pub use denoiser::{
    ControlLayers, ControlNet, DENOISER_WIDTH_LIMIT, Denoiser, DenoiserEncoder, DenoiserError,
    DenoiserLayers, DenoiserSize, DownLevel, GROUP, GROUP_EPSILON, GroupNorm, HINT_CHANNELS, HINT_WIDTHS,
    LATENT_LIMIT, MiddleBlock, ResidualBlock, SpectralMix, UpLevel, time_features,
};
pub use geometry::Split;
pub use layer::{Activation, Border, Form, LEAKY_SLOPE, Layer, Operation};
pub use layers::{Control, Layers};
pub use modulation::{CODE, CODE_EPSILON, Linear, MAPPING_SLOPE, Modulation, NORM_EPSILON, Row, TRUNCATION};
pub use pieces::{Bias, ChannelWise, Domain, FastFourier, Kernel, Norm, Pieces, Plain, Spectral};
pub use tensors::is_parameter;
