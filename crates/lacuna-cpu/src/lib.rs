//! Lacuna on processors, without a tensor library.
//!
//! [`kernels`] are plain functions on slices, forward and backward, for training. [`engine`] compiles a network into a
//! plan over one block of memory and runs it. [`squares`] compares patches of pictures. All select their instruction set at run time, see [`isa`].

mod after;
pub mod engine;
mod error;
pub mod isa;
pub mod kernels;
mod shared;
mod simd;
pub mod squares;
mod tiles;

pub use after::After;
pub use error::{Error, Result};
pub use isa::{Isa, IsaError};
