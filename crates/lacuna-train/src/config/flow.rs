//! Run files with `task = "flow"`, which train a denoiser of a generator's latents.

use std::path::{Path, PathBuf};

use lacuna::flow::{FlowStart, HALO_LIMIT};
use lacuna_network::{Denoiser, DenoiserSize};
use serde::{Deserialize, Serialize};

use super::check_shared::{check_shared, check_side};
use super::{Data, EmaConfig, FlowRecipe, Optimizer, Run, file, set};
use crate::{Error, Result};

/// A run that trains a denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// The task.
    pub task: FlowTask,
    /// Seed of all randomness in the run.
    pub seed: u64,
    /// The generator.
    #[serde(default)]
    pub start: FlowNetwork,
    /// The denoiser and its flow.
    pub flow: FlowOptions,
    /// Photos and masks.
    pub data: Data,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Weight averaging.
    #[serde(default)]
    pub ema: EmaConfig,
    /// Duration, and when to write what.
    pub run: Run,
}

/// The task of a [`FlowConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowTask {
    /// Train a denoiser.
    Flow,
}

/// The generator whose latents are denoised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowNetwork {
    /// Its weights file; by default the network that ships.
    #[serde(default)]
    pub network: Option<PathBuf>,
}

/// The denoiser and its flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowOptions {
    /// The denoiser's size.
    pub denoiser: DenoiserOptions,
    /// Where the flow starts.
    pub start: FlowStart,
    /// Cells around those with hole pixels that are generated as well.
    #[serde(default = "FlowOptions::default_halo")]
    pub halo: usize,
    /// Crops from which mean and deviation of the latent's channels are computed.
    #[serde(default = "FlowOptions::default_statistics")]
    pub statistics: usize,
    /// Crops of each photo, whose latents are kept in the run folder; without a number, each crop is new and none is kept.
    #[serde(default)]
    pub crops: Option<u64>,
}

/// The size of a denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DenoiserOptions {
    /// One of the usual sizes.
    Size(DenoiserSize),
    /// Any other.
    Shape(DenoiserShape),
}

/// A denoiser's widths and depths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserShape {
    /// Channels of the first level.
    pub width: usize,
    /// Channels of each level, as multiples of the width.
    pub levels: Vec<usize>,
    /// Residual blocks of each level.
    pub blocks: usize,
}

impl FlowOptions {
    /// The refined latents of known cells next to the hole differ from those of the ground truth by .18 deviations, of the cells
    /// next to them by .10.
    fn default_halo() -> usize {
        1
    }

    fn default_statistics() -> usize {
        512
    }

    /// The denoiser for a latent of `latent` channels.
    pub fn denoiser(&self, latent: usize) -> Denoiser {
        match &self.denoiser {
            DenoiserOptions::Size(size) => size.denoiser(latent),
            DenoiserOptions::Shape(DenoiserShape { width, levels, blocks }) => {
                Denoiser { latent, width: *width, levels: levels.clone(), blocks: *blocks, mean: false }
            }
        }
    }
}

impl FlowConfig {
    /// Reads and checks a run file, with the changes of `--set`.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Config`], which names the file and the key.
    pub fn open(path: &Path, changes: &[String]) -> Result<Self> {
        file::read(path, |text| Self::parse(text, changes))
    }

