//! What a run will do, decided before anything is allocated: steps, strips, and where every buffer lies.

use std::sync::Arc;

use lacuna_network::Layers;
use lacuna_network::geometry::{LEVELS, MULTIPLE, SMALLEST_SIDE};
use serde::Serialize;

use super::buffers::{Buffers, Planner};
use super::network::Network;
use super::place::Places;
use super::sizes::Sizes;
use super::steps::{Step, steps};
use super::window::Window;
use crate::error::{Error, Result};
use crate::isa::Isa;

/// Bytes that windows of full-resolution maps take by default: what stays in a large cache.
pub const WINDOW_BYTES: usize = 8 << 20;

/// What a process needs besides weights, arena and image: code, stacks and the allocator's own room.
const FIXED_BYTES: u64 = 24 << 20;

/// How much a plan may take.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// Threads that will run it.
    pub threads: usize,
    /// The most bytes that the process may need for it, weights included.
    pub max_bytes: Option<u64>,
    /// Windows of full-resolution maps get as many rows as fit in this many bytes, or else as few as possible. The result
    /// has the same bits whatever they get.
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
    /// Threads that it is made for.
    pub threads: usize,
    /// Rows of the latent in a strip of the encoder and of the decoder.
    pub strips: Strips,
    /// What it was made for: buffers have the sizes of this network.
    pub(crate) layers: Arc<Layers>,
    pub(crate) isa: Isa,
    pub(crate) steps: Vec<Step>,
    pub(crate) places: Places,
    pub(crate) buffers: Buffers,
    weight_bytes: u64,
}

/// Rows of the latent in a strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Strips {
    /// Of the encoder.
    pub encoder: usize,
    /// Of the decoder.
    pub decoder: usize,
}

impl Network {
    /// Plans a run for images of this size.
    ///
    /// # Errors
    /// [`Error::Size`] if the network cannot take it; [`Error::Memory`] if it needs more memory than allowed.
    pub fn plan(&self, width: usize, height: usize, options: &PlanOptions) -> Result<Plan> {
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
        let planner = Planner::new(self, sizes, threads);
        let (buffers, requests) = planner.buffers(strips.encoder, strips.decoder);
        let plan = Plan {
            width,
            height,
            threads,
            strips,
            layers: Arc::clone(&self.layers),
            isa: self.isa,
            steps: steps(&self.layers, sizes),
            places: requests.place(),
            buffers,
            weight_bytes: self.bytes() as u64,
        };
        let needed = plan.forecast_bytes();
        match options.max_bytes {
            Some(allowed) if needed > allowed => Err(Error::Memory { width, height, needed, allowed }),
            _ => Ok(plan),
        }
    }
}

/// The longest strip whose windows take no more bytes than wanted; one row of the latent if none does.
fn longest_strip(sizes: Sizes, options: &PlanOptions, windows: impl Fn(usize) -> Vec<Window>) -> usize {
    // The latent is whole whatever the strip.
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

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> u64 {
        (self.places.numbers * size_of::<f32>()) as u64
    }

    /// Bytes of weights, as they are packed.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// The most bytes that a process needs to run this, weights, image and prediction included.
    pub fn forecast_bytes(&self) -> u64 {
        self.weight_bytes + self.arena_bytes() + self.picture_bytes() + FIXED_BYTES
    }

    /// Bytes of image and prediction, and a byte a pixel for the mask.
    pub fn picture_bytes(&self) -> u64 {
        let pixels = (self.width * self.height) as u64;
        pixels * (2 * 3 * size_of::<f32>() as u64 + 1)
    }

    /// Multiplications and additions by the definition.
    pub fn operations(&self) -> f64 {
        self.steps.iter().map(|step| step.operations).sum()
    }

    /// Whether the plan was made for this network and its instructions.
    pub(crate) fn is_for(&self, network: &Network) -> bool {
        self.isa == network.isa
            && (Arc::ptr_eq(&self.layers, &network.layers) || self.layers == network.layers)
    }
}
