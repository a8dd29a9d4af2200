//! A promise on memory: what a process may take in all, and what it takes besides predicting.

use crate::picture::{Format, Picture};
use crate::{Error, HoleOptions, Mask, Result};

/// Code, stacks and the allocator's own room, measured: 10 MiB with all of the program's threads.
const PROCESS_BYTES: u64 = 16 << 20;

/// Bytes a pixel of growing a hole: a grey copy, squared distances, and the soft seam's weights.
const GROWTH_BYTES: u64 = 1 + 8 + 4;

/// The memory that a process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes in all.
    pub total: u64,
    /// Bytes of it that are taken already.
    pub held: u64,
}

impl Budget {
    /// A budget of `total` bytes for a process that holds so many, besides its code and stacks.
    pub fn new(total: u64, held: u64) -> Self {
        Self { total, held: held.saturating_add(PROCESS_BYTES) }
    }

    /// This budget with more of it taken.
    pub fn holding(self, bytes: u64) -> Self {
        Self { held: self.held.saturating_add(bytes), ..self }
    }

    /// What is left.
    pub fn left(self) -> u64 {
        self.total.saturating_sub(self.held)
    }

    /// Checks that `bytes` more can be taken for `what`.
    ///
    /// # Errors
    /// [`Error::Memory`] with what would be taken in all and what is allowed.
    pub fn check(self, what: impl Into<String>, bytes: u64) -> Result<()> {
        if self.held <= self.total && bytes <= self.left() {
            return Ok(());
        }
        Err(Error::Memory { what: what.into(), needed: self.held.saturating_add(bytes), allowed: self.total })
    }
}

/// The most bytes that reading a picture of `pixel_bytes` from a file of `file_bytes` takes, the picture
/// included.
///
/// Progressive JPEG files are decoded through all coefficients, two bytes a sample; TIFF and WebP through a
/// copy; any picture may have to be turned upright, which takes a copy too. The decoder of JPEG files copies
/// the file.
pub(crate) fn reading_bytes(format: Format, progressive: bool, file_bytes: u64, pixel_bytes: u64) -> u64 {
    let copies = if progressive || matches!(format, Format::Tiff | Format::WebP) { 3 } else { 2 };
    file_bytes.saturating_mul(2).saturating_add(pixel_bytes.saturating_mul(copies))
}

/// The most bytes that writing a picture takes beyond its pixels: the file before it is written, JPEG's
/// coefficients (two bytes a sample) or the compressed lines of other formats, and the turned copy if it is
/// stored turned.
pub(crate) fn writing_bytes(picture: &Picture) -> u64 {
    let turned = u64::from(picture.orientation() != image::metadata::Orientation::NoTransforms);
    (WRITING_COPIES + turned) * pixel_bytes(picture)
}

/// Copies of the pixels that writing takes in the worst case, with noise for a picture.
const WRITING_COPIES: u64 = 3;

/// Bytes of a picture's pixels.
pub fn pixel_bytes(picture: &Picture) -> u64 {
    picture.pixels().as_bytes().len() as u64
}

/// The most bytes that making a hole of a mask takes, the hole included.
pub fn hole_bytes(mask: &Mask, options: &HoleOptions) -> u64 {
    let grown = options.expand.max(options.feather);
    let window = mask.bounds().filter(|_| grown > 0);
    let window = window.map_or(0, |bounds| bounds.grown(grown as usize, mask.width(), mask.height()).area());
    mask.hole().len() as u64 + GROWTH_BYTES * window as u64
}

const KIBI: u64 = 1 << 10;
const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];

/// Bytes in words: one decimal, rounded up.
pub fn at_least(bytes: u64) -> String {
    in_words(bytes, f64::ceil)
}

/// Bytes in words: one decimal, rounded down.
pub fn at_most(bytes: u64) -> String {
    in_words(bytes, f64::floor)
}

fn in_words(bytes: u64, round: fn(f64) -> f64) -> String {
    let unit = (1..UNITS.len()).rev().find(|&unit| bytes >= KIBI.pow(unit as u32));
    match unit {
        Some(unit) => {
            let value = bytes as f64 / KIBI.pow(unit as u32) as f64;
            format!("{:.1} {}", round(value * 10.0) / 10.0, UNITS[unit])
        }
        None => format!("{bytes} {}", UNITS[0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_both_numbers() {
        let budget = Budget::new(1 << 30, 100 << 20).holding(28 << 20);
        assert_eq!(budget.left(), (1 << 30) - (144 << 20));
        assert!(budget.check("a", budget.left()).is_ok());
        let error = budget.check("a.png", budget.left() + 1).unwrap_err().to_string();
        assert_eq!(error, "a.png: 1.1 GiB of memory are needed, 1.0 GiB are allowed (--max-memory)");
        assert!(Budget::new(1 << 20, 0).check("a", 0).is_err(), "the process alone is larger");
        assert!(Budget::new(1 << 20, u64::MAX).check("a", u64::MAX).is_err());
    }

    #[test]
    fn bytes_in_words() {
        assert_eq!(at_least(1), "1 bytes");
        assert_eq!(at_least(1 << 31), "2.0 GiB");
        assert_eq!(at_least((1 << 31) + 1), "2.1 GiB");
        assert_eq!(at_most((1 << 31) - 1), "1.9 GiB");
        assert_eq!(at_most(1536), "1.5 KiB");
    }

    #[test]
    fn a_hole_that_grows_takes_more() {
        let mask = Mask::new(100, 10, (0..1000).map(|i| i == 505).collect());
        assert_eq!(hole_bytes(&mask, &HoleOptions::default()), 1000);
        assert_eq!(hole_bytes(&mask, &HoleOptions { expand: 2, feather: 0 }), 1000 + 13 * 25);
    }
}
