//! What a run will do, decided before anything is allocated: steps, strips, and where every buffer lies.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use super::channels::Layout;
use super::fourier::frequencies;
use super::network::{LEVELS, Network, Refine, latent_parts};
use super::place::{Buffer, Places, Requests};
use super::steps::{Step, steps};
use super::window::Window;
use crate::config::NetworkConfig;
use crate::error::{Error, Result};
use crate::isa::Isa;
use crate::simd::LANES;

/// Sides of a picture must be a multiple of this, or the prediction would be larger than the picture.
pub const MULTIPLE: usize = 8;
/// The smallest multiple of [`MULTIPLE`] whose latent is at least two pixels long, as reflection needs.
pub const SMALLEST_SIDE: usize = 16;

/// Bytes that windows of full-resolution maps take by default: what stays in a large cache.
pub const WINDOW_BYTES: usize = 8 << 20;

/// What a process needs besides weights, arena and picture: code, stacks and the allocator's own room.
const FIXED_BYTES: u64 = 24 << 20;

/// How much a plan may take.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// Threads that will run it.
    pub threads: usize,
    /// The most bytes that the process may need for it, weights included.
    pub max_bytes: Option<u64>,
    /// Windows of full-resolution maps get as many rows as fit in so many bytes, or else as few as possible. The result
    /// has the same bits whatever they get.
    pub window_bytes: usize,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { threads: rayon::current_num_threads(), max_bytes: None, window_bytes: WINDOW_BYTES }
    }
}

/// A plan for pictures of one size.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Columns of the picture.
    pub width: usize,
    /// Rows of the picture.
    pub height: usize,
    /// Threads that it is made for.
    pub threads: usize,
    /// Rows of the latent in a strip of the encoder and of the decoder.
    pub strips: Strips,
    /// What it was made for: buffers have the sizes of this network.
    pub(crate) config: NetworkConfig,
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

#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    pub lines: Buffer,
    /// Levels of the image encoder; the last is the whole latent.
    pub encoder: [Level; LEVELS + 1],
    /// Levels of the mask encoder.
    pub masks: Option<[Level; LEVELS + 1]>,
    pub halves: Vec<HalfBuffers>,
    /// Levels of the decoder, full resolution first; the last is the whole refined latent.
    pub decoder: [Level; LEVELS + 1],
}

/// A level's buffer and the window on its map that it holds.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    pub buffer: Buffer,
    pub window: Window,
}

/// Buffers of half a residual block.
#[derive(Clone, Debug)]
pub(crate) struct HalfBuffers {
    pub input: Buffer,
    pub output: Buffer,
    /// What is added at last: the input of the block, in its second half.
    pub residual: Option<Buffer>,
    /// Reduced map and two spectra, in the Fourier family.
    pub spectral: Option<[Buffer; 3]>,
    pub scratch: Buffer,
}

/// Rows of a level that a 3x3 convolution of stride 2 needs for `outputs`.
pub(crate) fn rows_below(outputs: &Range<usize>, height: usize) -> Range<usize> {
    (2 * outputs.start).saturating_sub(1)..height.min(2 * outputs.end)
}

/// Rows (or columns) of a level that a transposed convolution needs for `outputs`.
pub(crate) fn rows_above(outputs: &Range<usize>, height: usize) -> Range<usize> {
    outputs.start / 2..height.min(outputs.end / 2 + 1)
}

/// Rows (or columns) that the last convolution needs for `outputs`.
pub(crate) fn rows_around(outputs: &Range<usize>, height: usize) -> Range<usize> {
    outputs.start.saturating_sub(3)..height.min(outputs.end + 3)
}

/// The strips of `rows` rows.
pub(crate) fn strips(rows: usize, strip: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    (0..rows).step_by(strip).map(move |start| start..rows.min(start + strip))
}

/// Sizes of the levels of a picture.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub width: usize,
    pub height: usize,
}

impl Sizes {
    pub fn columns(self, level: usize) -> usize {
        self.width >> level
    }

    pub fn rows(self, level: usize) -> usize {
        self.height >> level
    }

    /// Rows of every level that the encoder needs for `latent` rows of the latent.
    pub fn encoder_rows(self, latent: Range<usize>) -> [Range<usize>; LEVELS + 1] {
        let mut rows = [latent.clone(), latent.clone(), latent.clone(), latent];
        for level in (0..LEVELS).rev() {
            rows[level] = rows_below(&rows[level + 1], self.rows(level));
        }
        rows
    }

