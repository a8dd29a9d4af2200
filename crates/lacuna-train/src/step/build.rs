//! Builds everything that is trained from a run file.

use burn::module::Module;
use burn::tensor::Device;
use lacuna::checkpoint::Checkpoint;
use lacuna_nets::net::context_encoder::initial_weights;
use lacuna_nets::{ContextEncoder, Generator, Network as AnyNetwork, weights};
use lacuna_network::geometry::IMAGE_CHANNELS;
use lacuna_network::{Architecture, Layer, Shape};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::learner::Parts;
use super::{Adversary, Fixed, Learner};
use crate::collective::Alone;
use crate::config::{Conditioning, ContextAdversarialLoss, Network, Part, RunConfig, Task};
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
        if let Network::ContextEncoder(_) = &config.network {
            return Self::of_context_encoder(config, devices);
        }
        let autoencoder = match &config.start.autoencoder {
            Some(path) => Some(autoencoder(path, &config.network, device)?),
            None => None,
        };
        let generator = generator(&config, autoencoder.as_ref(), device)?;
        let (latent, betas) = (config.network.config().latent(), config.optimizer.betas);
        let adversary = |kind, r1, rate, stream: Stream| {
            Adversary::new(kind, r1, rate, Adam::new(betas), stream.rng(config.seed), device)
        };
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
        let generator = AnyNetwork::from(generator);
        let ema = config.ema.on.then(|| Ema::new(&generator, config.ema.decay));
        let parts = Parts {
            generator,
            adam: Adam::new(betas),
            ema,
            pixels,
            latents,
            means: BTreeMap::new(),
            step: 0,
        };
        let (fixed, collective) = (Fixed { target_encoder, vgg }, Arc::new(Alone));
        Ok(Self { config, parts, fixed, devices, collective })
    }

    /// The initial state of a run with a context encoder.
    fn of_context_encoder(config: RunConfig, devices: Vec<Device>) -> Result<Self> {
        let Architecture::ContextEncoder(options) = config.network.config() else {
            unreachable!("the caller has checked it")
        };
        let device = &devices[0];
        let generator = match &config.start.network {
            Some(path) => {
                let checkpoint = Checkpoint::open(path)?;
                let wanted = config.network.config();
                if *checkpoint.config() != wanted {
                    let problem =
                        format!("expected {}, found {}", wanted.label(), checkpoint.config().label());
                    return Err(Error::Weights { path: path.clone(), problem });
                }
                ContextEncoder::from_checkpoint(&checkpoint, device)?
            }
            None => ContextEncoder::new(&options, Stream::Generator.rng(config.seed), device)?,
        };
        let adam = Adam::new(config.optimizer.betas);
        let adversarial = config.loss.context.and_then(|loss| loss.adversarial);
        let pixels = match adversarial {
            Some(ContextAdversarialLoss { width, learning_rate, .. }) => {
                let kind = Kind::Context { network: options, width };
                let rng = Stream::Pixels.rng(config.seed);
                let mut adversary =
                    Adversary::new(kind, 0.0, learning_rate, adam.clone(), rng.clone(), device);
                let mut initial = initial_weights(options.discriminator(width).iter(), rng);
                adversary.network = weights::load(adversary.network, |name| initial.remove(name))?;
                Some(adversary)
            }
            None => None,
        };
        let generator = AnyNetwork::from(generator);
        let ema = config.ema.on.then(|| Ema::new(&generator, config.ema.decay));
        let parts = Parts { generator, adam, ema, pixels, latents: None, means: BTreeMap::new(), step: 0 };
        let (fixed, collective) = (Fixed::default(), Arc::new(Alone));
        Ok(Self { config, parts, fixed, devices, collective })
    }
}

fn open(path: &Path, device: &Device) -> Result<Generator> {
    Ok(Generator::from_checkpoint(&Checkpoint::open(path)?, device)?)
}

