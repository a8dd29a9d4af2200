//! Metrics: one file each, of pictures as [`lacuna::Planes`] in `[0, 1]`, or of sets of features of pictures.

pub mod frechet;
pub mod inception;
pub mod kid;
pub mod l1;
pub mod lpips;
pub mod psnr;
pub mod ssim;

pub use frechet::{Moments, frechet};
pub use inception::Inception;
pub use kid::kid;
pub use l1::{l1, l1_in};
pub use lpips::{Lpips, Network};
pub use psnr::psnr;
pub use ssim::{ssim, ssim_in};
