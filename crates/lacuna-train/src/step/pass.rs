//! The generator's forward pass in training, and its losses.

use std::collections::BTreeSet;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna_nets::net::Encoder;
use lacuna_nets::weights::set_learning;
use lacuna_nets::{Features, Generator};

use crate::Result;
use crate::config::{Loss, Noise, Task};
use crate::data::Batch;
use crate::loss::{Losses, Term, adversarial, feature_matching, latent, perceptual, pixel, style};
use crate::net::{Discriminator, Vgg16};

/// A batch on a device.
///
/// # Shapes
/// - `image`: `[batch, 3, side, side]` in `[0, 1]`
/// - `mask`: `[batch, 1, side, side]`, 1 = hole
#[derive(Clone, Debug)]
pub struct Pictures {
    /// Ground-truth images.
    pub image: Tensor<4>,
    /// Masks.
    pub mask: Tensor<4>,
}

impl Pictures {
    /// Uploads the images of `batch`.
    pub fn new(batch: &Batch, device: &Device) -> Self {
        let count = batch.names.len();
        let upload = |values: &[f32], channels: usize| {
            let shape = [count, channels, batch.side, batch.side];
            Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
        };
        Self { image: upload(&batch.images, 3), mask: upload(&batch.masks, 1) }
    }
}

/// Networks that are never trained.
#[derive(Clone, Debug, Default)]
pub struct Fixed {
    /// The autoencoder's encoder, which gives the targets of the latent loss. Without autodiff.
    pub target_encoder: Option<Encoder>,
    /// The network of perceptual and style losses.
    pub vgg: Option<Vgg16>,
}

impl Fixed {
    /// The same networks on another device.
    pub fn to_device(&self, device: &Device) -> Self {
        Self {
            target_encoder: self
                .target_encoder
                .clone()
                .map(|encoder| encoder.to_device(&device.clone().inner())),
            vgg: self.vgg.clone().map(|vgg| vgg.to_device(device)),
        }
    }
}

/// The results of a generator's pass that discriminators need, without gradients.
#[derive(Debug)]
pub(super) struct PassOutput {
    pub losses: Losses,
    pub predicted: Option<Predicted>,
    pub refined: Option<Tensor<4>>,
    pub target: Option<Tensor<4>>,
}

/// What the discriminator of images sees as generated.
#[derive(Clone, Debug)]
pub(super) struct Predicted {
    pub image: Tensor<4>,
    pub mask: Tensor<4>,
}

/// The seeds of all answers: the first of each photo, then the second, and so on.
pub(super) struct Seeds {
    pub seeds: Vec<u64>,
    pub noise: Noise,
    pub others: f64,
}

/// The constant inputs of a pass.
pub(super) struct Pass<'a> {
    pub task: Task,
    pub loss: &'a Loss,
    pub fixed: &'a Fixed,
    pub pixels: Option<&'a Discriminator>,
    pub latents: Option<&'a Discriminator>,
    /// In networks with several answers.
    pub answers: Option<Seeds>,
}

