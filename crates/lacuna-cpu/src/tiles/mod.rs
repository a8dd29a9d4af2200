//! The common base of the engine and the training kernels: feature maps in blocks of channels, the register tile, and
//! Winograd's convolution.

pub(crate) mod arena;
pub(crate) mod channels;
pub(crate) mod map;
pub(crate) mod signs;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tile;
pub(crate) mod winograd;
