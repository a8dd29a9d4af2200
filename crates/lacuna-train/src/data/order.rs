//! Photo order and randomness per photo: both depend on the seed, the epoch and the index alone.

use rand::RngExt;
use rand_pcg::Pcg64;

/// Salts for the three numbers, so that zeros are mixed too: the first digits of π, e and √2.
const SALTS: [u64; 3] = [3_141_592_653_589_793, 2_718_281_828_459_045, 1_414_213_562_373_095];
/// Random stream of an epoch's order; photos use the streams from 0.
const ORDER: u64 = u64::MAX;

/// The order of photos in all epochs.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    seed: u64,
    count: usize,
}

impl Order {
    /// Orders of `count` photos.
    pub fn new(seed: u64, count: usize) -> Self {
        Self { seed, count }
    }

    /// The photos of an epoch, each once (Fisher-Yates shuffle).
    pub fn of_epoch(&self, epoch: u64) -> Vec<usize> {
        let mut rng = sample_rng(self.seed, epoch, ORDER);
        let mut order: Vec<usize> = (0..self.count).collect();
        for last in (1..self.count).rev() {
            // Drawn as 64 bits, so that the machine's word size does not matter.
            let other = rng.random_range(0..=last as u64) as usize;
            order.swap(last, other);
        }
        order
    }
}

/// The random generator of one photo in one epoch.
pub fn sample_rng(seed: u64, epoch: u64, index: u64) -> Pcg64 {
    let [high, low, stream] = [
        mix(seed ^ mix(SALTS[0])),
        mix(epoch ^ mix(seed ^ SALTS[1])),
        mix(index ^ mix(epoch ^ mix(seed ^ SALTS[2]))),
    ];
    Pcg64::new(u128::from(high) << 64 | u128::from(low ^ stream), u128::from(stream))
}

/// SplitMix64's finaliser (Steele et al. 2014): every input bit affects every output bit.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_photo_comes_once_in_an_order_of_its_own() {
        let order = Order::new(7, 100);
        let [first, second] = [0, 1].map(|epoch| order.of_epoch(epoch));
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 100);
        assert_ne!(first, second);
        assert_ne!(first, Order::new(8, 100).of_epoch(0));
        assert_eq!(first, Order::new(7, 100).of_epoch(0));
        assert!(Order::new(7, 0).of_epoch(0).is_empty());
    }

    #[test]
    fn orders_are_the_same_on_every_machine() {
        assert_eq!(Order::new(1, 8).of_epoch(0), PINNED_ORDER);
        assert_eq!(sample_rng(1, 2, 3).random::<u64>(), PINNED_NUMBER);
    }

    #[test]
    fn photos_and_epochs_have_numbers_of_their_own() {
        let mut seen = HashSet::new();
        for seed in 0..8 {
            for epoch in 0..8 {
                for index in 0..8 {
                    seen.insert(sample_rng(seed, epoch, index).random::<u64>());
                }
            }
        }
        assert_eq!(seen.len(), 512);
    }

    const PINNED_ORDER: [usize; 8] = [3, 2, 5, 4, 6, 1, 7, 0];
    const PINNED_NUMBER: u64 = 18_220_422_694_551_930_497;
}
