//! Convolution with register tiles that read the map directly: strided, pointwise, and transposed by phases.
#![expect(unsafe_code, reason = "register tiles over raw memory")]

use std::ops::Range;

use lacuna_network::Border;
use rayon::prelude::*;

use crate::Isa;
use crate::shared::TASKS_PER_THREAD;
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::channels::Channels;
use crate::tiles::map::Map;
use crate::tiles::tile::{self, Finish, Panels, Row, Segment, panel_blocks};

/// Positions of a kernel's taps relative to an output pixel.
#[derive(Clone, Debug)]
pub(crate) struct Taps {
    /// For each tap, in the order of the weights: rows and columns from the output pixel times the stride.
    pub places: Vec<(isize, isize)>,
    /// Input pixels between outputs.
    pub stride: usize,
    /// The border.
    pub border: Border,
}

impl Taps {
    /// A square kernel with `kernel / 2` pixels of border.
    pub fn square(kernel: usize, stride: usize, border: Border) -> Self {
        let half = (kernel / 2) as isize;
        let places = (-half..=half).flat_map(|y| (-half..=half).map(move |x| (y, x))).collect();
        Self { places, stride, border }
    }

    fn columns(&self) -> Range<isize> {
        let columns = self.places.iter().map(|&(_, x)| x);
        columns.clone().min().unwrap_or(0)..columns.max().unwrap_or(0) + 1
    }
}

/// A convolution with packed weights.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    inputs: Channels,
    taps: Taps,
    panels: Panels,
    /// Bias lanes, if bias and ReLU follow.
    bias_relu: Option<Vec<f32>>,
    pub isa: Isa,
}

/// The destination of results: output pixel `(y, x)` goes to map pixel `(y * step + down, x * step + right)`.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The map.
    pub map: Map<'a>,
    /// Map pixels between outputs: 1, or 2 for a phase of a transposed convolution.
    pub step: usize,
    /// Rows before the first output.
    pub down: usize,
    /// Columns before the first output.
    pub right: usize,
    /// How results are combined with the map's values.
    pub store: Store,
}

/// How results are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// Overwrites the map's values.
    Replace,
    /// Added to the map's values.
    Add,
}

impl<'a> Target<'a> {
    /// All pixels of a map.
    pub fn all(map: Map<'a>) -> Self {
        Self { map, step: 1, down: 0, right: 0, store: Store::Replace }
    }
}

impl Conv {
    /// Packs the weights that `weight` gives for output channel, input channel and tap.
    pub fn new(
        isa: Isa,
        (inputs, outputs): (Channels, &Channels),
        taps: Taps,
        bias_relu: Option<Vec<f32>>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let count = taps.places.len();
        let mut sources = Vec::with_capacity(inputs.total() * count);
        for block in 0..inputs.blocks() {
            for tap in 0..count {
                sources.extend(inputs.of(block).map(|input| (input, tap)));
            }
        }
        let panels = Panels::pack(isa, outputs, sources.len(), |output, row| {
            let (input, tap) = sources[row];
            weight(output, input, tap)
        });
        Self { inputs, taps, panels, bias_relu, isa }
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        self.panels.bytes()
    }

    /// The weight from a lane of an input block to a lane of an output block at a tap.
    pub fn weight(&self, output: (usize, usize), (block, lane): (usize, usize), tap: usize) -> f32 {
        let before: usize = (0..block).map(|block| self.inputs.count(block)).sum();
        let row = before * self.taps.places.len() + tap * self.inputs.count(block) + lane;
        self.panels.at(self.isa, output, row)
    }

    fn finish(&self, store: Store) -> Finish {
        match (&self.bias_relu, store) {
            (Some(bias), Store::Replace) => Finish::BiasRelu(bias.as_ptr()),
            (None, Store::Add) => Finish::Add,
            (None, Store::Replace) => Finish::Plain,
            (Some(_), Store::Add) => unreachable!("nothing is added to what is rectified"),
        }
    }

