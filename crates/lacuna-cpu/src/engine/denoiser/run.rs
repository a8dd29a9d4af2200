//! Runs a denoiser's plan.

use rayon::prelude::*;

use super::DenoiserPlan;
use super::norm::{Change, Smooth, add_bias};
use super::plan::{Operation, View};
use crate::After;
use crate::engine::conv::{Store, Target};
use crate::engine::fourier::Fourier;
use crate::error::{Error, Result};
use crate::shared::Shared;
use crate::simd::LANES;
use crate::tiles::arena::Arena;
use crate::tiles::channels::Channels;
use crate::tiles::map::Map;
use crate::tiles::winograd::{Ending, Signed};

/// What a denoiser knows of an image.
///
/// # Shapes
/// All maps have the plan's rows and columns.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The latent of the masked image, or the refined latent of a generator: `[latent, rows, columns]`.
    pub masked: &'a [f32],
    /// The fraction of hole pixels in each cell: `[rows, columns]` in `[0, 1]`.
    pub fraction: &'a [f32],
    /// The latent of a deterministic fill, if the network has it as input: `[latent, rows, columns]`.
    pub mean: Option<&'a [f32]>,
}

/// Predictions for one image.
#[derive(Debug)]
pub struct DenoiserRun<'n> {
    plan: DenoiserPlan<'n>,
    fourier: Fourier,
    arena: Arena,
}

impl<'n> DenoiserPlan<'n> {
    /// Allocates memory and writes what is known.
    ///
    /// # Errors
    /// [`Error::Input`] if a map has another size, or a fill is given to a network without this input or the reverse;
    /// [`Error::Allocation`] if the system has no memory.
    pub fn start(self, known: Known<'_>) -> Result<DenoiserRun<'n>> {
        let cells = self.rows * self.columns;
        let config = self.engine.config();
        let expected_mean = if config.mean { config.latent * cells } else { 0 };
        for (what, expected, found) in [
            ("latent of the masked image", config.latent * cells, known.masked.len()),
            ("fraction of hole pixels", cells, known.fraction.len()),
            ("latent of the fill", expected_mean, known.mean.map_or(0, <[f32]>::len)),
        ] {
            Error::check_length(what, expected, found)?;
        }
        let bytes = self.arena_bytes();
        let arena = Arena::new(self.places.numbers + self.scratch);
        let arena = arena.map_err(|source| Error::Allocation { bytes, source })?;
        let [rows, columns] = self.middle;
        let fourier = Fourier::new(self.engine.isa(), rows, columns);
        let mut run = DenoiserRun { plan: self, fourier, arena };
        let latent = run.plan.engine.network.latent.clone();
        let one = Channels::parts([1]);
        let inputs = [(&latent, known.masked), (&one, known.fraction)];
        let mut first = latent.blocks();
        for (channels, planes) in inputs.into_iter().chain(known.mean.map(|mean| (&latent, mean))) {
            let input = run.plan.input.clone();
            let view = View { blocks: first..first + channels.blocks(), ..input };
            run.memory().0.map(&view).set_planes(channels, planes);
            first += channels.blocks();
        }
        Ok(run)
    }
}

/// The maps of a plan in memory.
#[derive(Clone, Copy)]
struct Memory<'a> {
    plan: &'a DenoiserPlan<'a>,
    numbers: Shared<'a>,
}

impl<'a> Memory<'a> {
    fn map(self, view: &View) -> Map<'a> {
        let buffer = self.numbers.from(self.plan.places.range(view.buffer).start);
        Map { buffer, layout: view.layout, height: view.layout.rows, first: 0 }.blocks(view.blocks.clone())
    }
}

