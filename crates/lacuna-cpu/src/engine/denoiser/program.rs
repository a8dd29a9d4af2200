//! Operations in order, on buffers of one block of memory.

use std::ops::Range;

use super::compile::{Biased, Conv3, Mix, Residual};
use super::norm::{Norm, Smooth};
use crate::Isa;
use crate::engine::conv::Conv;
use crate::engine::fourier::frequencies;
use crate::engine::place::{Buffer, Places, Requests};
use crate::tiles::channels::Layout;

/// Operations in order, and the place of every buffer.
#[derive(Debug)]
pub(super) struct Program<'n> {
    pub isa: Isa,
    pub threads: usize,
    pub operations: Vec<Operation<'n>>,
    pub places: Places,
    /// Values of the memory that convolutions use besides maps.
    pub scratch: usize,
}

impl Program<'_> {
    /// Bytes of the memory of a run.
    pub fn bytes(&self) -> u64 {
        ((self.places.numbers + self.scratch) * size_of::<f32>()) as u64
    }
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
    /// SiLU in place.
    Smooth { map: View },
    /// A convolution, added to the existing output or to a residual.
    Conv3 { conv: &'n Conv3, from: View, to: View, adds: bool, residual: Option<View> },
    /// A convolution to a lower resolution.
    Strided { conv: &'n Biased, after: Smooth, from: View, to: View },
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
    /// Adds a map with bias, times the strength of the run's steering.
    Steer { bias: &'n [f32], from: View, to: View },
}

impl View {
    /// Some of its blocks.
    pub fn part(&self, blocks: Range<usize>) -> Self {
        let first = self.blocks.start;
        Self { blocks: first + blocks.start..first + blocks.end, ..self.clone() }
    }

    /// Rows and columns.
    pub fn sides(&self) -> [usize; 2] {
        [self.layout.rows, self.layout.columns]
    }
}

/// Lists operations, and requests buffers for the moments in which they are needed.
#[derive(Debug)]
pub(super) struct Planner<'n> {
    isa: Isa,
    requests: Requests,
    operations: Vec<Operation<'n>>,
    scratch: usize,
    threads: usize,
    /// Residual blocks so far.
    changes: usize,
}

impl<'n> Planner<'n> {
    pub fn new(isa: Isa, threads: usize) -> Self {
        let (requests, operations) = (Requests::default(), Vec::new());
        Self { isa, requests, operations, scratch: 0, threads: threads.max(1), changes: 0 }
    }

    /// The program. What `kept` holds before the first operation is there after the last.
    pub fn finish<'v>(mut self, kept: impl IntoIterator<Item = &'v View>) -> Program<'n> {
        for view in kept {
            self.requests.keep(view.buffer, self.operations.len());
        }
        let Self { isa, requests, operations, scratch, threads, .. } = self;
        Program { isa, threads, operations, places: requests.place(), scratch }
    }

    /// A map in a buffer of its own.
    pub fn buffer(&mut self, blocks: usize, [rows, columns]: [usize; 2]) -> View {
        let layout = Layout::new(blocks, rows, columns);
        let buffer = self.requests.buffer(layout.len(), self.operations.len());
        View { buffer, layout, blocks: 0..blocks }
    }

    /// The next operation; its buffers are needed until then.
    pub fn push(&mut self, operation: Operation<'n>) {
        let moment = self.operations.len();
        let (from, to, residual) = operation.views();
        for view in [from, to].into_iter().chain(residual) {
            self.requests.keep(view.buffer, moment);
        }
        self.operations.push(operation);
    }

    /// GroupNorm and SiLU, to a map of their own.
    pub fn norm(&mut self, norm: &'n Norm, change: Option<usize>, from: &View) -> View {
        let to = self.buffer(from.blocks.len(), from.sides());
        let operation =
            Operation::Norm { norm, change, after: Smooth::Silu, from: from.clone(), to: to.clone() };
        self.push(operation);
        to
    }

    /// A convolution, to a map of its own if there is no other.
    pub fn conv3(&mut self, conv: &'n Conv3, from: &View, to: Option<View>) -> View {
        let to = to.unwrap_or_else(|| self.buffer(conv.blocks, from.sides()));
        self.push_conv3(conv, from, &to, false, None);
        to
    }

    /// A convolution, added to what `to` holds or to a residual.
    pub fn push_conv3(
        &mut self,
        conv: &'n Conv3,
        from: &View,
        to: &View,
        adds: bool,
        residual: Option<View>,
    ) {
        let [rows, columns] = from.sides();
        self.scratch = self.scratch.max(conv.winograd.scratch(rows, columns, self.threads));
        self.push(Operation::Conv3 { conv, from: from.clone(), to: to.clone(), adds, residual });
    }

    /// A residual block, to a map of its own if there is no other.
    pub fn residual(&mut self, block: &'n Residual, x: &View, to: Option<View>) -> View {
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
    pub fn mix(&mut self, mix: &'n Mix, x: View) -> View {
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
            Self::Smooth { map } => (map, map, None),
            Self::Norm { from, to, .. }
            | Self::Strided { from, to, .. }
            | Self::Pointwise { from, to, .. }
            | Self::AddPointwise { from, to, .. }
            | Self::SmoothPointwise { from, to, .. }
            | Self::Enlarge { from, to }
            | Self::Forward { from, to }
            | Self::AddInverse { from, to }
            | Self::Steer { from, to, .. } => (from, to, None),
        }
    }
}
