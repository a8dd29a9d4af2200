//! Run files: all settings of a run in one complete TOML file.
//!
//! Unknown keys are errors, so that a typo cannot change an experiment. [`set`] changes single keys from the command
//! line; `check.rs` rejects invalid settings before anything is built.

mod check;
mod check_context;
mod check_shared;
mod control;
mod data;
mod file;
mod flow;
mod loss;
mod network;
mod recipe;
mod run;
pub mod set;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use check_shared::check_side;
#[cfg(test)]
pub(crate) use control::tests::SMALL as CONTROL_SMALL;
pub use control::{ControlConfig, ControlOptions, ControlTask};
pub use data::{Data, Masks};
pub use file::RunFile;
#[cfg(test)]
pub(crate) use flow::tests::SMALL as FLOW_SMALL;
pub use flow::{DenoiserOptions, DenoiserShape, FlowConfig, FlowNetwork, FlowOptions, FlowTask};
pub use loss::{
    AdversarialLoss, ContextAdversarialLoss, ContextLoss, LatentAdversarialLoss, LatentLoss, Loss, VggConfig,
    Weighted,
};
pub use network::{Conditioning, GeneratorOptions, Network, Noise, Part, Sampling, Start};
pub use recipe::FlowRecipe;
pub use run::{BestBy, EmaConfig, Optimizer, Run};

use crate::data::Batches;
use crate::{Error, Result};

/// A run that trains a network. [`FlowConfig`] is one that trains a denoiser of a network's latents, [`ControlConfig`] one that trains a
/// ControlNet branch of a denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The task to train.
    pub task: Task,
    /// Seed of all randomness in the run.
    pub seed: u64,
    /// The network.
    pub network: Network,
    /// Initial weights and frozen parts.
    #[serde(default)]
    pub start: Start,
    /// Several answers for each photo; only in the sampled family.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// Photos and masks.
    pub data: Data,
    /// Loss terms; terms that are absent are not computed.
    pub loss: Loss,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Weight averaging.
    #[serde(default)]
    pub ema: EmaConfig,
    /// Duration, and when to write what.
    pub run: Run,
}

/// The task to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Encode and decode whole images; the refiner is not used.
    Autoencoder,
    /// Fill holes.
    Inpainting,
}

