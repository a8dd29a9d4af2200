//! The one block of memory that a run works in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::MmapMut;

/// Memory of zeros, straight from the operating system: it takes room only where it was written, and comes in large
/// pages where the system has them (transformed weights are written to 36 places at a time).
#[derive(Debug)]
pub(crate) struct Arena {
    map: MmapMut,
    numbers: usize,
}

impl Arena {
    /// Room for `numbers`.
    ///
    /// # Errors
    /// If the system has no such memory.
    pub fn new(numbers: usize) -> std::io::Result<Self> {
        let map = MmapMut::map_anon((numbers * size_of::<f32>()).max(1))?;
        // A wish: without it the arena works as well, only slower.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self { map, numbers })
    }

    /// All numbers.
    pub fn numbers(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.map[..self.numbers * size_of::<f32>()])
    }
}

/// An arena kept from one run for the next: fresh pages cost time.
#[derive(Debug)]
pub(crate) struct Kept(Mutex<Option<Arena>>);

impl Kept {
    /// Nothing kept yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The kept arena if it has room for exactly so many numbers, or else a new one.
    ///
    /// # Errors
    /// If the system has no such memory.
    pub fn take_exactly(&self, numbers: usize) -> std::io::Result<Arena> {
        self.take(numbers, |arena| arena.numbers == numbers)
    }

    /// The kept arena if it has room for so many numbers or more, or else a new one.
    ///
    /// # Errors
    /// If the system has no such memory.
    pub fn take_at_least(&self, numbers: usize) -> std::io::Result<Arena> {
        self.take(numbers, |arena| arena.numbers >= numbers)
    }

    fn take(&self, numbers: usize, fits: impl Fn(&Arena) -> bool) -> std::io::Result<Arena> {
        // What does not fit is released before new memory is taken.
        match self.kept().take().filter(fits) {
            Some(arena) => Ok(arena),
            None => Arena::new(numbers),
        }
    }

    /// Keeps an arena for the next run.
    pub fn put_back(&self, arena: Arena) {
        *self.kept() = Some(arena);
    }

    /// Releases what is kept.
    pub fn release(&self) {
        *self.kept() = None;
    }

    /// Nothing panics while it holds the lock, and memory is usable whatever it holds.
    fn kept(&self) -> MutexGuard<'_, Option<Arena>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_taken_again() {
        let kept = Kept::new();
        let mut arena = kept.take_exactly(10).unwrap();
        arena.numbers()[0] = 1.0;
        kept.put_back(arena);
        let mut arena = kept.take_at_least(5).unwrap();
        assert_eq!((arena.numbers().len(), arena.numbers()[0]), (10, 1.0));
        kept.put_back(arena);
        assert_eq!(kept.take_exactly(5).unwrap().numbers(), [0.0; 5]);
        kept.put_back(kept.take_exactly(20).unwrap());
        kept.release();
        assert_eq!(kept.take_at_least(1).unwrap().numbers(), [0.0]);
    }

    #[test]
    fn it_starts_with_zeros() {
        for numbers in [0, 1, 5000] {
            let mut arena = Arena::new(numbers).unwrap();
            assert_eq!(arena.numbers(), vec![0.0; numbers]);
        }
    }
}
