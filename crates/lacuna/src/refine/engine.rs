//! Latents on the CPU engine.

use std::sync::Arc;

use lacuna_cpu::engine::{Backward, LatentPart, LatentPlan, LatentRun, PlanOptions};

use super::latent::{Latent, LatentMemory, LatentNetwork, LatentTime, Proceed};
use crate::{EnginePredictor, Mask, Planes, Predictor, Result};

/// Operations of a backward pass relative to a forward pass: the same convolutions, and one line of tiles more along each
/// axis.
const BACKWARD_COST: f64 = 1.1;

/// A network on the processor, with the weights of its backward pass.
#[derive(Debug)]
pub struct EngineLatents {
    network: Arc<EnginePredictor>,
    backward: Backward,
}

impl EngineLatents {
    /// Packs the weights of the backward pass.
    pub fn new(network: Arc<EnginePredictor>) -> Self {
        let backward = Backward::new(network.engine());
        Self { network, backward }
    }

    fn plan(&self, width: usize, height: usize) -> Result<LatentPlan> {
        let plan = self.network.engine().plan_latent(&self.backward, width, height, &PlanOptions::default());
        plan.map_err(|error| self.network.failed(error))
    }

    /// Encodes a picture.
    pub(super) fn run<'a>(
        &'a self,
        image: &'a Planes,
        mask: &'a Mask,
        proceed: Proceed<'_>,
    ) -> Result<EngineLatent<'a>> {
        let plan = self.plan(image.width(), image.height())?;
        let run = self.network.engine().encode(&self.backward, plan, image.values(), mask.hole(), proceed);
        let run = run.map_err(|error| self.network.failed(error))?;
        Ok(EngineLatent { network: &self.network, run })
    }
}

impl LatentNetwork for EngineLatents {
    fn predictor(&self) -> &dyn Predictor {
        self.network.as_ref()
    }

    fn encode<'a>(
        &'a self,
        image: &'a Planes,
        mask: &'a Mask,
        proceed: Proceed<'_>,
    ) -> Result<Box<dyn Latent + 'a>> {
        Ok(Box::new(self.run(image, mask, proceed)?))
    }

    fn memory(&self, width: usize, height: usize) -> Result<LatentMemory> {
        let plan = self.plan(width, height)?;
        Ok(LatentMemory {
            latent_values: plan.latent_values(),
            bytes: plan.forecast_bytes() - plan.weight_bytes() - plan.picture_bytes(),
        })
    }

    fn time(&self, width: usize, height: usize) -> Result<LatentTime> {
        let plan = self.plan(width, height)?;
        let rate = self.network.rate();
        let forward = plan.pass_seconds(rate);
        Ok(LatentTime { encode: plan.encode_seconds(rate), forward, backward: BACKWARD_COST * forward })
    }

    fn resident_bytes(&self) -> u64 {
        self.backward.bytes() as u64
    }
}

/// A latent on the engine.
#[derive(Debug)]
pub(super) struct EngineLatent<'a> {
    network: &'a EnginePredictor,
    pub(super) run: LatentRun<'a>,
}

impl Latent for EngineLatent<'_> {
    fn predict(&mut self, proceed: Proceed<'_>) -> Result<Vec<f32>> {
        self.run.predict(proceed).map_err(|error| self.network.failed(error))
    }

    fn backward(&mut self, predicted: &[f32], gradient: &[f32], proceed: Proceed<'_>) -> Result<()> {
        self.run.backward(predicted, gradient, proceed).map_err(|error| self.network.failed(error))
    }

    fn parts(&mut self) -> Vec<LatentPart<'_>> {
        self.run.parts().collect()
    }
}
