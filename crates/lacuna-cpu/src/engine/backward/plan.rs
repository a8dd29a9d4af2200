//! The plan of a run whose latent changes: encode once, then forward and backward passes over one arena.

use lacuna_network::geometry::LEVELS;

use super::head::HeadGradient;
use super::weights::{Backward, HalfGradient};
use crate::After;
use crate::engine::buffers::{Keep, Level, Planner, SpectralBuffers};
use crate::engine::place::Buffer;
use crate::engine::plan::{Plan, PlanOptions, longest_strip};
use crate::engine::sizes::Sizes;
use crate::engine::window::Window;
use crate::engine::{Engine, Stage};
use crate::error::{Error, Result};
use crate::tiles::channels::Layout;

/// A plan for changing the latent of images of one size.
#[derive(Clone, Debug)]
pub struct LatentPlan {
    /// The forward pass.
    pub(super) forward: Plan,
    pub(super) buffers: BackwardBuffers,
    /// Latent rows per strip of the decoder's backward pass.
    pub(super) strip: usize,
    weight_bytes: u64,
}

/// Buffers of the backward pass.
#[derive(Clone, Debug)]
pub(super) struct BackwardBuffers {
    /// Interleaved rows of the image's gradient.
    pub lines: Buffer,
    /// Gradients of the decoder's levels, full resolution first; the last is that of the whole refined latent.
    pub levels: [Level; LEVELS + 1],
    /// Buffers of the halves of all residual blocks, in the order of the backward pass.
    pub halves: Vec<HalfGradients>,
    /// The gradient of the latent.
    pub latent: Buffer,
}

/// Buffers of half a residual block.
#[derive(Clone, Debug)]
pub(super) struct HalfGradients {
    /// The gradient of its result.
    pub output: Buffer,
    /// The same without the residual: where the sum was positive. In place if `None`.
    pub gated: Option<Buffer>,
    /// The gradient of its input.
    pub input: Buffer,
    /// Added last: the gradient of the block's result, in its first half.
    pub residual: Option<Buffer>,
    pub spectral: Option<SpectralBuffers>,
    pub scratch: Buffer,
}

impl Engine {
    /// Plans forward and backward passes for images of this size.
    ///
    /// # Errors
    /// As [`Engine::plan`].
    pub fn plan_latent(
        &self,
        backward: &Backward,
        width: usize,
        height: usize,
        options: &PlanOptions,
    ) -> Result<LatentPlan> {
        let network = &self.network;
        let sizes = Sizes { width, height };
        let (mut forward, mut planner) = network.forward_plan(width, height, options, Keep::Signs)?;
        let windows = |strip: usize| -> Vec<Window> {
            let mut windows = network.encoder_windows(sizes, strip);
            windows.truncate(LEVELS + 1);
            windows
        };
        let strip = longest_strip(sizes, options, windows);
        let buffers = request(&mut planner, &forward, backward, windows(strip));
        forward.places = planner.requests.place();
        let weight_bytes = backward.bytes() as u64;
        let plan = LatentPlan { forward, buffers, strip, weight_bytes };
        let needed = plan.forecast_bytes();
        match options.max_bytes {
            Some(allowed) if needed > allowed => Err(Error::Memory { width, height, needed, allowed }),
            _ => Ok(plan),
        }
    }
}

/// Requests the buffers of the backward pass, moment by moment, after those of the forward pass.
fn request(
    planner: &mut Planner<'_>,
    forward: &Plan,
    backward: &Backward,
    windows: Vec<Window>,
) -> BackwardBuffers {
    planner.moment += 1;
    let width = planner.sizes.width;
    let levels = planner.levels::<{ LEVELS + 1 }>(&mut windows.into_iter());
    let lines = HeadGradient::scratch(levels[0].window.room(), width);
    let lines = planner.requests.buffer(lines, planner.moment);
    planner.moment += 1;
    let refined = levels[LEVELS].buffer;
    let (halves, latent) = halves(planner, backward, refined);
    // The latent changes from pass to pass, and so it is never overwritten. All signs live equally long, for simplicity:
    // they are a 32nd of their maps.
    let buffers = &forward.buffers;
    let half_signs = buffers.halves.iter().flat_map(|half| {
        let spectral = half.spectral.and_then(|spectral| spectral.signs);
        half.signs.into_iter().chain(spectral.into_iter().flat_map(|signs| [signs.reduced, signs.mixed]))
    });
    let signs = half_signs.chain(buffers.signs.into_iter().flatten());
    let mut kept = vec![buffers.encoder[LEVELS].buffer, latent];
    if planner.network.layers.adds_latent {
        kept.push(refined);
    }
    for buffer in signs.chain(kept) {
        planner.requests.keep(buffer, planner.moment);
    }
    BackwardBuffers { lines, levels, halves, latent }
}

