//! The generator: encoder, mask control, refiner and decoder.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use lacuna_network::Architecture;
use lacuna_network::geometry::{IMAGE_CHANNELS, MULTIPLE, SMALLEST_ENCODED_SIDE};
use rand_pcg::Pcg64;

use super::{Answers, Decoder, Encoder, MaskControl, Modulation, Refiner};
use crate::Features;
use crate::block::Init;
use crate::error::{Error, Result};
use crate::weights::{load, read};

/// A network that fills holes.
///
/// The parts are public, so that training can freeze one of them completely: `generator.encoder =
/// generator.encoder.freeze()` freezes its parameters and its BatchNorm statistics.
#[derive(Module, Debug)]
pub struct Generator {
    /// From pixels to the latent.
    pub encoder: Encoder,
    /// Mask control, in networks that have it.
    pub control: Option<MaskControl>,
    /// From the latent of a masked image to that of a complete one.
    pub refiner: Refiner,
    /// From a latent to pixels.
    pub decoder: Decoder,
    /// What makes several answers of one latent, in networks of the sampled family. Its field is not part of names.
    pub modulation: Option<Modulation>,
    #[module(skip)]
    config: Architecture,
}

/// All results of a forward pass.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The encoder's output.
    pub latent: Features,
    /// The refiner's output.
    pub refined: Features,
    /// The network's output, `[batch, 3, height, width]` in `[0, 1]`.
    pub predicted: Tensor<4>,
    /// `predicted` inside the hole, the image outside, `[batch, 3, height, width]`.
    pub inpainted: Tensor<4>,
}

impl Generator {
    /// A network with PyTorch's default initialisation, drawn from `rng`. To train, pass an autodiff device.
    ///
    /// Control is drawn last but for modulation: the rest of the network has the same values with and without them.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such network.
    pub fn new(config: &Architecture, rng: Pcg64, device: &Device) -> Result<Self> {
        Self::build(config, &mut Init::drawn(rng, device))
    }

    /// A network whose parameters have shapes but no values.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such network.
    pub(crate) fn unset(config: &Architecture, device: &Device) -> Result<Self> {
        Self::build(config, &mut Init::unset(device))
    }

    fn build(config: &Architecture, init: &mut Init) -> Result<Self> {
        config.check().map_err(|problem| Error::Config(problem.to_string()))?;
        if config.generator().is_none() {
            let problem = format!("{} has no encoder, refiner and decoder with a latent", config.label());
            return Err(Error::Config(problem));
        }
        let layers = config.layers();
        Ok(Self {
            encoder: Encoder::new(&layers.encoder, init)?,
            refiner: Refiner::new(&layers, init)?,
            decoder: Decoder::new(&layers, init)?,
            control: layers.control.map(|control| MaskControl::new(&control, init)).transpose()?,
            modulation: layers.modulation.map(|modulation| Modulation::new(&modulation, init)),
            config: config.clone(),
        })
    }

    /// The configuration of the network.
    pub fn config(&self) -> &Architecture {
        &self.config
    }

    /// Predicts the hole. A network with several answers gives that of its mean code, without noise.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, height, width]` in `[0, 1]`; what it holds inside the hole is ignored
    /// - `mask`: `[batch, 1, height, width]`, 1 = hole
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ from these or the sides are not multiples of 8 from 16 up.
    pub fn forward(&self, image: Tensor<4>, mask: Tensor<4>) -> Result<Prediction> {
        self.predict(image, mask, |latent, _| self.refine(latent))
    }

    /// Predicts one answer for each image.
    ///
    /// # Shapes
    /// As [`Generator::forward`]; `answers`: for the same batch.
    ///
    /// # Errors
    /// As [`Generator::forward`]; [`Error::Config`] if the network has only one answer.
    pub fn answer(&self, image: Tensor<4>, mask: Tensor<4>, answers: &Answers) -> Result<Prediction> {
        let modulation = self.modulation()?;
        self.predict(image, mask, |latent, mask| modulation.refine(&self.refiner, latent, mask, answers))
    }

    /// What makes several answers.
    ///
    /// # Errors
    /// [`Error::Config`] if the network has only one answer.
    pub fn modulation(&self) -> Result<&Modulation> {
        let family = self.config.family();
        let problem = || Error::Config(format!("the {family} family has one answer, not several"));
        self.modulation.as_ref().ok_or_else(problem)
    }

