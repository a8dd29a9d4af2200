//! Limits on what is read, common to several commands.

use clap::Args;
use lacuna::picture::Limits;

use crate::units::Bytes;

/// Limits on what is read.
#[derive(Args)]
pub struct LimitArgs {
    /// Limit of a photo's or mask's longer side, in pixels
    #[arg(long, value_name = "PX", default_value_t = Limits::default().side)]
    pub max_side: u32,
    /// Pixel limit of a photo or mask
    #[arg(long, value_name = "N", default_value_t = Limits::default().pixels)]
    pub max_pixels: u64,
    /// Size limit of a file and of its decoded pixels, such as 1G
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(Limits::default().bytes))]
    pub max_bytes: Bytes,
    /// Memory limit of the program, such as 2G: the best strategy that fits is chosen; if none fits, the photo is
    /// refused
    #[arg(long, value_name = "BYTES")]
    pub max_memory: Option<Bytes>,
}

impl LimitArgs {
    /// The limits.
    pub fn limits(&self) -> Limits {
        Limits { side: self.max_side, pixels: self.max_pixels, bytes: self.max_bytes.0, memory: None }
    }
}
