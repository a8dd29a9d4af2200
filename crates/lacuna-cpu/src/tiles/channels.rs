//! Memory layout of channels: blocks of [`LANES`], so that every kernel works on whole vectors at any size.
//!
//! A feature map is `[blocks][rows][columns][LANES]`. Each part of a latent (local, global) starts a new block; lanes
//! without a channel are zero and excluded from sums.

use crate::simd::LANES;

/// The channel of each lane of each block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    /// Channel of the first lane …
    first: usize,
    /// … and the distance between channels of neighbouring lanes.
    step: usize,
    /// Number of lanes with a channel; they come first.
    count: usize,
}

impl Channels {
    /// Channels in order; each part starts a new block.
    pub fn parts(parts: impl IntoIterator<Item = usize>) -> Self {
        let mut first = 0;
        let mut blocks = Vec::new();
        for part in parts {
            for start in (0..part).step_by(LANES) {
                let count = (part - start).min(LANES);
                blocks.push(Block { first: first + start, step: 1, count });
            }
            first += part;
        }
        Self { blocks }
    }

    /// The spectrum of `channels`: for each of their blocks one of real parts (the network's channels `2c`) and one of
    /// imaginary parts (`2c + 1`).
    pub fn spectrum(channels: usize) -> Self {
        let real = Self::parts([channels]);
        let part = |block: Block, part: usize| Block { first: 2 * block.first + part, step: 2, ..block };
        let blocks = real.blocks.iter().flat_map(|&block| [part(block, 0), part(block, 1)]).collect();
        Self { blocks }
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Number of lanes of a block with a channel.
    pub fn count(&self, block: usize) -> usize {
        self.blocks[block].count
    }

    /// Number of channels.
    pub fn total(&self) -> usize {
        self.blocks.iter().map(|block| block.count).sum()
    }

    /// The channels of a block, lane by lane.
    pub fn of(&self, block: usize) -> impl Iterator<Item = usize> + use<> {
        let Block { first, step, count } = self.blocks[block];
        (0..count).map(move |lane| first + lane * step)
    }

    /// Block and lane of each channel, in the order of the channels.
    pub fn positions(&self) -> Vec<(usize, usize)> {
        let mut positions = vec![(0, 0); self.total()];
        for block in 0..self.blocks() {
            self.of(block).enumerate().for_each(|(lane, channel)| positions[channel] = (block, lane));
        }
        positions
    }

    /// Values by lane, given by channel; lanes without a channel are 0.
    pub fn spread(&self, values: impl Fn(usize) -> f32) -> Vec<f32> {
        let mut lanes = vec![0.0; self.blocks() * LANES];
        for (block, lanes) in lanes.chunks_exact_mut(LANES).enumerate() {
            lanes.iter_mut().zip(self.of(block)).for_each(|(lane, channel)| *lane = values(channel));
        }
        lanes
    }
}

/// The memory layout of a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Blocks of [`LANES`] channels.
    pub blocks: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Distance between rows, in vectors.
    pub stride: usize,
    /// Distance between blocks, in values.
    pub plane: usize,
}

/// Sets of an L1 cache, in lines of one vector: planes at a distance of a multiple of this evict each other.
const CACHE_SETS: usize = 64;
/// Remainder of the distance between planes, modulo [`CACHE_SETS`]: odd, so that all sets are used.
const CACHE_PHASE: usize = 17;

/// At least `vectors`, such that positions at this distance do not compete for the same cache lines.
pub(crate) fn spaced(vectors: usize) -> usize {
    vectors + (CACHE_PHASE + CACHE_SETS - vectors % CACHE_SETS) % CACHE_SETS
}

impl Layout {
    /// A map of `blocks`, `rows` and `columns` without gaps between rows, so that a block is one range of pixels.
    pub fn new(blocks: usize, rows: usize, columns: usize) -> Self {
        Self { blocks, rows, columns, stride: columns, plane: spaced(rows * columns) * LANES }
    }

    /// A map of a large image whose rows do not compete for the same cache lines.
    pub fn of_long_rows(blocks: usize, rows: usize, columns: usize) -> Self {
        let stride = if columns < CACHE_SETS { columns } else { spaced(columns) };
        Self { blocks, rows, columns, stride, plane: spaced(rows * stride) * LANES }
    }

    /// Values in memory.
    pub fn len(self) -> usize {
        self.blocks * self.plane
    }

    /// Pixels of one block.
    ///
    /// # Panics
    /// If there are gaps between rows.
    pub fn pixels(self) -> usize {
        assert_eq!(self.stride, self.columns, "gaps between rows");
        self.rows * self.columns
    }

    /// Offset of a row's first vector within a block.
    pub fn row(self, row: usize) -> usize {
        row * self.stride * LANES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_start_blocks() {
        let channels = Channels::parts([8, 24]);
        assert_eq!((channels.blocks(), channels.total()), (3, 32));
        assert_eq!(channels.of(0).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
        assert_eq!(channels.of(1).collect::<Vec<_>>(), (8..24).collect::<Vec<_>>());
        assert_eq!((channels.of(2).collect::<Vec<_>>(), channels.count(2)), ((24..32).collect(), 8));
        assert_eq!(channels.spread(|channel| channel as f32)[15..18], [0.0, 8.0, 9.0]);
    }

    #[test]
    fn spectra_alternate_by_block() {
        let channels = Channels::spectrum(18);
        assert_eq!((channels.blocks(), channels.total()), (4, 36));
        assert_eq!(channels.of(0).last(), Some(30));
        assert_eq!(channels.of(1).last(), Some(31));
        assert_eq!(channels.of(2).collect::<Vec<_>>(), [32, 34]);
        assert_eq!(channels.of(3).collect::<Vec<_>>(), [33, 35]);
        assert_eq!([channels.positions()[3], channels.positions()[34]], [(1, 1), (2, 1)]);
    }

    #[test]
    fn planes_do_not_share_cache_sets() {
        for vectors in [1, 17, 18, 63, 64, 4096] {
            let spaced = spaced(vectors);
            assert!(spaced >= vectors && spaced < vectors + CACHE_SETS && spaced % CACHE_SETS == CACHE_PHASE);
        }
    }
}
