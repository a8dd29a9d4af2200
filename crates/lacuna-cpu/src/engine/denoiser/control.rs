//! A ControlNet branch on the engine ([`lacuna_network::ControlNet`]).

use std::borrow::Cow;

use lacuna_network::geometry::MULTIPLE;
use lacuna_network::{ControlNet, Cost};

use super::compile::{Branch, HintLayer};
use super::forecast;
use super::norm::Smooth;
use super::program::{Operation, Planner, Program, View};
use super::run::Machine;
use crate::Isa;
use crate::error::{Error, Result};
use crate::tiles::channels::Channels;

/// A ControlNet branch compiled for this processor. It steers predictions of [`super::DenoiserEngine::plan_steered`].
#[derive(Debug)]
pub struct ControlEngine {
    pub(super) branch: Branch,
    config: ControlNet,
}

impl ControlEngine {
    /// Packs weights, which `weights` returns by the names of [`lacuna_network::ControlLayers::tensors`].
    ///
    /// # Errors
    /// [`Error::Structure`] if there is no such branch; [`Error::MissingTensor`] and [`Error::TensorSize`].
    pub fn compile<'w>(
        config: &ControlNet,
        isa: Isa,
        weights: impl Fn(&str) -> Option<Cow<'w, [f32]>>,
    ) -> Result<Self> {
        Ok(Self { branch: Branch::compile(config, isa, weights)?, config: config.clone() })
    }

    /// The configuration.
    pub fn config(&self) -> &ControlNet {
        &self.config
    }

    /// Bytes of all packed weights.
    pub fn weight_bytes(&self) -> u64 {
        self.branch.bytes() as u64
    }

    /// The encoded hint, which serves all predictions for one image. Calls `proceed` after every layer with the fraction of the work
    /// that is done; it is cancelled if that returns false.
    ///
    /// # Shapes
    /// - `hint`: `[channels, 8 rows, 8 columns]` in `[0, 1]`
    /// - the result: `[channels of the denoiser's first level, rows, columns]`
    ///
    /// # Errors
    /// [`Error::Input`] if the hint has another size, [`Error::Allocation`] if the system has no memory, [`Error::Stopped`] if it was
    /// cancelled.
    pub fn encode_hint(
        &self,
        hint: &[f32],
        [rows, columns]: [usize; 2],
        threads: usize,
        proceed: &dyn Fn(f32) -> bool,
    ) -> Result<Vec<f32>> {
        let expected = self.config.hint * MULTIPLE * MULTIPLE * rows * columns;
        Error::check_length("hint", expected, hint.len())?;
        let (program, [input, output]) = self.hint_program([rows, columns], threads);
        let mut machine = Machine::start(program, None)?;
        machine.map(&input).set_planes(&self.branch.hint, hint);
        machine.run(&[], 0.0, proceed)?;
        Ok(machine.map(&output).to_planes(&Channels::parts([self.config.denoiser.first_channels()])))
    }

    /// Bytes of the memory in which a hint for `rows` x `columns` cells is encoded.
    pub fn hint_bytes(&self, rows: usize, columns: usize, threads: usize) -> u64 {
        self.hint_program([rows, columns], threads).0.bytes()
    }

    /// Forecast time of encoding a hint in seconds, if large products run at `rate` operations per second.
    pub fn forecast_hint_seconds(&self, rows: usize, columns: usize, rate: f64) -> f64 {
        let [height, width] = [rows, columns].map(|cells| MULTIPLE * cells);
        forecast(Cost::of_hint(&self.config.layers(), width, height), 0, rate)
    }

    /// Forecast time in seconds by which a prediction takes longer.
    pub fn forecast_seconds(&self, rows: usize, columns: usize, rate: f64) -> f64 {
        forecast(Cost::of_control(&self.config.layers(), columns, rows), self.weight_bytes(), rate)
    }

    fn hint_program(&self, sides: [usize; 2], threads: usize) -> (Program<'_>, [View; 2]) {
        let mut planner = Planner::new(self.branch.isa, threads);
        let input = planner.buffer(self.branch.hint.blocks(), sides.map(|cells| MULTIPLE * cells));
        let last = self.branch.hint_layers.len() - 1;
        let mut x = input.clone();
        for (number, layer) in self.branch.hint_layers.iter().enumerate() {
            match layer {
                HintLayer::Same(conv) => {
                    x = planner.conv3(conv, &x, None);
                    if number < last {
                        planner.push(Operation::Smooth { map: x.clone() });
                    }
                }
                HintLayer::Halving(conv) => {
                    let to = planner.buffer(conv.blocks(), x.sides().map(|side| side.div_ceil(2)));
                    planner.push(Operation::Strided { conv, after: Smooth::Silu, from: x, to: to.clone() });
                    x = to;
                }
            }
        }
        (planner.finish([&x]), [input, x])
    }
}
