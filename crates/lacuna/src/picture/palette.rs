//! PNG files with a palette.

use std::collections::HashMap;

use super::png;

/// Largest number of colours in a palette.
const MOST: usize = 256;

/// Indexed colours (red, green, blue, alpha).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    /// At most 256 colours.
    pub colours: Vec<[u8; 4]>,
}

impl Palette {
    /// The palette of a PNG file; `None` if it has none.
    pub fn of_png(bytes: &[u8]) -> Option<Self> {
        // Colour type 3, in the tenth byte of the header.
        let header = png::chunk(bytes, b"IHDR")?;
        if header.get(9) != Some(&3) {
            return None;
        }
        let rgb = png::chunk(bytes, b"PLTE")?;
        let alpha = png::chunk(bytes, b"tRNS").unwrap_or_default();
        let colours = rgb.chunks_exact(3).take(MOST).enumerate();
        let colours = colours.map(|(i, c)| [c[0], c[1], c[2], alpha.get(i).copied().unwrap_or(255)]);
        Some(Self { colours: colours.collect() })
    }

    /// The index of each pixel's colour, and the palette with new colours appended; `None` if there are too many.
    pub fn numbers(&self, pixels: impl Iterator<Item = [u8; 4]>) -> Option<(Self, Vec<u8>)> {
        let mut palette = self.clone();
        let mut places = HashMap::new();
        // For repeated colours the first index counts.
        palette.colours.iter().enumerate().for_each(|(i, colour)| {
            places.entry(*colour).or_insert(i);
        });
        let mut numbers = Vec::new();
        for pixel in pixels {
            let place = match places.get(&pixel) {
                Some(&place) => place,
                None if palette.colours.len() < MOST => {
                    palette.colours.push(pixel);
                    places.insert(pixel, palette.colours.len() - 1);
                    palette.colours.len() - 1
                }
                None => return None,
            };
            numbers.push(place as u8);
        }
        Some((palette, numbers))
    }

    /// Writes a PNG file.
    ///
    /// # Errors
    /// The encoder's error.
    pub fn write(&self, numbers: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>, String> {
        let depth = match self.colours.len() {
            0..=2 => ::png::BitDepth::One,
            3..=4 => ::png::BitDepth::Two,
            5..=16 => ::png::BitDepth::Four,
            _ => ::png::BitDepth::Eight,
        };
        let mut bytes = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(::png::ColorType::Indexed);
        encoder.set_depth(depth);
        // Indices of neighbouring pixels are unrelated: no filter.
        encoder.set_filter(::png::Filter::NoFilter);
        encoder.set_palette(self.colours.iter().flat_map(|c| [c[0], c[1], c[2]]).collect::<Vec<_>>());
        let mut alpha: Vec<u8> = self.colours.iter().map(|colour| colour[3]).collect();
        let used = alpha.iter().rposition(|&alpha| alpha < 255).map_or(0, |last| last + 1);
        alpha.truncate(used);
        if !alpha.is_empty() {
            encoder.set_trns(alpha);
        }
        let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
        let packed = packed(numbers, width as usize, depth as usize);
        writer.write_image_data(&packed).map_err(|error| error.to_string())?;
        writer.finish().map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

/// Packs indices of `bits` bits each; every row begins a new byte.
fn packed(numbers: &[u8], width: usize, bits: usize) -> Vec<u8> {
    let each = 8 / bits;
    let row = |row: &[u8]| {
        let bytes = row.chunks(each).map(|part| {
            part.iter().enumerate().fold(0, |byte, (i, number)| byte | number << (8 - bits * (i + 1)))
        });
        bytes.collect::<Vec<u8>>()
    };
    numbers.chunks(width).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_places_take_new_colours() {
        let grey = |value: u8| [value, value, value, 255];
        let palette = Palette { colours: (0..255).map(grey).collect() };
        let (larger, numbers) = palette.numbers([grey(7), grey(255), grey(255)].into_iter()).unwrap();
        assert_eq!((larger.colours.len(), numbers), (256, vec![7, 255, 255]));
        assert!(larger.numbers([[1, 2, 3, 255]].into_iter()).is_none());
    }

    #[test]
    fn numbers_are_packed_by_row() {
        assert_eq!(packed(&[1, 0, 1, 1, 1, 0], 3, 1), [0b1010_0000, 0b1100_0000]);
        assert_eq!(packed(&[1, 2, 3, 4], 2, 4), [0x12, 0x34]);
    }
}