    /// Rows of every level that the decoder needs for `latent` rows of the latent's size.
    pub fn decoder_rows(self, latent: Range<usize>) -> [Range<usize>; LEVELS] {
        let picture = latent.start * MULTIPLE..latent.end * MULTIPLE;
        self.decoder_extent(picture, self.height)
    }

    /// Columns of every level that the decoder needs for `columns` of the picture.
    pub fn decoder_columns(self, columns: Range<usize>) -> [Range<usize>; LEVELS] {
        self.decoder_extent(columns, self.width)
    }

    fn decoder_extent(self, picture: Range<usize>, length: usize) -> [Range<usize>; LEVELS] {
        let full = rows_around(&picture, length);
        let half = rows_above(&full, length / 2);
        let quarter = rows_above(&half, length / 4);
        [full, half, quarter]
    }
}

/// The most rows that any strip needs of each level.
fn room<const N: usize>(all: impl Iterator<Item = [Range<usize>; N]>) -> [usize; N] {
    all.fold([0; N], |most, rows| std::array::from_fn(|level| most[level].max(rows[level].len())))
}

impl Network {
    /// Plans a run for pictures of this size.
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
        let plan = Planner { network: self, sizes, threads }.plan(strips);
        let needed = plan.forecast_bytes();
        match options.max_bytes {
            Some(allowed) if needed > allowed => Err(Error::Memory { width, height, needed, allowed }),
            _ => Ok(plan),
        }
    }

    /// Windows of the encoder, of which the last is the whole latent, then those of mask control.
    fn encoder_windows(&self, sizes: Sizes, strip: usize) -> Vec<Window> {
        let room = room(strips(sizes.rows(LEVELS), strip).map(|latent| sizes.encoder_rows(latent)));
        let window = |blocks: usize, level: usize| {
            Window::new(blocks, room[level], sizes.rows(level), sizes.columns(level))
        };
        let latent = (self.levels[LEVELS].blocks(), sizes.rows(LEVELS), sizes.columns(LEVELS));
        let latent = Window::whole(latent.0, latent.1, latent.2);
        let image = (0..LEVELS).map(|level| window(self.levels[level].blocks(), level)).chain([latent]);
        let masks = self.control.iter().flat_map(|control| {
            control.levels.iter().enumerate().map(|(level, channels)| window(channels.blocks(), level))
        });
        image.chain(masks).collect()
    }

    /// Windows of the decoder, full resolution first.
    fn decoder_windows(&self, sizes: Sizes, strip: usize) -> Vec<Window> {
        let room = room(strips(sizes.rows(LEVELS), strip).map(|latent| sizes.decoder_rows(latent)));
        (0..LEVELS)
            .map(|level| {
                let blocks = self.levels[level].blocks();
                Window::new(blocks, room[level], sizes.rows(level), sizes.columns(level))
            })
            .collect()
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

/// Requests the buffers of some windows.
fn levels<const N: usize>(
    requests: &mut Requests,
    windows: &mut impl Iterator<Item = Window>,
    moment: usize,
) -> [Level; N] {
    std::array::from_fn(|_| {
        let window = windows.next().expect("a window for each level");
        Level { buffer: requests.buffer(window.numbers(), moment), window }
    })
}

struct Planner<'n> {
    network: &'n Network,
    sizes: Sizes,
    threads: usize,
}

