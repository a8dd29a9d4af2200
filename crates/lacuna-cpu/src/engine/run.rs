//! Execution of a plan: image in, prediction out.

use std::ops::Range;

use lacuna_network::geometry::{LEVELS, MULTIPLE};

use super::buffers::{Buffers, HalfBuffers, Level, SpectralBuffers};
use super::conv::{Conv, Store, Target};
use super::fourier::{Fourier, frequencies};
use super::modulation::{Answer, Sample, means};
use super::network::{Half, Network, SpectralPath};
use super::pace::Pace;
use super::place::Buffer;
use super::plan::Plan;
use super::profile::Profile;
use super::sizes::{Sizes, strips};
use super::stem::{Picture, spread_mask};
use super::steps::Stage;
use crate::error::Result;
use crate::tiles::channels::Layout;
use crate::tiles::map::Map;
use crate::tiles::signs::Signs;
use crate::tiles::winograd::{Ending, Signed, Winograd};

/// The pixels of the prediction that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All pixels.
    Everything,
    /// The pixels of the hole, with the same bits as in [`Wanted::Everything`]. The decoder skips strips and columns
    /// without any; there the result is the known image.
    Hole,
}

/// One run.
pub(crate) struct Run<'a> {
    pub network: &'a Network,
    pub plan: &'a Plan,
    pub arena: &'a mut [f32],
    pub profile: &'a mut Profile,
    pub pace: Pace<'a>,
}

