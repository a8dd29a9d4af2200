//! The plan of a denoiser for latents of one size: its operations in order, and the place of every buffer.

use std::ops::Range;

use lacuna_network::Cost;

use super::DenoiserEngine;
use super::compile::{Biased, Conv3, Middle, Mix, Network, Residual};
use super::norm::{Norm, Smooth};
use crate::engine::conv::Conv;
use crate::engine::fourier::frequencies;
use crate::engine::place::{Buffer, Places, Requests};
use crate::error::{Error, Result};
use crate::tiles::channels::Layout;

/// Speed relative to [`crate::engine::product_rate`], in operations of direct convolution: nearly all are in convolutions by Winograd's
/// method, and norms pass twice over each map.
const EFFICIENCY: f64 = 2.0;

/// Operations that could be done while a weight is transformed for Winograd's method. With the above, forecasts for S and M at 128 and
/// 512 pixels are between 3 % below and 11 % above the measured times (`examples/denoiser_pass.rs`).
const OPERATIONS_PER_WEIGHT: f64 = 97.0;

/// A plan for latents of one size.
#[derive(Debug)]
pub struct DenoiserPlan<'n> {
    pub(super) engine: &'n DenoiserEngine,
    /// Rows of the latent.
    pub rows: usize,
    /// Columns of the latent.
    pub columns: usize,
    /// Threads of a run.
    pub threads: usize,
    pub(super) operations: Vec<Operation<'n>>,
    pub(super) places: Places,
    /// Values of the memory that convolutions use besides maps.
    pub(super) scratch: usize,
    pub(super) input: View,
    pub(super) output: View,
    /// Rows and columns of the middle.
    pub(super) middle: [usize; 2],
}

/// Some blocks of a buffer.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub buffer: Buffer,
    /// Of the whole buffer.
    pub layout: Layout,
    pub blocks: Range<usize>,
}

