//! Metrics, one per file: of images as [`lacuna::Planes`] in `[0, 1]`, or of sets of image features.

mod feature_map;
pub mod frechet;
pub mod frechet_few;
pub mod ids;
pub mod inception;
pub mod kid;
pub mod known;
pub mod l1;
pub mod lpips;
pub mod ms_ssim;
pub mod psnr;
pub mod region;
pub mod ssim;

pub use frechet::{Moments, frechet};
pub use frechet_few::frechet_of_few;
pub use ids::{Ids, ids};
pub use inception::Inception;
pub use kid::kid;
pub use known::known_error;
pub use l1::{l1, l1_in, l1_map};
pub use lpips::{Lpips, Network};
pub use ms_ssim::ms_ssim;
pub use psnr::psnr;
pub use region::{Areas, ByRegion, Region};
pub use ssim::{ssim, ssim_map};

use lacuna::Planes;

fn assert_same_size(picture: &Planes, truth: &Planes) {
    assert_eq!((picture.width(), picture.height()), (truth.width(), truth.height()), "sizes of the images");
}
