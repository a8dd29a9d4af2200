//! Forecast of a run's cost, measured on its first steps without writing anything.

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;

use lacuna::budget::peak_bytes;

use crate::Result;
use crate::collective::Collective;
use crate::config::RunConfig;
use crate::data::{Part, Position};
use crate::fit::batches_of_each;
use crate::step::{Learner, count_parameters};

/// Warm-up steps, which start threads and grow the heap.
const WARM_UP: usize = 2;
/// Measured steps.
const TIMED: usize = 10;

/// The forecast cost of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Training photos.
    pub photos: usize,
    /// Parameters of the network.
    pub parameters: usize,
    /// Trained parameters.
    pub learning: usize,
    /// Parameters of all discriminators.
    pub discriminators: usize,
    /// Steps of the run.
    pub steps: u64,
    /// Median seconds per step, including the wait for data.
    pub seconds_per_step: f64,
    /// Mean seconds of that wait.
    pub loader_wait: f64,
    /// Peak memory of the process, where the system reports it.
    pub peak_bytes: Option<u64>,
}

impl Forecast {
    /// Seconds of all steps.
    pub fn seconds(&self) -> f64 {
        self.steps as f64 * self.seconds_per_step
    }

    /// Runs the first steps of `config`, with the other processes if there are any.
    ///
    /// # Errors
    /// As [`crate::fit()`].
    pub fn measure(config: &RunConfig, devices: &[Device], ranks: &Arc<dyn Collective>) -> Result<Self> {
        let photos = config.batches().photos()?;
        let batches = batches_of_each(config, devices.len(), ranks.size())?;
        let part = Part::of_rank(ranks.rank(), ranks.size(), devices.len());
        lacuna_nets::ops::among_workers(|| {
            let mut learner = Learner::new(config.clone(), devices)?.among(Arc::clone(ranks));
            let count = photos.len();
            let mut loader = config.batches().loader(photos, Position::default(), part)?;
            let mut times = Vec::with_capacity(TIMED);
            let mut waited = 0.0;
            for step in 0..WARM_UP + TIMED {
                let start = Instant::now();
                let mut own = Vec::with_capacity(batches);
                for _ in 0..batches {
                    let loaded = loader.next()?;
                    if step >= WARM_UP {
                        waited += loaded.waited.as_secs_f64();
                    }
                    own.push(loaded.batch);
                }
                learner.step(&own)?;
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