impl Planner<'_> {
    fn latent(&self) -> Layout {
        let blocks = self.network.levels[LEVELS].blocks();
        Layout::new(blocks, self.sizes.rows(LEVELS), self.sizes.columns(LEVELS))
    }

    fn plan(&self, strips: Strips) -> Plan {
        let Sizes { width, height } = self.sizes;
        let mut requests = Requests::default();
        let mut moment = 0;
        let mut windows = self.network.encoder_windows(self.sizes, strips.encoder).into_iter();
        let encoder = levels(&mut requests, &mut windows, moment);
        let latent = encoder[LEVELS].buffer;
        let masks = self.network.control.as_ref().map(|_| levels(&mut requests, &mut windows, moment));
        let lines = requests.buffer(self.network.stem.scratch(encoder[0].window.room(), width), moment);
        moment += 1;
        let (halves, refined) = self.refiner(&mut requests, latent, &mut moment);
        if self.network.adds_latent() {
            requests.keep(latent, moment);
        }
        requests.keep(refined, moment);
        let windows = self.network.decoder_windows(self.sizes, strips.decoder);
        let above = levels::<LEVELS>(&mut requests, &mut windows.into_iter(), moment);
        let [full, half, quarter] = above;
        let refined = Level { buffer: refined, window: encoder[LEVELS].window.clone() };
        let buffers = Buffers { lines, encoder, masks, halves, decoder: [full, half, quarter, refined] };
        let weight_bytes = self.network.bytes() as u64;
        let (places, steps) = (requests.place(), steps(self.network, self.sizes));
        let (config, isa) = (self.network.config.clone(), self.network.isa);
        Plan {
            width,
            height,
            threads: self.threads,
            strips,
            config,
            isa,
            steps,
            places,
            buffers,
            weight_bytes,
        }
    }

    /// Buffers of all residual blocks, and the one that the last of them writes.
    fn refiner(
        &self,
        requests: &mut Requests,
        latent: Buffer,
        moment: &mut usize,
    ) -> (Vec<HalfBuffers>, Buffer) {
        let layout = self.latent();
        let (rows, columns) = (layout.rows, layout.columns);
        let mut halves = Vec::new();
        let mut input = latent;
        for block in &self.network.blocks {
            let residual = input;
            for half in 0..2 {
                let (convolve, reduced) = match block {
                    Refine::Fourier(halves) => (&halves[half].convolve, Some(self.reduced_blocks())),
                    Refine::Regular(halves) => (&halves[half].convolve, None),
                };
                let spectral = reduced.map(|blocks| {
                    let map = requests.buffer(Layout::new(blocks, rows, columns).len(), *moment);
                    let numbers = Layout::new(2 * blocks, rows, frequencies(columns)).len();
                    // Moments: reduce, forward, mix, inverse, expand.
                    let before = requests.buffer(numbers, *moment + 1);
                    let after = requests.buffer(numbers, *moment + 2);
                    requests.keep(before, *moment + 2);
                    requests.keep(after, *moment + 3);
                    *moment += 4;
                    requests.keep(map, *moment);
                    [map, before, after]
                });
                let output = requests.buffer(layout.len(), *moment);
                *moment += 1;
                let scratch = requests.buffer(convolve.scratch(rows, columns, self.threads), *moment);
                let residual = (half == 1).then_some(residual);
                requests.keep(input, *moment);
                requests.keep(output, *moment);
                residual.into_iter().for_each(|residual| requests.keep(residual, *moment));
                halves.push(HalfBuffers { input, output, residual, spectral, scratch });
                input = output;
                *moment += 1;
            }
        }
        (halves, input)
    }

    /// Blocks of the reduced map of the Fourier family.
    fn reduced_blocks(&self) -> usize {
        (latent_parts(&self.network.config)[1] / 2).div_ceil(LANES)
    }
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

    /// The most bytes that a process needs to run this, weights, picture and prediction included.
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
}

const GIGA: f64 = 1e9;
const MEBI: f64 = (1u64 << 20) as f64;

impl fmt::Display for Plan {
    /// The plan as a table: step, shape, GFLOP, MiB, kernel.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height, threads) = (self.width, self.height, self.threads);
        writeln!(
            formatter,
            "plan for {width} x {height} on {threads} threads: {:.1} GFLOP, {:.0} MiB of weights, {:.0} MiB arena, \
             forecast {:.0} MiB; strips of {} rows (encoder) and {} (decoder)",
            self.operations() / GIGA,
            self.weight_bytes as f64 / MEBI,
            self.arena_bytes() as f64 / MEBI,
            self.forecast_bytes() as f64 / MEBI,
            MULTIPLE * self.strips.encoder,
            MULTIPLE * self.strips.decoder,
        )?;
        writeln!(formatter, "{:<36} {:>16} {:>9} {:>8}  kernel", "step", "shape", "GFLOP", "MiB")?;
        for Step { name, kernel, shape: [channels, rows, columns], operations, bytes } in &self.steps {
            let shape = format!("{channels}x{rows}x{columns}");
            let (giga, mebi) = (operations / GIGA, bytes / MEBI);
            writeln!(formatter, "{name:<36} {shape:>16} {giga:>9.3} {mebi:>8.2}  {kernel}")?;
        }
        Ok(())
    }
}
