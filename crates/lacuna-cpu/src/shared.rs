//! Memory that threads write to in disjoint places.
#![expect(
    unsafe_code,
    reason = "threads write to interleaved rows of one buffer, which slices cannot express"
)]

use std::marker::PhantomData;

/// Tasks to make for each thread, so that one that is slow does not hold up all.
pub(crate) const TASKS_PER_THREAD: usize = 3;

/// A buffer that several threads write to; who writes where is the kernel's affair.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    start: *mut f32,
    length: usize,
    buffer: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is only followed in unsafe code, which promises disjoint places.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// Shares a buffer.
    pub fn new(buffer: &'a mut [f32]) -> Self {
        Self { start: buffer.as_mut_ptr(), length: buffer.len(), buffer: PhantomData }
    }

    /// The number at `index`, and all behind it.
    ///
    /// # Panics
    /// If it lies outside the buffer.
    #[inline(always)]
    pub fn at(self, index: usize) -> *mut f32 {
        assert!(index <= self.length, "place {index} of a buffer of {}", self.length);
        // SAFETY: inside the buffer.
        unsafe { self.start.add(index) }
    }

    /// One number, while nobody writes.
    ///
    /// # Panics
    /// If it lies outside the buffer.
    #[cfg(test)]
    pub fn get(self, index: usize) -> f32 {
        assert!(index < self.length, "place {index} of a buffer of {}", self.length);
        // SAFETY: inside the buffer.
        unsafe { *self.start.add(index) }
    }

    /// The buffer from `index` on.
    ///
    /// # Panics
    /// If it lies outside the buffer.
    pub fn from(self, index: usize) -> Self {
        Self { start: self.at(index), length: self.length - index, buffer: PhantomData }
    }
}
