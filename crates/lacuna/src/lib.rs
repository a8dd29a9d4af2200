//! Image inpainting: pictures, masks, framing, compositing, checkpoints, PatchMatch, and the
//! [`inpainter`] that ties them to whatever predicts the missing pixels.
//!
//! Conventions, everywhere: a mask is `true` (1) inside the hole; colour is RGB in `[0, 1]` as the file
//! encodes it (no gamma is undone); planes are row-major and stored one after another (C, H, W).

pub mod atomic;
pub mod checkpoint;
pub mod error;
pub mod mask;
pub mod patchmatch;
pub mod planes;
pub mod predictor;

pub use error::{Error, Result};
pub use mask::Mask;
pub use planes::Planes;
pub use predictor::Predictor;
