//! Forecast of a run's cost, measured on its first steps without writing anything.

use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;

use lacuna::budget::peak_bytes;

use crate::Result;
use crate::collective::Collective;
use crate::config::{ControlConfig, FlowConfig, FlowOptions, RunConfig};
use crate::data::{Batch, Loader, Part, Position};
use crate::fit::batches_of_each;
use crate::flow::fit::single_device;
use crate::flow::run::FlowRun;
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
            let (seconds_per_step, loader_wait) = time_steps(&mut loader, batches, |batches| {
                learner.step(batches)?;
                Ok(())
            })?;
            let parts = &learner.parts;
            let adversaries = [&parts.pixels, &parts.latents];
            Ok(Self {
                photos: count,
                parameters: count_parameters(&parts.generator, |_| true),
                learning: count_parameters(&parts.generator, |learns| learns),
                discriminators: adversaries.into_iter().flatten().map(|one| one.network.num_params()).sum(),
                steps: config.run.steps,
                seconds_per_step,
                loader_wait,
                peak_bytes: peak_bytes(),
            })
        })
    }

    /// Runs the first steps of `config`, which trains a denoiser; its latents have the statistics of the first batch.
    ///
    /// # Errors
    /// As [`crate::fit_flow`].
    pub fn measure_flow(config: &FlowConfig, devices: &[Device], processes: usize) -> Result<Self> {
        let short = FlowOptions { statistics: 1, ..config.flow.clone() };
        Self::of_flow(&FlowRun::Denoiser(FlowConfig { flow: short, ..config.clone() }), devices, processes)
    }

    /// Runs the first steps of `config`, which trains a ControlNet branch.
    ///
    /// # Errors
    /// As [`crate::fit_control`].
    pub fn measure_control(config: &ControlConfig, devices: &[Device], processes: usize) -> Result<Self> {
        Self::of_flow(&FlowRun::branch(config)?, devices, processes)
    }

    fn of_flow(run: &FlowRun, devices: &[Device], processes: usize) -> Result<Self> {
        let device = single_device(devices, processes)?;
        let recipe = run.recipe();
        let photos = recipe.batches().photos()?;
        lacuna_nets::ops::among_workers(|| {
            let generator = run.generator(device)?;
            let mut frozen = generator.num_params();
            let mut learner = run.learner(generator, None, Arc::clone(&photos), device)?;
            frozen += learner.averaged().base.map_or(0, |base| base.num_params());
            let count = photos.len();
            let mut loader = recipe.batches().loader(photos, Position::default(), Part::WHOLE)?;
            let (seconds_per_step, loader_wait) =
                time_steps(&mut loader, recipe.run.accumulate, |batches| {
                    learner.step(batches)?;
                    Ok(())
                })?;
            let learning = count_parameters(&learner.parts.model, |_| true);
            Ok(Self {
                photos: count,
                parameters: frozen + learning,
                learning,
                discriminators: 0,
                steps: recipe.run.steps,
                seconds_per_step,
                loader_wait,
                peak_bytes: peak_bytes(),
            })
        })
    }
}

/// Median seconds of a step of this many batches, including the wait for data, and mean seconds of that wait.
fn time_steps(
    loader: &mut Loader,
    batches: usize,
    mut step: impl FnMut(&[Batch]) -> Result<()>,
) -> Result<(f64, f64)> {
    let mut times = Vec::with_capacity(TIMED);
    let mut waited = 0.0;
    for number in 0..WARM_UP + TIMED {
        let start = Instant::now();
        let loaded = loader.step(batches)?;
        step(&loaded.batches)?;
        if number >= WARM_UP {
            times.push(start.elapsed().as_secs_f64());
            waited += loaded.waited.as_secs_f64();
        }
    }
    times.sort_by(f64::total_cmp);
    Ok((times[TIMED / 2], waited / TIMED as f64))
}
