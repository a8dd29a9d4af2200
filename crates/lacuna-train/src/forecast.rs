//! What a run will take, measured on its first steps without writing anything.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;

use crate::Result;
use crate::config::RunConfig;
use crate::data::Position;
use crate::fit::{loader, photos};
use crate::step::{Learner, count_parameters};

/// Steps before those that count: they start threads and grow the heap.
const WARM_UP: usize = 2;
/// Steps that count.
const TIMED: usize = 10;

/// What a run will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Photos to learn from.
    pub photos: usize,
    /// Parameters of the network.
    pub parameters: usize,
    /// Those of them that learn.
    pub learning: usize,
    /// Parameters of all discriminators.
    pub discriminators: usize,
    /// Steps of the run.
    pub steps: u64,
    /// Median seconds of a step, with its wait for data.
    pub seconds_per_step: f64,
    /// Mean seconds of that wait.
    pub loader_wait: f64,
    /// The most memory that the process had, where the system tells.
    pub peak_bytes: Option<u64>,
}

impl Forecast {
    /// Seconds of all steps.
    pub fn seconds(&self) -> f64 {
        self.steps as f64 * self.seconds_per_step
    }

    /// Takes the first steps of `config`.
    ///
    /// # Errors
    /// As [`crate::fit()`].
    pub fn measure(config: &RunConfig, devices: &[Device]) -> Result<Self> {
        let photos = photos(config)?;
        lacuna_nets::ops::among_workers(|| {
            let mut learner = Learner::new(config.clone(), devices)?;
            let count = photos.len();
            let mut loader = loader(config, photos, Position { epoch: 0, batch: 0 })?;
            let mut times = Vec::with_capacity(TIMED);
            let mut waited = 0.0;
            for step in 0..WARM_UP + TIMED {
                let start = Instant::now();
                let mut batches = Vec::with_capacity(config.run.accumulate);
                for _ in 0..config.run.accumulate {
                    let loaded = loader.next()?;
                    if step >= WARM_UP {
                        waited += loaded.waited.as_secs_f64();
                    }
                    batches.push(loaded.batch);
                }
                learner.step(&batches)?;
                if step >= WARM_UP {
                    times.push(start.elapsed().as_secs_f64());
                }
            }
            times.sort_by(f64::total_cmp);
            let parts = &learner.parts;
            let adversaries = [&parts.pixels, &parts.latents];
            Ok(Self {
                photos: count,
                parameters: count_parameters(&parts.generator, |_| true),
                learning: count_parameters(&parts.generator, |learns| learns),
                discriminators: adversaries.into_iter().flatten().map(|one| one.network.num_params()).sum(),
                steps: config.run.steps,
                seconds_per_step: times[TIMED / 2],
                loader_wait: waited / TIMED as f64,
                peak_bytes: peak_bytes(),
            })
        })
    }
}

/// The most memory that this process had, where the system tells.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}
