//! The one block of memory of a run.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Zeroed memory.
#[derive(Debug)]
pub(crate) struct Arena {
    block: Block,
    numbers: usize,
}

/// Memory directly from the operating system: it uses physical memory only where it was written, and large pages where
/// the system has them (transformed weights are written to 36 places at a time).
#[cfg(not(target_family = "wasm"))]
type Block = memmap2::MmapMut;

/// Browsers map no memory.
#[cfg(target_family = "wasm")]
type Block = Box<[f32]>;

impl Arena {
    /// Room for `numbers` values.
    ///
    /// # Errors
    /// If the system has no such memory.
    pub fn new(numbers: usize) -> std::io::Result<Self> {
        Ok(Self { block: block(numbers.max(1))?, numbers })
    }

    /// All values.
    pub fn numbers(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.block)[..self.numbers]
    }
}

#[cfg(not(target_family = "wasm"))]
fn block(numbers: usize) -> std::io::Result<Block> {
    let map = Block::map_anon(numbers * size_of::<f32>())?;
    // A hint: without large pages the arena works as well, only slower.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    Ok(map)
}

#[cfg(target_family = "wasm")]
fn block(numbers: usize) -> std::io::Result<Block> {
    let mut block = Vec::new();
    block.try_reserve_exact(numbers).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
    block.resize(numbers, 0.0);
    Ok(block.into_boxed_slice())
}

/// An arena kept from one run for the next, because fresh pages cost time.
#[derive(Debug)]
pub(crate) struct Kept(Mutex<Option<Arena>>);

impl Kept {
    /// Nothing kept yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The kept arena if it has room for exactly this many values, or else a new one.
    ///
    /// # Errors
    /// If the system has no such memory.
    pub fn take_exactly(&self, numbers: usize) -> std::io::Result<Arena> {
        self.take(numbers, |arena| arena.numbers == numbers)
    }

    /// The kept arena if it has room for at least this many values, or else a new one.
    ///
    /// # Errors
    /// If the system has no such memory.
    pub fn take_at_least(&self, numbers: usize) -> std::io::Result<Arena> {
        self.take(numbers, |arena| arena.numbers >= numbers)
    }

    fn take(&self, numbers: usize, fits: impl Fn(&Arena) -> bool) -> std::io::Result<Arena> {
        // An arena that does not fit is released before new memory is allocated.
        match self.kept().take().filter(fits) {
            Some(arena) => Ok(arena),
            None => Arena::new(numbers),
        }
    }

    /// Keeps an arena for the next run.
    pub fn put_back(&self, arena: Arena) {
        *self.kept() = Some(arena);
    }

    /// Releases the kept arena.
    pub fn release(&self) {
        *self.kept() = None;
    }

    /// A panic cannot leave the lock in an inconsistent state, and the memory is usable with any contents.
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
