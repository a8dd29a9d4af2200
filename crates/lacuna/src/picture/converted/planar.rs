//! From planes of luma and chroma to interleaved pixels.

use heic_decoder::{ColorInfo, DecodedImage, RgbOptions};
use image::DynamicImage;

use super::{Interleaved, profile_of};

/// Bytes per sample of a plane in the decoder.
const PLANE_SAMPLE: u64 = 4;

/// Chroma samples per pixel, in quarters, by HEVC's `chroma_format_idc` (ITU-T H.265, table 6-1).
const CHROMA_QUARTERS: [u64; 4] = [0, 2, 4, 8];

/// How a file without colour information is coded: BT.601's matrix and full range (MIAF, ISO/IEC 23000-22).
const UNLABELLED: ColorInfo = ColorInfo {
    color_primaries: 1,
    transfer_characteristics: 13,
    matrix_coefficients: BT601,
    full_range: true,
};

/// Matrices of ITU-T H.273: unspecified, and BT.601's.
const UNSPECIFIED: u16 = 2;
const BT601: u16 = 6;

/// What the planes of an image are.
pub struct Planes {
    /// HEVC's `chroma_format_idc`: 0 is grey, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma: u32,
    /// Bits per sample.
    pub depth: u32,
    pub has_alpha: bool,
}

impl Planes {
    /// Channels of the pixels.
    pub fn channels(&self) -> usize {
        (if self.chroma == 0 { 1 } else { 3 }) + usize::from(self.has_alpha)
    }

    /// Bytes per sample of the pixels.
    fn sample_bytes(&self) -> u64 {
        if self.depth > 8 { 2 } else { 1 }
    }

    /// Bytes per pixel of the pixels.
    pub fn pixel_bytes(&self) -> u64 {
        self.channels() as u64 * self.sample_bytes()
    }

    /// Bytes per pixel of the planes, rounded up.
    pub fn plane_bytes(&self) -> u64 {
        let chroma = CHROMA_QUARTERS.get(self.chroma as usize).copied().unwrap_or(8);
        (PLANE_SAMPLE * (4 + chroma + 4 * u64::from(self.has_alpha))).div_ceil(4)
    }

    /// Bytes per pixel of a frame in a decoder that stores samples as they are, rounded up.
    #[cfg(feature = "avif")]
    pub fn frame_bytes(&self) -> u64 {
        let chroma = CHROMA_QUARTERS.get(self.chroma as usize).copied().unwrap_or(8);
        (self.sample_bytes() * (4 + chroma)).div_ceil(4)
    }

    /// Bytes per pixel while planes become pixels: RGB and then, for grey, one channel of it.
    pub fn conversion_bytes(&self) -> u64 {
        let rgb = (3 + u64::from(self.has_alpha)) * self.sample_bytes();
        if self.chroma == 0 { rgb + self.pixel_bytes() } else { rgb }
    }
}

/// The profile of the colours that an image names by number.
pub fn named_profile(image: &DecodedImage) -> Option<Vec<u8>> {
    let colours = image.color_info.filter(|_| image.chroma_format_idc != 0)?;
    let number = |number: u16| u8::try_from(number).ok();
    profile_of(number(colours.color_primaries)?, number(colours.transfer_characteristics)?)
}

/// The pixels of an image of `chroma_format_idc` 0 as grey, all others as RGB; 8 bits, or 16 if the file has more than 8.
///
/// # Errors
/// A sentence that describes what is unsupported.
pub fn pixels(image: &DecodedImage) -> Result<DynamicImage, String> {
    let problem = |error: heic_decoder::HeifError| error.to_string();
    let is_deep = image.bit_depth_luma.max(image.bit_depth_chroma) > 8;
    let alpha = image.alpha.as_ref();
    let channels = 3 + usize::from(alpha.is_some());
    let labelled = image.color_info.unwrap_or(UNLABELLED);
    let is_unspecified = labelled.matrix_coefficients == UNSPECIFIED;
    let matrix_coefficients = if is_unspecified { BT601 } else { labelled.matrix_coefficients };
    let colours =
        RgbOptions { color: Some(ColorInfo { matrix_coefficients, ..labelled }), ..Default::default() };
    let mut samples = match (is_deep, alpha) {
        (false, None) => Interleaved::Eight(image.to_rgb8_with_options(&colours).map_err(problem)?.data),
        (false, Some(_)) => Interleaved::Eight(image.to_rgba8_with_options(&colours).map_err(problem)?.data),
        (true, None) => Interleaved::Sixteen(image.to_rgb16_with_options(&colours).map_err(problem)?.data),
        (true, Some(_)) => {
            Interleaved::Sixteen(image.to_rgba16_with_options(&colours).map_err(problem)?.data)
        }
    };
    if alpha.is_some_and(|alpha| alpha.premultiplied) {
        samples.unpremultiply(channels);
    }
    let side = |side: usize| u32::try_from(side).map_err(|_| "its size is not valid");
    let pixels = samples
        .into_image((side(image.width)?, side(image.height)?), channels)
        .ok_or("its samples do not fit its size")?;
    if image.chroma_format_idc != 0 {
        return Ok(pixels);
    }
    Ok(match pixels {
        grey @ DynamicImage::ImageRgb8(_) => DynamicImage::ImageLuma8(grey.into_luma8()),
        grey @ DynamicImage::ImageRgba8(_) => DynamicImage::ImageLumaA8(grey.into_luma_alpha8()),
        grey @ DynamicImage::ImageRgb16(_) => DynamicImage::ImageLuma16(grey.into_luma16()),
        grey => DynamicImage::ImageLumaA16(grey.into_luma_alpha16()),
    })
}
