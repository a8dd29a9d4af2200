//! The buffers of a run: sizes and lifetimes.

use lacuna_network::geometry::LEVELS;

use super::fourier::frequencies;
use super::network::Network;
use super::place::{Buffer, Requests};
use super::sizes::{Sizes, strips};
use super::window::Window;
use crate::After;
use crate::tiles::channels::Layout;
use crate::tiles::signs;

/// All buffers of a run.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    /// Interleaved rows of the image, for the stem.
    pub lines: Buffer,
    /// Levels of the image encoder; the last is the whole latent.
    pub encoder: [Level; LEVELS + 1],
    /// Levels of the mask encoder.
    pub masks: Option<[Level; LEVELS + 1]>,
    /// Buffers of the halves of all residual blocks, in order.
    pub halves: Vec<HalfBuffers>,
    /// Levels of the decoder, full resolution first; the last is the whole refined latent.
    pub decoder: [Level; LEVELS + 1],
    /// Signs of the decoder's levels, full resolution first, if a backward pass follows.
    pub signs: Option<[Buffer; LEVELS]>,
}

/// The buffer of a level, and the window of its map that it contains.
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
    /// Added last: the input of the block, in its second half.
    pub residual: Option<Buffer>,
    /// Buffers of the spectral path.
    pub spectral: Option<SpectralBuffers>,
    pub scratch: Buffer,
    /// The signs of the sum, before the residual, if there is a ReLU and a backward pass follows.
    pub signs: Option<Buffer>,
}

/// Buffers of the spectral path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpectralBuffers {
    /// The map with reduced channels.
    pub reduced: Buffer,
    /// Its spectrum …
    pub spectrum: Buffer,
    /// … and the mixed spectrum.
    pub mixed: Buffer,
    /// Signs of both, if a backward pass follows.
    pub signs: Option<SpectralSigns>,
}

/// Signs of a spectral path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpectralSigns {
    /// Of the map with reduced channels.
    pub reduced: Buffer,
    /// Of the mixed spectrum.
    pub mixed: Buffer,
}

/// What a run leaves for a backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing.
    Nothing,
    /// The latent, and the signs of each ReLU after it.
    Signs,
}

impl Network {
    /// Windows of the encoder, the last of which is the whole latent, then those of mask control.
    pub fn encoder_windows(&self, sizes: Sizes, strip: usize) -> Vec<Window> {
        let most = most_rows(strips(sizes.rows(LEVELS), strip).map(|latent| sizes.encoder_rows(latent)));
        let window = |blocks: usize, level: usize| {
            Window::new(blocks, most[level], sizes.rows(level), sizes.columns(level))
        };
        let latent = Window::whole(self.levels[LEVELS].blocks(), sizes.rows(LEVELS), sizes.columns(LEVELS));
        let image = (0..LEVELS).map(|level| window(self.levels[level].blocks(), level)).chain([latent]);
        let masks = self.control.iter().flat_map(|control| {
            control.levels.iter().enumerate().map(|(level, channels)| window(channels.blocks(), level))
        });
        image.chain(masks).collect()
    }

    /// Windows of the decoder, full resolution first.
    pub fn decoder_windows(&self, sizes: Sizes, strip: usize) -> Vec<Window> {
        let most = most_rows(strips(sizes.rows(LEVELS), strip).map(|latent| sizes.decoder_rows(latent)));
        let window = |level: usize| {
            let blocks = self.levels[level].blocks();
            Window::new(blocks, most[level], sizes.rows(level), sizes.columns(level))
        };
        (0..LEVELS).map(window).collect()
    }
}

/// Most rows of each level that any strip needs.
fn most_rows<const N: usize>(all: impl Iterator<Item = [std::ops::Range<usize>; N]>) -> [usize; N] {
    all.fold([0; N], |most, rows| std::array::from_fn(|level| most[level].max(rows[level].len())))
}

/// Requests the buffers of a network, moment by moment.
pub(crate) struct Planner<'n> {
    pub network: &'n Network,
    pub sizes: Sizes,
    pub threads: usize,
    pub requests: Requests,
    pub moment: usize,
    keep: Keep,
}

impl<'n> Planner<'n> {
    /// A planner that has requested nothing yet.
    pub fn new(network: &'n Network, sizes: Sizes, threads: usize, keep: Keep) -> Self {
        Self { network, sizes, threads, requests: Requests::default(), moment: 0, keep }
    }

