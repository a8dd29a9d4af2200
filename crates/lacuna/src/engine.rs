//! Networks on the processor, through the engine of `lacuna-cpu`.

use std::sync::OnceLock;

use lacuna_cpu::engine::{Engine, MULTIPLE, Plan, PlanOptions, SMALLEST_SIDE, Wanted, product_rate};
use lacuna_cpu::{Error as EngineError, Family, Isa, NetworkConfig};

use crate::checkpoint::Checkpoint;
use crate::{Error, Mask, Planes, Predictor, Result};

/// Networks trained on 256 pixels are known to generalise to about 2,000 (Suvorov et al. 2022).
const LARGEST_SIDE: usize = 2048;

/// Predicts the pixels of a hole with a network on the processor.
#[derive(Debug)]
pub struct EnginePredictor {
    engine: Engine,
    rate: OnceLock<f64>,
}

impl EnginePredictor {
    /// A predictor with the weights of a checkpoint, which may be closed afterwards.
    ///
    /// # Errors
    /// [`Error::Argument`] if `LACUNA_ISA` asks for instructions that this processor lacks.
    pub fn new(checkpoint: &Checkpoint) -> Result<Self> {
        let isa = Isa::selected().map_err(|error| Error::Argument(error.to_string()))?;
        let engine =
            Engine::compile(checkpoint.config(), isa, |name| checkpoint.values(name)).map_err(|error| {
                Error::checkpoint(checkpoint.source().path.display().to_string(), error.to_string())
            })?;
        Ok(Self { engine, rate: OnceLock::new() })
    }

    /// The plan for frames of this size.
    ///
    /// # Errors
    /// [`EngineError::Size`] if the network cannot take it.
    pub fn plan(&self, width: usize, height: usize) -> Result<Plan, EngineError> {
        self.engine.plan(width, height, &PlanOptions::default())
    }

    fn run(&self, image: &Planes, mask: &Mask) -> Result<Planes, EngineError> {
        let plan = self.plan(image.width(), image.height())?;
        let predicted = self.engine.run(&plan, image.values(), mask.hole(), Wanted::Hole)?;
        Ok(Planes::new(image.width(), image.height(), predicted))
    }
}

impl Predictor for EnginePredictor {
    fn name(&self) -> String {
        let NetworkConfig { family, width, blocks, .. } = self.engine.config();
        let family = match family {
            Family::Fourier => "fourier",
            Family::Regular => "regular",
        };
        format!("{family}-w{width}-b{blocks} (cpu, {})", self.engine.isa())
    }

    fn predict(&self, image: &Planes, mask: &Mask, _seed: u64) -> Result<Planes> {
        self.run(image, mask)
            .map_err(|error| Error::Predict { predictor: self.name(), problem: error.to_string() })
    }

    fn multiple(&self) -> usize {
        MULTIPLE
    }

    fn smallest_side(&self) -> usize {
        SMALLEST_SIDE
    }

    fn largest_side(&self) -> usize {
        LARGEST_SIDE
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        // Frames have sides that the network takes.
        self.plan(width, height).map_or(u64::MAX, |plan| plan.forecast_bytes())
    }

    fn forecast_seconds(&self, width: usize, height: usize, _hole_pixels: usize) -> f64 {
        let rate = *self.rate.get_or_init(|| product_rate(self.engine.isa()));
        self.plan(width, height).map_or(f64::INFINITY, |plan| plan.forecast_seconds(rate))
    }
}