    /// The same network with the tensors of a plain one, whose structure it has but for the modulation. Tensors of the
    /// modulation stay.
    ///
    /// # Errors
    /// [`Error::Weights`] if `plain` lacks a tensor or has one of another shape.
    pub fn starting_from(self, plain: &Self) -> Result<Self> {
        let trained = plain.weights()?;
        let own = match &self.modulation {
            Some(modulation) => read(modulation)?,
            None => Vec::new(),
        };
        load(self, |name| {
            let found = trained.iter().chain(&own).find(|named| named.name == name);
            found.map(|named| named.weight.clone())
        })
    }

    fn predict(
        &self,
        image: Tensor<4>,
        mask: Tensor<4>,
        refine: impl FnOnce(Features, Tensor<4>) -> Features,
    ) -> Result<Prediction> {
        let [_, _, height, width] = image.dims();
        if height % MULTIPLE != 0 || width % MULTIPLE != 0 {
            return Err(Error::Shape(format!(
                "sides must be multiples of {MULTIPLE}, got {height} x {width}"
            )));
        }
        let latent = self.encode(image.clone(), mask.clone())?;
        let refined = refine(latent.clone(), mask.clone());
        let predicted = self.decode(refined.clone());
        let known = mask.clone().neg().add_scalar(1.0);
        let inpainted = mask * predicted.clone() + known * image;
        Ok(Prediction { latent, refined, predicted, inpainted })
    }

    /// The latent of a masked image. With an empty mask it is the latent of the whole image.
    ///
    /// # Shapes
    /// As [`Generator::forward`], but any sides from 9 up; the result: parts
    /// `[batch, channels, height / 8, width / 8]`, sides rounded up.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ from these.
    pub fn encode(&self, image: Tensor<4>, mask: Tensor<4>) -> Result<Features> {
        Ok(self.encode_levels(image, mask)?.pop().expect("an encoder has levels"))
    }

    /// The outputs of all levels of the encoder; the last is the result of [`Generator::encode`].
    ///
    /// # Errors
    /// As [`Generator::encode`].
    pub fn encode_levels(&self, image: Tensor<4>, mask: Tensor<4>) -> Result<Vec<Features>> {
        check_pair(&image, &mask)?;
        let known = mask.clone().neg().add_scalar(1.0);
        let masked = image * known;
        let added = self.control.as_ref().map(|control| control.forward(mask.clone()));
        let x = if self.config.shape().sees_mask() { Tensor::cat(vec![masked, mask], 1) } else { masked };
        Ok(self.encoder.levels(x, added).collect())
    }

    /// The latent of the complete image: with several answers, that of the mean code without noise.
    ///
    /// # Shapes
    /// As [`Refiner::forward`].
    pub fn refine(&self, latent: Features) -> Features {
        let Some(modulation) = &self.modulation else { return self.refiner.forward(latent) };
        let w = modulation.mapping.mean(latent.local.dims()[0]);
        modulation.refine_without_noise(&self.refiner, latent, w)
    }

    /// The image of a latent.
    ///
    /// # Shapes
    /// As [`Decoder::forward`].
    pub fn decode(&self, latent: Features) -> Tensor<4> {
        self.decoder.forward(latent)
    }
}

