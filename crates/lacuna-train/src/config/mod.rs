//! Run files: all settings of a run in one complete TOML file.
//!
//! Unknown keys are errors, so that a typo cannot change an experiment. [`set`] changes single keys from the command
//! line; `check.rs` rejects invalid settings before anything is built.

mod check;
pub mod set;

use std::path::{Path, PathBuf};

use lacuna::Mask;
use lacuna::checkpoint::{Delta, Family, NetworkConfig};
use lacuna_eval::maskgen::{MaskGenerator, Preset};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::data::Source;
use crate::loss::latent::Region;
use crate::loss::pixel::PixelWeights;
use crate::loss::{Needs, Term};
use crate::net::Reach;
use crate::optim::Schedule;
use crate::{Error, Result};

/// A run.
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

/// The network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Generator family.
    pub family: Family,
    /// Channels after the first convolution.
    pub width: usize,
    /// Residual blocks of the refiner.
    pub blocks: usize,
    /// How the network receives the mask.
    pub conditioning: Conditioning,
    /// Delta variant of the refiner.
    #[serde(default)]
    pub delta: Delta,
}

/// How the network receives the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conditioning {
    /// Not at all: for autoencoders.
    None,
    /// As a fourth input channel, as in LaMa.
    Alpha,
    /// Mask control at all levels of the encoder (thesis, section 4.1.1).
    Control,
    /// Mask features added only at the latent: mask control whose first three zero convolutions stay zero.
    LatentAdd,
}

impl Network {
    /// The network's configuration.
    pub fn config(&self) -> NetworkConfig {
        NetworkConfig {
            family: self.family,
            channels_in: if self.conditioning == Conditioning::Alpha { 4 } else { 3 },
            width: self.width,
            blocks: self.blocks,
            control: matches!(self.conditioning, Conditioning::Control | Conditioning::LatentAdd),
            delta: self.delta,
        }
    }
}

/// Initial weights and frozen parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Weights file of an autoencoder of the same width. Its encoder gives the targets of the latent loss.
    #[serde(default)]
    pub autoencoder: Option<PathBuf>,
    /// Whether encoder and decoder are initialised from the autoencoder.
    #[serde(default = "yes")]
    pub autoencoder_init: bool,
    /// Weights file of the same network to continue from, with new optimizers.
    #[serde(default)]
    pub network: Option<PathBuf>,
    /// Frozen parts: neither parameters nor statistics change. With a fourth input channel the encoder's first
    /// convolution is still trained.
    #[serde(default)]
    pub freeze: Vec<Part>,
}

fn yes() -> bool {
    true
}

/// A part of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// From pixels to the latent.
    Encoder,
    /// From a latent to pixels.
    Decoder,
}

/// Photos and masks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Training photos.
    pub train: Vec<Source>,
    /// Validation photos; without any there is no validation.
    #[serde(default)]
    pub validation: Vec<Source>,
    /// Photos that must not be trained on. The run is refused if one of them is in `train`, under any name.
    #[serde(default)]
    pub held_out: Vec<Source>,
    /// Largest number of validation photos; they are evenly spaced.
    #[serde(default = "Data::default_validation_photos")]
    pub validation_photos: usize,
    /// Side of the square crops in pixels, a multiple of 8, at least 16.
    pub side: usize,
    /// Augmentation of the photos.
    pub augment: Augment,
    /// Training masks.
    pub masks: Masks,
    /// Side of the canvas on which masks are drawn before they are scaled to `side`, in pixels; `side` by default.
    /// Presets are designed for the side in their name.
    #[serde(default)]
    pub masks_side: Option<usize>,
    /// Validation masks.
    #[serde(default = "Data::default_validation_masks")]
    pub validation_masks: Masks,
    /// Weights of LPIPS, for validation by LPIPS as well (tools/fetch_metric_weights.py downloads them).
    #[serde(default)]
    pub lpips_weights: Option<PathBuf>,
    /// Threads that decode and augment.
    #[serde(default = "Data::default_workers")]
    pub workers: usize,
}

impl Data {
    fn default_validation_photos() -> usize {
        64
    }

    fn default_validation_masks() -> Masks {
        Masks::Preset(Preset::Medium256)
    }

    fn default_workers() -> usize {
        2
    }
}

/// The source of masks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Masks {
    /// A preset, such as `"train-256"`.
    Preset(Preset),
    /// A generator with its own parameters.
    Generator(MaskGenerator),
}

impl Data {
    /// Draws a mask of `side` x `side` pixels.
    pub fn draw(&self, generator: &MaskGenerator, rng: &mut Pcg64) -> Mask {
        let (side, canvas) = (self.side, self.masks_side.unwrap_or(self.side));
        let drawn = generator.draw(canvas, canvas, rng);
        if side == canvas {
            return drawn;
        }
        // The centre of the canvas pixels that a pixel covers.
        let from = |at: usize| (2 * at + 1) * canvas / (2 * side);
        let hole = (0..side * side).map(|index| drawn.is_hole(from(index % side), from(index / side)));
        Mask::new(side, side, hole.collect())
    }
}

