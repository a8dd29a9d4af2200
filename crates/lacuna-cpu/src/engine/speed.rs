//! Current matrix-product speed of this processor, which scales forecasts of time.

use std::time::{Duration, Instant};

use lacuna_network::Border;

use super::conv::{Conv, Store, Taps};
use super::plan::Plan;
use super::steps::{Kernel, Stage, Step};
use crate::Isa;
use crate::tiles::channels::{Channels, Layout};
use crate::tiles::map::Map;

/// Input and output channels of the trial: a weight panel that fits into the cache.
const CHANNELS: usize = 192;
/// Rows and columns of the trial: 3 ms on two fast cores.
const SIDE: usize = 64;
/// The first pass also starts threads; the best of the others counts.
const PASSES: usize = 4;

/// [`product_rate`] in browsers, which have no clock here: with it the forecast for the network that ships, at 512 x 512, is the 1.2 s
/// that V8 takes on one Zen 4 core.
const BROWSER_RATE: f64 = 55e9;

/// Operations per second in a large pointwise convolution; a multiplication and its addition count as two.
pub fn product_rate(isa: Isa) -> f64 {
    if cfg!(target_family = "wasm") {
        return BROWSER_RATE;
    }
    let mut trial = Trial::new(isa);
    best_rate((0..PASSES).map(|_| trial.run()))
}

/// A pointwise convolution of ones with ones.
struct Trial {
    conv: Conv,
    layout: Layout,
    from: Vec<f32>,
    to: Vec<f32>,
}

/// Multiplications and additions of a trial.
const OPERATIONS: f64 = 2.0 * (CHANNELS * CHANNELS * SIDE * SIDE) as f64;

impl Trial {
    fn new(isa: Isa) -> Self {
        let channels = Channels::parts([CHANNELS]);
        let taps = Taps::square(1, 1, Border::Zero);
        let conv = Conv::new(isa, (channels.clone(), &channels), taps, None, |_, _, _| 1.0);
        let layout = Layout::new(channels.blocks(), SIDE, SIDE);
        Self { conv, layout, from: vec![1.0; layout.len()], to: vec![0.0; layout.len()] }
    }

    /// Runs the trial once and returns its time.
    fn run(&mut self) -> Duration {
        let start = Instant::now();
        let (from, to) = (Map::whole(&mut self.from, self.layout), Map::whole(&mut self.to, self.layout));
        self.conv.run_pointwise(from, to, Store::Replace);
        start.elapsed()
    }
}

/// The rate of the fastest trial.
fn best_rate(times: impl Iterator<Item = Duration>) -> f64 {
    times.map(|time| OPERATIONS / time.as_secs_f64()).fold(0.0, f64::max)
}

/// Speed of a kernel relative to [`product_rate`], in operations of direct convolution.
fn efficiency(kernel: Kernel) -> f64 {
    match kernel {
        Kernel::Winograd => 2.5,
        Kernel::Pointwise | Kernel::Interleaved => 0.9,
        Kernel::Strided | Kernel::Phases | Kernel::TwoValues | Kernel::Sum => 0.8,
        Kernel::Head => 0.5,
        Kernel::Fourier => 0.3,
    }
}

/// Operations that could be done during the memory transfer of one byte. With the above, forecasts of big-lama from 256
/// to 4096 pixels are 2 to 14 % above the measured times (docs/performance.md).
const OPERATIONS_PER_BYTE: f64 = 4.0;

impl Plan {
    /// Forecast time of a run in seconds, if large products run at `rate` operations per second.
    pub fn forecast_seconds(&self, rate: f64) -> f64 {
        self.steps().iter().map(cost).sum::<f64>() / rate
    }

    /// Forecast time of some stages of a run in seconds, as [`Plan::forecast_seconds`].
    pub fn stage_seconds(&self, stages: &[Stage], rate: f64) -> f64 {
        self.steps().iter().filter(|step| stages.contains(&step.stage)).map(cost).sum::<f64>() / rate
    }
}

/// The cost of a step, in operations of large products.
fn cost(step: &Step) -> f64 {
    step.operations / efficiency(step.kernel) + step.bytes * OPERATIONS_PER_BYTE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_of_the_trial_is_computed() {
        for isa in Isa::available() {
            let mut trial = Trial::new(isa);
            assert!(trial.run() > Duration::ZERO);
            let planes = Map::whole(&mut trial.to, trial.layout).to_planes(&Channels::parts([CHANNELS]));
            assert_eq!(planes, vec![CHANNELS as f32; CHANNELS * SIDE * SIDE]);
        }
    }

    #[test]
    fn rates_and_costs_by_hand() {
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds);
        assert_eq!(best_rate([seconds(3.0), seconds(0.5), seconds(1.0)].into_iter()), OPERATIONS / 0.5);
        // 192 x 192 channels at 64 x 64 pixels, two operations each.
        assert_eq!(OPERATIONS, 301_989_888.0);
        let step = |kernel| Step {
            name: "step".into(),
            stage: Stage::Refine,
            kernel,
            shape: [1, 1, 1],
            operations: 900.0,
            bytes: 10.0,
        };
        assert_eq!(cost(&step(Kernel::Pointwise)), 1040.0);
        assert_eq!(cost(&step(Kernel::Winograd)), 400.0);
    }
}