    /// Computes a range of rows and columns.
    ///
    /// # Panics
    /// If the maps' channels do not match the weights.
    pub fn run(&self, input: Map<'_>, target: Target<'_>, rows: Range<usize>, columns: Range<usize>) {
        assert_eq!(input.layout.blocks, self.inputs.blocks(), "input blocks");
        assert_eq!(target.map.layout.blocks, self.panels.blocks, "output blocks");
        let parts = Parts::of(rows.len(), self.panels.blocks, self.isa);
        (0..rows.len() * parts.count).into_par_iter().for_each_init(
            RowSegments::default,
            |segments, task| {
                let row = rows.start + task / parts.count;
                let blocks = parts.blocks(task % parts.count, self.panels.blocks);
                let job =
                    RowJob { conv: self, input, target, row, columns: columns.clone(), blocks, segments };
                dispatch(self.isa, job);
            },
        );
    }

    /// Computes all pixels of a pointwise convolution, ignoring rows.
    ///
    /// # Panics
    /// If it is not pointwise, or the maps' channels do not match the weights.
    pub fn run_pointwise(&self, input: Map<'_>, output: Map<'_>, store: Store) {
        assert_eq!(self.taps.places, [(0, 0)], "a pointwise convolution");
        assert_eq!((input.layout.blocks, output.layout.blocks), (self.inputs.blocks(), self.panels.blocks));
        assert_eq!(input.layout.pixels(), output.layout.pixels(), "pixels");
        let pixels = input.layout.pixels();
        let chunk = POINTWISE_PIXELS.min(pixels.div_ceil(rayon::current_num_threads()));
        (0..pixels.div_ceil(chunk)).into_par_iter().for_each(|task| {
            let first = task * chunk;
            let job = PointwiseJob {
                conv: self,
                input,
                output,
                pixels: first..pixels.min(first + chunk),
                finish: self.finish(store),
            };
            dispatch(self.isa, job);
        });
    }

    /// The summands of the output at `row` and, for a border pixel, `column`.
    #[inline(always)]
    fn segments(&self, input: &Map<'_>, row: usize, column: Option<usize>, segments: &mut Vec<Segment>) {
        let Taps { places, stride, border } = &self.taps;
        segments.clear();
        let mut weight_row = 0;
        for block in 0..self.inputs.blocks() {
            let count = self.inputs.count(block);
            for &(down, right) in places {
                let y = border.place((row * stride) as isize + down, input.height);
                let x = match column {
                    None => Some(right),
                    Some(column) => {
                        let x = border.place((column * stride) as isize + right, input.columns());
                        x.map(|x| x as isize)
                    }
                };
                if let (Some(y), Some(x)) = (y, x) {
                    let place = block * input.layout.plane + input.place(y, 0);
                    segments.push(Segment { x: place as isize + x * LANES as isize, row: weight_row, count });
                }
                weight_row += count;
            }
        }
    }
}

/// Pixels of a pointwise convolution per task: their inputs stay in the L2 cache during the pass over all panels.
const POINTWISE_PIXELS: usize = 192;

/// Split of a row's output blocks into tasks, for maps with fewer rows than wanted tasks.
struct Parts {
    count: usize,
    blocks: usize,
}

impl Parts {
    fn of(rows: usize, blocks: usize, isa: Isa) -> Self {
        let panel = panel_blocks(isa);
        let wanted = (TASKS_PER_THREAD * rayon::current_num_threads()).div_ceil(rows.max(1));
        let panels = blocks.div_ceil(panel);
        let blocks = panels.div_ceil(wanted.min(panels)) * panel;
        Self { count: (panels * panel).div_ceil(blocks), blocks }
    }

    fn blocks(&self, part: usize, all: usize) -> (usize, usize) {
        (part * self.blocks, all.min((part + 1) * self.blocks))
    }
}

