//! Run files: everything that a run depends on, in one complete TOML file.
//!
//! Unknown keys are errors, so that a slip of the pen cannot change an experiment. [`set`] changes single keys from the
//! command line, `check.rs` refuses what cannot be before anything is built.

mod check;
pub mod set;

use std::path::{Path, PathBuf};

use lacuna::Mask;
use lacuna_eval::maskgen::{MaskGenerator, Preset};
use lacuna_network::geometry::{IMAGE_CHANNELS, MASKED_CHANNELS};
use lacuna_network::{Architecture, Delta, Family, Shape};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::data::Source;
use crate::loss::latent::Region;
use crate::loss::pixel::PixelWeights;
use crate::net::Reach;
use crate::optim::Schedule;
use crate::{Error, Result};

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// What the network learns.
    pub task: Task,
    /// Everything random in the run comes from it.
    pub seed: u64,
    /// The network.
    pub network: Network,
    /// Where it starts, and what of it stays.
    #[serde(default)]
    pub start: Start,
    /// Photos and holes.
    pub data: Data,
    /// Loss terms; those that are not named are not computed.
    pub loss: Loss,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Averaging of the weights.
    #[serde(default)]
    pub ema: EmaConfig,
    /// How long to train, and what to write when.
    pub run: Run,
}

/// What the network learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// To encode whole pictures and decode them again; the refiner is left out.
    Autoencoder,
    /// To fill holes.
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
    /// How the network gets to know the mask.
    pub conditioning: Conditioning,
    /// Delta variant of the refiner.
    #[serde(default)]
    pub delta: Delta,
}

/// How the network gets to know the mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conditioning {
    /// Not at all: for autoencoders.
    None,
    /// As the fourth channel of the picture, as LaMa does.
    Alpha,
    /// Mask control at all levels of the encoder (thesis, section 4.1.1).
    Control,
    /// Mask features added once, at the latent: mask control whose first three zero convolutions stay zero.
    LatentAdd,
}

impl Network {
    /// The network's configuration.
    pub fn config(&self) -> Architecture {
        self.family.network(Shape {
            channels_in: match self.conditioning {
                Conditioning::Alpha => MASKED_CHANNELS,
                Conditioning::None | Conditioning::Control | Conditioning::LatentAdd => IMAGE_CHANNELS,
            },
            width: self.width,
            blocks: self.blocks,
            control: matches!(self.conditioning, Conditioning::Control | Conditioning::LatentAdd),
            delta: self.delta,
        })
    }
}

/// Where the network starts, and what of it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Weights file of an autoencoder of the same width. The latent loss takes its targets from this one's encoder.
    #[serde(default)]
    pub autoencoder: Option<PathBuf>,
    /// Whether encoder and decoder start as the autoencoder's.
    #[serde(default = "yes")]
    pub autoencoder_init: bool,
    /// Weights file of the same network, to go on from (with new optimizers).
    #[serde(default)]
    pub network: Option<PathBuf>,
    /// Parts that stay as they are, parameters and statistics. A fourth input channel leaves the encoder's first
    /// convolution free.
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

/// Photos and holes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Photos to learn from.
    pub train: Vec<Source>,
    /// Photos to judge by. Without any, nothing is judged.
    #[serde(default)]
    pub validation: Vec<Source>,
    /// Photos that must not be learned from: with one of them among `train`, under whatever name, no run begins.
    #[serde(default)]
    pub held_out: Vec<Source>,
    /// At most so many photos to judge by, evenly spread.
    #[serde(default = "Data::default_validation_photos")]
    pub validation_photos: usize,
    /// Sides of the square crops in pixels, a multiple of 8 from 16 up.
    pub side: usize,
    /// What happens to photos before they are cropped.
    pub augment: Augment,
    /// Holes to learn from.
    pub masks: Masks,
    /// Side of the canvas that holes are drawn on before they are scaled to `side`, in pixels; `side` if it is not given.
    /// The named sets are made for the number in their name.
    #[serde(default)]
    pub masks_side: Option<usize>,
    /// Holes to judge by.
    #[serde(default = "Data::default_validation_masks")]
    pub validation_masks: Masks,
    /// Weights of LPIPS, to judge by it as well (tools/fetch_metric_weights.py fetches them).
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

/// Where holes come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Masks {
    /// A named set of parameters, such as `"train-256"`.
    Preset(Preset),
    /// A generator with parameters of its own.
    Generator(MaskGenerator),
}

