//! Lacuna on processors, without a tensor library.
//!
//! [`kernels`] are plain functions on slices, forward and backward, for whoever trains. [`engine`] compiles a
//! network into a plan over one block of memory and runs it. Both choose their instructions at run time, by [`isa`].

mod config;
pub mod engine;
mod error;
pub mod isa;
pub mod kernels;
mod shared;
mod simd;

pub use config::{Delta, Family, NetworkConfig};
pub use error::{Error, Result};
pub use isa::{Isa, IsaError};