impl Masks {
    /// The generator.
    pub fn generator(&self) -> MaskGenerator {
        match self {
            Self::Preset(preset) => preset.generator(),
            Self::Generator(generator) => generator.clone(),
        }
    }
}

/// Loss terms and their weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// L1 of pixels.
    #[serde(default)]
    pub pixel_l1: Option<PixelWeights>,
    /// Mean squared error of pixels.
    #[serde(default)]
    pub pixel_mse: Option<Weighted>,
    /// L1 of latents.
    #[serde(default)]
    pub latent_l1: Option<LatentLoss>,
    /// The network of perceptual and style losses.
    #[serde(default)]
    pub vgg16: Option<VggConfig>,
    /// Mean squared error of VGG16 features.
    #[serde(default)]
    pub perceptual_mse: Option<Weighted>,
    /// L1 of Gram matrices of VGG16 features.
    #[serde(default)]
    pub style_l1: Option<Weighted>,
    /// A discriminator of images.
    #[serde(default)]
    pub adversarial: Option<AdversarialLoss>,
    /// Mean squared error of that discriminator's features.
    #[serde(default)]
    pub feature_matching_mse: Option<Weighted>,
    /// A discriminator of latents.
    #[serde(default)]
    pub latent_adversarial: Option<LatentAdversarialLoss>,
}

/// A term with only a weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// The weight.
    pub weight: f64,
}

/// The latent loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentLoss {
    /// The weight.
    pub weight: f64,
    /// Where it applies; everywhere equally by default.
    #[serde(default)]
    pub region: Option<Region>,
}

/// VGG16 for perceptual and style losses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VggConfig {
    /// Safetensors file with torchvision's names.
    pub weights: PathBuf,
    /// Receptive field of its features.
    #[serde(default)]
    pub reach: Reach,
}

/// A discriminator of images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialLoss {
    /// Weight of the generator's term. The discriminator's own loss has none.
    pub weight: f64,
    /// Coefficient of R1.
    pub r1: f64,
    /// Channels of the discriminator's first layer.
    pub width: usize,
    /// The discriminator's learning rate.
    pub learning_rate: f64,
}

/// A discriminator of latents.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentAdversarialLoss {
    /// The weight of the generator's term.
    pub weight: f64,
    /// Coefficient of R1.
    pub r1: f64,
    /// The discriminator's learning rate.
    pub learning_rate: f64,
}

impl Loss {
    /// The generator's terms in this run, with what each is computed from.
    ///
    /// This is the one table of terms. It takes the struct apart without `..`, so a new key does not compile until it is
    /// listed here. The step checks that it computes exactly these terms.
    pub fn terms(&self) -> Vec<(Term, Needs)> {
        let Self {
            pixel_l1,
            pixel_mse,
            latent_l1,
            vgg16: _,
            perceptual_mse,
            style_l1,
            adversarial,
            feature_matching_mse,
            latent_adversarial,
        } = self;
        [
            (pixel_l1.is_some(), Term::PixelL1, Needs::Pixels),
            (pixel_mse.is_some(), Term::PixelMse, Needs::Pixels),
            (latent_l1.is_some(), Term::LatentL1, Needs::TargetLatent),
            (perceptual_mse.is_some(), Term::PerceptualMse, Needs::Pixels),
            (style_l1.is_some(), Term::StyleL1, Needs::Pixels),
            (adversarial.is_some(), Term::Adversarial, Needs::Pixels),
            (feature_matching_mse.is_some(), Term::FeatureMatchingMse, Needs::Pixels),
            (latent_adversarial.is_some(), Term::LatentAdversarial, Needs::TargetLatent),
        ]
        .into_iter()
        .filter_map(|(is_set, term, needs)| is_set.then_some((term, needs)))
        .collect()
    }

    /// Whether a term needs the predicted image. If none does, the decoder does not run in training.
    pub fn needs_pixels(&self) -> bool {
        self.needs(Needs::Pixels)
    }

    /// Whether a term needs the encoding of the ground truth.
    pub fn needs_target_latent(&self) -> bool {
        self.needs(Needs::TargetLatent)
    }

    fn needs(&self, what: Needs) -> bool {
        self.terms().iter().any(|(_, needs)| *needs == what)
    }
}

/// Adam.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// The generator's learning rate.
    pub learning_rate: f64,
    /// Largest gradient norm of a network; longer gradients are clipped. No clipping by default.
    #[serde(default)]
    pub clip: Option<f64>,
    /// Learning rate schedule.
    #[serde(default)]
    pub schedule: Schedule,
}

/// Weight averaging.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaConfig {
    /// Whether it is on. The average is then what is validated and exported.
    pub on: bool,
    /// Weight of the previous average.
    #[serde(default = "EmaConfig::default_decay")]
    pub decay: f64,
}

impl EmaConfig {
    fn default_decay() -> f64 {
        0.999
    }
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self { on: true, decay: Self::default_decay() }
    }
}

