//! Image inpainting: images, masks, framing, compositing, checkpoints, PatchMatch, and the [`inpainter`] that connects
//! them to a predictor of the missing pixels.
//!
//! Conventions: a mask is `true` (1) inside the hole; colour is RGB in `[0, 1]` as encoded in the file (gamma is not
//! undone); planes are row-major and stored one after another (C, H, W).

pub mod anchor;
pub mod atomic;
pub mod budget;
pub mod checkpoint;
pub mod composite;
pub mod context;
pub mod default_network;
mod depth;
mod distance;
mod draw;
pub mod engine;
pub mod error;
pub mod flow;
pub mod form;
pub mod frame;
pub mod frames;
pub mod guided;
pub mod hash;
pub mod hint;
pub mod hole;
mod holes;
pub mod inpainter;
pub mod job;
pub mod mask;
pub mod mask_fit;
mod mask_scale;
pub mod method;
pub mod models;
pub mod pairs;
pub mod patchmatch;
pub mod picture;
pub mod planes;
pub mod predictor;
pub mod rect;
pub mod refine;
mod resample;
pub mod sizing;
mod small_windows;
mod soft_edge;
pub mod strategy;
pub mod units;
pub mod watch;
pub mod words;

pub use budget::Budget;
pub use context::ContextPredictor;
pub use default_network::default_network;
pub use draw::Draw;
pub use engine::{EnginePredictor, network_predictor};
pub use error::{Error, Result};
pub use guided::Guided;
pub use hint::{Hint, HintKind, HintStrength};
pub use hole::{Hole, HoleOptions};
pub use inpainter::Inpainter;
pub use job::{FillJob, Inputs};
pub use mask::{Mask, MaskOptions};
pub use mask_fit::MaskFit;
pub use method::Method;
pub use picture::Picture;
pub use planes::Planes;
pub use predictor::{Predictor, Sides};
pub use rect::Rect;
pub use refine::{Refined, Refinement};
pub use sizing::Sizing;
pub use strategy::Strategy;
pub use watch::Watch;

/// Compiles the examples of the repository's README and the crate's.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
struct Readme;
