//! Processes that MPI has started, on one or several machines.

use std::fmt;
use std::time::Duration;

use mpi::Threading;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};

use super::Collective;
use crate::{Error, Result};

/// Values that are summed at a time, which bounds the memory for it: 16 MiB of them, twice.
const SUM_BLOCK: usize = 1 << 22;
/// Bytes that are broadcast at a time; MPI counts in 32 bits.
const BROADCAST_BLOCK: usize = 1 << 30;
/// The launcher passes on what a rank writes, but drops what it has not read when the ranks are aborted.
const BEFORE_ABORT: Duration = Duration::from_millis(500);

/// All processes that `mpiexec` or `srun` has started. When it is dropped, it waits for the others; after a panic it ends
/// them.
pub struct Mpi {
    /// MPI itself, which ends when this is dropped.
    _universe: Universe,
    rank: usize,
    size: usize,
}

impl Mpi {
    /// Starts MPI in this process. If nothing else was started, this is the only rank.
    ///
    /// # Errors
    /// [`Error::Config`] if it was started before, or does not allow calls from threads.
    pub fn start() -> Result<Self> {
        // A run moves to a thread of the network's pool, and calls from there.
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| Error::Config("MPI was started twice in this process".into()))?;
        if threading < Threading::Serialized {
            let needed = Threading::Serialized;
            return Err(Error::Config(format!(
                "MPI allows calls from threads as {threading:?}, expected {needed:?}"
            )));
        }
        let world = universe.world();
        let [rank, size] = [world.rank(), world.size()].map(|number| number as usize);
        Ok(Self { _universe: universe, rank, size })
    }

    /// Ends all ranks; the launcher exits with `code`. What this rank wrote to standard error before is shown.
    pub fn abort(&self, code: u8) -> ! {
        std::thread::sleep(BEFORE_ABORT);
        world().abort(code.into())
    }
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    /// Every rank sums a part of the values in the order of ranks, and sends it to the others. This moves as many bytes as
    /// `MPI_Allreduce` does, which does not promise an order.
    fn sum(&self, values: &mut [f32]) {
        if self.size == 1 {
            return;
        }
        for block in values.chunks_mut(SUM_BLOCK) {
            let part = block.len().div_ceil(self.size);
            let mut sent = vec![0.0; part * self.size];
            sent[..block.len()].copy_from_slice(block);
            let mut received = vec![0.0f32; part * self.size];
            world().all_to_all_into(&sent[..], &mut received[..]);
            let (sum, others) = received.split_at_mut(part);
            for other in others.chunks_exact(part) {
                sum.iter_mut().zip(other).for_each(|(sum, value)| *sum += value);
            }
            world().all_gather_into(&*sum, &mut sent[..]);
            block.copy_from_slice(&sent[..block.len()]);
        }
    }

    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) {
        let world = world();
        let root = world.process_at_rank(from as i32);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        for block in bytes.chunks_mut(BROADCAST_BLOCK) {
            root.broadcast_into(block);
        }
    }

    fn barrier(&self) {
        world().barrier();
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The others may wait for values that never come.
            self.abort(1);
        }
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Mpi(rank {} of {})", self.rank, self.size)
    }
}