    /// Parses and checks the text of a run file, with the changes of `--set`.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn parse(text: &str, changes: &[String]) -> Result<Self> {
        let config: Self = set::apply(text, changes)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::Config(problem));
        let Self { flow, data, optimizer, ema, run, .. } = self;
        check_shared(data, optimizer, ema, run)?;
        // The generator, which is opened later, decides the latent.
        let denoiser = flow.denoiser(1);
        denoiser.check().or_else(|problem| refuse(format!("flow.denoiser: {problem}")))?;
        check_side(data.side, &denoiser)?;
        if let FlowStart::Mean { deviation } = flow.start
            && !(deviation >= 0.0 && deviation.is_finite())
        {
            return refuse(format!(
                "flow.start.mean.deviation: expected a number from 0 up, got {deviation}"
            ));
        }
        if flow.halo > HALO_LIMIT {
            return refuse(format!("flow.halo: expected at most {HALO_LIMIT}, got {}", flow.halo));
        }
        if flow.statistics == 0 {
            return refuse("flow.statistics: expected at least 1, got 0".into());
        }
        if flow.crops == Some(0) {
            return refuse("flow.crops: expected at least 1, got 0".into());
        }
        Ok(())
    }

    /// What the training loop needs.
    pub fn recipe(&self) -> FlowRecipe {
        FlowRecipe {
            seed: self.seed,
            start: self.flow.start,
            halo: self.flow.halo,
            crops: self.flow.crops,
            data: self.data.clone(),
            optimizer: self.optimizer,
            ema: self.ema,
            run: self.run.clone(),
        }
    }

    /// The run file, complete with all defaults.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("plain data")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::RunFile;
    use super::*;
    use crate::flow::Times;

    /// A complete run file that runs quickly.
    pub const SMALL: &str = r#"
        task = "flow"
        seed = 1
        flow = { denoiser = { width = 16, levels = [1, 2], blocks = 1 }, start = { mean = { deviation = 0.5 } }, statistics = 4 }
        optimizer = { learning_rate = 1e-3, clip = 1.0, betas = [0.9, 0.99] }
        run = { steps = 4, batch = 2 }
        [data]
        train = [{ kind = "folder", path = "photos" }]
        side = 32
        augment = "light"
        masks = { kind = "half" }
    "#;

    #[test]
    fn what_is_written_reads_again() {
        for text in [SMALL.to_owned(), SMALL.replace("{ mean = { deviation = 0.5 } }", "\"noise\"")] {
            let config = FlowConfig::parse(&text, &[]).unwrap();
            assert_eq!(FlowConfig::parse(&config.to_toml(), &[]).unwrap(), config);
            assert_eq!(RunFile::parse(&text, &[]).unwrap(), RunFile::Flow(Box::new(config)));
        }
        let sized = ["flow.denoiser=S".to_owned(), "data.side=40".to_owned()];
        let config = FlowConfig::parse(SMALL, &sized).unwrap();
        assert_eq!(config.flow.denoiser(128).label(), "denoiser-c128-w64-1-2-3-n2");
        assert_eq!(FlowConfig::parse(&config.to_toml(), &[]).unwrap(), config);
        assert_eq!((config.flow.halo, config.recipe().times()), (1, Times::Stratified));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (change, part) in [
            ("data.side=16", "data.side: this denoiser needs at least 24 pixels, got 16"),
            ("flow.denoiser=S", "data.side: this denoiser needs at least 40 pixels, got 32"),
            ("flow.denoiser={ width = 24, levels = [1, 2], blocks = 1 }", "flow.denoiser: a width of 24"),
            ("flow.denoiser=XL", "--set flow.denoiser"),
            (
                "flow.start={ mean = { deviation = -1.0 } }",
                "flow.start.mean.deviation: expected a number from 0 up",
            ),
            ("flow.halo=17", "flow.halo: expected at most 16, got 17"),
            ("flow.statistics=0", "flow.statistics: expected at least 1, got 0"),
            ("flow.crops=0", "flow.crops: expected at least 1, got 0"),
            ("optimizer.betas=[0.9, 1.0]", "optimizer.betas"),
            ("run.batch=0", "run.batch: expected at least 1, got 0"),
            ("run.best_by=lpips", "lpips needs data.lpips_weights"),
            ("loss={}", "--set loss: unknown field `loss`"),
            ("task=inpainting", "--set task: unknown variant `inpainting`"),
        ] {
            let error = FlowConfig::parse(SMALL, &[change.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(part), "{change}: {error}");
        }
    }
}
