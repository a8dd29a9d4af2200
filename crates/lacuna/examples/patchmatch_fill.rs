//! Fills holes with PatchMatch: `patchmatch_fill IMAGE MASK OUTPUT`, each a PNG or a folder of PNGs with matching file
//! names.

use lacuna::patchmatch::PatchMatch;
use lacuna::{Mask, Planes, Predictor};
use std::path::{Path, PathBuf};

/// One fixed seed, so that a comparison can be repeated.
const SEED: u64 = 1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [image, mask, output] = paths.as_slice() else {
        return Err("usage: patchmatch_fill IMAGE MASK OUTPUT (files or folders)".into());
    };
    if !image.is_dir() {
        return fill(image, mask, output);
    }
    std::fs::create_dir_all(output)?;
    let mut names: Vec<_> = std::fs::read_dir(image)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    names.sort();
    for name in names {
        fill(&image.join(&name), &mask.join(&name), &output.join(&name))?;
    }
    Ok(())
}

/// Fills one image and prints the time.
fn fill(image: &Path, mask: &Path, output: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let picture = image::open(image)?.to_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let values =
        (0..3).flat_map(|channel| picture.pixels().map(move |pixel| f32::from(pixel[channel]) / 255.0));
    let planes = Planes::new(width, height, values.collect());
    let mask = image::open(mask)?.to_luma8();
    let (mask_width, mask_height) = (mask.width() as usize, mask.height() as usize);
    let mask =
        Mask::new(mask_width, mask_height, mask.into_raw().into_iter().map(|value| value > 0).collect());
    let started = std::time::Instant::now();
    let filled = PatchMatch::default().predict(&planes, &mask, SEED)?;
    let seconds = started.elapsed().as_secs_f64();
    println!("{} {width}x{height}, hole {} pixels: {seconds:.3} s", image.display(), mask.count());
    let bytes = (0..width * height)
        .flat_map(|index| [0, 1, 2].map(|channel| (filled.plane(channel)[index] * 255.0).round() as u8));
    let filled =
        image::RgbImage::from_raw(picture.width(), picture.height(), bytes.collect()).ok_or("the size")?;
    filled.save(output)?;
    Ok(())
}
