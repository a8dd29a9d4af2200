//! CMYK to RGB.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

/// Bytes per pixel while CMYK is converted to RGB.
pub const BYTES_PER_PIXEL: u64 = 4 + 3;

/// Pixels converted at a time.
const BATCH: usize = 4096;

/// Reads a JPEG file of four components as sRGB, `[height, width, 3]`.
///
/// # Errors
/// A sentence that describes the problem.
pub fn read_jpeg(bytes: &[u8], icc: Option<&[u8]>, has_adobe_marker: bool) -> Result<Vec<u8>, String> {
    let damaged = |error| format!("damaged JPEG file: {error:?}");
    let options =
        DecoderOptions::default().set_max_width(usize::MAX).set_max_height(usize::MAX).set_strict_mode(false);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::CMYK);
    decoder.set_options(options.jpeg_set_out_colorspace(stored));
    let mut inks = decoder.decode().map_err(damaged)?;
    for pixel in inks.chunks_exact_mut(4) {
        if stored == ColorSpace::YCCK {
            let [red, green, blue] = ycbcr_to_rgb([pixel[0], pixel[1], pixel[2]]);
            pixel.copy_from_slice(&[red, green, blue, 255 - pixel[3]]);
        } else if has_adobe_marker {
            // Adobe's files store the inverted amount of ink.
            pixel.iter_mut().for_each(|ink| *ink = 255 - *ink);
        }
    }
    Ok(to_rgb(&inks, icc))
}

/// Converts ink values (255 = full), four per pixel, to sRGB: through the profile if it is a CMYK profile, else each
/// channel is the light that its ink and black transmit.
pub fn to_rgb(inks: &[u8], icc: Option<&[u8]>) -> Vec<u8> {
    let mut rgb = vec![0; inks.len() / 4 * 3];
    let profile = icc
        .and_then(|icc| ColorProfile::new_from_slice(icc).ok())
        .filter(|p| p.color_space == DataColorSpace::Cmyk);
    let transform = profile.and_then(|profile| {
        let options = TransformOptions::default();
        profile.create_transform_8bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgb, options).ok()
    });
    for (inks, rgb) in inks.chunks(4 * BATCH).zip(rgb.chunks_mut(3 * BATCH)) {
        let converted = transform.as_ref().is_some_and(|transform| transform.transform(inks, rgb).is_ok());
        if !converted {
            for (ink, rgb) in inks.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
                let through = |ink: u8| 255 - u32::from(ink);
                for (colour, &ink_of_colour) in rgb.iter_mut().zip(ink) {
                    *colour = ((through(ink_of_colour) * through(ink[3]) + 127) / 255) as u8;
                }
            }
        }
    }
    rgb
}

/// Full-range YCbCr of BT.601 (JFIF 1.02) to RGB.
pub fn ycbcr_to_rgb([luma, blue, red]: [u8; 3]) -> [u8; 3] {
    let (luma, blue, red) = (f32::from(luma), f32::from(blue) - 128.0, f32::from(red) - 128.0);
    [luma + 1.402 * red, luma - 0.344_136 * blue - 0.714_136 * red, luma + 1.772 * blue]
        .map(|v| v.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_absorb_light() {
        let inks = [0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 128, 9, 9, 9, 255];
        let expected = [255, 255, 255, 0, 255, 255, 127, 0, 127, 0, 0, 0];
        assert_eq!(to_rgb(&inks, None), expected);
        assert_eq!(to_rgb(&inks, Some(b"no profile")), expected);
    }

    #[test]
    fn ycbcr_has_its_primaries() {
        assert_eq!(ycbcr_to_rgb([76, 85, 255]), [254, 0, 0]);
        assert_eq!(ycbcr_to_rgb([200, 128, 128]), [200; 3]);
    }
}
