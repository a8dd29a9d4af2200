//! Metrics: one file each, of pictures as [`lacuna::Planes`] in `[0, 1]`.

pub mod l1;
pub mod lpips;
pub mod psnr;
pub mod ssim;

pub use l1::{l1, l1_in};
pub use lpips::{Lpips, Network};
pub use psnr::psnr;
pub use ssim::{ssim, ssim_in};
