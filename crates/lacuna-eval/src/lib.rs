//! Judging fills: generators of holes, and metrics. Builds without Burn.

#![forbid(unsafe_code)]

pub mod error;
pub mod interval;
pub mod maskgen;
pub mod metric;
pub mod weights;

pub use error::{Error, Result};