fn autoencoder(path: &Path, network: &Network, device: &Device) -> Result<Generator> {
    let generator = open(path, device)?;
    let family = generator.config().family();
    let Shape { channels_in, width, control, .. } = *generator.config().shape();
    let wanted = network.config();
    let wanted = (wanted.family(), wanted.shape().width);
    if ((family, width), channels_in, control) != (wanted, IMAGE_CHANNELS, false) {
        return Err(Error::Weights {
            path: path.to_owned(),
            problem: format!(
                "expected an autoencoder ({}, width {}, {IMAGE_CHANNELS} inputs, no control), found {family}, width {width}, \
                 {channels_in} inputs, {}",
                wanted.0,
                wanted.1,
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
    let plain = shape.with(|shape| (shape.channels_in, shape.control) = (IMAGE_CHANNELS, false));
    let plain = Generator::new(&plain, rng, device)?;
    generator.refiner = plain.refiner;
    generator.decoder = plain.decoder;
    if let Some(autoencoder) = autoencoder.filter(|_| config.start.autoencoder_init) {
        generator.decoder = autoencoder.decoder.clone();
        let [own, trained] = [&generator.encoder, &autoencoder.encoder].map(weights::read);
        let (own, trained) = (own?, trained?);
        let first = first_kernel(&shape);
        generator.encoder = weights::load(generator.encoder, |name| {
            let keeps_own = shape.shape().sees_mask() && name == first;
            let source = if keeps_own { &own } else { &trained };
            source.iter().find(|named| named.name == name).map(|named| named.weight.clone())
        })?;
    }
    if let Some(path) = &config.start.network {
        let trained = open(path, device)?;
        generator = match trained.config() {
            same if *same == shape => trained,
            // The modulation starts without effect, so nothing is missing.
            plain if *plain == shape.plain() => generator.starting_from(&trained)?,
            other => {
                let problem = format!("expected {shape:?}, found {other:?}");
                return Err(Error::Weights { path: path.clone(), problem });
            }
        };
    }
    Ok(freeze(generator, config))
}

/// The name within the encoder of the kernel that a fourth input channel changes the shape of.
fn first_kernel(network: &Architecture) -> String {
    within("encoder.", network.layers().first_kernel())
}

/// The names within mask control of the zero convolutions before the latent's.
fn zeros_before_latent(network: &Architecture) -> Vec<String> {
    let control = network.layers().control;
    let zero = control.as_ref().and_then(|control| control.zero.split_last());
    let before = zero.into_iter().flat_map(|(_, before)| before).flat_map(Layer::tensors);
    before.map(|(name, _)| within("control.", name)).collect()
}

/// A tensor's name within a part of the network.
fn within(part: &str, name: String) -> String {
    name.strip_prefix(part).map(str::to_owned).unwrap_or(name)
}

fn freeze(mut generator: Generator, config: &RunConfig) -> Generator {
    if config.sampling.is_some() {
        // Norms keep their trained statistics, for which demodulation is made, also in parts that are trained.
        let frozen = |name: &str| config.start.freeze.iter().any(|part| name.starts_with(part.prefix()));
        return weights::set_learning(generator.freeze(), |name| !frozen(name));
    }
    if config.task == Task::Autoencoder {
        generator.refiner = generator.refiner.freeze();
    }
    for part in &config.start.freeze {
        match part {
            Part::Encoder => {
                let frozen = generator.encoder.freeze();
                let shape = config.network.config();
                let first = first_kernel(&shape);
                let learns = |name: &str| shape.shape().sees_mask() && name == first;
                generator.encoder = weights::set_learning(frozen, learns);
            }
            Part::Control => generator.control = generator.control.map(Module::freeze),
            Part::Refiner => generator.refiner = generator.refiner.freeze(),
            Part::Decoder => generator.decoder = generator.decoder.freeze(),
        }
    }
    let conditioning = config.network.generator().map(|options| options.conditioning);
    if conditioning == Some(Conditioning::LatentAdd) {
        let fixed = zeros_before_latent(generator.config());
        let learns = |name: &str| fixed.iter().all(|fixed| fixed != name);
        generator.control = generator.control.map(|control| weights::set_learning(control, learns));
    }
    generator
}
