//! Builds everything that is trained from a run file.

use burn::module::Module;
use burn::tensor::Device;
use lacuna::checkpoint::{Checkpoint, NetworkConfig};
use lacuna_nets::{Generator, Split, weights};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;
use std::path::Path;

use super::learner::Parts;
use super::{Adversary, Fixed, Learner};
use crate::config::{Conditioning, Network, Part, RunConfig, Task};
use crate::net::{Kind, Vgg16};
use crate::optim::{Adam, Ema};
use crate::{Error, Result};

/// Uses of a run's seed; each has a random stream of its own.
#[derive(Clone, Copy)]
enum Stream {
    Generator = 1,
    Pixels,
    Latents,
}

impl Stream {
    fn rng(self, seed: u64) -> Pcg64 {
        Pcg64::new(u128::from(seed), self as u128)
    }
}

/// Zero convolutions of mask control that stay zero when mask features are added only at the latent.
const LEVELS_BEFORE_LATENT: [&str; 3] = ["zero.0.weight", "zero.1.weight", "zero.2.weight"];

impl Learner {
    /// The initial state of the run in `config`, with the generator on the first of `devices`.
    ///
    /// # Errors
    /// If a weights file cannot be read or belongs to another network.
    pub fn new(config: RunConfig, devices: &[Device]) -> Result<Self> {
        let devices: Vec<Device> = devices
            .iter()
            .map(|device| if device.is_autodiff() { device.clone() } else { device.clone().autodiff() })
            .collect();
        let device = devices.first().ok_or_else(|| Error::Config("at least one device is needed".into()))?;
        let autoencoder = match &config.start.autoencoder {
            Some(path) => Some(autoencoder(path, &config.network, device)?),
            None => None,
        };
        let generator = generator(&config, autoencoder.as_ref(), device)?;
        let latent = Split::latent(config.network.family, config.network.width);
        let adversary =
            |kind, r1, rate, stream: Stream| Adversary::new(kind, r1, rate, stream.rng(config.seed), device);
        let pixels = config.loss.adversarial.map(|loss| {
            adversary(Kind::Pixels { width: loss.width }, loss.r1, loss.learning_rate, Stream::Pixels)
        });
        let latents = config.loss.latent_adversarial.map(|loss| {
            adversary(Kind::Latent { channels: latent.total() }, loss.r1, loss.learning_rate, Stream::Latents)
        });
        let vgg = match &config.loss.vgg16 {
            Some(vgg) => Some(Vgg16::open(&vgg.weights, vgg.reach, device)?),
            None => None,
        };
        let target_encoder =
            autoencoder.filter(|_| config.loss.needs_target_latent()).map(|network| network.encoder.valid());
        let ema = config.ema.on.then(|| Ema::new(&generator, config.ema.decay));
        let parts =
            Parts { generator, adam: Adam::default(), ema, pixels, latents, means: BTreeMap::new(), step: 0 };
        Ok(Self { config, parts, fixed: Fixed { target_encoder, vgg }, devices })
    }
}

fn open(path: &Path, device: &Device) -> Result<Generator> {
    Ok(Generator::from_checkpoint(&Checkpoint::open(path)?, device)?)
}

fn autoencoder(path: &Path, network: &Network, device: &Device) -> Result<Generator> {
    let generator = open(path, device)?;
    let NetworkConfig { family, channels_in, width, control, .. } = *generator.config();
    if (family, width, channels_in, control) != (network.family, network.width, 3, false) {
        return Err(Error::Weights {
            path: path.to_owned(),
            problem: format!(
                "expected an autoencoder ({:?}, width {}, 3 inputs, no control), found {family:?}, width {width}, \
                 {channels_in} inputs, {}",
                network.family,
                network.width,
                if control { "control" } else { "no control" },
            ),
        });
    }
    Ok(generator)
}

/// The initial generator, with frozen parts.
fn generator(config: &RunConfig, autoencoder: Option<&Generator>, device: &Device) -> Result<Generator> {
    let shape = config.network.config();
    let rng = Stream::Generator.rng(config.seed);
    let mut generator = Generator::new(&shape, rng.clone(), device)?;
    // Refiner and decoder are drawn like those of the plain network: runs with the same seed have the same initial
    // weights.
    let plain = NetworkConfig { channels_in: 3, control: false, ..shape.clone() };
    let plain = Generator::new(&plain, rng, device)?;
    generator.refiner = plain.refiner;
    generator.decoder = plain.decoder;
    if let Some(autoencoder) = autoencoder.filter(|_| config.start.autoencoder_init) {
        generator.decoder = autoencoder.decoder.clone();
        let [own, trained] = [&generator.encoder, &autoencoder.encoder].map(weights::read);
        let (own, trained) = (own?, trained?);
        generator.encoder = weights::load(generator.encoder, |name| {
            let keeps_own = shape.channels_in == 4 && is_first_weight(name);
            let source = if keeps_own { &own } else { &trained };
            source.iter().find(|named| named.name == name).map(|named| named.weight.clone())
        })?;
    }
    if let Some(path) = &config.start.network {
        let trained = open(path, device)?;
        if *trained.config() != shape {
            let problem = format!("expected {shape:?}, found {:?}", trained.config());
            return Err(Error::Weights { path: path.clone(), problem });
        }
        generator = trained;
    }
    Ok(freeze(generator, config))
}

/// The kernel whose shape depends on a fourth input channel.
fn is_first_weight(name: &str) -> bool {
    matches!(name, "stem.ffc.local_to_local.weight" | "stem.conv.weight")
}

fn freeze(mut generator: Generator, config: &RunConfig) -> Generator {
    if config.task == Task::Autoencoder {
        generator.refiner = generator.refiner.freeze();
    }
    for part in &config.start.freeze {
        match part {
            Part::Encoder => {
                let frozen = generator.encoder.freeze();
                let four_channels = config.network.conditioning == Conditioning::Alpha;
                generator.encoder =
                    weights::set_learning(frozen, |name| four_channels && is_first_weight(name));
            }
            Part::Decoder => generator.decoder = generator.decoder.freeze(),
        }
    }
    if config.network.conditioning == Conditioning::LatentAdd {
        generator.control = generator
            .control
            .map(|control| weights::set_learning(control, |name| !LEVELS_BEFORE_LATENT.contains(&name)));
    }
    generator
}
