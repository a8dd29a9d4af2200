//! Contrast limited adaptive histogram equalisation (CLAHE) of lightness.
//!
//! Zuiderveld 1994, like OpenCV's `CLAHE` with 8 x 8 tiles on L of CIELAB.
//! Differs from it in: the change of lightness is added to all channels equally instead of going through CIELAB, which
//! keeps hues and is many times faster.

use image::RgbImage;

/// Tiles per axis.
const TILES: usize = 8;
const LEVELS: usize = 256;

/// Equalises `picture`; histograms are clipped at `limit` times their mean.
pub(super) fn apply(picture: &mut RgbImage, limit: f64) {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let lightness: Vec<u8> = picture.pixels().map(|pixel| lightness(pixel.0)).collect();
    let tile = [width.div_ceil(TILES), height.div_ceil(TILES)];
    let tables: Vec<[u8; LEVELS]> = (0..TILES * TILES)
        .map(|index| table(&lightness, [width, height], tile, [index % TILES, index / TILES], limit))
        .collect();
    for (index, pixel) in picture.pixels_mut().enumerate() {
        let own = lightness[index];
        let [(left, right, across), (top, bottom, down)] =
            [between(index % width, tile[0]), between(index / width, tile[1])];
        let at = |column: usize, row: usize| f32::from(tables[row * TILES + column][usize::from(own)]);
        let upper = at(left, top) * (1.0 - across) + at(right, top) * across;
        let lower = at(left, bottom) * (1.0 - across) + at(right, bottom) * across;
        let equalised = upper * (1.0 - down) + lower * down;
        let by = equalised - f32::from(own);
        for colour in &mut pixel.0 {
            *colour = (f32::from(*colour) + by).round().clamp(0.0, 255.0) as u8;
        }
    }
}

/// Luma (ITU-R BT.601) as lightness.
fn lightness([r, g, b]: [u8; 3]) -> u8 {
    ((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) + 500) / 1000) as u8
}

/// The two tiles whose centres enclose a pixel, and the weight of the second.
fn between(at: usize, tile: usize) -> (usize, usize, f32) {
    let place = (at as f32 + 0.5) / tile as f32 - 0.5;
    let first = place.floor();
    let clamp = |tile: f32| tile.clamp(0.0, (TILES - 1) as f32) as usize;
    (clamp(first), clamp(first + 1.0), place - first)
}

/// A tile's mapping of lightness.
fn table(
    lightness: &[u8],
    [width, height]: [usize; 2],
    tile: [usize; 2],
    at: [usize; 2],
    limit: f64,
) -> [u8; LEVELS] {
    let mut histogram = [0usize; LEVELS];
    let mirror = |place: usize, side: usize| {
        if place < side { place } else { (2 * side).saturating_sub(place + 2).min(side - 1) }
    };
    for y in at[1] * tile[1]..(at[1] + 1) * tile[1] {
        for x in at[0] * tile[0]..(at[0] + 1) * tile[0] {
            histogram[usize::from(lightness[mirror(y, height) * width + mirror(x, width)])] += 1;
        }
    }
    let area = tile[0] * tile[1];
    let most = ((limit * area as f64 / LEVELS as f64) as usize).max(1);
    let mut excess = 0;
    for count in &mut histogram {
        excess += count.saturating_sub(most);
        *count = (*count).min(most);
    }
    // The clipped excess is distributed evenly, the remainder at even distances.
    let rest = excess % LEVELS;
    histogram.iter_mut().for_each(|count| *count += excess / LEVELS);
    if let Some(step) = LEVELS.checked_div(rest) {
        histogram.iter_mut().step_by(step.max(1)).take(rest).for_each(|count| *count += 1);
    }
    let mut sum = 0;
    histogram.map(|count| {
        sum += count;
        (255.0 * sum as f64 / area as f64).round().min(255.0) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn spread(picture: &RgbImage) -> i32 {
        let values = picture.pixels().map(|pixel| i32::from(pixel.0[1]));
        values.clone().max().unwrap() - values.min().unwrap()
    }

    #[test]
    fn a_dull_picture_gets_contrast() {
        let mut picture = RgbImage::from_fn(64, 48, |x, y| Rgb([(100 + (x + y) % 16) as u8; 3]));
        assert_eq!(spread(&picture), 15);
        apply(&mut picture, 4.0);
        assert!(spread(&picture) > 40, "{}", spread(&picture));
    }

    #[test]
    fn darker_stays_darker() {
        let lightness: Vec<u8> = (0..64 * 64).map(|index| (index % 256) as u8).collect();
        let table = table(&lightness, [64, 64], [8, 8], [3, 4], 2.0);
        assert!(table.is_sorted());
        assert_eq!(table[255], 255);
    }

    #[test]
    fn flat_pictures_keep_their_hue_and_tiny_ones_are_no_trouble() {
        for (width, height) in [(1, 1), (3, 17), (9, 8), (64, 64)] {
            let mut picture = RgbImage::from_pixel(width, height, Rgb([100, 110, 120]));
            apply(&mut picture, 2.0);
            let [r, g, b] = picture.get_pixel(0, 0).0;
            assert!(picture.pixels().all(|pixel| pixel == picture.get_pixel(0, 0)), "{width} x {height}");
            if width == 64 {
                assert_eq!([g - r, b - g], [10, 10]);
            }
        }
    }
}