impl Run<'_> {
    /// The prediction `[3, height, width]`.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) if the run was cancelled.
    pub fn predict(
        &mut self,
        picture: Picture<'_>,
        wanted: Wanted,
        sample: Option<&Sample<'_>>,
    ) -> Result<Vec<f32>> {
        self.encode_and_refine(picture, sample)?;
        self.decode(picture, wanted)
    }

    /// Computes the refined latent.
    ///
    /// # Errors
    /// As [`Run::predict`].
    pub fn encode_and_refine(&mut self, picture: Picture<'_>, sample: Option<&Sample<'_>>) -> Result<()> {
        self.encode(picture)?;
        let answer = self.answer(picture, sample);
        self.refine(answer.as_ref())
    }

    /// The blocks of an answer, if the network is modulated.
    fn answer(&mut self, picture: Picture<'_>, sample: Option<&Sample<'_>>) -> Option<Answer> {
        let network = self.network;
        let modulation = network.modulation.as_ref()?;
        let layout = self.latent_layout();
        let [latent] = self.plan.places.pick(self.arena, [self.plan.buffers.encoder[LEVELS].buffer]);
        let mut answer = None;
        self.profile.time(format_args!("refiner.fold"), || {
            let means = means(latent, layout, &network.levels[LEVELS]);
            answer = Some(modulation.answer(network, picture, &means, sample));
        });
        answer
    }

    pub fn sizes(&self) -> Sizes {
        Sizes { width: self.plan.width, height: self.plan.height }
    }

    fn buffers(&self) -> &Buffers {
        &self.plan.buffers
    }

    /// Computes the latent, strip by strip.
    pub fn encode(&mut self, picture: Picture<'_>) -> Result<()> {
        let (network, sizes) = (self.network, self.sizes());
        let (mut image, mut masks) = (self.buffers().encoder.clone(), self.buffers().masks.clone());
        let strips = strips(sizes.rows(LEVELS), self.plan.strips.encoder);
        let count = strips.len();
        for latent in strips {
            let needed = sizes.encoder_rows(latent.clone());
            // Rows of each level that no earlier strip has computed.
            let new: [Range<usize>; LEVELS + 1] = std::array::from_fn(|level| {
                let rows = needed[level].clone();
                let new =
                    if level < LEVELS { self.advance(&mut image[level], rows.clone()) } else { rows.clone() };
                if let Some(masks) = &mut masks {
                    self.advance(&mut masks[level], rows);
                }
                new
            });
            let [lines, memory] =
                self.plan.places.pick(self.arena, [self.plan.buffers.lines, image[0].buffer]);
            self.profile.time(format_args!("encoder.stem"), || {
                network.stem.run(picture, image[0].window.map(memory), new[0].clone(), lines);
            });
            if let (Some(control), Some(masks)) = (&network.control, &masks) {
                let [memory] = self.plan.places.pick(self.arena, [masks[0].buffer]);
                self.profile.time(format_args!("control.encoder.0"), || {
                    spread_mask(picture, &control.stem, masks[0].window.map(memory), new[0].clone());
                });
            }
            for (level, rows) in new.into_iter().enumerate().skip(1) {
                let below = level - 1;
                let name = format_args!("encoder.down.{below}");
                self.conv(
                    name,
                    &network.down[below],
                    &image[below],
                    &image[level],
                    rows.clone(),
                    Store::Replace,
                );
                if let (Some(control), Some(masks)) = (&network.control, &masks) {
                    let name = format_args!("control.encoder.{level}");
                    self.conv(
                        name,
                        &control.down[below],
                        &masks[below],
                        &masks[level],
                        rows.clone(),
                        Store::Replace,
                    );
                    let name = format_args!("control.zero.{level}");
                    self.conv(name, &control.zero[below], &masks[level], &image[level], rows, Store::Add);
                }
            }
            self.pace.passed(Stage::Encode, count)?;
        }
        Ok(())
    }

    pub fn advance(&mut self, level: &mut Level, rows: Range<usize>) -> Range<usize> {
        let [memory] = self.plan.places.pick(self.arena, [level.buffer]);
        level.window.advance(memory, rows)
    }

    /// A convolution from level to level, all columns.
    fn conv(
        &mut self,
        name: std::fmt::Arguments<'_>,
        conv: &Conv,
        from: &Level,
        to: &Level,
        rows: Range<usize>,
        store: Store,
    ) {
        let [input, output] = self.plan.places.pick(self.arena, [from.buffer, to.buffer]);
        let (input, output) = (from.window.map(input), to.window.map(output));
        let columns = 0..output.columns();
        let target = Target { store, ..Target::all(output) };
        self.profile.time(name, || conv.run(input, target, rows, columns));
    }

    /// Refines the latent; with the weights and noise of an answer, if there is one.
    pub fn refine(&mut self, answer: Option<&Answer>) -> Result<()> {
        let fourier = self.plan.fourier(self.network.isa);
        for index in 0..self.plan.buffers.halves.len() {
            self.refine_half(index, answer, &fourier, None)?;
        }
        self.add_latent();
        Ok(())
    }

    /// Half of a residual block, counted over all blocks; `transformed` are its weights, if they were transformed already.
    pub fn refine_half(
        &mut self,
        index: usize,
        answer: Option<&Answer>,
        fourier: &Fourier,
        transformed: Option<&[f32]>,
    ) -> Result<()> {
        let network = self.network;
        let (half, layer) =
            (&network.refiner[index / 2][index % 2], &network.layers.refiner[index / 2][index % 2]);
        let buffers = &self.plan.buffers.halves[index];
        let styled = answer.map(|answer| &answer.halves[index / 2][index % 2]);
        if let (Some(modulation), Some(answer), 0) = (&network.modulation, answer, index % 2) {
            let layout = self.latent_layout();
            let [input] = self.plan.places.pick(self.arena, [buffers.input]);
            modulation.add_noise(answer, index / 2, input, layout);
        }
        let reduce = styled.map(|styled| &styled.reduce);
        self.spectral(&layer.path, (half, reduce), buffers, fourier);
        let convolve = styled.map_or(&half.convolve, |styled| &styled.convolve);
        self.convolve(&layer.path, (half, convolve), buffers, transformed);
        self.pace.passed(Stage::Refine, 2 * network.refiner.len())
    }

    /// Adds the latent to the refined one, in networks that do so.
    pub fn add_latent(&mut self) {
        if !self.network.layers.adds_latent {
            return;
        }
        let buffers = [self.buffers().encoder[LEVELS].buffer, self.buffers().decoder[LEVELS].buffer];
        let [latent, refined] = self.plan.places.pick(self.arena, buffers);
        self.profile.time(format_args!("refiner.delta"), || {
            refined.iter_mut().zip(latent).for_each(|(refined, latent)| *refined += *latent);
        });
    }

    pub fn latent_layout(&self) -> Layout {
        let blocks = self.network.levels[LEVELS].blocks();
        Layout::new(blocks, self.sizes().rows(LEVELS), self.sizes().columns(LEVELS))
    }

    /// Writes the result of the spectral path to the global part of the output, if there is one.
    /// `styled` replaces its first convolution.
    fn spectral(
        &mut self,
        name: &str,
        (half, styled): (&Half, Option<&Conv>),
        buffers: &HalfBuffers,
        fourier: &Fourier,
    ) {
        let (Some(path), Some(spectral)) = (&half.spectral, buffers.spectral) else { return };
        let SpectralPath { reduce, mix, expand, reduced: halves } = path;
        let reduce = styled.unwrap_or(reduce);
        let SpectralBuffers { reduced, spectrum, mixed, signs } = spectral;
        let layout = self.latent_layout();
        let (rows, columns) = (layout.rows, layout.columns);
        let map = Layout::new(halves.blocks(), rows, columns);
        let spectral = Layout::new(2 * halves.blocks(), rows, frequencies(columns));
        let globals = half.add_from..layout.blocks;
        let places = &self.plan.places;

        let [from, to] = places.pick(self.arena, [buffers.input, reduced]);
        let (from, to) = (Map::whole(from, layout).blocks(globals.clone()), Map::whole(to, map));
        self.profile.time(format_args!("{name}.reduce"), || reduce.run_pointwise(from, to, Store::Replace));
        if let Some(signs) = signs {
            self.record(reduced, signs.reduced, map);
        }
        let places = &self.plan.places;

        let [from, to] = places.pick(self.arena, [reduced, spectrum]);
        let (from, to) = (Map::whole(from, map), Map::whole(to, spectral));
        self.profile.time(format_args!("{name}.forward"), || fourier.forward(from, to));

        let [from, to] = places.pick(self.arena, [spectrum, mixed]);
        let (from, to) = (Map::whole(from, spectral), Map::whole(to, spectral));
        self.profile.time(format_args!("{name}.mix"), || mix.run_pointwise(from, to, Store::Replace));
        if let Some(signs) = signs {
            self.record(mixed, signs.mixed, spectral);
        }
        let places = &self.plan.places;

        let [from, to] = places.pick(self.arena, [mixed, reduced]);
        let (from, to) = (Map::whole(from, spectral), Map::whole(to, map));
        self.profile.time(format_args!("{name}.inverse"), || fourier.add_inverse(from, to));

        let [from, to] = places.pick(self.arena, [reduced, buffers.output]);
        let (from, to) = (Map::whole(from, map), Map::whole(to, layout).blocks(globals));
        self.profile.time(format_args!("{name}.expand"), || expand.run_pointwise(from, to, Store::Replace));
    }

    /// Stores the signs of a whole map.
    fn record(&mut self, map: Buffer, signs: Buffer, layout: Layout) {
        let [map, signs] = self.plan.places.pick(self.arena, [map, signs]);
        let signs = Signs::new(signs, layout, layout.rows);
        signs.record(self.network.isa, Map::whole(map, layout), 0..layout.rows);
    }

    /// The spatial convolutions, with norm, activation and residual.
    fn convolve(
        &mut self,
        name: &str,
        (half, convolve): (&Half, &Winograd),
        buffers: &HalfBuffers,
        transformed: Option<&[f32]>,
    ) {
        let (layout, threads) = (self.latent_layout(), self.plan.threads);
        let HalfBuffers { input, output, scratch, residual, signs, .. } = *buffers;
        let Half { bias, add_from, after, .. } = half;
        let picked = [Some(input), Some(output), Some(scratch), residual, signs];
        let [Some(input), Some(output), Some(scratch), residual, signs] =
            self.plan.places.pick_some(self.arena, picked)
        else {
            unreachable!("three buffers are always there")
        };
        let residual = residual.map(|residual| Map::whole(residual, layout));
        let (input, output) = (Map::whole(input, layout), Map::whole(output, layout));
        let signs = match signs {
            Some(signs) => Signed::Recorded(Signs::new(signs, layout, layout.rows)),
            None => Signed::No,
        };
        let ending = Ending { bias, add_from: *add_from, after: *after, signs, residual };
        self.profile.time(format_args!("{name}.convolve"), || match transformed {
            Some(weights) => {
                let maps = &mut scratch[convolve.weight_numbers()..];
                convolve.multiply(input, output, ending, weights, maps, threads);
            }
            None => convolve.run(input, output, ending, scratch, threads),
        });
    }

    /// Decodes the refined latent, strip by strip, where pixels are wanted.
    pub fn decode(&mut self, picture: Picture<'_>, wanted: Wanted) -> Result<Vec<f32>> {
        let (network, sizes) = (self.network, self.sizes());
        let mut predicted = known(picture);
        let Some(columns) = wanted_columns(picture, wanted) else { return Ok(predicted) };
        let level_columns = sizes.decoder_columns(columns.clone());
        let mut levels = self.buffers().decoder.clone();
        let strips = strips(sizes.rows(LEVELS), self.plan.strips.decoder);
        let count = strips.len();
        for latent in strips {
            let rows = latent.start * MULTIPLE..latent.end * MULTIPLE;
            if wanted == Wanted::Hole
                && !picture.mask[rows.start * sizes.width..rows.end * sizes.width].contains(&true)
            {
                self.pace.passed(Stage::Decode, count)?;
                continue;
            }
            let needed = sizes.decoder_rows(latent);
            for level in (0..LEVELS).rev() {
                let new = self.advance(&mut levels[level], needed[level].clone());
                let step = LEVELS - 1 - level;
                let (from, to) = (&levels[level + 1], &levels[level]);
                let [input, output] = self.plan.places.pick(self.arena, [from.buffer, to.buffer]);
                let (input, output) = (from.window.map(input), to.window.map(output));
                self.profile.time(format_args!("decoder.up.{step}"), || {
                    for (phase, conv) in network.up[step].iter().enumerate() {
                        let (down, right) = (phase / 2, phase % 2);
                        let target = Target { map: output, step: 2, down, right, store: Store::Replace };
                        conv.run(input, target, phase_of(&new, down), phase_of(&level_columns[level], right));
                    }
                });
                if let Some(signs) = self.plan.buffers.signs {
                    let [map, signs] = self.plan.places.pick(self.arena, [to.buffer, signs[level]]);
                    let map = to.window.map(map);
                    Signs::new(signs, map.layout, map.height).record(network.isa, map, new);
                }
            }
            let [memory] = self.plan.places.pick(self.arena, [levels[0].buffer]);
            let map = levels[0].window.map(memory);
            self.profile.time(format_args!("decoder.out"), || {
                network.head.run(map, &mut predicted, rows, columns.clone());
            });
            self.pace.passed(Stage::Decode, count)?;
        }
        Ok(predicted)
    }
}

