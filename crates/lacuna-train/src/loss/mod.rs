//! Loss terms, one per file, as plain functions of tensors.

pub mod adversarial;
pub mod answers;
pub mod best_of;
pub mod context;
pub mod denoising;
pub mod feature_matching;
pub mod latent;
pub mod mode_seeking;
pub mod perceptual;
pub mod pixel;
pub mod r1;
pub mod spread;
pub mod style;
pub mod term;
pub mod velocity;

pub use term::{Losses, Needs, Term};
