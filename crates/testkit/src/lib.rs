//! Test helpers of all crates: fixtures, comparisons, a gradient checker, synthetic images, weights files.
//!
//! Everything panics with a message instead of returning an error, because it runs only inside tests.

#[cfg(feature = "browser")]
pub mod browser;
pub mod checkpoints;
pub mod close;
pub mod denoiser;
pub mod file_server;
pub mod fixtures;
pub mod golden;
pub mod gradient;
pub mod http;
pub mod missing;
pub mod networks;
pub mod pictures;
pub mod torchscript;
pub mod wasm;
pub mod weights;

pub use close::{assert_close, worst_difference};