/// The positions `y` with `2 y + phase` in the range.
fn phase_of(range: &Range<usize>, phase: usize) -> Range<usize> {
    let before = |end: usize| (end + 1 - phase) / 2;
    before(range.start)..before(range.end)
}

/// The image with a black hole.
fn known(picture: Picture<'_>) -> Vec<f32> {
    let pixels = picture.image.iter().zip(picture.mask.iter().cycle());
    pixels.map(|(&value, &hole)| if hole { 0.0 } else { value }).collect()
}

/// The wanted columns; `None` if no pixel is wanted.
fn wanted_columns(picture: Picture<'_>, wanted: Wanted) -> Option<Range<usize>> {
    if wanted == Wanted::Everything {
        return Some(0..picture.width);
    }
    let rows = || picture.mask.chunks_exact(picture.width);
    let first = rows().filter_map(|row| row.iter().position(|&hole| hole)).min()?;
    let last = rows().filter_map(|row| row.iter().rposition(|&hole| hole)).max()?;
    Some(first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_by_hand() {
        assert_eq!([phase_of(&(0..8), 0), phase_of(&(0..8), 1)], [0..4, 0..4]);
        assert_eq!([phase_of(&(3..6), 0), phase_of(&(3..6), 1)], [2..3, 1..3]);
    }
}
