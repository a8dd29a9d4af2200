//! What the training loop of a flow needs of its run file.

use lacuna::flow::FlowStart;

use super::{Data, EmaConfig, Optimizer, Run};
use crate::data::Batches;
use crate::flow::Times;

/// What the runs of denoisers and of their ControlNet branches have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRecipe {
    /// Seed of all randomness in the run.
    pub seed: u64,
    /// Where the flow starts.
    pub start: FlowStart,
    /// Cells around those with hole pixels that are generated as well.
    pub halo: usize,
    /// Crops of each photo, whose latents are kept.
    pub crops: Option<u64>,
    /// Photos and masks.
    pub data: Data,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Weight averaging.
    pub ema: EmaConfig,
    /// Duration, and when to write what.
    pub run: Run,
}

impl FlowRecipe {
    /// How times are drawn.
    pub fn times(&self) -> Times {
        match self.start {
            FlowStart::Noise => Times::LogitNormal,
            FlowStart::Mean { .. } => Times::Stratified,
        }
    }

    /// What decides its batches.
    pub(crate) fn batches(&self) -> Batches<'_> {
        Batches { data: &self.data, batch: self.run.batch, seed: self.seed, crops: self.crops }
    }
}