/// Buffers of all residual blocks, last first, and the one with the gradient of the latent.
fn halves(planner: &mut Planner<'_>, backward: &Backward, refined: Buffer) -> (Vec<HalfGradients>, Buffer) {
    let network = planner.network;
    let (rows, columns) = (planner.sizes.rows(LEVELS), planner.sizes.columns(LEVELS));
    let layout = Layout::new(network.levels[LEVELS].blocks(), rows, columns);
    let mut halves = Vec::new();
    let mut output = refined;
    let blocks = network.refiner.iter().zip(backward.halves.chunks_exact(2));
    for (block, gradients) in blocks.rev() {
        let residuals = [None, Some(output)];
        for (index, residual) in [1, 0].into_iter().zip(residuals) {
            let half: &HalfGradient = &gradients[index];
            // The second half's result has the residual in it, whose gradient is needed as it is.
            let gated = (index == 1 && block[index].after == After::Relu)
                .then(|| planner.requests.buffer(layout.len(), planner.moment));
            let path = block[index].spectral.as_ref();
            let spectral = path.map(|path| planner.spectral(path.reduced.blocks()));
            let input = planner.requests.buffer(layout.len(), planner.moment);
            planner.moment += 1;
            let scratch = half.convolve.scratch(rows, columns, planner.threads);
            let scratch = planner.requests.buffer(scratch, planner.moment);
            for needed in [output, input].into_iter().chain(gated).chain(residual) {
                planner.requests.keep(needed, planner.moment);
            }
            halves.push(HalfGradients { output, gated, input, residual, spectral, scratch });
            output = input;
            planner.moment += 1;
        }
    }
    (halves, output)
}

impl LatentPlan {
    /// Columns of the image.
    pub fn width(&self) -> usize {
        self.forward.width
    }

    /// Rows of the image.
    pub fn height(&self) -> usize {
        self.forward.height
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> u64 {
        self.forward.arena_bytes()
    }

    /// Bytes of all packed weights: those of the engine, and those of the backward pass.
    pub fn weight_bytes(&self) -> u64 {
        self.forward.weight_bytes() + self.weight_bytes
    }

    /// Values of the latent, whose gradient has as many.
    pub fn latent_values(&self) -> usize {
        let Sizes { width, height } = Sizes { width: self.forward.width, height: self.forward.height };
        self.forward.layers.latent().total() * (width >> LEVELS) * (height >> LEVELS)
    }

    /// Peak memory of the process in bytes: weights, image and one prediction included.
    pub fn forecast_bytes(&self) -> u64 {
        self.forward.forecast_bytes() + self.weight_bytes
    }

    /// Bytes of image and prediction, plus one byte per pixel for the mask.
    pub fn picture_bytes(&self) -> u64 {
        self.forward.picture_bytes()
    }

    /// Forecast time of encoding in seconds, if large products run at `rate` operations per second.
    pub fn encode_seconds(&self, rate: f64) -> f64 {
        self.forward.stage_seconds(&[Stage::Encode], rate)
    }

    /// Forecast time of a forward pass from the latent in seconds; a backward pass takes about as long.
    pub fn pass_seconds(&self, rate: f64) -> f64 {
        self.forward.stage_seconds(&[Stage::Refine, Stage::Decode], rate)
    }

    /// Whether the plan was made for this engine and its backward pass.
    pub(super) fn is_for(&self, engine: &Engine) -> bool {
        self.forward.is_for(&engine.network)
    }
}
