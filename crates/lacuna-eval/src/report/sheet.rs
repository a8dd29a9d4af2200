//! Sheets: images of one size in rows and columns.

use image::{Rgb, RgbImage};
use lacuna::{Mask, Planes};

/// Pixels between images.
const GAP: u32 = 4;
/// Colour between images.
pub const BACKGROUND: Rgb<u8> = Rgb([40, 40, 40]);

/// An image whose hole is black.
pub fn masked(image: &Planes, mask: &Mask) -> Planes {
    let hole = mask.hole().iter().cycle();
    let values = image.values().iter().zip(hole).map(|(&value, &hole)| if hole { 0.0 } else { value });
    Planes::new(image.width(), image.height(), values.collect())
}

/// Arranges images of the first one's size in a sheet.
pub fn arrange(rows: &[Vec<Planes>]) -> RgbImage {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let (width, height) =
        rows.iter().flatten().next().map_or((0, 0), |first| (first.width() as u32, first.height() as u32));
    let along = |count: u32, side: u32| GAP + count * (side + GAP);
    let mut sheet = RgbImage::from_pixel(along(columns, width), along(rows.len() as u32, height), BACKGROUND);
    for (down, row) in rows.iter().enumerate() {
        for (right, image) in row.iter().enumerate() {
            let (left, top) = (along(right as u32, width), along(down as u32, height));
            for (index, at) in (0..image.width() * image.height()).map(|index| (index as u32, index)) {
                let colour = [0, 1, 2].map(|channel| to_byte(image.plane(channel)[at]));
                sheet.put_pixel(left + index % width, top + index / width, Rgb(colour));
            }
        }
    }
    sheet
}

/// A value in `[0, 1]` as 8 bits.
pub fn to_byte(value: f32) -> u8 {
    (255.0 * value.clamp(0.0, 1.0)).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_in_rows_with_gaps_between() {
        let (dark, light) = (Planes::new(2, 1, vec![0.0; 6]), Planes::new(2, 1, vec![1.0; 6]));
        let hole = Mask::new(2, 1, vec![true, false]);
        let sheet = arrange(&[vec![dark.clone(), light.clone()], vec![masked(&light, &hole)]]);
        assert_eq!(sheet.dimensions(), (4 + 2 * 6, 4 + 2 * 5));
        let at = |x, y| sheet.get_pixel(x, y).0[1];
        // Dark, the gap, light; below, the half outside the hole, and an empty place.
        assert_eq!([at(4, 4), at(6, 4), at(10, 4), at(4, 9), at(5, 9), at(10, 9)], [0, 40, 255, 0, 255, 40]);
    }
}
