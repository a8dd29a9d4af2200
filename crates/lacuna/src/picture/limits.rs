//! Limits on image files.

use crate::error::Limit;
use crate::picture::Format;
use crate::{Budget, Error, Result};

/// Limits on what is decoded, checked against a file's header before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longer side in pixels.
    pub side: u32,
    /// Number of pixels.
    pub pixels: u64,
    /// Size of the decoded image, and of the file, in bytes.
    pub bytes: u64,
    /// Memory for reading, intermediate copies included.
    pub memory: Option<Budget>,
}

impl Default for Limits {
    /// 16,384 pixels per side (which JPEG decoders and GPUs commonly support), 200 megapixels (the largest photos of
    /// cameras), 1 GiB (such a photo with alpha at 8 bits per channel).
    fn default() -> Self {
        Self { side: 16_384, pixels: 200_000_000, bytes: 1 << 30, memory: None }
    }
}

impl Limits {
    /// Checks the size of a decoded image before it is allocated.
    ///
    /// # Errors
    /// [`Error::TooLarge`] with the size and the exceeded limit; [`Error::Picture`] for an image without pixels.
    pub fn check(&self, name: &str, width: u32, height: u32, bytes_per_pixel: u64) -> Result<()> {
        let pixels = u64::from(width) * u64::from(height);
        let bytes = pixels.saturating_mul(bytes_per_pixel);
        if pixels == 0 {
            return Err(Error::picture(name, format!("the image has no pixels ({width} x {height})")));
        }
        let (limit, problem) = if width.max(height) > self.side {
            (Limit::Side, format!("{width} x {height} pixels: the longest allowed side is {}", self.side))
        } else if pixels > self.pixels {
            let problem =
                format!("{width} x {height} = {pixels} pixels: at most {} are allowed", self.pixels);
            (Limit::Pixels, problem)
        } else if bytes > self.bytes {
            (Limit::Bytes, format!("the image needs {bytes} bytes: at most {} are allowed", self.bytes))
        } else {
            return Ok(());
        };
        Err(Error::TooLarge { name: name.into(), limit, problem })
    }

    /// Checks that an image can be read within [`Limits::memory`], before its pixels are allocated.
    ///
    /// # Errors
    /// [`Error::Memory`] with the needed and the allowed bytes.
    pub(super) fn check_memory(
        &self,
        name: &str,
        format: Format,
        progressive: bool,
        file_bytes: u64,
        pixel_bytes: u64,
    ) -> Result<()> {
        let needed = reading_bytes(format, progressive, file_bytes, pixel_bytes);
        self.memory.map_or(Ok(()), |budget| budget.check(format!("reading {name}"), needed))
    }

    /// Checks a file's length before it is read.
    ///
    /// # Errors
    /// [`Error::TooLarge`] with the length and the limit.
    pub fn check_file(&self, name: &str, length: u64) -> Result<()> {
        if length > self.bytes {
            let problem = format!("the file has {length} bytes: at most {} are allowed", self.bytes);
            return Err(Error::TooLarge { name: name.into(), limit: Limit::Bytes, problem });
        }
        Ok(())
    }
}

/// Peak bytes of reading an image of `pixel_bytes` from a file of `file_bytes`, the image included.
///
/// Progressive JPEG files are decoded through all coefficients, two bytes per sample; TIFF and WebP through a copy. Any
/// image may need a rotated copy. The JPEG decoder copies the file.
fn reading_bytes(format: Format, progressive: bool, file_bytes: u64, pixel_bytes: u64) -> u64 {
    let copies = if progressive || matches!(format, Format::Tiff | Format::WebP) { 3 } else { 2 };
    file_bytes.saturating_mul(2).saturating_add(pixel_bytes.saturating_mul(copies))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_named_with_both_values() {
        let limits = Limits { side: 100, pixels: 5000, bytes: 10_000, memory: None };
        assert!(limits.check("a", 70, 70, 2).is_ok());
        for (width, height, depth, words) in [
            (0, 5, 3, "no pixels (0 x 5)"),
            (101, 5, 3, "longest allowed side is 100"),
            (100, 51, 1, "5100 pixels: at most 5000"),
            (70, 70, 3, "14700 bytes: at most 10000"),
        ] {
            let text = limits.check("a", width, height, depth).unwrap_err().to_string();
            assert!(text.contains(words), "{text}");
        }
        assert!(limits.check_file("a", 10_001).unwrap_err().to_string().contains("10001 bytes"));
    }
}