/// Duration, and when to write what. All intervals are steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Optimizer steps.
    pub steps: u64,
    /// Photos per batch.
    pub batch: usize,
    /// Batches per step; their gradients are averaged.
    #[serde(default = "Run::default_accumulate")]
    pub accumulate: usize,
    /// Steps between logged losses.
    #[serde(default = "Run::default_log_every")]
    pub log_every: u64,
    /// Steps between image grids; 0 for none.
    #[serde(default = "Run::default_grid_every")]
    pub grid_every: u64,
    /// Steps between checkpoints.
    #[serde(default = "Run::default_checkpoint_every")]
    pub checkpoint_every: u64,
    /// Checkpoints to keep; older ones are removed.
    #[serde(default = "Run::default_keep")]
    pub keep: usize,
    /// Steps between validations; there is another one at the end. 0 for none.
    #[serde(default = "Run::default_validate_every")]
    pub validate_every: u64,
    /// The metric that chooses the best network.
    #[serde(default)]
    pub best_by: BestBy,
}

impl Run {
    fn default_accumulate() -> usize {
        1
    }

    fn default_log_every() -> u64 {
        50
    }

    fn default_grid_every() -> u64 {
        1000
    }

    fn default_checkpoint_every() -> u64 {
        1000
    }

    fn default_keep() -> usize {
        3
    }

    fn default_validate_every() -> u64 {
        5000
    }
}

/// The metric that chooses the best network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BestBy {
    /// The highest structural similarity.
    #[default]
    Ssim,
    /// The highest signal-to-noise ratio.
    Psnr,
    /// The lowest mean absolute difference.
    L1,
    /// The lowest perceptual distance; needs `data.lpips_weights`.
    Lpips,
}

impl BestBy {
    /// Whether `new` is better than `old`.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            Self::Ssim | Self::Psnr => new > old,
            Self::L1 | Self::Lpips => new < old,
        }
    }
}

impl RunConfig {
    /// Reads and checks a run file, with the changes of `--set`.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Config`], which names the file and the key.
    pub fn open(path: &Path, changes: &[String]) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(&text, changes).map_err(|error| Error::Config(format!("{}: {error}", path.display())))
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
        assert_eq!(config.network.config().channels_in, 4);
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

    #[test]
    fn holes_are_scaled_from_their_canvas() {
        use rand::SeedableRng;
        let mut config = RunConfig::parse(SMALL, &[]).unwrap();
        let generator = MaskGenerator::Half;
        let rng = || Pcg64::seed_from_u64(4);
        let plain = config.data.draw(&generator, &mut rng());
        config.data.masks_side = Some(96);
        assert_eq!(config.data.draw(&generator, &mut rng()), plain);
        assert_eq!(plain.count(), 512);
    }

    /// A run file with every key.
    const COMPLETE: &str = r#"
        task = "inpainting"
        seed = 1
        network = { family = "fourier", width = 2, blocks = 1, conditioning = "control", delta = "none" }
        start = { autoencoder = "a", autoencoder_init = true, network = "n", freeze = [] }
        ema = { on = true, decay = 0.9 }
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
        [optimizer]
        learning_rate = 1e-3
        clip = 1.0
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

    /// The keys of a table of [`COMPLETE`], as the schema has them: the error of an unknown key lists them.
    fn schema(path: &[&str]) -> BTreeSet<String> {
        let mut root: toml::Table = toml::from_str(COMPLETE).unwrap();
        let table = path.iter().fold(&mut root, |table, key| table[*key].as_table_mut().unwrap());
        table.insert("unknown".into(), true.into());
        let error = toml::Value::Table(root).try_into::<RunConfig>().unwrap_err().message().to_owned();
        let (_, expected) = error.split_once(", expected ").unwrap_or_else(|| panic!("{path:?}: {error}"));
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The paths of all keys below a table of [`COMPLETE`], which must have every key of the schema.
    fn keys(table: &toml::Table, path: &[&str]) -> BTreeSet<String> {
        let own: BTreeSet<String> = table.keys().cloned().collect();
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
        let keys = keys(&toml::from_str(COMPLETE).unwrap(), &[]);
        let is_table =
            |key: &str| ["network", "start", "data", "loss", "optimizer", "ema", "run"].contains(&key);
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
            let config = RunConfig::open(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
            // Only keys that are equal in all runs have defaults here; files set everything else.
            let text = std::fs::read_to_string(&path).unwrap();
            for key in
                ["conditioning", "augment", "learning_rate", "decay", "steps", "best_by", "validation_masks"]
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
            assert_eq!(config.run.accumulate, 1);
            count += 1;
        }
        assert_eq!(count, 16);
    }

    #[test]
    fn better_is_higher_or_lower() {
        assert!(BestBy::Ssim.is_better(0.9, 0.8) && !BestBy::Ssim.is_better(0.8, 0.8));
        assert!(BestBy::L1.is_better(0.1, 0.2) && !BestBy::L1.is_better(f64::NAN, 0.2));
    }
}
