//! The plan of a run, made before anything is allocated: steps, strips, and the position of every buffer.

use std::sync::Arc;

use lacuna_network::Layers;
use lacuna_network::geometry::{LEVELS, MULTIPLE, SMALLEST_SIDE};
use serde::Serialize;

use super::buffers::{Buffers, Keep, Planner};
use super::fourier::Fourier;
use super::network::Network;
use super::place::Places;
use super::sizes::Sizes;
use super::steps::{Step, steps};
use super::window::Window;
use crate::error::{Error, Result};
use crate::isa::Isa;

/// Default size of the windows of full-resolution maps in bytes: fits into a large cache.
pub const WINDOW_BYTES: usize = 8 << 20;

/// Memory of a process besides weights, arena and image, in bytes: code, stacks and the allocator's overhead.
const FIXED_BYTES: u64 = 24 << 20;

/// Limits of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// Threads of the run.
    pub threads: usize,
    /// Memory limit of the process in bytes, weights included.
    pub max_bytes: Option<u64>,
    /// Windows of full-resolution maps get as many rows as fit into this many bytes, but at least the necessary ones.
    /// The result has the same bits for any value.
    pub window_bytes: usize,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { threads: rayon::current_num_threads(), max_bytes: None, window_bytes: WINDOW_BYTES }
    }
}

/// A plan for images of one size.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Columns of the image.
    pub width: usize,
    /// Rows of the image.
    pub height: usize,
    /// Threads of the run.
    pub threads: usize,
    /// Latent rows per strip of the encoder and of the decoder.
    pub strips: Strips,
    /// The network it was made for, whose sizes the buffers have.
    pub(crate) layers: Arc<Layers>,
    pub(crate) isa: Isa,
    pub(crate) steps: Vec<Step>,
    pub(crate) places: Places,
    pub(crate) buffers: Buffers,
    weight_bytes: u64,
    /// Bytes of the weights that are packed for an answer.
    answer_bytes: u64,
}

/// Latent rows per strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Strips {
    /// In the encoder.
    pub encoder: usize,
    /// In the decoder.
    pub decoder: usize,
}

impl Network {
    /// Plans a run for images of this size.
    ///
    /// # Errors
    /// [`Error::Size`] if the network does not accept that size; [`Error::Memory`] if it needs more memory than
    /// allowed.
    pub fn plan(&self, width: usize, height: usize, options: &PlanOptions) -> Result<Plan> {
        let (mut plan, planner) = self.forward_plan(width, height, options, Keep::Nothing)?;
        plan.places = planner.requests.place();
        let needed = plan.forecast_bytes();
        match options.max_bytes {
            Some(allowed) if needed > allowed => Err(Error::Memory { width, height, needed, allowed }),
            _ => Ok(plan),
        }
    }

    /// The plan of a forward pass whose buffers are not placed yet, and the planner that has requested them.
    ///
    /// # Errors
    /// [`Error::Size`] if the network does not accept that size.
    pub fn forward_plan(
        &self,
        width: usize,
        height: usize,
        options: &PlanOptions,
        keep: Keep,
    ) -> Result<(Plan, Planner<'_>)> {
        let fits = |side: usize| side >= SMALLEST_SIDE && side.is_multiple_of(MULTIPLE);
        if !fits(width) || !fits(height) {
            return Err(Error::Size { multiple: MULTIPLE, smallest: SMALLEST_SIDE, width, height });
        }
        let threads = options.threads.max(1);
        let sizes = Sizes { width, height };
        let strips = Strips {
            encoder: longest_strip(sizes, options, |strip| self.encoder_windows(sizes, strip)),
            decoder: longest_strip(sizes, options, |strip| self.decoder_windows(sizes, strip)),
        };
        let mut planner = Planner::new(self, sizes, threads, keep);
        let buffers = planner.buffers(strips.encoder, strips.decoder);
        let plan = Plan {
            width,
            height,
            threads,
            strips,
            layers: Arc::clone(&self.layers),
            isa: self.isa,
            steps: steps(&self.layers, sizes),
            places: Places::default(),
            buffers,
            weight_bytes: self.bytes() as u64,
            answer_bytes: self.answer_bytes() as u64,
        };
        Ok((plan, planner))
    }
}

/// The longest strip whose windows fit into the wanted bytes; one latent row if none does.
pub(crate) fn longest_strip(
    sizes: Sizes,
    options: &PlanOptions,
    windows: impl Fn(usize) -> Vec<Window>,
) -> usize {
    // The latent is always whole.
    let strips = |strip: usize| windows(strip).into_iter().filter(|window| !window.is_whole());
    let numbers = |strip: usize| strips(strip).map(|window| window.numbers()).sum::<usize>();
    let fits = |strip: &usize| numbers(*strip) * size_of::<f32>() <= options.window_bytes;
    (1..=sizes.rows(LEVELS)).take_while(fits).last().unwrap_or(1)
}

impl Plan {
    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Transforms for the latent's size.
    pub(super) fn fourier(&self, isa: Isa) -> Fourier {
        Fourier::new(isa, self.height >> LEVELS, self.width >> LEVELS)
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> u64 {
        (self.places.numbers * size_of::<f32>()) as u64
    }

    /// Bytes of all packed weights.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// Peak memory of the process in bytes: weights, image and prediction included.
    pub fn forecast_bytes(&self) -> u64 {
        self.weight_bytes + self.answer_bytes + self.arena_bytes() + self.picture_bytes() + FIXED_BYTES
    }

    /// Bytes of image and prediction, plus one byte per pixel for the mask.
    pub fn picture_bytes(&self) -> u64 {
        let pixels = (self.width * self.height) as u64;
        pixels * (2 * 3 * size_of::<f32>() as u64 + 1)
    }

    /// Multiplications and additions, counted as direct convolution.
    pub fn operations(&self) -> f64 {
        self.steps.iter().map(|step| step.operations).sum()
    }

    /// Whether the plan was made for this network and instruction set.
    pub(crate) fn is_for(&self, network: &Network) -> bool {
        self.isa == network.isa
            && (Arc::ptr_eq(&self.layers, &network.layers) || self.layers == network.layers)
    }
}
