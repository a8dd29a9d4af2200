//! Crops, rotations and mirrors of an AVIF file, which make the coded pixels upright (ISO/IEC 23008-12, clause 6.5).

use image::DynamicImage;

use super::meta::Property;
use crate::picture::converted::boxes::Bytes;

/// A step from coded to displayed pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    Crop(Crop),
    /// Quarter turns, anticlockwise.
    Turn(u8),
    /// Top and bottom are swapped.
    MirrorRows,
    /// Left and right are swapped.
    MirrorColumns,
}

/// A clean aperture: fractions of pixels (ISO/IEC 14496-12, clause 12.1.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    width: Fraction,
    height: Fraction,
    /// From the centre of the coded image to that of the crop.
    right: Fraction,
    down: Fraction,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Fraction {
    over: i64,
    under: i64,
}

impl Transform {
    /// The transform of a property; `None` if it is another one.
    ///
    /// # Errors
    /// A sentence if it is damaged.
    pub fn of(property: &Property) -> Result<Option<Self>, String> {
        let mut bytes = Bytes(property.body);
        let transform = match &property.kind {
            b"clap" => Crop::parse(bytes).map(Self::Crop),
            b"irot" => bytes.u8().map(|turns| Self::Turn(turns & 3)),
            b"imir" => {
                bytes.u8().map(|axis| if axis & 1 == 0 { Self::MirrorRows } else { Self::MirrorColumns })
            }
            _ => return Ok(None),
        };
        transform.map(Some).ok_or_else(|| format!("its property {} is damaged", property.kind.escape_ascii()))
    }

    /// Applies the transform to the pixels.
    ///
    /// # Errors
    /// A sentence if a crop does not fit them.
    pub fn apply(self, pixels: DynamicImage) -> Result<DynamicImage, String> {
        Ok(match self {
            Self::Crop(crop) => {
                let (x, width) = range(pixels.width(), crop.width, crop.right)?;
                let (y, height) = range(pixels.height(), crop.height, crop.down)?;
                pixels.crop_imm(x, y, width, height)
            }
            // The library turns clockwise.
            Self::Turn(1) => pixels.rotate270(),
            Self::Turn(2) => pixels.rotate180(),
            Self::Turn(3) => pixels.rotate90(),
            Self::Turn(_) => pixels,
            Self::MirrorRows => pixels.flipv(),
            Self::MirrorColumns => pixels.fliph(),
        })
    }
}

impl Crop {
    fn parse(mut bytes: Bytes) -> Option<Self> {
        let mut fraction = |is_signed: bool| {
            let over = bytes.u32()?;
            let over = if is_signed { i64::from(over as i32) } else { i64::from(over) };
            let under = i64::from(bytes.u32()?);
            (under > 0).then_some(Fraction { over, under })
        };
        Some(Self {
            width: fraction(false)?,
            height: fraction(false)?,
            right: fraction(true)?,
            down: fraction(true)?,
        })
    }
}

/// First pixel and number of pixels of a crop along one axis.
fn range(side: u32, length: Fraction, offset: Fraction) -> Result<(u32, u32), String> {
    // The centres of both are `offset` apart: first = offset + (side - length) / 2.
    let under = 2 * i128::from(length.under) * i128::from(offset.under);
    let over = 2 * i128::from(offset.over) * i128::from(length.under)
        + (i128::from(side) * i128::from(length.under) - i128::from(length.over)) * i128::from(offset.under);
    let count = i128::from(length.over) / i128::from(length.under);
    let is_whole = over % under == 0 && i128::from(length.over) % i128::from(length.under) == 0;
    let first = over / under;
    if !is_whole || first < 0 || count < 1 || first + count > i128::from(side) {
        return Err(format!(
            "its crop of {} / {} pixels at {} / {} from the centre does not fit {side} pixels",
            length.over, length.under, offset.over, offset.under
        ));
    }
    Ok((first as u32, count as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn fraction(over: i64, under: i64) -> Fraction {
        Fraction { over, under }
    }

    #[test]
    fn crops_lie_within_the_image_on_whole_pixels() {
        assert_eq!(range(10, fraction(4, 1), fraction(0, 1)), Ok((3, 4)));
        assert_eq!(range(10, fraction(8, 2), fraction(-3, 1)), Ok((0, 4)));
        assert_eq!(range(10, fraction(5, 1), fraction(1, 2)), Ok((3, 5)));
        for (length, offset) in [
            (fraction(4, 1), fraction(-4, 1)),
            (fraction(5, 1), fraction(0, 1)),
            (fraction(9, 2), fraction(0, 1)),
            (fraction(0, 1), fraction(0, 1)),
            (fraction(u32::MAX as i64, 1), fraction(i32::MIN as i64, 1)),
        ] {
            assert!(range(10, length, offset).unwrap_err().contains("does not fit 10 pixels"));
        }
    }

    #[test]
    fn turns_are_anticlockwise_and_mirrors_swap_the_named_sides() {
        let pixels = image::GrayImage::from_raw(2, 2, vec![1, 2, 3, 4]).unwrap();
        for (kind, value, expected) in [
            (b"irot", 0, [1, 2, 3, 4]),
            (b"irot", 1, [2, 4, 1, 3]),
            (b"irot", 2, [4, 3, 2, 1]),
            (b"irot", 3, [3, 1, 4, 2]),
            (b"imir", 0, [3, 4, 1, 2]),
            (b"imir", 1, [2, 1, 4, 3]),
        ] {
            let property = Property { kind: *kind, body: &[value], is_essential: true };
            let transform = Transform::of(&property).unwrap().unwrap();
            let after = transform.apply(DynamicImage::ImageLuma8(pixels.clone())).unwrap();
            assert_eq!(after.as_bytes(), expected, "{} {value}", kind.escape_ascii());
        }
        let damaged = Property { kind: *b"clap", body: &[0; 31], is_essential: true };
        assert!(Transform::of(&damaged).unwrap_err().contains("clap is damaged"));
    }
}
