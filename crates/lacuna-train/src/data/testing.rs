//! Photos for tests.

use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// A photo of 16 x 16 pixels that encodes its number.
pub fn photo(number: usize) -> RgbImage {
    RgbImage::from_fn(16, 16, |x, y| Rgb([number as u8, 16 * x as u8, 16 * y as u8]))
}

/// A folder with photos `000.png`, `001.png`, …
pub fn photos_folder(count: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..count {
        photo(number).save(folder.path().join(format!("{number:03}.png"))).expect("a photo");
    }
    folder
}
