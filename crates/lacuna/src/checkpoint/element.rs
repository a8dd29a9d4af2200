//! Element types of weights files, and their conversion to f32.

use std::borrow::Cow;

use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

/// The element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 16-bit float, 5 bits of exponent.
    F16,
    /// 16-bit float, 8 bits of exponent.
    Bf16,
    /// 64-bit float, rounded to 32 bits when read.
    F64,
    /// 64-bit integer: BatchNorm's step counter, which is not needed here.
    I64,
    /// Any other type, by its size in bytes; such tensors are skipped.
    Other(u8),
}

impl Element {
    /// Bytes per element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 | Self::I64 => 8,
            Self::Other(bytes) => usize::from(bytes),
        }
    }

    /// Whether weights can be stored this way.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16 | Self::F64)
    }

    /// The values in `bytes` (little-endian) as f32: borrowed if they are aligned f32 already.
    ///
    /// # Panics
    /// If this is not a float type: such tensors are refused before their values are read.
    pub(super) fn to_f32(self, bytes: &[u8]) -> Cow<'_, [f32]> {
        if self == Self::F32
            && cfg!(target_endian = "little")
            && let Ok(values) = bytemuck::try_cast_slice(bytes)
        {
            return Cow::Borrowed(values);
        }
        Cow::Owned(match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect(),
            #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
            Self::F64 => bytes.as_chunks().0.iter().map(|&eight| f64::from_le_bytes(eight) as f32).collect(),
            Self::F16 => halves(bytes, half::f16::from_le_bytes).to_f32_vec(),
            Self::Bf16 => halves(bytes, half::bf16::from_le_bytes).to_f32_vec(),
            Self::I64 | Self::Other(_) => panic!("weights are floats, not {self:?}"),
        })
    }
}

/// Little-endian 16-bit values.
fn halves<T>(bytes: &[u8], from_bytes: fn([u8; 2]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&two| from_bytes(two)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer at an address divisible by 4, so that borrowing can be tested.
    fn aligned(values: &[f32]) -> &[u8] {
        bytemuck::cast_slice(values)
    }

    #[test]
    fn aligned_floats_are_borrowed_and_unaligned_ones_copied() {
        let values = [1.5f32, -2.0, 0.25];
        let bytes = aligned(&values);
        assert!(matches!(Element::F32.to_f32(bytes), Cow::Borrowed(seen) if seen == values));
        let shifted = [&[0u8; 1][..], bytes].concat();
        assert_eq!(Element::F32.to_f32(&shifted[1..]), &values[..]);
    }

    #[test]
    fn every_float_kind_reads_as_the_same_numbers() {
        // Exact in every type, so that equality can be asserted.
        let values = [0.0f32, 1.0, -2.5, 0.125, f32::INFINITY];
        let f64s: Vec<u8> = values.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
        let f16s: Vec<u8> = values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
        let bf16s: Vec<u8> = values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
        for (element, bytes) in [(Element::F64, f64s), (Element::F16, f16s), (Element::Bf16, bf16s)] {
            assert_eq!(element.to_f32(&bytes), &values[..], "{element:?}");
            assert_eq!(bytes.len(), values.len() * element.bytes());
        }
    }
}
