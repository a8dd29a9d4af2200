//! Memory to which threads write at disjoint positions.
#![expect(
    unsafe_code,
    reason = "threads write to interleaved rows of one buffer, which slices cannot express"
)]

use std::marker::PhantomData;

/// Tasks per thread, so that one slow task does not delay all threads.
pub(crate) const TASKS_PER_THREAD: usize = 3;

/// A buffer that several threads write to; the kernels ensure that their positions are disjoint.
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

    /// A pointer to the value at `index` and those after it.
    ///
    /// # Panics
    /// If it lies outside the buffer.
    #[inline(always)]
    pub fn at(self, index: usize) -> *mut f32 {
        assert!(index <= self.length, "place {index} of a buffer of {}", self.length);
        // SAFETY: inside the buffer.
        unsafe { self.start.add(index) }
    }

    /// One value, which no thread writes meanwhile.
    ///
    /// # Panics
    /// If it lies outside the buffer.
    #[inline(always)]
    pub fn get(self, index: usize) -> f32 {
        assert!(index < self.length, "place {index} of a buffer of {}", self.length);
        // SAFETY: inside the buffer.
        unsafe { *self.start.add(index) }
    }

    /// Sets one value, which no other thread accesses meanwhile.
    ///
    /// # Panics
    /// If it lies outside the buffer.
    #[inline(always)]
    pub fn set(self, index: usize, value: f32) {
        assert!(index < self.length, "place {index} of a buffer of {}", self.length);
        // SAFETY: inside the buffer.
        unsafe { *self.start.add(index) = value };
    }

    /// The buffer starting at `index`.
    ///
    /// # Panics
    /// If it lies outside the buffer.
    pub fn from(self, index: usize) -> Self {
        Self { start: self.at(index), length: self.length - index, buffer: PhantomData }
    }
}
