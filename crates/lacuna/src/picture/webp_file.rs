//! WebP containers: chunks around the coded image (WebP Container Specification).

use image::DynamicImage;

use super::Metadata;

/// Bytes before the first chunk: `RIFF`, a length, `WEBP`.
const HEADER: usize = 12;

// Bits of the first byte of a VP8X chunk.
const ICC: u8 = 1 << 5;
const ALPHA: u8 = 1 << 4;
const EXIF: u8 = 1 << 3;
const XMP: u8 = 1 << 2;

/// The chunks of a file, up to the first truncated one.
pub fn chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let data = after.get(..length)?;
        rest = after.get(length + length % 2..).unwrap_or_default();
        Some((*kind, data))
    })
}

/// The base quantiser (0 to 127) of a lossy file's frame; `None` for a lossless file.
///
/// RFC 6386, section 9: a frame tag of 3 bytes, 7 bytes of start code and size, then the boolean-coded header, which is
/// parsed only up to the quantiser.
pub fn quantiser(bytes: &[u8]) -> Option<u8> {
    let (_, frame) = chunks(bytes).find(|(kind, _)| kind == b"VP8 ")?;
    let mut header = Bool::new(frame.get(10..)?)?;
    header.literal(2); // colour space, clamping
    if header.literal(1) == 1 {
        skip_segmentation(&mut header);
    }
    header.literal(1 + 6 + 3); // filter type, level, sharpness
    if header.literal(1) == 1 && header.literal(1) == 1 {
        // Loop filter adjustments: four by reference frame, four by mode.
        (0..8).for_each(|_| header.optional(7));
    }
    header.literal(2); // partitions
    Some(header.literal(7) as u8)
}

fn skip_segmentation(header: &mut Bool<'_>) {
    let (map, data) = (header.literal(1) == 1, header.literal(1) == 1);
    if data {
        header.literal(1);
        (0..4).for_each(|_| header.optional(8));
        (0..4).for_each(|_| header.optional(7));
    }
    if map {
        (0..3).for_each(|_| header.optional(8));
    }
}

/// The boolean decoder of RFC 6386, section 7, for header bits of equal probability.
struct Bool<'a> {
    input: &'a [u8],
    value: u32,
    range: u32,
    shifts: u32,
}

impl<'a> Bool<'a> {
    fn new(input: &'a [u8]) -> Option<Self> {
        let (first, input) = input.split_first_chunk()?;
        Some(Self { input, value: u32::from(u16::from_be_bytes(*first)), range: 255, shifts: 0 })
    }

    fn bit(&mut self) -> u32 {
        let split = 1 + (((self.range - 1) * 128) >> 8);
        let bit = u32::from(self.value >= split << 8);
        if bit == 1 {
            self.range -= split;
            self.value -= split << 8;
        } else {
            self.range = split;
        }
        while self.range < 128 {
            self.value <<= 1;
            self.range <<= 1;
            self.shifts += 1;
            if self.shifts == 8 {
                self.shifts = 0;
                if let Some((&next, rest)) = self.input.split_first() {
                    self.value |= u32::from(next);
                    self.input = rest;
                }
            }
        }
        bit
    }

    fn literal(&mut self, bits: u32) -> u32 {
        (0..bits).fold(0, |value, _| value << 1 | self.bit())
    }

    /// A flag, followed by a value if it is set.
    fn optional(&mut self, bits: u32) {
        if self.literal(1) == 1 {
            self.literal(bits);
        }
    }
}

/// Whether this build writes lossy files. The encoder is a C library, which browsers do not have.
pub const WRITES_LOSSY: bool = cfg!(not(target_family = "wasm"));

/// Encodes 8-bit RGB or RGBA at a quality from 0 to 100, without metadata.
#[cfg(not(target_family = "wasm"))]
pub fn lossy(pixels: &DynamicImage, quality: f32) -> Result<Vec<u8>, String> {
    let (width, height) = (pixels.width(), pixels.height());
    let encoder = match pixels {
        DynamicImage::ImageRgb8(image) => webp::Encoder::from_rgb(image, width, height),
        DynamicImage::ImageRgba8(image) => webp::Encoder::from_rgba(image, width, height),
        other => return Err(format!("lossy WebP files cannot hold {:?}", other.color())),
    };
    let encoded = encoder.encode_simple(false, quality).map_err(|error| format!("{error:?}"))?;
    Ok(encoded.to_vec())
}

/// Fails: see [`WRITES_LOSSY`].
#[cfg(target_family = "wasm")]
pub fn lossy(_: &DynamicImage, _: f32) -> Result<Vec<u8>, String> {
    Err("lossy WebP files cannot be written in a browser".into())
}

/// A file with the coded image in `encoded` and `metadata`, which needs the extended layout.
pub fn with_metadata(encoded: &[u8], (width, height): (u32, u32), metadata: &Metadata) -> Vec<u8> {
    let parts =
        [(*b"ICCP", ICC, &metadata.icc), (*b"EXIF", EXIF, &metadata.exif), (*b"XMP ", XMP, &metadata.xmp)];
    let part = |index: usize| parts[index].2.as_deref().map(|data| (parts[index].0, data));
    let mut flags = parts.iter().filter(|part| part.2.is_some()).fold(0, |flags, part| flags | part.1);
    if flags == 0 {
        return encoded.to_vec();
    }
    for (kind, data) in chunks(encoded) {
        // In lossless frames bit 28 of the header, after a signature byte, states whether alpha is used.
        let lossless_alpha = &kind == b"VP8L" && data.get(4).is_some_and(|byte| byte & 0x10 != 0);
        if &kind == b"ALPH" || lossless_alpha {
            flags |= ALPHA;
        }
    }
    let mut extended = vec![flags, 0, 0, 0];
    for side in [width, height] {
        extended.extend(&(side - 1).to_le_bytes()[..3]);
    }
    let image = chunks(encoded).filter(|(kind, _)| matches!(kind, b"ALPH" | b"VP8 " | b"VP8L"));
    let mut body = b"WEBP".to_vec();
    let all =
        [(*b"VP8X", &extended[..])].into_iter().chain(part(0)).chain(image).chain(part(1)).chain(part(2));
    for (kind, data) in all {
        body.extend(kind);
        body.extend((data.len() as u32).to_le_bytes());
        body.extend(data);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiser_follows_the_quality() {
        let pixels: Vec<u8> = (0..64 * 64 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let quantiser_at = |quality| {
            let file = webp::Encoder::from_rgb(&pixels, 64, 64).encode(quality).to_vec();
            quantiser(&file).unwrap()
        };
        let found = [95.0, 75.0, 50.0, 10.0].map(quantiser_at);
        assert!(found.is_sorted() && found[0] < 20 && found[3] > 40, "{found:?}");
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let file = webp::Encoder::from_rgb(&[9; 64 * 64 * 3], 64, 64).encode(50.0).to_vec();
        for length in 0..file.len() {
            quantiser(&file[..length]);
        }
        assert_eq!(quantiser(b"RIFF\x04\0\0\0WEBPVP8 \xFF\xFF\xFF\xFF"), None);
    }
}
