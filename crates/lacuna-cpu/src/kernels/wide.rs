//! Direct convolution of planes with many output channels: vectors run along output channels, so that no lane is lost on
//! small maps and with strides.
#![expect(unsafe_code, reason = "register tiles over raw memory")]

use std::ops::Range;

use rayon::prelude::*;

use super::direct::{Direct, Phase, Tap, Weights};
use super::strip::Strip;
use crate::shared::{Shared, TASKS_PER_THREAD};
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::channels::Channels;
use crate::tiles::tile::{Finish, Panels, PanelsView, Row, Segment, panel_blocks, product};

/// From this many output channels, few lanes are empty.
const FEWEST_OUTPUTS: usize = 16;
/// Rows from this length on fill vectors along pixels.
const FULL_COLUMNS: usize = 40;
/// Summands whose weights of a panel stay in the L1 cache for all rows of a task.
const CACHED_ROWS: usize = 128;
/// Output pixels per task: weights are read from far memory once for all of them, and their inputs stay in the L2 cache.
const TASK_PIXELS: usize = 256;

/// Whether a convolution uses this kernel.
pub(super) fn applies(direct: &Direct) -> bool {
    direct.outputs >= FEWEST_OUTPUTS
        && direct.stride <= 2
        && direct.columns.div_ceil(direct.out_step) < FULL_COLUMNS
}

/// As [`Direct::run`].
pub(super) fn run(direct: &Direct, to: &mut [f32], bias: Option<&[f32]>, weights: Weights) {
    let outputs = Channels::parts([direct.outputs]);
    let phases: Vec<Packed> =
        direct.phases.iter().map(|phase| Packed::new(direct, phase, &outputs, weights)).collect();
    let (rows, columns) = (direct.rows.div_ceil(direct.out_step), direct.columns.div_ceil(direct.out_step));
    // Either whole images or some rows of one.
    let images = (TASK_PIXELS / (rows * columns)).clamp(1, direct.batch);
    let task_rows = (TASK_PIXELS / columns).clamp(1, rows);
    let row_tasks = rows.div_ceil(task_rows);
    let pixel_tasks = direct.batch.div_ceil(images) * row_tasks;
    let panels = outputs.blocks().div_ceil(panel_blocks(direct.isa));
    let wanted = TASKS_PER_THREAD * rayon::current_num_threads();
    let panel_tasks = wanted.div_ceil(pixel_tasks).min(panels);
    let reach = |along: fn(&Tap) -> usize| {
        direct.phases.iter().flat_map(|phase| &phase.taps).map(along).max().map_or(0, |most| most + 1)
    };
    let (down, right) = (reach(|tap| tap.down), reach(|tap| tap.right));
    let source_rows = |rows: usize| (rows - 1) * direct.stride + down;
    let source_columns = direct.source.columns().max((columns - 1) * direct.stride + right);
    let to = Shared::new(to);
    let buffers = || Buffers {
        strips: vec![Strip::new(direct.source.channels, source_rows(task_rows), source_columns, 1); images],
        sums: vec![0.0; panel_blocks(direct.isa) * images * task_rows * columns * LANES],
        held: None,
    };
    (0..pixel_tasks * panel_tasks).into_par_iter().for_each_init(buffers, |buffers, task| {
        let (place, share) = (task / panel_tasks, task % panel_tasks);
        let first = place % row_tasks * task_rows;
        let job = Job {
            direct,
            images: place / row_tasks * images..direct.batch.min((place / row_tasks + 1) * images),
            rows: first..rows.min(first + task_rows),
            panels: share * panels / panel_tasks..(share + 1) * panels / panel_tasks,
            bias,
            to,
        };
        if buffers.held != Some(place) {
            let from = first * direct.stride;
            for (image, strip) in job.images.clone().zip(&mut buffers.strips) {
                let source = from..from + source_rows(job.rows.len());
                direct.source.copy(image, 0..direct.source.channels, source, strip);
            }
            buffers.held = Some(place);
        }
        for (phase, packed) in direct.phases.iter().zip(&phases) {
            job.run(phase, packed, buffers);
        }
    });
}

/// Memory of a worker.
struct Buffers {
    /// The inputs of each image of a task.
    strips: Vec<Strip>,
    /// `[blocks of a panel][pixels][LANES]`.
    sums: Vec<f32>,
    /// The pixels whose inputs are in the strips.
    held: Option<usize>,
}

/// The weights of a phase.
struct Packed {
    panels: Panels,
    /// The taps in order of memory.
    taps: Vec<Tap>,
}

impl Packed {
    fn new(direct: &Direct, phase: &Phase, outputs: &Channels, weights: Weights) -> Self {
        let mut taps = phase.taps.clone();
        taps.sort_by_key(|tap| (tap.down, tap.right));
        let places: Vec<usize> = (0..direct.source.channels)
            .flat_map(|input| taps.iter().map(move |tap| input * weights.input + tap.index))
            .collect();
        let panels = Panels::pack(direct.isa, outputs, places.len(), |output, row| {
            weights.values[output * weights.output + places[row]]
        });
        Self { panels, taps }
    }

