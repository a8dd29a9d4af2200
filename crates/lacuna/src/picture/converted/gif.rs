//! GIF: the first frame.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::{DynamicImage, ImageDecoder, ImageError};

use super::{Decoded, Reader};
use crate::Result;
use crate::picture::format::ReadOnly;

/// Bytes per decoded pixel: RGBA.
const PIXEL_BYTES: u64 = 4;

impl Reader<'_> {
    pub(super) fn decode_gif(&self) -> Result<Decoded> {
        let problem = |error: ImageError| self.damaged(ReadOnly::Gif, &error.to_string().replace('\n', " "));
        let mut decoder = GifDecoder::new(Cursor::new(self.bytes)).map_err(problem)?;
        self.check(decoder.dimensions(), PIXEL_BYTES, None)?;
        decoder.set_limits(self.decoder_limits()).map_err(problem)?;
        let mut pixels = DynamicImage::from_decoder(decoder).map_err(problem)?;
        let is_opaque =
            pixels.as_rgba8().is_some_and(|image| image.pixels().all(|pixel| pixel[3] == u8::MAX));
        if is_opaque {
            pixels = DynamicImage::ImageRgb8(pixels.to_rgb8());
        }
        Ok(Decoded {
            pixels,
            icc: None,
            exif: None,
            xmp: None,
            is_lossy: false,
            notes: vec!["only the first frame of the GIF file is read"],
        })
    }
}