impl Data {
    /// A hole of `side` x `side` pixels.
    pub fn draw(&self, generator: &MaskGenerator, rng: &mut Pcg64) -> Mask {
        let (side, canvas) = (self.side, self.masks_side.unwrap_or(self.side));
        let drawn = generator.draw(canvas, canvas, rng);
        if side == canvas {
            return drawn;
        }
        // The pixel in the middle of those that each pixel stands for.
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
    /// L1 of colours.
    #[serde(default)]
    pub pixel_l1: Option<PixelWeights>,
    /// Mean square difference of colours.
    #[serde(default)]
    pub pixel_mse: Option<Weighted>,
    /// L1 of latents.
    #[serde(default)]
    pub latent_l1: Option<LatentLoss>,
    /// Which network perceptual and style losses look through.
    #[serde(default)]
    pub vgg16: Option<VggConfig>,
    /// Mean square difference of VGG16's features.
    #[serde(default)]
    pub perceptual_mse: Option<Weighted>,
    /// L1 of correlations of VGG16's features.
    #[serde(default)]
    pub style_l1: Option<Weighted>,
    /// A discriminator of pictures.
    #[serde(default)]
    pub adversarial: Option<AdversarialLoss>,
    /// Mean square difference of that discriminator's features.
    #[serde(default)]
    pub feature_matching_mse: Option<Weighted>,
    /// A discriminator of latents.
    #[serde(default)]
    pub latent_adversarial: Option<LatentAdversarialLoss>,
}

/// A term with nothing but a weight.
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
    /// Where it counts; everywhere alike if it is not given.
    #[serde(default)]
    pub region: Option<Region>,
}

/// VGG16 for perceptual and style losses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VggConfig {
    /// Safetensors file with torchvision's names.
    pub weights: PathBuf,
    /// How far features see.
    #[serde(default)]
    pub reach: Reach,
}

/// A discriminator of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialLoss {
    /// The weight of the generator's term. The discriminator's own loss has none.
    pub weight: f64,
    /// R1's coefficient.
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
    /// R1's coefficient.
    pub r1: f64,
    /// The discriminator's learning rate.
    pub learning_rate: f64,
}

impl Loss {
    /// Whether a term needs the predicted picture: if none does, the decoder does not run in training.
    pub fn needs_pixels(&self) -> bool {
        self.pixel_l1.is_some()
            || self.pixel_mse.is_some()
            || self.perceptual_mse.is_some()
            || self.style_l1.is_some()
            || self.adversarial.is_some()
            || self.feature_matching_mse.is_some()
    }

    /// Whether a term needs the encoding of the true picture.
    pub fn needs_target_latent(&self) -> bool {
        self.latent_l1.is_some() || self.latent_adversarial.is_some()
    }
}

/// Adam.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// The generator's learning rate.
    pub learning_rate: f64,
    /// The largest norm of a network's gradients; longer ones are shortened to it. Nothing is shortened without it.
    #[serde(default)]
    pub clip: Option<f64>,
    /// How learning rates change.
    #[serde(default)]
    pub schedule: Schedule,
}

/// Averaging of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaConfig {
    /// Whether it is done. What is evaluated and exported is then the average.
    pub on: bool,
    /// The weight of the past.
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

/// How long to train, and what to write when. All counts are steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Steps of the optimizer.
    pub steps: u64,
    /// Photos of a batch.
    pub batch: usize,
    /// Batches to a step; their gradients are averaged.
    #[serde(default = "Run::default_accumulate")]
    pub accumulate: usize,
    /// Loss terms are logged after this many.
    #[serde(default = "Run::default_log_every")]
    pub log_every: u64,
    /// A sheet of example pictures is written after this many; never for 0.
    #[serde(default = "Run::default_grid_every")]
    pub grid_every: u64,
    /// A checkpoint is written after this many.
    #[serde(default = "Run::default_checkpoint_every")]
    pub checkpoint_every: u64,
    /// Checkpoints that are kept; older ones are removed.
    #[serde(default = "Run::default_keep")]
    pub keep: usize,
    /// The network is judged after this many, and at the end; never for 0.
    #[serde(default = "Run::default_validate_every")]
    pub validate_every: u64,
    /// What decides which network was best.
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

/// What decides which network was best.
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

    /// The run file: complete, with all defaults.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("plain data")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A complete run file that is quick to run.
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

    #[test]
    fn every_run_file_of_the_repository_is_complete() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let config = RunConfig::open(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
            // Only those that all runs share have defaults here: a file says everything that matters.
            let text = std::fs::read_to_string(&path).unwrap();
            for key in
                ["conditioning", "augment", "learning_rate", "decay", "steps", "best_by", "validation_masks"]
            {
                assert!(text.contains(key), "{}: {key}", path.display());
            }
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