impl RunConfig {
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
        let plain: Self = toml::from_str(text).map_err(|error| Error::Config(error.to_string()))?;
        let config = if changes.is_empty() { plain } else { set::apply(text, changes)? };
        check::check(&config)?;
        Ok(config)
    }

    /// The learning rate of a parameter as a multiple of the run's.
    pub fn relative_rate(&self, name: &str) -> f64 {
        match &self.sampling {
            Some(sampling) if name.starts_with("mapping.") => sampling.mapping_rate,
            _ => 1.0,
        }
    }

    /// What decides its batches.
    pub(crate) fn batches(&self) -> Batches<'_> {
        Batches { data: &self.data, batch: self.run.batch, seed: self.seed, crops: None }
    }

    /// The run file, complete with all defaults.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("plain data")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A complete run file that runs quickly.
    pub const SMALL: &str = r#"
        task = "inpainting"
        seed = 1
        [network]
        family = "fourier"
        width = 2
        blocks = 1
        conditioning = "alpha"
        [data]
        train = [{ kind = "folder", path = "photos" }]
        side = 32
        augment = "light"
        masks = "train-256"
        [loss]
        pixel_l1 = { known = 1.0, hole = 1.0 }
        [optimizer]
        learning_rate = 1e-3
        clip = 1.0
        [run]
        steps = 4
        batch = 2
    "#;

    #[test]
    fn what_is_written_reads_again() {
        let config = RunConfig::parse(SMALL, &[]).unwrap();
        assert_eq!(RunConfig::parse(&config.to_toml(), &[]).unwrap(), config);
        assert_eq!(config.network.config().shape().channels_in, 4);
        assert!(config.ema.on);
    }

    #[test]
    fn unknown_keys_are_errors() {
        for (old, new) in
            [("seed = 1", "seed = 1\nsede = 2"), ("clip = 1.0", "clop = 1.0"), ("hole = 1.0", "holes = 1.0")]
        {
            let error = RunConfig::parse(&SMALL.replace(old, new), &[]).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }

    /// A run file with every key.
    const COMPLETE: &str = r#"
        task = "inpainting"
        seed = 1
        network = { family = "fourier", width = 2, blocks = 1, conditioning = "control", delta = "none" }
        start = { autoencoder = "a", autoencoder_init = true, network = "n", freeze = [] }
        ema = { on = true, decay = 0.9 }
        sampling = { answers = 2, mapping_rate = 0.1, noise = "own", others = 0.25 }
        [data]
        train = [{ kind = "folder", path = "photos" }]
        validation = []
        held_out = []
        validation_photos = 1
        side = 32
        augment = "light"
        masks = "train-256"
        masks_side = 32
        validation_masks = "medium-256"
        lpips_weights = "l"
        workers = 1
        [loss]
        pixel_l1 = { known = 1.0, hole = 1.0 }
        pixel_mse = { weight = 1.0 }
        latent_l1 = { weight = 1.0, region = { reach = 1, outside = 0.1 } }
        vgg16 = { weights = "v", reach = "wide" }
        perceptual_mse = { weight = 1.0 }
        style_l1 = { weight = 1.0 }
        adversarial = { weight = 1.0, r1 = 0.001, width = 4, learning_rate = 1e-4 }
        feature_matching_mse = { weight = 1.0 }
        latent_adversarial = { weight = 1.0, r1 = 0.001, learning_rate = 1e-4 }
        context = { reconstruction = 0.999, known = 1.0, adversarial = { weight = 0.001, width = 64, learning_rate = 2e-4 } }
        best_of_l1 = { weight = 1.0 }
        spread_l1 = { weight = 0.1, wanted = 0.05, window = 5 }
        mode_seeking_l1 = { weight = 0.1 }
        [optimizer]
        learning_rate = 1e-3
        clip = 1.0
        betas = [0.5, 0.999]
        schedule = { warm_up = 1, decay = "cosine" }
        [run]
        steps = 4
        batch = 2
        accumulate = 1
        log_every = 1
        grid_every = 1
        checkpoint_every = 1
        keep = 1
        validate_every = 1
        best_by = "ssim"
    "#;

    /// A run file of a denoiser with every key but those that [`COMPLETE`] has too.
    const COMPLETE_FLOW: &str = r#"
        task = "flow"
        seed = 1
        start = { network = "n" }
        flow = { denoiser = "S", start = "noise", halo = 1, statistics = 512, crops = 4 }
        data = { train = [], side = 64, augment = "light", masks = "train-256" }
        optimizer = { learning_rate = 1e-3 }
        ema = { on = true }
        run = { steps = 1, batch = 1 }
    "#;

    const COMPLETE_CONTROL: &str = r#"
        task = "control"
        seed = 1
        start = { network = "n" }
        control = { flow = "f", hint = { kind = "lines", shown = 0.5 }, hint_widths = [4, 8, 8, 16], crops = 4 }
        data = { train = [], side = 64, augment = "light", masks = "train-256" }
        optimizer = { learning_rate = 1e-3 }
        ema = { on = true }
        run = { steps = 1, batch = 1 }
    "#;

    /// The keys of a table of [`COMPLETE`], as the schema has them: the error of an unknown key lists them.
    fn schema(path: &[&str]) -> BTreeSet<String> {
        let root: toml::Table = toml::from_str(COMPLETE).unwrap();
        listed_keys::<RunConfig>(root, path)
    }

    /// The keys of a table of a run file: the error of an unknown key lists them.
    fn listed_keys<C: serde::de::DeserializeOwned>(mut root: toml::Table, path: &[&str]) -> BTreeSet<String> {
        let table = path.iter().fold(&mut root, |table, key| table[*key].as_table_mut().unwrap());
        table.insert("unknown".into(), true.into());
        let error =
            toml::Value::Table(root).try_into::<C>().err().expect("an unknown key").message().to_owned();
        let (_, expected) = error.split_once(", expected ").unwrap_or_else(|| panic!("{path:?}: {error}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The keys of a context encoder's network, which [`COMPLETE`] does not have.
    fn context_encoder_keys() -> Vec<String> {
        let text = "family = \"context-encoder\"\nunknown = true";
        let error = toml::from_str::<Network>(text).unwrap_err().message().to_owned();
        let (_, expected) = error.split_once(", expected ").unwrap_or_else(|| panic!("{error}"));
        let keys: Vec<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(keys.iter().any(|key| key == "middle"), "{error}");
        keys
    }

    /// The paths of all keys below a table of [`COMPLETE`], which must have every key of the schema.
    fn keys(table: &toml::Table, path: &[&str]) -> BTreeSet<String> {
        let mut own: BTreeSet<String> = table.keys().cloned().collect();
        // The schema's family chooses the other keys, and is not listed among them.
        own.remove("family");
        assert_eq!(own, schema(path), "COMPLETE and the schema of {path:?}");
        let below = table.iter().flat_map(|(key, value)| {
            let path = [path, &[key.as_str()]].concat();
            let deeper = value.as_table().map(|table| keys(table, &path)).unwrap_or_default();
            deeper.into_iter().chain([path.join(".")])
        });
        below.collect()
    }

    #[test]
    fn the_documentation_has_every_key_and_no_other() {
        let text = include_str!("../../../../docs/training.md");
        let rows = text.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 1);
        let rows: Vec<(&str, &str)> = rows.filter_map(|line| line.split_once(" | ")).collect();
        let mut keys = keys(&toml::from_str(COMPLETE).unwrap(), &[]);
        keys.extend(context_encoder_keys().into_iter().map(|key| format!("network.{key}")));
        let flow: toml::Table = toml::from_str(COMPLETE_FLOW).unwrap();
        assert_eq!(listed_keys::<FlowConfig>(flow.clone(), &[]), flow.keys().cloned().collect());
        for table in ["start", "flow"] {
            let listed = listed_keys::<FlowConfig>(flow.clone(), &[table]);
            assert_eq!(listed, flow[table].as_table().unwrap().keys().cloned().collect(), "{table}");
            keys.extend(listed.into_iter().map(|key| format!("{table}.{key}")));
        }
        let control: toml::Table = toml::from_str(COMPLETE_CONTROL).unwrap();
        let listed = listed_keys::<ControlConfig>(control.clone(), &["control"]);
        assert_eq!(listed, control["control"].as_table().unwrap().keys().cloned().collect());
        keys.extend(listed.into_iter().map(|key| format!("control.{key}")));
        let is_table = |key: &str| {
            ["network", "start", "sampling", "data", "loss", "optimizer", "ema", "run"].contains(&key)
        };
        for key in keys.iter().filter(|key| !is_table(key)) {
            let parts: Vec<&str> = key.split('.').collect();
            let row_key = parts[..parts.len().min(2)].join(".");
            let row = rows.iter().find(|(cell, _)| cell.contains(&format!("`{row_key}`")));
            let (_, values) = row.unwrap_or_else(|| panic!("docs/training.md lacks {row_key}"));
            for deeper in parts.iter().skip(2) {
                assert!(values.contains(deeper), "docs/training.md, {row_key}: lacks {deeper}");
            }
        }
        let documented = rows.iter().flat_map(|(cell, _)| cell.split('`').skip(1).step_by(2));
        for key in documented.filter(|key| key.contains('.')) {
            assert!(keys.contains(key), "docs/training.md: {key} is no key");
        }
    }

    #[test]
    fn every_run_file_of_the_repository_is_complete() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let config = RunFile::open(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
            // Only keys that are equal in all runs have defaults here; files set everything else.
            let text = std::fs::read_to_string(&path).unwrap();
            let (network, run) = match &config {
                RunFile::Network(config) if config.network.generator().is_some() => {
                    ("conditioning", &config.run)
                }
                RunFile::Network(config) => ("middle", &config.run),
                RunFile::Flow(config) => ("denoiser", &config.run),
                RunFile::Control(config) => ("hint", &config.run),
            };
            for key in [network, "augment", "learning_rate", "decay", "steps", "best_by", "validation_masks"]
            {
                assert!(text.contains(key), "{}: {key}", path.display());
            }
            // The header says what to expect of the run.
            let header: String = text.lines().take_while(|line| line.starts_with('#')).collect();
            for line in ["  Cost: ", "  Machine: ", "  Score: ", "  lacuna train configs/"] {
                assert!(header.contains(line), "{}: {line}", path.display());
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(header.contains(&format!("lacuna train configs/{name}")), "{name}");
            assert_eq!(run.accumulate, 1);
            count += 1;
        }
        assert_eq!(count, 25);
    }
}
