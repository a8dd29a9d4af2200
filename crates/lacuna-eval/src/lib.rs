//! Mask generators, metrics and evaluations. Builds without Burn.

#![forbid(unsafe_code)]

pub mod case;
pub mod classic;
pub mod diversity;
pub mod error;
pub mod evaluation;
pub mod interval;
pub mod judge;
pub mod metric;
pub mod published;
pub mod report;
pub mod store;
pub mod summary;

pub use error::{Error, Result};
