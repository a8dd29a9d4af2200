//! How fast this processor multiplies, now: what forecasts of time are scaled by.

use std::time::Instant;

use super::channels::{Channels, Layout};
use super::conv::{Conv, Taps};
use super::map::{Border, Map};
use super::plan::Plan;
use crate::Isa;

/// Channels in and out of the trial: a weight panel that fits in the cache.
const CHANNELS: usize = 192;
/// Rows and columns of the trial: done in 3 ms on two fast cores.
const SIDE: usize = 64;
/// The first pass also starts threads; the best of the rest counts.
const PASSES: usize = 4;

/// Operations a second in a large pointwise convolution; a multiplication and its addition count as two.
pub fn product_rate(isa: Isa) -> f64 {
    let channels = Channels::parts(&[CHANNELS]);
    let taps = Taps::square(1, 1, Border::Zero);
    let conv = Conv::new(isa, (channels.clone(), &channels), taps, None, |_, _, _| 1.0);
    let layout = Layout::new(channels.blocks(), SIDE, SIDE);
    let (mut from, mut to) = (vec![1.0; layout.len()], vec![0.0; layout.len()]);
    let mut rate: f64 = 0.0;
    for _ in 0..PASSES {
        let start = Instant::now();
        conv.run_pointwise(Map::whole(&mut from, layout), Map::whole(&mut to, layout), false);
        let operations = 2.0 * (CHANNELS * CHANNELS * SIDE * SIDE) as f64;
        rate = rate.max(operations / start.elapsed().as_secs_f64());
    }
    rate
}

/// How fast a kernel is, as a part of [`product_rate`], by the definition's operations.
fn efficiency(kernel: &str) -> f64 {
    match kernel {
        "winograd 4x4" => 2.5,
        "tiles 1x1" | "interleaved 7x7" => 0.9,
        "fourier" => 0.3,
        "lanes summed 7x7" => 0.5,
        _ => 0.8,
    }
}

/// Operations that could be done while a byte goes through memory. With the above, forecasts of big-lama from 256 to 4096
/// pixels are 2 to 14 % above what was measured (docs/performance.md).
const OPERATIONS_PER_BYTE: f64 = 4.0;

impl Plan {
    /// Seconds that a run is expected to take where large products run at `rate` operations a second.
    pub fn forecast_seconds(&self, rate: f64) -> f64 {
        let step =
            |step: &super::Step| step.operations / efficiency(step.kernel) + step.bytes * OPERATIONS_PER_BYTE;
        self.steps().iter().map(step).sum::<f64>() / rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_neither_a_stone_nor_a_miracle() {
        let rate = product_rate(Isa::best());
        assert!((1e7..1e15).contains(&rate), "{rate:e} operations a second");
    }
}
