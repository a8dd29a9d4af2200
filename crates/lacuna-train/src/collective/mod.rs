//! Training over several processes: what they exchange.
//!
//! Each process (rank) trains on its own part of a step's batches. Sums over all of them go through host memory, so that
//! they serve every backend. Since all ranks start from the same state and take the same steps, their networks stay equal
//! bit for bit, and rank 0 alone writes.

#[cfg(feature = "mpi")]
mod mpi;

use std::fmt;

#[cfg(feature = "mpi")]
pub use self::mpi::Mpi;

use crate::{Error, Result};

/// The processes of a run. All of them call the same methods in the same order.
pub trait Collective: fmt::Debug + Send + Sync {
    /// The number of this process, from 0. Rank 0 writes.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn size(&self) -> usize;

    /// Replaces each value by its sum over all ranks, added in the order of ranks. Ranks that add in another order would
    /// get other bits than several devices in one process.
    ///
    /// # Shapes
    /// `values`: of the same length in all ranks.
    fn sum(&self, values: &mut [f32]);

    /// Replaces `bytes` by those of the rank `from`.
    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>);

    /// Waits until all ranks are here.
    fn barrier(&self);
}

impl dyn Collective + '_ {
    /// Whether this process writes the run folder and reports progress.
    pub fn is_writer(&self) -> bool {
        self.rank() == 0
    }

    /// The bytes of all ranks.
    pub(crate) fn gather(&self, own: Vec<u8>) -> Vec<Vec<u8>> {
        let gathered = (0..self.size()).map(|from| {
            let mut bytes = if from == self.rank() { own.clone() } else { Vec::new() };
            self.broadcast(from, &mut bytes);
            bytes
        });
        gathered.collect()
    }

    /// Checks that a text is the same in all ranks.
    ///
    /// # Errors
    /// [`Error::Ranks`] in all ranks, with the first line that differs.
    pub(crate) fn agree(&self, text: &str) -> Result<()> {
        let all = self.gather(text.as_bytes().to_vec());
        let texts: Vec<_> = all.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
        let Some(other) = texts.iter().position(|text| *text != texts[0]) else { return Ok(()) };
        let [mut first, mut second] = [0, other].map(|rank| texts[rank].lines());
        let [first, second] = loop {
            match (first.next(), second.next()) {
                (one, two) if one == two => {}
                (one, two) => break [one, two].map(|line| line.unwrap_or("nothing").to_owned()),
            }
        };
        Err(Error::Ranks { first, other, second })
    }
}

/// A run in one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn sum(&self, _values: &mut [f32]) {}

    fn broadcast(&self, _from: usize, _bytes: &mut Vec<u8>) {}

    fn barrier(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What rank 0 of two sees if the other one has a certain text.
    #[derive(Debug)]
    struct WithOther(&'static str);

    impl Collective for WithOther {
        fn rank(&self) -> usize {
            0
        }

        fn size(&self) -> usize {
            2
        }

        fn sum(&self, _values: &mut [f32]) {
            unreachable!("texts are not summed")
        }

        fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) {
            if from == 1 {
                *bytes = self.0.into();
            }
        }

        fn barrier(&self) {}
    }

    #[test]
    fn texts_that_differ_are_named_by_line() {
        let agree =
            |collective: &dyn Collective, text| collective.agree(text).map_err(|error| error.to_string());
        assert_eq!(agree(&Alone, "a"), Ok(()));
        assert_eq!(agree(&WithOther("seed = 1\nside = 32"), "seed = 1\nside = 32"), Ok(()));
        let differs = "rank 0 has side = 64, rank 1 has side = 32: expected the same in all ranks";
        assert_eq!(agree(&WithOther("seed = 1\nside = 32"), "seed = 1\nside = 64"), Err(differs.into()));
        let shorter = "rank 0 has b, rank 1 has nothing: expected the same in all ranks";
        assert_eq!(agree(&WithOther("a"), "a\nb"), Err(shorter.into()));
    }
}