impl Pass<'_> {
    /// Runs `generator` as far as the losses need it: latent losses alone never decode.
    pub fn run(&self, generator: &Generator, pictures: &Pictures) -> Result<PassOutput> {
        let output = match &self.answers {
            Some(seeds) => self.run_answers(generator, pictures, seeds)?,
            None => self.run_one(generator, pictures)?,
        };
        let computed: BTreeSet<Term> = output.losses.terms().collect();
        let expected: BTreeSet<Term> = self.loss.terms().into_iter().map(|(term, _)| term).collect();
        assert_eq!(computed, expected, "computed terms and those of the run file");
        Ok(output)
    }

    fn run_one(&self, generator: &Generator, pictures: &Pictures) -> Result<PassOutput> {
        let Pictures { image, mask } = pictures.clone();
        let mut losses = Losses::default();
        let features = match self.task {
            Task::Autoencoder => generator.encode(image.clone(), mask.zeros_like())?,
            Task::Inpainting => generator.refine(generator.encode(image.clone(), mask.clone())?),
        };
        let predicted = self.loss.needs_pixels().then(|| generator.decode(features.clone()));
        if let Some(predicted) = &predicted {
            self.add_pixel_losses(&mut losses, predicted, pictures);
            self.add_perceptual_losses(&mut losses, predicted, &image);
            self.add_adversarial_losses(&mut losses, predicted, &image);
        }
        let target = self.target(&image);
        if let Some(target) = &target {
            self.add_latent_losses(&mut losses, &features, target, &mask);
        }
        Ok(PassOutput {
            losses,
            predicted: predicted.map(|predicted| Predicted { image: predicted.detach(), mask }),
            refined: self.latents.map(|_| features.concat().detach()),
            target: target.filter(|_| self.latents.is_some()).map(Features::concat),
        })
    }

    pub(super) fn add_pixel_losses(&self, losses: &mut Losses, predicted: &Tensor<4>, pictures: &Pictures) {
        let Loss { pixel_l1, pixel_mse, .. } = self.loss;
        let Pictures { image, mask } = pictures;
        if let Some(weights) = pixel_l1 {
            losses.add(
                Term::PixelL1,
                pixel::l1(predicted.clone(), image.clone(), mask.clone(), *weights),
                1.0,
            );
        }
        if let Some(mse) = pixel_mse {
            losses.add(Term::PixelMse, pixel::mse(predicted.clone(), image.clone()), mse.weight);
        }
    }

    pub(super) fn add_perceptual_losses(
        &self,
        losses: &mut Losses,
        predicted: &Tensor<4>,
        image: &Tensor<4>,
    ) {
        let Loss { perceptual_mse, style_l1, .. } = self.loss;
        if let Some(vgg) = &self.fixed.vgg {
            let [seen, wanted] = [predicted, image].map(|picture| vgg.forward(picture.clone()));
            if let Some(perceptual_mse) = perceptual_mse {
                losses.add(Term::PerceptualMse, perceptual::mse(&seen, &wanted), perceptual_mse.weight);
            }
            if let Some(style_l1) = style_l1 {
                losses.add(Term::StyleL1, style::l1(&seen, &wanted), style_l1.weight);
            }
        }
    }

    pub(super) fn add_adversarial_losses(
        &self,
        losses: &mut Losses,
        predicted: &Tensor<4>,
        image: &Tensor<4>,
    ) {
        let Loss { adversarial, feature_matching_mse, .. } = self.loss;
        let Some((weights, discriminator)) = adversarial.as_ref().zip(self.pixels) else { return };
        // The discriminator only passes gradients through here; its norms stay in train mode, as in LaMa.
        let critic = set_learning(discriminator.clone(), |_| false);
        let fake = critic.forward(predicted.clone());
        losses.add(Term::Adversarial, adversarial::generator(fake.logits), weights.weight);
        if let Some(matching) = feature_matching_mse {
            let real = critic.forward(image.clone());
            losses.add(
                Term::FeatureMatchingMse,
                feature_matching::mse(&fake.maps, &real.maps),
                matching.weight,
            );
        }
    }

    /// The autoencoder's encoding of ground-truth images, if a loss needs it; a constant.
    pub(super) fn target(&self, image: &Tensor<4>) -> Option<Features> {
        let encoder = self.fixed.target_encoder.as_ref()?;
        let Features { local, global } = encoder.forward(image.clone().inner(), None);
        Some(Features { local: Tensor::from_inner(local), global: global.map(Tensor::from_inner) })
    }

    pub(super) fn add_latent_losses(
        &self,
        losses: &mut Losses,
        refined: &Features,
        target: &Features,
        mask: &Tensor<4>,
    ) {
        let (refined, target) = (refined.clone(), target.clone());
        if let Some((weights, discriminator)) = self.loss.latent_adversarial.as_ref().zip(self.latents) {
            let critic = set_learning(discriminator.clone(), |_| false);
            let logits = critic.forward(refined.clone().concat()).logits;
            losses.add(Term::LatentAdversarial, adversarial::generator(logits), weights.weight);
        }
        if let Some(latent_l1) = self.loss.latent_l1 {
            let value = match latent_l1.region {
                None => latent::l1(refined, target),
                Some(region) => latent::l1_in(refined, target, mask.clone(), region),
            };
            losses.add(Term::LatentL1, value, latent_l1.weight);
        }
    }
}