impl DenoiserRun<'_> {
    /// Maps, and the memory that convolutions use besides them.
    fn memory(&mut self) -> (Memory<'_>, &mut [f32], &Fourier) {
        let (maps, scratch) = self.arena.numbers().split_at_mut(self.plan.places.numbers);
        (Memory { plan: &self.plan, numbers: Shared::new(maps) }, scratch, &self.fourier)
    }

    /// The prediction for the noisy latent `x`. The result does not depend on the number of threads. Calls `proceed` after every
    /// operation with the fraction of them that is done (0 to 1); the run is cancelled if it returns false.
    ///
    /// # Shapes
    /// - `x` and the result: `[latent, rows, columns]`
    /// - `time`: in `[0, 1]`, where 1 is noise
    ///
    /// # Errors
    /// [`Error::Input`] if `x` has another size, [`Error::Stopped`] if the run was cancelled.
    pub fn predict(&mut self, x: &[f32], time: f64, proceed: &dyn Fn(f32) -> bool) -> Result<Vec<f32>> {
        let engine = self.plan.engine;
        let latent = &engine.network.latent;
        Error::check_length("noisy latent", latent.total() * self.plan.rows * self.plan.columns, x.len())?;
        let changes = engine.network.changes(time);
        let (memory, scratch, fourier) = self.memory();
        let plan = memory.plan;
        let noisy = View { blocks: 0..latent.blocks(), ..plan.input.clone() };
        memory.map(&noisy).set_planes(latent, x);
        for (index, operation) in plan.operations.iter().enumerate() {
            run(operation, memory, scratch, fourier, &changes);
            if !proceed((index + 1) as f32 / plan.operations.len() as f32) {
                return Err(Error::Stopped);
            }
        }
        Ok(memory.map(&plan.output).to_planes(latent))
    }
}

fn run(
    operation: &Operation<'_>,
    memory: Memory<'_>,
    scratch: &mut [f32],
    fourier: &Fourier,
    changes: &[Change],
) {
    let isa = memory.plan.engine.isa();
    let maps = |from: &View, to: &View| (memory.map(from), memory.map(to));
    match operation {
        Operation::Norm { norm, change, after, from, to } => {
            let (from, to) = maps(from, to);
            norm.run(isa, from, to, change.map(|change| &changes[change]), *after);
        }
        Operation::Conv3 { conv, from, to, adds, residual } => {
            let (from, to) = maps(from, to);
            let ending = Ending {
                bias: &conv.bias,
                add_from: if *adds { 0 } else { conv.blocks },
                after: After::Nothing,
                signs: Signed::No,
                residual: residual.as_ref().map(|residual| memory.map(residual)),
            };
            conv.winograd.run(from, to, ending, scratch, memory.plan.threads);
        }
        Operation::Strided { conv, from, to } => {
            let (from, to) = maps(from, to);
            conv.conv.run(from, Target::all(to), 0..to.height, 0..to.columns());
            add_bias(isa, to, &conv.bias, Smooth::Nothing);
        }
        Operation::Pointwise { conv, from, to } => {
            let (from, to) = maps(from, to);
            conv.run_pointwise(from, to, Store::Replace);
        }
        Operation::AddPointwise { conv, from, to } => {
            let (from, to) = maps(from, to);
            conv.conv.run_pointwise(from, to, Store::Add);
            add_bias(isa, to, &conv.bias, Smooth::Nothing);
        }
        Operation::SmoothPointwise { conv, from, to } => {
            let (from, to) = maps(from, to);
            conv.conv.run_pointwise(from, to, Store::Replace);
            add_bias(isa, to, &conv.bias, Smooth::Silu);
        }
        Operation::Enlarge { from, to } => {
            let (from, to) = maps(from, to);
            enlarge(from, to);
        }
        Operation::Forward { from, to } => {
            let (from, to) = maps(from, to);
            fourier.forward(from, to);
        }
        Operation::AddInverse { from, to } => {
            let (from, to) = maps(from, to);
            fourier.add_inverse(from, to);
        }
    }
}

/// Writes every pixel of `from` to a square of 2x2 pixels of `to`, as far as there are.
fn enlarge(from: Map<'_>, to: Map<'_>) {
    let (rows, columns) = (to.height, to.columns());
    (0..to.layout.blocks * rows).into_par_iter().for_each(|task| {
        let (block, row) = (task / rows, task % rows);
        let source = block * from.layout.plane + from.place(row / 2, 0);
        let target = block * to.layout.plane + to.place(row, 0);
        for column in 0..columns {
            for lane in 0..LANES {
                let value = from.buffer.get(source + column / 2 * LANES + lane);
                to.buffer.set(target + column * LANES + lane, value);
            }
        }
    });
}
