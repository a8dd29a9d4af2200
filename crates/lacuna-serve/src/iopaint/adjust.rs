//! IOPaint's `adjust_mask`: grows, shrinks or inverts a mask.

use image::{Rgba, RgbaImage};
use lacuna::{Mask, MaskOptions};
use utoipa::ToSchema;

use super::base64::decode;
use super::fields::Fields;
use crate::config::Bounds;
use crate::fill::{Upload, decode_mask, key, png};
use crate::problem::{Code, Problem};
use crate::queue::{Key, Outcome};
use lacuna::form::excerpt;

/// Mask pixels count from this value on, as in IOPaint.
const THRESHOLD: u8 = 126;

/// The colour of IOPaint's brush, in which its page draws masks.
const BRUSH: Rgba<u8> = Rgba([255, 203, 0, 186]);

/// IOPaint's default, and the largest size accepted.
const KERNEL_SIZE: i64 = 5;
const MOST_KERNEL_SIZE: i64 = 1024;

/// A request in IOPaint's format.
#[derive(Debug, ToSchema)]
pub struct AdjustMaskRequest {
    /// The mask, base64; pixels of 127 and brighter count.
    #[schema(value_type = String)]
    mask: Upload,
    /// `expand`, `shrink` or `reverse`.
    #[schema(value_type = String)]
    operate: Operate,
    /// Radius in pixels for expanding and shrinking.
    #[schema(required = false, minimum = 0, maximum = 1024)]
    kernel_size: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operate {
    Expand,
    Shrink,
    Reverse,
}

impl AdjustMaskRequest {
    /// Parses a request.
    ///
    /// # Errors
    /// [`Code::Malformed`], [`Code::FieldMissing`] or [`Code::FieldInvalid`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::from_json(bytes)?;
        let mask = decode("mask", fields.take_text("mask")?.as_deref())?;
        let operate = match fields.take_text("operate")?.as_deref() {
            Some("expand") => Operate::Expand,
            Some("shrink") => Operate::Shrink,
            Some("reverse") => Operate::Reverse,
            other => {
                let other = other.map_or_else(|| "missing".into(), |word| format!("{:?}", excerpt(word)));
                let detail = format!("operate is {other}, expected expand, shrink or reverse");
                return Err(Problem::new(Code::FieldInvalid, detail));
            }
        };
        let kernel_size = fields.take_number(&["kernel_size"], KERNEL_SIZE)?;
        Ok(Self { mask, operate, kernel_size: kernel_size.clamp(0, MOST_KERNEL_SIZE) as u32 })
    }

    /// Hash of everything that decides the outcome.
    pub fn key(&self) -> Key {
        key("adjust-mask", &(self.operate, self.kernel_size), &[&self.mask])
    }

    /// Adjusts the mask.
    ///
    /// # Errors
    /// If the mask cannot be read.
    pub fn run(&self, bounds: &Bounds) -> Outcome {
        let picture = decode_mask(&self.mask, &bounds.limits())?;
        let options = MaskOptions { threshold: Some(THRESHOLD), ..MaskOptions::default() };
        let mask = self.adjusted(&Mask::from_picture(&picture, &options));
        let (width, height) = (mask.width() as u32, mask.height() as u32);
        let mut drawn = RgbaImage::new(width, height);
        for (pixel, &hole) in drawn.pixels_mut().zip(mask.hole()) {
            if hole {
                *pixel = BRUSH;
            }
        }
        png(&drawn.into())
    }

    fn adjusted(&self, mask: &Mask) -> Mask {
        let inverted = |mask: &Mask| {
            Mask::new(mask.width(), mask.height(), mask.hole().iter().map(|hole| !hole).collect())
        };
        match self.operate {
            Operate::Reverse => inverted(mask),
            Operate::Expand => mask.expanded(self.kernel_size),
            // Shrinking the hole grows the rest.
            Operate::Shrink => inverted(&inverted(mask).expanded(self.kernel_size)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(operate: Operate, kernel_size: u32) -> AdjustMaskRequest {
        AdjustMaskRequest { mask: Upload::default(), operate, kernel_size }
    }

    #[test]
    fn masks_grow_shrink_and_turn_over() {
        let dot = Mask::new(21, 21, (0..441).map(|i| i == 220).collect());
        let grown = request(Operate::Expand, 5).adjusted(&dot);
        // Lattice points in a circle of radius 5.
        assert_eq!(grown.count(), 81);
        let shrunk = request(Operate::Shrink, 5).adjusted(&grown);
        assert_eq!((shrunk.count(), shrunk.hole()[220]), (1, true));
        assert_eq!(request(Operate::Reverse, 5).adjusted(&dot).count(), 440);
        assert_eq!(request(Operate::Expand, 0).adjusted(&dot), dot);
        let empty = Mask::new(3, 3, vec![false; 9]);
        assert_eq!(request(Operate::Expand, 2).adjusted(&empty).count(), 0);
        assert_eq!(request(Operate::Shrink, 2).adjusted(&empty).count(), 0);
    }

    #[test]
    fn what_is_asked_for_is_named_if_impossible() {
        for (json, words) in [
            (r#"{"mask": "AAAA"}"#, "operate is missing"),
            (r#"{"mask": "AAAA", "operate": "melt"}"#, "operate is \"melt\""),
            (r#"{"mask": "AAAA", "operate": "expand", "kernel_size": "x"}"#, "kernel_size is \"x\""),
            (r#"{"operate": "expand"}"#, "mask is missing"),
        ] {
            let detail = AdjustMaskRequest::from_json(json.as_bytes()).unwrap_err().detail;
            assert!(detail.contains(words), "{detail}");
        }
    }
}
