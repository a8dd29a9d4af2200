//! Small synthetic images and masks that are the same on every machine.

use std::path::Path;

use image::{Rgb, RgbImage};

/// A smooth colourful image with one hard vertical edge in the middle.
///
/// # Shapes
/// Returns `[3, height, width]`, in `[0, 1]`.
pub fn picture(width: usize, height: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(3 * width * height);
    for channel in 0..3 {
        for y in 0..height {
            for x in 0..width {
                let wave = (0.11 * x as f32 + 0.07 * y as f32 * (1 + channel) as f32 + channel as f32).sin();
                let value = 0.5 + 0.45 * wave;
                values.push(if 2 * x < width { value } else { 1.0 - value });
            }
        }
    }
    values
}

/// A mask with one centred rectangular hole, a ninth of the image.
///
/// # Shapes
/// Returns `[height, width]`, `true` = hole.
pub fn hole(width: usize, height: usize) -> Vec<bool> {
    let inside = |at: usize, size: usize| (size / 3..size - size / 3).contains(&at);
    (0..height).flat_map(|y| (0..width).map(move |x| inside(x, width) && inside(y, height))).collect()
}

/// Pseudo-random values that are the same on every machine: uniform in `[-1, 1)`.
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_pcg::Pcg64::seed_from_u64(seed);
    (0..count).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

/// Creates a folder with photos `0.png`, `1.png` … of noise, `side` pixels wide and high.
///
/// # Panics
/// If the folder or a file cannot be written.
pub fn write_noise_photos(folder: &Path, count: u64, side: u32) {
    std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for number in 0..count {
        let values = noise(number, (3 * side * side) as usize);
        let value = |x, y, channel| (values[(3 * (y * side + x) + channel) as usize].abs() * 255.0) as u8;
        let photo = RgbImage::from_fn(side, side, |x, y| Rgb([0, 1, 2].map(|channel| value(x, y, channel))));
        let path = folder.join(format!("{number}.png"));
        photo.save(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stay_in_range_and_have_the_edge() {
        let values = picture(8, 6);
        assert_eq!(values.len(), 3 * 8 * 6);
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
        assert!((values[3] - values[4]).abs() > 0.1, "edge between columns 3 and 4");
    }

    #[test]
    fn the_hole_is_in_the_middle() {
        let mask = hole(6, 3);
        assert_eq!(mask.iter().filter(|&&hole| hole).count(), 2);
        assert!(mask[6 + 2] && mask[6 + 3]);
    }

    #[test]
    fn noise_depends_on_nothing_but_the_seed() {
        assert_eq!(noise(1, 5), noise(1, 5));
        assert_ne!(noise(1, 5), noise(2, 5));
        assert!(noise(1, 1000).iter().all(|value| (-1.0..1.0).contains(value)));
    }
}
