//! Run files with `task = "control"`, which train a ControlNet branch of a denoiser.

use std::path::PathBuf;

use lacuna::flow::{Control, Flow};
use lacuna_network::HINT_WIDTHS;
use serde::{Deserialize, Serialize};

use super::check_shared::check_shared;
use super::{Data, EmaConfig, FlowNetwork, FlowRecipe, Optimizer, Run, set};
use crate::flow::HintSource;
use crate::{Error, Result};

/// A run that trains a ControlNet branch. Denoiser, start, halo and statistics are those of the flow file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlConfig {
    /// The task.
    pub task: ControlTask,
    /// Seed of all randomness in the run.
    pub seed: u64,
    /// The generator.
    #[serde(default)]
    pub start: FlowNetwork,
    /// The branch.
    pub control: ControlOptions,
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

/// The task of a [`ControlConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlTask {
    /// Train a ControlNet branch.
    Control,
}

/// The branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlOptions {
    /// The flow file whose denoiser it steers.
    pub flow: PathBuf,
    /// What it is steered by.
    pub hint: HintSource,
    /// Channels of the hint's encoder at the image's resolution, and after each halving.
    #[serde(default = "ControlOptions::default_hint_widths")]
    pub hint_widths: [usize; 4],
    /// Crops of each photo, whose latents are kept in the run folder; without a number, each crop is new and none is kept.
    #[serde(default)]
    pub crops: Option<u64>,
}

impl ControlOptions {
    fn default_hint_widths() -> [usize; 4] {
        HINT_WIDTHS
    }

    /// What a flow file says of the branch.
    pub fn control(&self) -> Control {
        Control { hint: self.hint.kind(), hint_widths: self.hint_widths }
    }
}

impl ControlConfig {
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
        let Self { control, data, optimizer, ema, run, .. } = self;
        check_shared(data, optimizer, ema, run)?;
        control.hint.check().or_else(|problem| refuse(format!("control.hint.{problem}")))?;
        if control.hint_widths.contains(&0) {
            return refuse("control.hint_widths: expected numbers from 1 up, got 0".into());
        }
        if control.crops == Some(0) {
            return refuse("control.crops: expected at least 1, got 0".into());
        }
        Ok(())
    }

    /// What the training loop needs, with what the flow file says.
    pub fn recipe(&self, flow: &Flow) -> FlowRecipe {
        FlowRecipe {
            seed: self.seed,
            start: flow.start,
            halo: flow.halo,
            crops: self.control.crops,
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

    /// A complete run file that runs quickly.
    pub const SMALL: &str = r#"
        task = "control"
        seed = 1
        control = { flow = "flow.safetensors", hint = { kind = "lines", shown = 0.5 }, hint_widths = [4, 8, 8, 16] }
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
        for text in [SMALL.to_owned(), SMALL.replace("lines\", shown = 0.5", "guide\", blur = [2.0, 16.0]")] {
            let config = ControlConfig::parse(&text, &[]).unwrap();
            assert_eq!(ControlConfig::parse(&config.to_toml(), &[]).unwrap(), config);
            assert_eq!(RunFile::parse(&text, &[]).unwrap(), RunFile::Control(Box::new(config)));
        }
        let usual = ControlConfig::parse(&SMALL.replace(", hint_widths = [4, 8, 8, 16]", ""), &[]).unwrap();
        assert_eq!(usual.control.hint_widths, HINT_WIDTHS);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (change, part) in [
            ("control.hint.shown=2.0", "control.hint.shown: expected a number from 0 to 1, got 2"),
            ("control.hint={ kind = \"guide\", blur = [3.0, 1.0] }", "control.hint.blur"),
            ("control.hint={ kind = \"colour\" }", "--set control.hint"),
            ("control.hint_widths=[4, 0, 8, 16]", "control.hint_widths: expected numbers from 1 up, got 0"),
            ("control.crops=0", "control.crops: expected at least 1, got 0"),
            ("run.batch=0", "run.batch: expected at least 1, got 0"),
            ("flow={}", "--set flow: unknown field `flow`"),
            ("task=flow", "--set task: unknown variant `flow`"),
        ] {
            let error = ControlConfig::parse(SMALL, &[change.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(part), "{change}: {error}");
        }
    }
}