    /// The summands of some input channels; taps beside each other are one segment.
    fn segments(&self, strip: &Strip, channels: Range<usize>) -> Vec<Segment> {
        let mut segments: Vec<Segment> = Vec::new();
        for row in channels.start * self.taps.len()..channels.end * self.taps.len() {
            let (channel, tap) = (row / self.taps.len(), &self.taps[row % self.taps.len()]);
            let x = (channel * strip.channel + strip.place(tap.down, tap.right)) as isize;
            match segments.last_mut() {
                Some(last) if last.x + last.count as isize == x => last.count += 1,
                _ => segments.push(Segment { x, row, count: 1 }),
            }
        }
        segments
    }
}

struct Job<'a> {
    direct: &'a Direct<'a>,
    images: Range<usize>,
    /// Rows of a phase.
    rows: Range<usize>,
    panels: Range<usize>,
    bias: Option<&'a [f32]>,
    to: Shared<'a>,
}

impl Job<'_> {
    fn run(&self, phase: &Phase, packed: &Packed, buffers: &mut Buffers) {
        let Direct { isa, stride, out_step, .. } = *self.direct;
        let columns = self.direct.columns.saturating_sub(phase.right).div_ceil(out_step);
        let rows = self.rows.start
            ..self.rows.end.min(self.direct.rows.saturating_sub(phase.down).div_ceil(out_step));
        if rows.is_empty() || columns == 0 {
            return;
        }
        let channels = self.direct.source.channels;
        let step = (CACHED_ROWS / packed.taps.len()).max(1);
        let parts = (0..channels).step_by(step).map(|first| first..channels.min(first + step));
        let parts: Vec<Vec<Segment>> = parts.map(|part| packed.segments(&buffers.strips[0], part)).collect();
        let pixels = self.images.len() * rows.len() * columns;
        let width = panel_blocks(isa);
        assert!(buffers.sums.len() >= width * pixels * LANES, "room for {pixels} pixels");
        for panel in self.panels.clone() {
            let blocks = panel * width..packed.panels.blocks.min((panel + 1) * width);
            let sums = &mut buffers.sums;
            let lines: Vec<Row> = (0..self.images.len() * rows.len())
                .map(|line| {
                    let (image, row) = (line / rows.len(), line % rows.len());
                    let strip = &buffers.strips[image];
                    Row {
                        x: strip.values[row * stride * strip.row..].as_ptr(),
                        segments: &[],
                        pixels: columns,
                        out: sums[line * columns * LANES..].as_mut_ptr(),
                        out_step: LANES,
                        out_plane: pixels * LANES,
                    }
                })
                .collect();
            let panels = packed.panels.part(blocks.clone());
            for (index, segments) in parts.iter().enumerate() {
                let finish = if index == 0 { Finish::Plain } else { Finish::Add };
                let rows: Vec<Row> = lines.iter().map(|&row| Row { segments, ..row }).collect();
                let product = Product { rows: &rows, panels, finish };
                match stride {
                    1 => dispatch(isa, Stepped::<1>(product)),
                    2 => dispatch(isa, Stepped::<2>(product)),
                    stride => unreachable!("a stride of {stride}"),
                }
            }
            let channels = blocks.start * LANES..self.direct.outputs.min(blocks.end * LANES);
            for (output, block) in
                channels.zip((0..).flat_map(|block| (0..LANES).map(move |lane| (block, lane))))
            {
                let sums = &sums[block.0 * pixels * LANES + block.1..];
                self.store(phase, output, rows.clone(), columns, sums);
            }
        }
    }

    /// Adds the bias and writes one output channel, every [`LANES`]-th of `sums`.
    fn store(&self, phase: &Phase, output: usize, rows: Range<usize>, columns: usize, sums: &[f32]) {
        let Direct { outputs, rows: all_rows, columns: all_columns, out_step, .. } = *self.direct;
        let bias = self.bias.map_or(0.0, |bias| bias[output]);
        let mut sums = sums.iter().step_by(LANES);
        for image in self.images.clone() {
            for row in rows.clone() {
                let line =
                    ((image * outputs + output) * all_rows + row * out_step + phase.down) * all_columns;
                let first = line + phase.right;
                let last = first + (columns - 1) * out_step;
                assert!(last < line + all_columns, "column beyond the row");
                let (to, _) = (self.to.at(first), self.to.at(last + 1));
                for (column, sum) in sums.by_ref().take(columns).enumerate() {
                    // SAFETY: between the first and the last column of a row, which belongs to one task.
                    unsafe { *to.add(column * out_step) = sum + bias };
                }
            }
        }
    }
}

/// The products of some rows with the panels of some output blocks.
struct Product<'a> {
    rows: &'a [Row<'a>],
    panels: PanelsView,
    finish: Finish,
}

/// With inputs `STEP` apart.
struct Stepped<'a, const STEP: usize>(Product<'a>);

impl<const STEP: usize> Op for Stepped<'_, STEP> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Product { rows, panels, finish } = self.0;
        // SAFETY: strips hold the inputs of all taps of their rows; sums have room for all pixels and blocks, and belong
        // to one worker.
        unsafe { product::<S, STEP>(simd, rows, panels, (0, panels.blocks), finish) };
    }
}
