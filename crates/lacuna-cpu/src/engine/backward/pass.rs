//! One backward pass: from the gradient of an image to that of the latent.

use std::ops::Range;

use lacuna_network::geometry::LEVELS;

use super::head::ImageGradient;
use super::plan::{HalfGradients, LatentPlan};
use super::weights::{Backward, HalfGradient};
use crate::After;
use crate::engine::buffers::{HalfBuffers, Level, SpectralBuffers};
use crate::engine::conv::{Store, Target};
use crate::engine::fourier::{Fourier, frequencies};
use crate::engine::network::{Half, Network};
use crate::engine::pace::Pace;
use crate::engine::place::Buffer;
use crate::engine::profile::Profile;
use crate::engine::sizes::{Sizes, strips};
use crate::engine::steps::Stage;
use crate::error::Result;
use crate::tiles::channels::Layout;
use crate::tiles::map::Map;
use crate::tiles::signs::Signs;
use crate::tiles::winograd::{Ending, Signed};

/// One backward pass.
pub(super) struct Pass<'a> {
    pub network: &'a Network,
    pub backward: &'a Backward,
    pub plan: &'a LatentPlan,
    pub fourier: &'a Fourier,
    pub arena: &'a mut [f32],
    pub profile: &'a mut Profile,
    pub pace: Pace<'a>,
}

