//! What the tests of all crates share: fixtures, comparisons, a gradient checker, synthetic pictures, weight files.
//!
//! Everything panics with a message instead of returning an error: it only ever runs inside tests.

#[cfg(feature = "browser")]
pub mod browser;
pub mod checkpoints;
pub mod close;
pub mod file_server;
pub mod fixtures;
pub mod gradient;
pub mod http;
pub mod missing;
pub mod pictures;
pub mod torchscript;
pub mod weights;

pub use close::{assert_close, worst_difference};