/// Summands of the pixels of a row: shared by the inner pixels, whose taps all lie inside, and separate for the others.
#[derive(Default)]
struct RowSegments {
    inner: Vec<Segment>,
    border: Vec<Vec<Segment>>,
}

struct RowJob<'a> {
    conv: &'a Conv,
    input: Map<'a>,
    target: Target<'a>,
    row: usize,
    columns: Range<usize>,
    blocks: (usize, usize),
    segments: &'a mut RowSegments,
}

impl Op for RowJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { conv, input, target, row, blocks, .. } = self;
        let inner = self.inner();
        let border: Vec<usize> =
            (self.columns.start..inner.start).chain(inner.end..self.columns.end).collect();
        let RowSegments { inner: segments, border: border_segments } = self.segments;
        conv.segments(&input, row, None, segments);
        border_segments.resize(border.len(), Vec::new());
        for (segments, &column) in border_segments.iter_mut().zip(&border) {
            conv.segments(&input, row, Some(column), segments);
        }
        let Target { map, step, down, right, .. } = target;
        let pixels = |segments, x: usize, column: usize, pixels: usize| Row {
            x: input.buffer.at(x),
            segments,
            pixels,
            out: map.buffer.at(map.place(row * step + down, column * step + right)),
            out_step: step * LANES,
            out_plane: map.layout.plane,
        };
        let stride = conv.taps.stride;
        let mut rows = Vec::with_capacity(1 + border.len());
        if !inner.is_empty() {
            rows.push(pixels(&segments[..], inner.start * stride * LANES, inner.start, inner.len()));
        }
        for (segments, &column) in border_segments.iter().zip(&border) {
            rows.push(pixels(&segments[..], 0, column, 1));
        }
        let (panels, finish) = (conv.panels.view(), conv.finish(target.store));
        // SAFETY: inner pixels have all taps inside the map, those of the others were moved inside or left out; the maps
        // were checked to have these blocks; each row and panel belongs to one task.
        unsafe {
            match stride {
                1 => tile::product::<S, LANES>(simd, &rows, panels, blocks, finish),
                2 => tile::product::<S, { 2 * LANES }>(simd, &rows, panels, blocks, finish),
                stride => unreachable!("stride {stride}"),
            }
        }
    }
}

impl RowJob<'_> {
    /// The columns whose taps all lie inside the map; border columns are before and after them.
    fn inner(&self) -> Range<usize> {
        let (stride, taps) = (self.conv.taps.stride as isize, self.conv.taps.columns());
        // The last tap of column c lies at c * stride + taps.end - 1.
        let last = self.input.columns() as isize - taps.end;
        let first = (stride - 1 - taps.start) / stride;
        let end = if last < 0 { first } else { (last / stride + 1).max(first) };
        let within = |column: isize| (column as usize).clamp(self.columns.start, self.columns.end);
        within(first)..within(end)
    }
}

struct PointwiseJob<'a> {
    conv: &'a Conv,
    input: Map<'a>,
    output: Map<'a>,
    pixels: Range<usize>,
    finish: Finish,
}