    /// The buffers of a run whose encoder and decoder work in strips of this many latent rows.
    pub fn buffers(&mut self, encoder_strip: usize, decoder_strip: usize) -> Buffers {
        let network = self.network;
        let mut windows = network.encoder_windows(self.sizes, encoder_strip).into_iter();
        let encoder = self.levels(&mut windows);
        let latent = encoder[LEVELS].buffer;
        let masks = network.control.as_ref().map(|_| self.levels(&mut windows));
        let lines = network.stem.scratch(encoder[0].window.room(), self.sizes.width);
        let lines = self.requests.buffer(lines, self.moment);
        self.moment += 1;
        let (halves, refined) = self.refiner(latent);
        if network.layers.adds_latent {
            self.requests.keep(latent, self.moment);
        }
        self.requests.keep(refined, self.moment);
        let mut windows = network.decoder_windows(self.sizes, decoder_strip).into_iter();
        let [full, half, quarter] = self.levels::<LEVELS>(&mut windows);
        let refined = Level { buffer: refined, window: encoder[LEVELS].window.clone() };
        let signs = [0, 1, 2].map(|level| {
            let (rows, columns) = (self.sizes.rows(level), self.sizes.columns(level));
            self.signs(network.levels[level].blocks(), rows, columns)
        });
        let signs = matches!(self.keep, Keep::Signs).then(|| signs.map(|buffer| buffer.expect("kept")));
        Buffers { lines, encoder, masks, halves, decoder: [full, half, quarter, refined], signs }
    }

    /// A buffer for the signs of a map, if they are kept.
    fn signs(&mut self, blocks: usize, rows: usize, columns: usize) -> Option<Buffer> {
        let numbers = signs::numbers(blocks, rows, columns);
        (self.keep == Keep::Signs).then(|| self.requests.buffer(numbers, self.moment))
    }

    /// Requests a buffer for each window.
    pub fn levels<const N: usize>(&mut self, windows: &mut impl Iterator<Item = Window>) -> [Level; N] {
        std::array::from_fn(|_| {
            let window = windows.next().expect("a window for each level");
            Level { buffer: self.requests.buffer(window.numbers(), self.moment), window }
        })
    }

    /// Buffers of all residual blocks, and the one that the last of them writes.
    fn refiner(&mut self, latent: Buffer) -> (Vec<HalfBuffers>, Buffer) {
        let (rows, columns) = (self.sizes.rows(LEVELS), self.sizes.columns(LEVELS));
        let layout = Layout::new(self.network.levels[LEVELS].blocks(), rows, columns);
        let mut halves = Vec::new();
        let mut input = latent;
        for block in &self.network.refiner {
            let residuals = [None, Some(input)];
            for (half, residual) in block.iter().zip(residuals) {
                let spectral = half.spectral.as_ref().map(|path| {
                    let blocks = path.reduced.blocks();
                    SpectralBuffers { signs: self.spectral_signs(blocks), ..self.spectral(blocks) }
                });
                let output = self.requests.buffer(layout.len(), self.moment);
                self.moment += 1;
                let scratch = half.convolve.scratch(rows, columns, self.threads);
                let scratch = self.requests.buffer(scratch, self.moment);
                for needed in [input, output].into_iter().chain(residual) {
                    self.requests.keep(needed, self.moment);
                }
                let signs = match half.after {
                    After::Relu => self.signs(layout.blocks, rows, columns),
                    After::Nothing => None,
                };
                halves.push(HalfBuffers { input, output, residual, spectral, scratch, signs });
                input = output;
                self.moment += 1;
            }
        }
        (halves, input)
    }

    /// Buffers of the signs of a spectral path, if they are kept.
    fn spectral_signs(&mut self, blocks: usize) -> Option<SpectralSigns> {
        let (rows, columns) = (self.sizes.rows(LEVELS), self.sizes.columns(LEVELS));
        let reduced = self.signs(blocks, rows, columns)?;
        let mixed = self.signs(2 * blocks, rows, frequencies(columns))?;
        Some(SpectralSigns { reduced, mixed })
    }

    /// Buffers of a spectral path without signs; each step takes one moment: reduce, forward, mix, inverse. Expand comes next.
    pub fn spectral(&mut self, blocks: usize) -> SpectralBuffers {
        let (rows, columns) = (self.sizes.rows(LEVELS), self.sizes.columns(LEVELS));
        let (moment, requests) = (self.moment, &mut self.requests);
        let map = Layout::new(blocks, rows, columns).len();
        let spectrum = Layout::new(2 * blocks, rows, frequencies(columns)).len();
        let buffers = SpectralBuffers {
            reduced: requests.buffer(map, moment),
            spectrum: requests.buffer(spectrum, moment + 1),
            mixed: requests.buffer(spectrum, moment + 2),
            signs: None,
        };
        requests.keep(buffers.spectrum, moment + 2);
        requests.keep(buffers.mixed, moment + 3);
        requests.keep(buffers.reduced, moment + 4);
        self.moment += 4;
        buffers
    }
}
