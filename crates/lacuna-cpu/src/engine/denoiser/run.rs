//! Runs a denoiser's plan.

use rayon::prelude::*;

use super::compile::Network;
use super::control::ControlEngine;
use super::norm::{Change, Smooth, add_bias, add_scaled, smooth};
use super::program::{Operation, Program, View};
use super::{DenoiserEngine, DenoiserPlan};
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
    /// What a ControlNet branch steers with, if the plan has one.
    pub steering: Option<Steering<'a>>,
}

/// A hint, and how much it counts.
///
/// # Shapes
/// `hint`: what [`super::ControlEngine::encode_hint`] returned.
#[derive(Clone, Copy, Debug)]
pub struct Steering<'a> {
    /// The encoded hint.
    pub hint: &'a [f32],
    /// Factor of what the branch adds: 1 as trained.
    pub strength: f32,
}

/// Predictions for one image.
#[derive(Debug)]
pub struct DenoiserRun<'n> {
    engine: &'n DenoiserEngine,
    control: Option<&'n ControlEngine>,
    cells: usize,
    machine: Machine<'n>,
    input: View,
    output: View,
    strength: f32,
}

impl<'n> DenoiserPlan<'n> {
    /// Allocates memory and writes what is known.
    ///
    /// # Errors
    /// [`Error::Input`] if a map has another size, or a fill or a hint is given to a network without this input or the reverse;
    /// [`Error::Allocation`] if the system has no memory.
    pub fn start(self, known: Known<'_>) -> Result<DenoiserRun<'n>> {
        let Self { engine, control, rows, columns, program, input, hint, output, middle } = self;
        let cells = rows * columns;
        let config = engine.config();
        let expected_mean = if config.mean { config.latent * cells } else { 0 };
        let hints = Channels::parts([config.first_channels()]);
        let expected_hint = if control.is_some() { hints.total() * cells } else { 0 };
        for (what, expected, found) in [
            ("latent of the masked image", config.latent * cells, known.masked.len()),
            ("fraction of hole pixels", cells, known.fraction.len()),
            ("latent of the fill", expected_mean, known.mean.map_or(0, <[f32]>::len)),
            ("encoded hint", expected_hint, known.steering.map_or(0, |steering| steering.hint.len())),
        ] {
            Error::check_length(what, expected, found)?;
        }
        let mut machine = Machine::start(program, Some(middle))?;
        let latent = &engine.network.latent;
        let one = Channels::parts([1]);
        let inputs = [(latent, known.masked), (&one, known.fraction)];
        let mut first = latent.blocks();
        for (channels, planes) in inputs.into_iter().chain(known.mean.map(|mean| (latent, mean))) {
            let view = View { blocks: first..first + channels.blocks(), ..input.clone() };
            machine.map(&view).set_planes(channels, planes);
            first += channels.blocks();
        }
        if let (Some(view), Some(steering)) = (hint, known.steering) {
            machine.map(&view).set_planes(&hints, steering.hint);
        }
        let strength = known.steering.map_or(0.0, |steering| steering.strength);
        Ok(DenoiserRun { engine, control, cells, machine, input, output, strength })
    }
}

impl DenoiserRun<'_> {
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
        let Network { latent, .. } = &self.engine.network;
        Error::check_length("noisy latent", latent.total() * self.cells, x.len())?;
        // The branch is the first in the program.
        let branch = self.control.map(|control| control.branch.encoder.changes(time, std::iter::empty()));
        let mut changes = branch.unwrap_or_default();
        changes.extend(self.engine.network.changes(time));
        let noisy = View { blocks: 0..latent.blocks(), ..self.input.clone() };
        self.machine.map(&noisy).set_planes(latent, x);
        self.machine.run(&changes, self.strength, proceed)?;
        Ok(self.machine.map(&self.output).to_planes(latent))
    }
}

/// A program with its memory.
#[derive(Debug)]
pub(super) struct Machine<'n> {
    program: Program<'n>,
    /// Transforms of the map in the middle, if there is one.
    fourier: Option<Fourier>,
    arena: Arena,
}