/// A step of a prediction.
#[derive(Debug)]
pub(super) enum Operation<'n> {
    /// GroupNorm, the change of the residual block with this number, and what follows.
    Norm { norm: &'n Norm, change: Option<usize>, after: Smooth, from: View, to: View },
    /// A convolution, added to the existing output or to a residual.
    Conv3 { conv: &'n Conv3, from: View, to: View, adds: bool, residual: Option<View> },
    /// A convolution to a lower resolution.
    Strided { conv: &'n Biased, from: View, to: View },
    /// A 1x1 convolution without bias.
    Pointwise { conv: &'n Conv, from: View, to: View },
    /// Adds the result of a 1x1 convolution with bias.
    AddPointwise { conv: &'n Biased, from: View, to: View },
    /// A 1x1 convolution with bias and SiLU.
    SmoothPointwise { conv: &'n Biased, from: View, to: View },
    /// Repeats values in squares of 2x2, cut to the larger map.
    Enlarge { from: View, to: View },
    /// The spectrum of a map.
    Forward { from: View, to: View },
    /// Adds the map of a spectrum, which is overwritten.
    AddInverse { from: View, to: View },
}

impl DenoiserEngine {
    /// Plans predictions for latents of `rows` x `columns` cells on `threads` threads.
    ///
    /// # Errors
    /// [`Error::Structure`] if a side is smaller than [`lacuna_network::Denoiser::smallest_side`].
    pub fn plan(&self, rows: usize, columns: usize, threads: usize) -> Result<DenoiserPlan<'_>> {
        let smallest = self.config().smallest_side();
        if rows < smallest || columns < smallest {
            let problem =
                format!("a latent of {rows} x {columns} cells, possible are sides of {smallest} and more");
            return Err(Error::Structure { layer: "the denoiser".into(), problem });
        }
        let threads = threads.max(1);
        let mut planner = Planner::new(threads);
        let ends = planner.network(&self.network, [rows, columns]);
        let Planner { requests, operations, scratch, .. } = planner;
        let Ends { input, output, middle } = ends;
        let places = requests.place();
        Ok(DenoiserPlan {
            engine: self,
            rows,
            columns,
            threads,
            operations,
            places,
            scratch,
            input,
            output,
            middle,
        })
    }
}

impl DenoiserPlan<'_> {
    /// Bytes of the memory of a run, without weights.
    pub fn arena_bytes(&self) -> u64 {
        ((self.places.numbers + self.scratch) * size_of::<f32>()) as u64
    }

    /// Bytes of the latents that a run takes and gives: noisy latent and prediction.
    pub fn latent_bytes(&self) -> u64 {
        let cells = self.rows * self.columns;
        (2 * self.engine.config().latent * cells * size_of::<f32>()) as u64
    }
}

impl DenoiserEngine {
    /// Forecast time of one prediction in seconds, if large products run at `rate` operations per second.
    pub fn forecast_seconds(&self, rows: usize, columns: usize, rate: f64) -> f64 {
        let products = Cost::of_denoiser(&self.config().layers(), columns, rows).operations / EFFICIENCY;
        let weights = (self.weight_bytes() / size_of::<f32>() as u64) as f64;
        (products + weights * OPERATIONS_PER_WEIGHT) / rate
    }
}

impl View {
    fn part(&self, blocks: Range<usize>) -> Self {
        let first = self.blocks.start;
        Self { blocks: first + blocks.start..first + blocks.end, ..self.clone() }
    }

    fn sides(&self) -> [usize; 2] {
        [self.layout.rows, self.layout.columns]
    }
}

/// First and last buffers, and the middle's rows and columns.
struct Ends {
    input: View,
    output: View,
    middle: [usize; 2],
}

/// Lists operations, and requests buffers for the moments in which they are needed.
struct Planner<'n> {
    requests: Requests,
    operations: Vec<Operation<'n>>,
    scratch: usize,
    threads: usize,
    /// Residual blocks so far.
    changes: usize,
}

impl<'n> Planner<'n> {
    fn new(threads: usize) -> Self {
        Self { requests: Requests::default(), operations: Vec::new(), scratch: 0, threads, changes: 0 }
    }

    fn network(&mut self, network: &'n Network, sides: [usize; 2]) -> Ends {
        let input = self.buffer(network.inputs.blocks(), sides);
        let mut x = self.conv3(&network.conv_in, &input, None);
        let mut joined = Vec::with_capacity(network.down.len());
        for (blocks, halve) in &network.down {
            // The first half is written on the way up.
            let width = x.blocks.len();
            let both = self.buffer(2 * width, x.sides());
            let skip = both.part(width..2 * width);
            let last = blocks.len() - 1;
            for (number, block) in blocks.iter().enumerate() {
                x = self.residual(block, &x, (number == last).then(|| skip.clone()));
            }
            joined.push(both);
            let to = self.buffer(halve.blocks(), x.sides().map(|side| side.div_ceil(2)));
            self.push(Operation::Strided { conv: halve, from: x, to: to.clone() });
            x = to;
        }
        let middle = x.sides();
        for block in &network.middle {
            x = match block {
                Middle::Residual(block) => self.residual(block, &x, None),
                Middle::Mix(mix) => self.mix(mix, x),
            };
        }
        for ((conv, blocks), both) in network.up.iter().zip(&joined).rev() {
            let enlarged = self.buffer(x.blocks.len(), both.sides());
            self.push(Operation::Enlarge { from: x, to: enlarged.clone() });
            self.conv3(conv, &enlarged, Some(both.part(0..conv.blocks)));
            x = both.clone();
            for block in blocks {
                x = self.residual(block, &x, None);
            }
        }
        let smooth = self.norm(&network.norm_out, None, &x);
        let output = self.conv3(&network.conv_out, &smooth, None);
        // Known inputs are written once for all predictions, and the output is read after the last operation.
        for end in [&input, &output] {
            self.requests.keep(end.buffer, self.operations.len());
        }
        Ends { input, output, middle }
    }

    fn buffer(&mut self, blocks: usize, [rows, columns]: [usize; 2]) -> View {
        let layout = Layout::new(blocks, rows, columns);
        let buffer = self.requests.buffer(layout.len(), self.operations.len());
        View { buffer, layout, blocks: 0..blocks }
    }

    /// The next operation; its buffers are needed until then.
    fn push(&mut self, operation: Operation<'n>) {
        let moment = self.operations.len();
        let (from, to, residual) = operation.views();
        for view in [from, to].into_iter().chain(residual) {
            self.requests.keep(view.buffer, moment);
        }
        self.operations.push(operation);
    }

    /// GroupNorm and SiLU, to a map of their own.
    fn norm(&mut self, norm: &'n Norm, change: Option<usize>, from: &View) -> View {
        let to = self.buffer(from.blocks.len(), from.sides());
        let operation =
            Operation::Norm { norm, change, after: Smooth::Silu, from: from.clone(), to: to.clone() };
        self.push(operation);
        to
    }

    fn conv3(&mut self, conv: &'n Conv3, from: &View, to: Option<View>) -> View {
        let to = to.unwrap_or_else(|| self.buffer(conv.blocks, from.sides()));
        self.push_conv3(conv, from, &to, false, None);
        to
    }

    fn push_conv3(&mut self, conv: &'n Conv3, from: &View, to: &View, adds: bool, residual: Option<View>) {
        let [rows, columns] = from.sides();
        self.scratch = self.scratch.max(conv.winograd.scratch(rows, columns, self.threads));
        self.push(Operation::Conv3 { conv, from: from.clone(), to: to.clone(), adds, residual });
    }

    fn residual(&mut self, block: &'n Residual, x: &View, to: Option<View>) -> View {
        let change = self.changes;
        self.changes += 1;
        let smooth = self.norm(&block.norm1, None, x);
        let hidden = self.conv3(&block.conv1, &smooth, None);
        self.push(Operation::Norm {
            norm: &block.norm2,
            change: Some(change),
            after: Smooth::Silu,
            from: hidden.clone(),
            to: hidden.clone(),
        });
        let to = to.unwrap_or_else(|| self.buffer(block.conv2.blocks, x.sides()));
        match &block.skip {
            Some(skip) => {
                self.push(Operation::Pointwise { conv: skip, from: x.clone(), to: to.clone() });
                self.push_conv3(&block.conv2, &hidden, &to, true, None);
            }
            None => self.push_conv3(&block.conv2, &hidden, &to, false, Some(x.clone())),
        }
        to
    }

    /// A spectral mix, added to its input.
    fn mix(&mut self, mix: &'n Mix, x: View) -> View {
        let normed = self.buffer(x.blocks.len(), x.sides());
        let (from, after) = (x.clone(), Smooth::Nothing);
        self.push(Operation::Norm { norm: &mix.norm, change: None, after, from, to: normed.clone() });
        let y = self.buffer(mix.half.blocks(), x.sides());
        self.push(Operation::SmoothPointwise { conv: &mix.reduce, from: normed, to: y.clone() });
        let [rows, columns] = x.sides();
        let of_spectrum = [rows, frequencies(columns)];
        let spectrum = self.buffer(2 * mix.half.blocks(), of_spectrum);
        self.push(Operation::Forward { from: y.clone(), to: spectrum.clone() });
        let mixed = self.buffer(2 * mix.half.blocks(), of_spectrum);
        self.push(Operation::Pointwise { conv: &mix.fourier, from: spectrum, to: mixed.clone() });
        self.push(Operation::AddInverse { from: mixed, to: y.clone() });
        self.push(Operation::AddPointwise { conv: &mix.expand, from: y, to: x.clone() });
        x
    }
}

impl Operation<'_> {
    fn views(&self) -> (&View, &View, Option<&View>) {
        match self {
            Self::Conv3 { from, to, residual, .. } => (from, to, residual.as_ref()),
            Self::Norm { from, to, .. }
            | Self::Strided { from, to, .. }
            | Self::Pointwise { from, to, .. }
            | Self::AddPointwise { from, to, .. }
            | Self::SmoothPointwise { from, to, .. }
            | Self::Enlarge { from, to }
            | Self::Forward { from, to }
            | Self::AddInverse { from, to } => (from, to, None),
        }
    }
}
