//! The two kinds of runs: of a denoiser, and of a ControlNet branch of a trained one.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use lacuna::flow::{FlowFile, Statistics};
use lacuna_nets::weights::{self, Weight};
use lacuna_nets::{ControlNet, Denoiser};
use rand_pcg::Pcg64;

use super::fit::statistics_of;
use super::generator::{FrozenGenerator, generator_file, with_autodiff};
use super::latents::LatentMaker;
use super::learner::{FlowLearner, Steered};
use super::model::FlowModel;
use crate::config::{ControlConfig, FlowConfig, FlowRecipe, RunFile, check_side};
use crate::data::Photos;
use crate::{Error, Result};

/// The random stream of initial weights.
const WEIGHTS_STREAM: u128 = 1;

/// A run.
pub(crate) enum FlowRun {
    /// Trains a denoiser.
    Denoiser(FlowConfig),
    /// Trains a branch of the denoiser in a flow file.
    Branch(ControlConfig, Box<FlowFile>),
}

impl FlowRun {
    /// The run of a branch.
    ///
    /// # Errors
    /// If the flow file cannot be read, has a branch already, or a crop is too small for its denoiser.
    pub fn branch(config: &ControlConfig) -> Result<Self> {
        let file = FlowFile::open(&config.control.flow)?;
        let refuse = |problem: String| Err(Error::Config(problem));
        if file.flow().control.is_some() {
            return refuse(format!(
                "control.flow: {} has a ControlNet branch already, expected a flow without one",
                file.path().display()
            ));
        }
        let denoiser = &file.flow().denoiser;
        if let Err(problem) = config.control.control().network(denoiser).check() {
            return refuse(format!("control.hint_widths: {problem}"));
        }
        check_side(config.data.side, denoiser)?;
        Ok(Self::Branch(config.clone(), Box::new(file)))
    }

    /// The run file.
    pub fn run_file(&self) -> RunFile {
        match self {
            Self::Denoiser(config) => RunFile::Flow(Box::new(config.clone())),
            Self::Branch(config, _) => RunFile::Control(Box::new(config.clone())),
        }
    }

    /// The run file, complete with all defaults.
    pub fn to_toml(&self) -> String {
        match self {
            Self::Denoiser(config) => config.to_toml(),
            Self::Branch(config, _) => config.to_toml(),
        }
    }

    /// What the training loop needs of it.
    pub fn recipe(&self) -> FlowRecipe {
        match self {
            Self::Denoiser(config) => config.recipe(),
            Self::Branch(config, file) => config.recipe(file.flow()),
        }
    }

    /// The generator, on `device`.
    ///
    /// # Errors
    /// If it cannot be read, or is not the one of the flow file.
    pub fn generator(&self, device: &Device) -> Result<FrozenGenerator> {
        match self {
            Self::Denoiser(config) => FrozenGenerator::open(config.start.network.as_deref(), device),
            Self::Branch(config, file) => {
                let checkpoint = generator_file(config.start.network.as_deref())?;
                file.check_generator(&checkpoint)?;
                FrozenGenerator::of(&checkpoint, device)
            }
        }
    }

    /// The initial state on `device`. The statistics of the latents are those of a checkpoint, of the flow file, or else computed.
    ///
    /// # Errors
    /// If a photo cannot be read or the generator fails.
    pub fn learner(
        &self,
        generator: FrozenGenerator,
        saved: Option<Statistics>,
        photos: Arc<Photos>,
        device: &Device,
    ) -> Result<FlowLearner> {
        match self {
            Self::Denoiser(config) => {
                let statistics = match saved {
                    Some(statistics) => statistics,
                    None => statistics_of(config, photos, &generator)?,
                };
                let maker = LatentMaker::new(generator, statistics, config.flow.halo);
                FlowLearner::new(config, maker, device)
            }
            Self::Branch(config, file) => {
                let flow = file.flow();
                let maker = LatentMaker::new(generator, flow.statistics.clone(), flow.halo);
                branch_learner(config, file, maker, device)
            }
        }
    }
}

/// The initial state of a branch's run.
fn branch_learner(
    config: &ControlConfig,
    file: &FlowFile,
    maker: LatentMaker,
    device: &Device,
) -> Result<FlowLearner> {
    let denoiser = Denoiser::unset(&file.flow().denoiser, &with_autodiff(device))?;
    let source = |name: &str| file.tensor(name).map(|(shape, values)| Weight { shape, values });
    let denoiser = weights::set_learning(weights::load(denoiser, source)?, |_| false);
    let control = config.control.control();
    let network = control.network(&file.flow().denoiser);
    let rng = Pcg64::new(u128::from(config.seed), WEIGHTS_STREAM);
    let branch = ControlNet::new(&network, &denoiser, rng)?;
    let steered = Steered {
        validated: denoiser.valid(),
        denoiser,
        control,
        hints: config.control.hint,
        sha256: file.sha256(),
    };
    let recipe = config.recipe(file.flow());
    Ok(FlowLearner::with_model(recipe, FlowModel::Branch(branch), Some(steered), maker, device))
}

impl FlowLearner {
    /// The initial state of the run in `config`, which trains a denoiser, on `device`.
    ///
    /// # Errors
    /// [`Error::Nets`] if there is no such denoiser.
    pub fn new(config: &FlowConfig, maker: LatentMaker, device: &Device) -> Result<Self> {
        let network = config.flow.denoiser(maker.generator().channels());
        let rng = Pcg64::new(u128::from(config.seed), WEIGHTS_STREAM);
        let model = FlowModel::Denoiser(Denoiser::new(&network, rng, &with_autodiff(device))?);
        Ok(Self::with_model(config.recipe(), model, None, maker, device))
    }
}