fn check_pair(image: &Tensor<4>, mask: &Tensor<4>) -> Result<()> {
    let [batch, channels, height, width] = image.dims();
    if channels != IMAGE_CHANNELS {
        return Err(Error::Shape(format!(
            "expected an image [batch, {IMAGE_CHANNELS}, height, width], got {:?}",
            image.dims()
        )));
    }
    if mask.dims() != [batch, 1, height, width] {
        return Err(Error::Shape(format!(
            "expected a mask [{batch}, 1, {height}, {width}], got {:?}",
            mask.dims()
        )));
    }
    if batch == 0 || height.min(width) < SMALLEST_ENCODED_SIDE {
        return Err(Error::Shape(format!(
            "expected a batch of pictures with sides of at least {SMALLEST_ENCODED_SIDE} pixels, got {:?}",
            image.dims()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{from_fixture, gradients_by_name, random, rng, tensor, values};
    use crate::weights::is_statistic;
    use lacuna::checkpoint::Checkpoint;
    use lacuna_network::{Delta, Family, Shape};
    use testkit::fixtures::{self, Fixtures};
    use testkit::{assert_close, pictures};

    /// Reference values of `oracle/make_fixtures.py`: two correct float32 implementations differ by about 1e-5.
    const TOLERANCE: f32 = 2e-5;

    fn config(family: Family, channels_in: usize, control: bool) -> Architecture {
        family.network(Shape { channels_in, width: 4, blocks: 2, control, delta: Delta::None })
    }

    /// The network of a fixture, through the public importer.
    fn from_file(name: &str) -> Generator {
        let checkpoint = Checkpoint::open(fixtures::path(name)).unwrap();
        Generator::from_checkpoint(&checkpoint, &Device::flex()).unwrap()
    }

    fn published() -> Generator {
        from_file("generator/bare.safetensors")
    }

    fn controlled() -> Generator {
        from_file("control/weights.safetensors")
    }

    fn small(family: Family, channels_in: usize, device: &Device) -> Generator {
        Generator::new(&config(family, channels_in, false), rng(1), device).unwrap()
    }

    fn scene(width: usize, height: usize) -> (Tensor<4>, Tensor<4>) {
        let mask = pictures::hole(width, height).into_iter().map(|hole| if hole { 1.0 } else { 0.0 });
        let image = tensor([1, 3, height, width], pictures::picture(width, height));
        (image, tensor([1, 1, height, width], mask.collect()))
    }

    #[track_caller]
    fn assert_stages(prediction: Prediction, numbers: &Fixtures, prefix: &str) {
        let Prediction { latent, refined, predicted, inpainted } = prediction;
        for (stage, actual) in [
            ("latent_local", latent.local),
            ("latent_global", latent.global.unwrap()),
            ("refined_local", refined.local),
            ("refined_global", refined.global.unwrap()),
            ("predicted", predicted),
            ("inpainted", inpainted),
        ] {
            let expected = numbers.get(&format!("{prefix}{stage}"));
            assert_eq!(actual.dims().to_vec(), expected.shape, "{stage}");
            let actual = values(actual);
            let worst = testkit::worst_difference(&actual, &expected.values).unwrap();
            println!("{prefix}{stage}: worst difference {:e}", worst.size());
            assert_close(&actual, &expected.values, TOLERANCE);
        }
    }

    #[test]
    fn every_stage_equals_the_reference() {
        let numbers = fixtures::load("generator/io.safetensors");
        let [image, mask] = ["image", "mask"].map(|name| from_fixture(numbers.get(name)));
        assert_stages(published().forward(image, mask).unwrap(), &numbers, "");
    }

    #[test]
    fn every_stage_with_control_equals_the_reference() {
        let numbers = fixtures::load("control/io.safetensors");
        let [image, mask] = ["image", "mask"].map(|name| from_fixture(numbers.get(name)));
        let mut generator = controlled();
        assert_stages(generator.forward(image.clone(), mask.clone()).unwrap(), &numbers, "");
        let fresh = generator.config().layers().control.unwrap();
        generator.control =
            Some(MaskControl::new(&fresh, &mut Init::drawn(rng(1), &Device::flex())).unwrap());
        assert_stages(generator.forward(image, mask).unwrap(), &numbers, "at_zero_");
    }

    #[test]
    fn the_latent_difference_equals_the_reference() {
        let numbers = fixtures::load("control/latent_difference.safetensors");
        let [image, mask] = ["image", "mask"].map(|name| from_fixture(numbers.get(name)));
        let mut generator = controlled();
        generator.control = None;
        let whole = generator.encode(image.clone(), mask.zeros_like()).unwrap();
        let difference = whole - generator.encode(image, mask).unwrap();
        let Features { local, global } = difference.clone();
        assert_close(&values(local), &numbers.get("difference_local").values, TOLERANCE);
        assert_close(&values(global.unwrap()), &numbers.get("difference_global").values, TOLERANCE);
        assert_close(&values(generator.decode(difference)), &numbers.get("decoded").values, TOLERANCE);
    }

    #[test]
    fn control_at_zero_changes_no_bit() {
        let (image, mask) = scene(32, 24);
        let bits = |generator: Generator| -> Vec<u32> {
            let prediction = generator.forward(image.clone(), mask.clone()).unwrap();
            values(prediction.predicted).iter().map(|value| value.to_bits()).collect()
        };
        for family in Family::ALL {
            for channels_in in [3, 4] {
                let plain = small(family, channels_in, &Device::flex());
                let control = config(family, channels_in, true);
                let control = Generator::new(&control, rng(1), &Device::flex()).unwrap();
                assert_eq!(bits(plain), bits(control), "{family:?} with {channels_in} inputs");
            }
        }
    }

    #[test]
    fn pictures_of_a_batch_do_not_meet() {
        for family in Family::ALL {
            let generator = small(family, 4, &Device::flex());
            let (image, mask) = scene(24, 16);
            let other = random([1, 3, 16, 24], 3).abs();
            let both = generator
                .forward(
                    Tensor::cat(vec![image.clone(), other.clone()], 0),
                    Tensor::cat(vec![mask.clone(), mask.zeros_like()], 0),
                )
                .unwrap();
            let first = generator.forward(image, mask.clone()).unwrap();
            let second = generator.forward(other, mask.zeros_like()).unwrap();
            let alone = Tensor::cat(vec![first.inpainted, second.inpainted], 0);
            assert_close(&values(both.inpainted), &values(alone), TOLERANCE);
        }
    }

    #[test]
    fn odd_sizes_are_decoded_to_the_next_multiple() {
        for family in Family::ALL {
            let config = config(family, 4, true);
            let generator = Generator::new(&config, rng(1), &Device::flex()).unwrap();
            for [height, width] in [[9, 16], [17, 15], [16, 16], [30, 9]] {
                let (image, mask) = scene(width, height);
                let latent = generator.encode(image, mask).unwrap();
                assert_eq!(latent.channels(), config.latent());
                let predicted = generator.decode(generator.refine(latent));
                assert_eq!(predicted.dims(), [1, 3, height.next_multiple_of(8), width.next_multiple_of(8)]);
            }
        }
    }

    #[test]
    fn the_picture_inside_the_hole_has_no_influence() {
        for family in Family::ALL {
            let generator = small(family, 3, &Device::flex());
            let (image, mask) = scene(24, 16);
            let painted = image.clone() + mask.clone();
            let one = generator.forward(image, mask.clone()).unwrap();
            let other = generator.forward(painted, mask).unwrap();
            assert_eq!(values(one.predicted), values(other.predicted));
        }
    }

    #[test]
    fn training_reaches_everything_but_what_is_frozen() {
        let device = Device::flex().autodiff();
        for family in Family::PLAIN {
            let mut generator = Generator::new(&config(family, 3, true), rng(1), &device).unwrap();
            generator.encoder = generator.encoder.freeze();
            generator.decoder = generator.decoder.freeze();
            let before = generator.weights().unwrap();
            let (image, mask) = scene(24, 16);
            let [image, mask] = [image, mask].map(Tensor::from_inner);
            let loss = generator.forward(image, mask).unwrap().predicted.square().mean();
            let gradients = gradients_by_name(&generator, &loss.backward());
            let frozen = |name: &str| name.starts_with("encoder.") || name.starts_with("decoder.");
            for (before, after) in before.iter().zip(generator.weights().unwrap()) {
                let name = &before.name;
                let gradient = gradients.iter().find(|gradient| gradient.name == *name);
                if frozen(name) {
                    assert!(gradient.is_none(), "{name} has a gradient");
                    assert_eq!(before.weight, after.weight, "{name}");
                } else if is_statistic(name) {
                    assert_ne!(before.weight, after.weight, "{name}");
                } else {
                    assert!(gradient.is_some(), "{name} has no gradient");
                }
            }
        }
    }

    #[test]
    fn impossible_networks_and_pictures_are_refused() {
        let good = config(Family::Fourier, 4, false).shape().clone();
        for shape in [
            Shape { channels_in: 5, ..good.clone() },
            Shape { width: 0, ..good.clone() },
            Shape { width: 129, ..good.clone() },
            Shape { blocks: 0, ..good.clone() },
        ] {
            let config = Family::Fourier.network(shape);
            assert!(
                matches!(Generator::new(&config, rng(1), &Device::flex()), Err(Error::Config(_))),
                "{config:?}"
            );
        }
        struct Case {
            image: [usize; 4],
            mask: [usize; 4],
            problem: &'static str,
        }
        let generator = small(Family::Fourier, 4, &Device::flex());
        for Case { image, mask, problem } in [
            Case { image: [1, 4, 16, 16], mask: [1, 1, 16, 16], problem: "expected an image [batch, 3," },
            Case {
                image: [1, 3, 16, 16],
                mask: [1, 1, 16, 24],
                problem: "expected a mask [1, 1, 16, 16], got",
            },
            Case {
                image: [2, 3, 16, 16],
                mask: [1, 1, 16, 16],
                problem: "expected a mask [2, 1, 16, 16], got",
            },
            Case { image: [1, 3, 17, 16], mask: [1, 1, 17, 16], problem: "multiples of 8, got 17 x 16" },
            Case { image: [1, 3, 8, 16], mask: [1, 1, 8, 16], problem: "at least 9 pixels" },
        ] {
            let error = generator.forward(random(image, 1), random(mask, 1)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
