//! Lacuna on processors, without a tensor library.
//!
//! [`kernels`] are plain functions on slices, forward and backward, for whoever trains. [`engine`] compiles a
//! network into a plan over one block of memory and runs it. Both choose their instructions at run time, by [`isa`].

mod after;
pub mod engine;
mod error;
pub mod isa;
pub mod kernels;
mod shared;
mod simd;
mod tiles;

pub use after::After;
pub use error::{Error, Result};
pub use isa::{Isa, IsaError};
