//! The one block of memory that a run works in.

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

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.numbers
    }

    /// All numbers.
    pub fn numbers(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.map[..self.numbers * size_of::<f32>()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_with_zeros() {
        for numbers in [0, 1, 5000] {
            let mut arena = Arena::new(numbers).unwrap();
            assert_eq!(arena.numbers(), vec![0.0; numbers]);
        }
    }
}
