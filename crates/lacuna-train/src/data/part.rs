//! The batches of a run that one of its processes takes.

/// Of every `of` batches those from `first`, `count` of them: the devices of a process among those of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first batch.
    pub first: u64,
    /// Number of batches.
    pub count: u64,
    /// Number of batches of all processes.
    pub of: u64,
}

impl Part {
    /// All batches.
    pub const WHOLE: Self = Self { first: 0, count: 1, of: 1 };

    /// The part of process `rank` of `size`, each with this number of devices.
    pub fn of_rank(rank: usize, size: usize, devices: usize) -> Self {
        let [rank, size, devices] = [rank, size, devices].map(|number| number as u64);
        Self { first: rank * devices, count: devices, of: size * devices }
    }

    /// Whether the batch with this number, from 0 at the first batch of a step, belongs to the part.
    pub fn has(self, batch: u64) -> bool {
        (self.first..self.first + self.count).contains(&(batch % self.of))
    }

    /// The number among all batches of the part's batch `own`, both from 0 at the first batch of a step.
    pub fn number(self, own: u64) -> u64 {
        own / self.count * self.of + self.first + own % self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_out_all_batches() {
        let batches = |part: Part| (0..8).filter(|&batch| part.has(batch)).collect::<Vec<u64>>();
        assert_eq!(batches(Part::WHOLE), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(batches(Part::of_rank(1, 2, 1)), [1, 3, 5, 7]);
        assert_eq!(batches(Part::of_rank(0, 2, 2)), [0, 1, 4, 5]);
        assert_eq!(batches(Part::of_rank(1, 2, 2)), [2, 3, 6, 7]);
        for part in [Part::WHOLE, Part::of_rank(1, 2, 1), Part::of_rank(0, 2, 2), Part::of_rank(1, 2, 2)] {
            let numbers: Vec<u64> =
                (0..8).map(|own| part.number(own)).take_while(|&number| number < 8).collect();
            assert_eq!(numbers, batches(part));
        }
    }
}
