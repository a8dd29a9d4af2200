//! The plan of a denoiser for latents of one size, with or without a ControlNet branch.

use lacuna_network::Cost;

use super::compile::{Encoder, Middle, Network};
use super::control::ControlEngine;
use super::norm::Smooth;
use super::program::{Operation, Planner, Program, View};
use super::{DenoiserEngine, forecast};
use crate::error::{Error, Result};

/// A plan for latents of one size.
#[derive(Debug)]
pub struct DenoiserPlan<'n> {
    pub(super) engine: &'n DenoiserEngine,
    /// What steers it.
    pub(super) control: Option<&'n ControlEngine>,
    /// Rows of the latent.
    pub rows: usize,
    /// Columns of the latent.
    pub columns: usize,
    pub(super) program: Program<'n>,
    pub(super) input: View,
    /// The encoded hint, with a branch.
    pub(super) hint: Option<View>,
    pub(super) output: View,
    /// Rows and columns of the middle.
    pub(super) middle: [usize; 2],
}

impl DenoiserEngine {
    /// Plans predictions for latents of `rows` x `columns` cells on `threads` threads.
    ///
    /// # Errors
    /// [`Error::Structure`] if a side is smaller than [`lacuna_network::Denoiser::smallest_side`].
    pub fn plan(&self, rows: usize, columns: usize, threads: usize) -> Result<DenoiserPlan<'_>> {
        self.planned(None, [rows, columns], threads)
    }

    /// [`DenoiserEngine::plan`] for predictions that `control` steers.
    ///
    /// # Errors
    /// As [`DenoiserEngine::plan`]; [`Error::Structure`] if the branch belongs to another denoiser.
    pub fn plan_steered<'n>(
        &'n self,
        control: &'n ControlEngine,
        [rows, columns]: [usize; 2],
        threads: usize,
    ) -> Result<DenoiserPlan<'n>> {
        let [branch, network] = [&control.config().denoiser, self.config()];
        if branch != network {
            let problem = format!("belongs to {}, it cannot steer {}", branch.label(), network.label());
            return Err(Error::Structure { layer: "the ControlNet branch".into(), problem });
        }
        self.planned(Some(control), [rows, columns], threads)
    }

    fn planned<'n>(
        &'n self,
        control: Option<&'n ControlEngine>,
        [rows, columns]: [usize; 2],
        threads: usize,
    ) -> Result<DenoiserPlan<'n>> {
        let smallest = self.config().smallest_side();
        if rows < smallest || columns < smallest {
            let problem =
                format!("a latent of {rows} x {columns} cells, possible are sides of {smallest} and more");
            return Err(Error::Structure { layer: "the denoiser".into(), problem });
        }
        let mut planner = Planner::new(self.isa(), threads);
        let ends = planner.predict(&self.network, control, [rows, columns]);
        let Ends { input, hint, output, middle } = ends;
        // Known inputs are written once for all predictions, and the output is read after the last operation.
        let program = planner.finish([&input, &output].into_iter().chain(&hint));
        Ok(DenoiserPlan { engine: self, control, rows, columns, program, input, hint, output, middle })
    }

    /// Forecast time of one prediction in seconds, if large products run at `rate` operations per second.
    pub fn forecast_seconds(&self, rows: usize, columns: usize, rate: f64) -> f64 {
        let cost = Cost::of_denoiser(&self.config().layers(), columns, rows);
        forecast(cost, self.weight_bytes(), rate)
    }
}

impl DenoiserPlan<'_> {
    /// Bytes of the memory of a run, without weights.
    pub fn arena_bytes(&self) -> u64 {
        self.program.bytes()
    }

    /// Bytes of the latents that a run takes and gives: noisy latent and prediction.
    pub fn latent_bytes(&self) -> u64 {
        let cells = self.rows * self.columns;
        (2 * self.engine.config().latent * cells * size_of::<f32>()) as u64
    }
}

/// First and last buffers, and the middle's rows and columns.
struct Ends {
    input: View,
    hint: Option<View>,
    output: View,
    middle: [usize; 2],
}

/// What an encoder found.
struct Encoded {
    /// The output of each level but the last.
    skips: Vec<View>,
    middle: View,
}

impl<'n> Planner<'n> {
    fn predict(
        &mut self,
        network: &'n Network,
        control: Option<&'n ControlEngine>,
        sides: [usize; 2],
    ) -> Ends {
        let input = self.buffer(network.inputs.blocks(), sides);
        let hint = control.map(|_| self.buffer(network.encoder.conv_in.blocks, sides));
        let branch = control.map(|control| self.encode(&control.branch.encoder, &input, hint.clone(), false));
        let Encoded { skips, middle } = self.encode(&network.encoder, &input, None, true);
        if let (Some(control), Some(branch)) = (control, branch) {
            let from = branch.skips.into_iter().chain([branch.middle]);
            let to = skips.iter().chain([&middle]);
            for ((zero, from), to) in control.branch.zero.iter().zip(from).zip(to) {
                let added = self.buffer(zero.blocks(), from.sides());
                self.push(Operation::Pointwise { conv: &zero.conv, from, to: added.clone() });
                self.push(Operation::Steer { bias: &zero.bias, from: added, to: to.clone() });
            }
        }
        let sides_of_middle = middle.sides();
        let mut x = middle;
        for ((conv, blocks), skip) in network.up.iter().zip(&skips).rev() {
            let enlarged = self.buffer(x.blocks.len(), skip.sides());
            self.push(Operation::Enlarge { from: x, to: enlarged.clone() });
            let both = View { blocks: 0..2 * skip.blocks.len(), ..skip.clone() };
            self.conv3(conv, &enlarged, Some(both.part(0..conv.blocks)));
            x = both;
            for block in blocks {
                x = self.residual(block, &x, None);
            }
        }
        let smooth = self.norm(&network.norm_out, None, &x);
        let output = self.conv3(&network.conv_out, &smooth, None);
        Ends { input, hint, output, middle: sides_of_middle }
    }

    /// From the inputs to the middle, with what is added to the first map. If maps are `joined` on the way up, each skip connection is
    /// the second half of a buffer whose first half is written then.
    fn encode(&mut self, encoder: &'n Encoder, input: &View, added: Option<View>, joined: bool) -> Encoded {
        let mut x = self.buffer(encoder.conv_in.blocks, input.sides());
        self.push_conv3(&encoder.conv_in, input, &x, false, added);
        let mut skips = Vec::with_capacity(encoder.down.len());
        for (blocks, halve) in &encoder.down {
            let width = x.blocks.len();
            let skip = match joined {
                true => self.buffer(2 * width, x.sides()).part(width..2 * width),
                false => self.buffer(width, x.sides()),
            };
            let last = blocks.len() - 1;
            for (number, block) in blocks.iter().enumerate() {
                x = self.residual(block, &x, (number == last).then(|| skip.clone()));
            }
            skips.push(skip);
            let to = self.buffer(halve.blocks(), x.sides().map(|side| side.div_ceil(2)));
            self.push(Operation::Strided { conv: halve, after: Smooth::Nothing, from: x, to: to.clone() });
            x = to;
        }
        for block in &encoder.middle {
            x = match block {
                Middle::Residual(block) => self.residual(block, &x, None),
                Middle::Mix(mix) => self.mix(mix, x),
            };
        }
        Encoded { skips, middle: x }
    }
}
