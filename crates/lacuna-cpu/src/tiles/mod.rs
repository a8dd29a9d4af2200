//! What the engine and the kernels for training both stand on: feature maps in blocks of channels, the register tile, and
//! Winograd's convolution.

pub(crate) mod arena;
pub(crate) mod channels;
pub(crate) mod map;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tile;
pub(crate) mod winograd;