impl Pass<'_> {
    /// Computes the gradient of the latent.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) if the run was cancelled.
    pub fn run(&mut self, image: ImageGradient<'_>) -> Result<()> {
        self.decoder(image)?;
        self.refiner()
    }

    /// From the image to the refined latent, strip by strip.
    fn decoder(&mut self, image: ImageGradient<'_>) -> Result<()> {
        let (plan, backward) = (self.plan, self.backward);
        let sizes = self.sizes();
        let mut levels = plan.buffers.levels.clone();
        let strips = strips(sizes.rows(LEVELS), plan.strip);
        let count = strips.len();
        for latent in strips {
            // Level 0 of the gradient has the rows that the encoder's level 0 would need: both are strided from there.
            let needed = sizes.encoder_rows(latent.clone());
            let rows = self.advance(&mut levels[0], needed[0].clone());
            let places = &plan.forward.places;
            let [memory, lines] = places.pick(self.arena, [levels[0].buffer, plan.buffers.lines]);
            let map = levels[0].window.map(memory);
            self.profile.time(format_args!("decoder.out"), || {
                backward.head.run(image, map, rows.clone(), lines);
            });
            self.gate_level(0, &levels[0], rows);
            for (level, conv) in backward.down.iter().enumerate() {
                let coarser = level + 1;
                let rows = match coarser {
                    LEVELS => latent.clone(),
                    _ => self.advance(&mut levels[coarser], needed[coarser].clone()),
                };
                let (from, to) = (&levels[level], &levels[coarser]);
                let [input, output] = places.pick(self.arena, [from.buffer, to.buffer]);
                let (input, output) = (from.window.map(input), to.window.map(output));
                let columns = 0..output.columns();
                self.profile.time(format_args!("decoder.up.{}", LEVELS - coarser), || {
                    conv.run(input, Target::all(output), rows.clone(), columns);
                });
                if coarser < LEVELS {
                    self.gate_level(coarser, to, rows);
                }
            }
            self.pace.passed(Stage::Decode, count)?;
        }
        Ok(())
    }

    fn sizes(&self) -> Sizes {
        Sizes { width: self.plan.width(), height: self.plan.height() }
    }

    fn advance(&mut self, level: &mut Level, rows: Range<usize>) -> Range<usize> {
        let [memory] = self.plan.forward.places.pick(self.arena, [level.buffer]);
        level.window.advance(memory, rows)
    }

    /// Passes the gradient of rows of a decoder's level through the ReLU that computed the level.
    fn gate_level(&mut self, index: usize, level: &Level, rows: Range<usize>) {
        let signs = self.plan.forward.buffers.signs.expect("signs of a latent plan")[index];
        let [map, signs] = self.plan.forward.places.pick(self.arena, [level.buffer, signs]);
        let map = level.window.map(map);
        Signs::new(signs, map.layout, map.height).gate(self.network.isa, map, map, rows);
    }

    /// From the refined latent to the latent, block by block, last first.
    fn refiner(&mut self) -> Result<()> {
        let (network, plan, backward) = (self.network, self.plan, self.backward);
        let (halves, layers) = (network.refiner.as_flattened(), network.layers.refiner.as_flattened());
        let recorded = &plan.forward.buffers.halves;
        for (index, buffers) in (0..halves.len()).rev().zip(&plan.buffers.halves) {
            let (half, gradient, path) = (&halves[index], &backward.halves[index], &layers[index].path);
            // What the second half of a block computes is the gradient of the first one's result, which has no residual.
            let gate = if index % 2 == 1 { recorded[index - 1].signs } else { None };
            let recorded = &recorded[index];
            let source = self.gated(recorded, buffers);
            let step = Step { path, half, gradient, recorded, buffers, source, gate };
            self.spectral(step);
            self.convolve(step);
            self.pace.passed(Stage::Refine, 2 * network.refiner.len())?;
        }
        if network.layers.adds_latent {
            let buffers = [plan.buffers.latent, plan.buffers.levels[LEVELS].buffer];
            let [latent, refined] = plan.forward.places.pick(self.arena, buffers);
            latent.iter_mut().zip(refined).for_each(|(latent, refined)| *latent += *refined);
        }
        Ok(())
    }

    fn layout(&self) -> Layout {
        let blocks = self.network.levels[LEVELS].blocks();
        Layout::new(blocks, self.sizes().rows(LEVELS), self.sizes().columns(LEVELS))
    }

    /// The buffer with the gradient of a half's sum: that of its result where the sum was positive.
    fn gated(&mut self, recorded: &HalfBuffers, buffers: &HalfGradients) -> Buffer {
        let (Some(gated), Some(signs)) = (buffers.gated, recorded.signs) else { return buffers.output };
        let layout = self.layout();
        let picked = [buffers.output, gated, signs];
        let [from, to, signs] = self.plan.forward.places.pick(self.arena, picked);
        let (from, to) = (Map::whole(from, layout), Map::whole(to, layout));
        Signs::new(signs, layout, layout.rows).gate(self.network.isa, from, to, 0..layout.rows);
        gated
    }

    /// Passes a whole map through the ReLU that computed it.
    fn gate(&mut self, map: Buffer, signs: Buffer, layout: Layout) {
        let [map, signs] = self.plan.forward.places.pick(self.arena, [map, signs]);
        let map = Map::whole(map, layout);
        Signs::new(signs, layout, layout.rows).gate(self.network.isa, map, map, 0..layout.rows);
    }

    /// Writes what the spectral path gives to the global part of the input's gradient, if there is one.
    fn spectral(&mut self, step: Step<'_>) {
        let (Some(path), Some(spectral)) = (&step.gradient.spectral, step.buffers.spectral) else { return };
        let (Some(forward), Some(signs)) =
            (&step.half.spectral, step.recorded.spectral.and_then(|spectral| spectral.signs))
        else {
            unreachable!("the forward pass of a spectral path")
        };
        let SpectralBuffers { reduced, spectrum, mixed, .. } = spectral;
        let layout = self.layout();
        let (rows, columns) = (layout.rows, layout.columns);
        let blocks = forward.reduced.blocks();
        let map = Layout::new(blocks, rows, columns);
        let spectral = Layout::new(2 * blocks, rows, frequencies(columns));
        let globals = step.half.add_from..layout.blocks;
        let (places, name, fourier) = (&self.plan.forward.places, step.path, self.fourier);

        let [from, to] = places.pick(self.arena, [step.source, reduced]);
        let (from, to) = (Map::whole(from, layout).blocks(globals.clone()), Map::whole(to, map));
        self.profile.time(format_args!("{name}.expand"), || {
            path.expand.run_pointwise(from, to, Store::Replace);
        });

        let [from, to] = places.pick(self.arena, [reduced, spectrum]);
        let (from, to) = (Map::whole(from, map), Map::whole(to, spectral));
        self.profile.time(format_args!("{name}.inverse"), || fourier.forward(from, to));
        self.gate(spectrum, signs.mixed, spectral);

        let [from, to] = places.pick(self.arena, [spectrum, mixed]);
        let (from, to) = (Map::whole(from, spectral), Map::whole(to, spectral));
        self.profile.time(format_args!("{name}.mix"), || path.mix.run_pointwise(from, to, Store::Replace));

        let [from, to] = places.pick(self.arena, [mixed, reduced]);
        let (from, to) = (Map::whole(from, spectral), Map::whole(to, map));
        self.profile.time(format_args!("{name}.forward"), || fourier.add_inverse(from, to));
        self.gate(reduced, signs.reduced, map);

        let [from, to] = places.pick(self.arena, [reduced, step.buffers.input]);
        let (from, to) = (Map::whole(from, map), Map::whole(to, layout).blocks(globals));
        self.profile.time(format_args!("{name}.reduce"), || {
            path.reduce.run_pointwise(from, to, Store::Replace);
        });
    }

    /// The spatial convolutions, with the gradient of the residual.
    fn convolve(&mut self, step: Step<'_>) {
        let (layout, threads) = (self.layout(), self.plan.forward.threads);
        let HalfGradients { input, residual, scratch, .. } = *step.buffers;
        let picked = [Some(step.source), Some(input), Some(scratch), residual, step.gate];
        let [Some(from), Some(to), Some(scratch), residual, gate] =
            self.plan.forward.places.pick_some(self.arena, picked)
        else {
            unreachable!("three buffers are always there")
        };
        let maps = (Map::whole(from, layout), Map::whole(to, layout));
        let signs = match gate {
            Some(signs) => Signed::Gated(Signs::new(signs, layout, layout.rows)),
            None => Signed::No,
        };
        let ending = Ending {
            bias: &self.backward.no_bias,
            add_from: step.half.add_from,
            after: After::Nothing,
            signs,
            residual: residual.map(|residual| Map::whole(residual, layout)),
        };
        self.profile.time(format_args!("{}.convolve", step.path), || {
            step.gradient.convolve.run(&step.half.convolve, maps, ending, scratch, threads);
        });
    }
}

/// Half of a residual block in the backward pass.
#[derive(Clone, Copy)]
struct Step<'s> {
    path: &'s str,
    half: &'s Half,
    gradient: &'s HalfGradient,
    /// The forward pass.
    recorded: &'s HalfBuffers,
    buffers: &'s HalfGradients,
    /// The gradient of the half's sum.
    source: Buffer,
    /// The signs of the half before it in the same block: its sum's gradient is what this step computes.
    gate: Option<Buffer>,
}
