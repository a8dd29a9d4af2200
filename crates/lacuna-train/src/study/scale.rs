//! Sizes of studies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::config::{Data, DenoiserOptions, DenoiserShape, FlowConfig, Network, Run, RunConfig, Task};

/// Validations during a run, for curves over steps.
const VALIDATIONS: u64 = 8;

/// The size of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Seconds: shows that everything runs.
    Tiny,
    /// A few minutes on two cores.
    Smoke,
    /// About an hour on two cores.
    Small,
    /// As the run files say. Those of the thesis: days on a GPU.
    Paper,
}

struct Sizes {
    side: usize,
    blocks: usize,
    batch: usize,
    autoencoder_steps: u64,
    steps: u64,
    validation_photos: usize,
    curve_photos: usize,
    augment: Augment,
    discriminator: usize,
}

impl Sizes {
    /// What all kinds of runs have.
    fn apply(&self, data: &mut Data, run: &mut Run, steps: u64) {
        data.side = self.side;
        data.augment = self.augment;
        // For curves alone.
        data.validation_photos = self.curve_photos;
        run.batch = self.batch;
        run.steps = steps;
        run.checkpoint_every = (steps / 4).max(1);
        run.keep = 1;
    }
}

impl Scale {
    fn sizes(self) -> Option<Sizes> {
        match self {
            Self::Tiny => Some(Sizes {
                side: 32,
                blocks: 1,
                batch: 2,
                autoencoder_steps: 3,
                steps: 3,
                validation_photos: 4,
                curve_photos: 2,
                augment: Augment::Light,
                discriminator: 4,
            }),
            Self::Smoke => Some(Sizes {
                side: 64,
                blocks: 3,
                batch: 4,
                autoencoder_steps: 100,
                steps: 60,
                validation_photos: 24,
                curve_photos: 8,
                augment: Augment::Light,
                discriminator: 16,
            }),
            Self::Small => Some(Sizes {
                side: 128,
                blocks: 9,
                batch: 10,
                autoencoder_steps: 2000,
                steps: 1000,
                validation_photos: 500,
                curve_photos: 64,
                augment: Augment::Light,
                discriminator: 32,
            }),
            Self::Paper => None,
        }
    }

    /// Number of photos in the final validation of a row.
    pub fn validation_photos(self) -> usize {
        self.sizes().map_or(30_000, |sizes| sizes.validation_photos)
    }

    /// Spaces the validations of a run at this size over its steps, for its curve. An autoencoder has none.
    pub fn space_validations(self, config: &mut RunConfig) {
        self.space(&mut config.run);
        if self.sizes().is_some() && config.task == Task::Autoencoder {
            config.run.validate_every = 0;
        }
    }

    /// The same for the training of a flow.
    pub fn space_flow_validations(self, config: &mut FlowConfig) {
        self.space(&mut config.run);
    }

    fn space(self, run: &mut Run) {
        if self.sizes().is_some() {
            run.validate_every = (run.steps / VALIDATIONS).max(1);
        }
    }

    /// Applies this size to the training of a flow.
    pub fn apply_to_flow(self, config: &mut FlowConfig) {
        config.run.grid_every = 0;
        let Some(sizes) = self.sizes() else { return };
        // Latents of small images have few cells.
        let shape = |width: usize, levels: &[usize]| {
            DenoiserOptions::Shape(DenoiserShape { width, levels: levels.into(), blocks: 1 })
        };
        match self {
            Self::Tiny => config.flow.denoiser = shape(16, &[1, 2]),
            Self::Smoke => config.flow.denoiser = shape(32, &[1, 2, 3]),
            Self::Small | Self::Paper => {}
        }
        config.flow.statistics = config.flow.statistics.min(8 * sizes.batch);
        config.flow.crops = None;
        config.optimizer.schedule.warm_up = config.optimizer.schedule.warm_up.min(sizes.steps / 10);
        sizes.apply(&mut config.data, &mut config.run, sizes.steps);
    }

    /// Applies this size to a run.
    pub fn apply(self, config: &mut RunConfig) {
        // A study scores the last network: choosing the best one would use the validation photos.
        config.run.grid_every = 0;
        let Some(sizes) = self.sizes() else { return };
        if let Some(network) = config.network.generator_mut() {
            network.blocks = sizes.blocks;
        }
        if let Network::ContextEncoder(network) = &mut config.network {
            network.side = sizes.side;
        }
        let steps = if config.task == Task::Autoencoder { sizes.autoencoder_steps } else { sizes.steps };
        sizes.apply(&mut config.data, &mut config.run, steps);
        if let Some(adversarial) = &mut config.loss.adversarial {
            adversarial.width = sizes.discriminator;
        }
        if let Some(adversarial) = config.loss.context.as_mut().and_then(|loss| loss.adversarial.as_mut()) {
            adversarial.width = sizes.discriminator;
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tiny => "tiny",
            Self::Smoke => "smoke",
            Self::Small => "small",
            Self::Paper => "paper",
        })
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Tiny, Self::Smoke, Self::Small, Self::Paper]
            .into_iter()
            .find(|scale| scale.to_string() == text);
        found.ok_or_else(|| format!("unknown scale {text:?}, expected tiny, smoke, small or paper"))
    }
}