impl Op for PointwiseJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let plane = self.input.layout.plane as isize;
        let mut row = 0;
        let segments: Vec<Segment> = (0..self.conv.inputs.blocks())
            .map(|block| {
                let count = self.conv.inputs.count(block);
                row += count;
                Segment { x: block as isize * plane, row: row - count, count }
            })
            .collect();
        let row = Row {
            x: self.input.buffer.at(self.pixels.start * LANES),
            segments: &segments,
            pixels: self.pixels.len(),
            out: self.output.buffer.at(self.pixels.start * LANES),
            out_step: LANES,
            out_plane: self.output.layout.plane,
        };
        let panels = self.conv.panels.view();
        // SAFETY: pixels inside both maps, whose blocks were checked; tasks take disjoint pixels.
        unsafe { tile::product::<S, LANES>(simd, &[row], panels, (0, panels.blocks), self.finish) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::testing::{Memory, Reference, weights};
    use testkit::assert_close;
    use testkit::pictures::noise;

    const TOLERANCE: f32 = 1e-5;

    struct Case {
        inputs: &'static [usize],
        outputs: &'static [usize],
        kernel: usize,
        stride: usize,
        border: Border,
        size: [usize; 2],
    }

    #[test]
    fn it_is_the_definition() {
        use Border::{Reflect, Zero};
        for Case { inputs, outputs, kernel, stride, border, size: [height, width] } in [
            Case { inputs: &[3], outputs: &[5], kernel: 3, stride: 2, border: Reflect, size: [9, 7] },
            Case { inputs: &[20], outputs: &[8, 24], kernel: 3, stride: 2, border: Zero, size: [5, 70] },
            Case { inputs: &[8, 24], outputs: &[48], kernel: 3, stride: 1, border: Reflect, size: [2, 2] },
            Case { inputs: &[16], outputs: &[33], kernel: 3, stride: 2, border: Zero, size: [1, 1] },
            Case { inputs: &[16], outputs: &[64], kernel: 3, stride: 2, border: Reflect, size: [16, 130] },
            Case { inputs: &[8, 40], outputs: &[70], kernel: 1, stride: 1, border: Zero, size: [11, 43] },
        ] {
            let (from, to) =
                (Channels::parts(inputs.iter().copied()), Channels::parts(outputs.iter().copied()));
            let planes = noise(1, from.total() * height * width);
            let weights = weights(to.total(), from.total(), kernel, 2);
            let reference = Reference { kernel, stride, border, weights: &weights };
            let linear = reference.run(&planes, [from.total(), to.total(), height, width]);
            let (rows, columns) = (height.div_ceil(stride), width.div_ceil(stride));
            let bias = noise(3, to.total());
            let rectified = |(index, value): (usize, &f32)| (value + bias[index / (rows * columns)]).max(0.0);
            let rectified: Vec<f32> = linear.iter().enumerate().map(rectified).collect();
            for isa in Isa::available() {
                let weight = |output: usize, input: usize, tap: usize| {
                    weights[(output * from.total() + input) * kernel * kernel + tap]
                };
                let build = |bias: Option<Vec<f32>>| {
                    Conv::new(isa, (from.clone(), &to), Taps::square(kernel, stride, border), bias, weight)
                };
                let mut input = Memory::of(&from, height, width, &planes);
                let mut output = Memory::empty(&to, rows, columns);
                let (plain, relu) = (build(None), build(Some(to.spread(|channel| bias[channel]))));
                relu.run(input.map(), Target::all(output.map()), 0..rows, 0..columns);
                assert_close(&output.map().to_planes(&to), &rectified, TOLERANCE);
                plain.run(input.map(), Target::all(output.map()), 0..rows, 0..columns);
                assert_close(&output.map().to_planes(&to), &linear, TOLERANCE);
                let whole: Vec<u32> =
                    output.map().to_planes(&to).iter().map(|value| value.to_bits()).collect();
                // Computing any part gives the same bits.
                output.values.fill(f32::NAN);
                for row in 0..rows {
                    for half in [columns / 3..columns, 0..columns / 3] {
                        plain.run(input.map(), Target::all(output.map()), row..row + 1, half);
                    }
                }
                let pieces: Vec<u32> =
                    output.map().to_planes(&to).iter().map(|value| value.to_bits()).collect();
                assert_eq!(pieces, whole, "{isa}");
                if kernel == 1 {
                    plain.run_pointwise(input.map(), output.map(), Store::Replace);
                    assert_close(&output.map().to_planes(&to), &linear, TOLERANCE);
                    plain.run_pointwise(input.map(), output.map(), Store::Add);
                    let twice: Vec<f32> = linear.iter().map(|value| 2.0 * value).collect();
                    assert_close(&output.map().to_planes(&to), &twice, 2.0 * TOLERANCE);
                }
            }
        }
    }
}
