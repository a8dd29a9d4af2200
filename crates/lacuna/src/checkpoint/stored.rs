//! The location of one tensor in a file, checked once before it is read.

use std::borrow::Cow;
use std::ops::Range;

use super::{Element, Parsed};

/// The location of a tensor's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Element type.
    pub element: Element,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Strides along each dimension, in elements.
    pub strides: Vec<usize>,
    /// First element of the tensor within the storage.
    pub offset: usize,
    /// The storage's bytes in the file.
    pub storage: Range<usize>,
}

impl Stored {
    /// A tensor that fills its storage in row-major order.
    pub fn contiguous(element: Element, shape: Vec<usize>, storage: Range<usize>) -> Self {
        let mut strides = vec![1usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        Self { element, shape, strides, offset: 0, storage }
    }

    /// Checks everything that [`Stored::values`] relies on.
    ///
    /// The problem: not a float type, a storage beyond the file, elements beyond the storage, or more elements than the
    /// storage has (an expanded tensor, whose size a hostile file could choose freely).
    pub fn check(&self, file_length: usize) -> Parsed<()> {
        if !self.element.is_float() {
            return Err(format!("holds {:?} numbers, weights are floats", self.element));
        }
        if self.storage.start > self.storage.end || self.storage.end > file_length {
            return Err(format!("lies at bytes {:?} of a file of {file_length}", self.storage));
        }
        let held = self.storage.len() / self.element.bytes();
        let count = self.shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let Some(count) = count.filter(|&count| count <= held) else {
            return Err(format!("has shape {:?} in a storage of {held} elements", self.shape));
        };
        if count == 0 {
            return Ok(());
        }
        let last = self.shape.iter().zip(&self.strides).try_fold(self.offset, |last, (&size, &stride)| {
            (size - 1).checked_mul(stride).and_then(|step| last.checked_add(step))
        });
        match last {
            Some(last) if last < held && self.shape.len() == self.strides.len() => Ok(()),
            _ => Err(format!(
                "with shape {:?}, strides {:?} and offset {} leaves its storage of {held} elements",
                self.shape, self.strides, self.offset
            )),
        }
    }

    /// All values in row-major order, borrowed from `file` if they are aligned f32 there.
    ///
    /// # Panics
    /// If [`Stored::check`] did not succeed for this file.
    pub fn values<'a>(&self, file: &'a [u8]) -> Cow<'a, [f32]> {
        let storage = &file[self.storage.clone()];
        let count: usize = self.shape.iter().product();
        let size = self.element.bytes();
        if count == 0 {
            return Cow::Borrowed(&[]);
        }
        if self.is_contiguous() {
            return self.element.to_f32(&storage[self.offset * size..(self.offset + count) * size]);
        }
        let mut gathered = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        let mut element = self.offset;
        for _ in 0..count {
            gathered.extend_from_slice(&storage[element * size..(element + 1) * size]);
            // Advances the index like an odometer: the innermost axis first.
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                element += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                element -= index[axis] * self.strides[axis];
                index[axis] = 0;
            }
        }
        Cow::Owned(self.element.to_f32(&gathered).into_owned())
    }

    /// Whether the elements are contiguous in row-major order. The stride of an axis of size 1 is irrelevant.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let follows = size == 1 || stride == expected;
            expected *= size;
            follows
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        (0..12u8).flat_map(|value| f32::from(value).to_le_bytes()).collect()
    }

    fn stored(shape: &[usize], strides: &[usize], offset: usize) -> Stored {
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        Stored { element: Element::F32, shape, strides, offset, storage: 0..48 }
    }

    #[test]
    fn gathers_strided_tensors_in_row_major_order() {
        struct Case(Stored, &'static [f32]);
        let cases = [
            Case(Stored::contiguous(Element::F32, vec![2, 2], 8..24), &[2.0, 3.0, 4.0, 5.0]),
            Case(stored(&[2, 3], &[3, 1], 1), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            // A transposed 3 x 4 matrix.
            Case(
                stored(&[4, 3], &[1, 4], 0),
                &[0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0],
            ),
            // Every second element of the last row.
            Case(stored(&[1, 2], &[99, 2], 8), &[8.0, 10.0]),
            Case(stored(&[], &[], 11), &[11.0]),
            Case(stored(&[0, 3], &[3, 1], 0), &[]),
        ];
        let file = file();
        for Case(tensor, expected) in cases {
            tensor.check(file.len()).unwrap();
            assert_eq!(tensor.values(&file), expected, "{tensor:?}");
        }
    }

    #[test]
    fn refuses_what_leaves_the_storage() {
        let cases = [
            stored(&[13], &[1], 0),
            stored(&[12], &[1], 1),
            stored(&[2, 2], &[11, 1], 0),
            stored(&[usize::MAX, 2], &[1, 1], 0),
            stored(&[2], &[usize::MAX], 1),
            stored(&[4, 4], &[0, 1], 0),
            stored(&[2, 2], &[1], 0),
            Stored { element: Element::I64, ..stored(&[1], &[1], 0) },
            Stored { storage: 40..52, ..stored(&[1], &[1], 0) },
        ];
        for tensor in cases {
            assert!(tensor.check(48).is_err(), "{tensor:?}");
        }
    }
}