impl<'n> Machine<'n> {
    /// Allocates memory; `middle` are rows and columns of the maps that are transformed.
    ///
    /// # Errors
    /// [`Error::Allocation`].
    pub fn start(program: Program<'n>, middle: Option<[usize; 2]>) -> Result<Self> {
        let bytes = program.bytes();
        let arena = Arena::new(program.places.numbers + program.scratch);
        let arena = arena.map_err(|source| Error::Allocation { bytes, source })?;
        let fourier = middle.map(|[rows, columns]| Fourier::new(program.isa, rows, columns));
        Ok(Self { program, fourier, arena })
    }

    /// A map in memory.
    pub fn map(&mut self, view: &View) -> Map<'_> {
        Memory { program: &self.program, numbers: Shared::new(self.arena.numbers()) }.map(view)
    }

    /// Runs all operations. `changes` are those of the residual blocks, in the order of computation.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `proceed` returns false.
    pub fn run(&mut self, changes: &[Change], strength: f32, proceed: &dyn Fn(f32) -> bool) -> Result<()> {
        let (maps, scratch) = self.arena.numbers().split_at_mut(self.program.places.numbers);
        let memory = Memory { program: &self.program, numbers: Shared::new(maps) };
        let step = Step { memory, fourier: self.fourier.as_ref(), changes, strength };
        let operations = &self.program.operations;
        for (index, operation) in operations.iter().enumerate() {
            step.run(operation, scratch);
            if !proceed((index + 1) as f32 / operations.len() as f32) {
                return Err(Error::Stopped);
            }
        }
        Ok(())
    }
}

/// The maps of a program in memory.
#[derive(Clone, Copy)]
struct Memory<'a> {
    program: &'a Program<'a>,
    numbers: Shared<'a>,
}

impl<'a> Memory<'a> {
    fn map(self, view: &View) -> Map<'a> {
        let buffer = self.numbers.from(self.program.places.range(view.buffer).start);
        Map { buffer, layout: view.layout, height: view.layout.rows, first: 0 }.blocks(view.blocks.clone())
    }
}

/// What operations need besides their maps.
struct Step<'a> {
    memory: Memory<'a>,
    fourier: Option<&'a Fourier>,
    changes: &'a [Change],
    strength: f32,
}

impl Step<'_> {
    fn run(&self, operation: &Operation<'_>, scratch: &mut [f32]) {
        let Program { isa, threads, .. } = *self.memory.program;
        let map = |view: &View| self.memory.map(view);
        let maps = |from: &View, to: &View| (map(from), map(to));
        let fourier = || self.fourier.expect("a program with spectra has transforms");
        match operation {
            Operation::Norm { norm, change, after, from, to } => {
                let (from, to) = maps(from, to);
                norm.run(isa, from, to, change.map(|change| &self.changes[change]), *after);
            }
            Operation::Smooth { map: view } => smooth(isa, map(view)),
            Operation::Conv3 { conv, from, to, adds, residual } => {
                let (from, to) = maps(from, to);
                let ending = Ending {
                    bias: &conv.bias,
                    add_from: if *adds { 0 } else { conv.blocks },
                    after: After::Nothing,
                    signs: Signed::No,
                    residual: residual.as_ref().map(map),
                };
                conv.winograd.run(from, to, ending, scratch, threads);
            }
            Operation::Strided { conv, after, from, to } => {
                let (from, to) = maps(from, to);
                conv.conv.run(from, Target::all(to), 0..to.height, 0..to.columns());
                add_bias(isa, to, &conv.bias, *after);
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
                fourier().forward(from, to);
            }
            Operation::AddInverse { from, to } => {
                let (from, to) = maps(from, to);
                fourier().add_inverse(from, to);
            }
            Operation::Steer { bias, from, to } => {
                let (from, to) = maps(from, to);
                add_scaled(isa, from, to, bias, self.strength);
            }
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
