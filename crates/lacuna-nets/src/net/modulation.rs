//! Modulation of the refiner: several answers for one hole.
//!
//! [`lacuna_network::Modulation`] has the definition and its sources.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lacuna_network::Modulation as Tensors;
use lacuna_network::geometry::MULTIPLE;

use super::{Answers, Mapping, Refiner};
use crate::Features;
use crate::block::{Init, Linear, Style};

/// The mapping, and for each refiner block two styles and the strength of its noise.
#[derive(Module, Debug)]
pub struct Modulation {
    /// From random codes to codes for styles.
    pub mapping: Mapping,
    styles: Vec<Vec<Linear>>,
    noise: Vec<Param<Tensor<1>>>,
}

impl Modulation {
    /// A modulation without effect: styles are 1 and noise has no strength, whatever the code.
    pub fn new(tensors: &Tensors, init: &mut Init) -> Self {
        let mapping = Mapping::new(tensors, init);
        let mut block = |halves: &[lacuna_network::Linear; 2]| {
            halves.iter().map(|half| Linear::zero(half, init)).collect()
        };
        let styles = tensors.styles.iter().map(&mut block).collect();
        let noise = tensors.noise.iter().map(|row| init.constant([row.length], 0.0)).collect();
        Self { mapping, styles, noise }
    }

    /// The styles of both halves of every block: `1 + A [w; image] + a`.
    ///
    /// # Shapes
    /// - `w`: `[batch, 64]`
    /// - `latent`: parts `[batch, channels, height, width]`; `image` is the mean of each channel
    pub fn styles(&self, w: Tensor<2>, latent: &Features) -> Vec<[Style; 2]> {
        let channels = latent.channels();
        let condition = Tensor::cat(vec![w, means(latent.clone().concat())], 1); // [batch, 64 + channels]
        let style = |half: &Linear| Style::split(half.forward(condition.clone()).add_scalar(1.0), channels);
        self.styles.iter().map(|halves| [style(&halves[0]), style(&halves[1])]).collect()
    }

    /// The answers' refined latents.
    ///
    /// # Shapes
    /// - `latent` and the result: parts `[batch, channels, height, width]`
    /// - `mask`: `[batch, 1, 8 height, 8 width]`, 1 = hole
    ///
    /// # Panics
    /// If the refiner has another number of blocks, or blocks that are no fast Fourier convolutions.
    pub fn refine(
        &self,
        refiner: &Refiner,
        latent: Features,
        mask: Tensor<4>,
        answers: &Answers,
    ) -> Features {
        let inside = inside(mask);
        self.run(refiner, latent, answers.w.clone(), |block, x| match answers.maps.get(block) {
            Some(map) => self.with_noise(block, x, inside.clone() * map.clone()),
            None => x,
        })
    }

    /// The refined latents of codes without noise.
    ///
    /// # Shapes
    /// As [`Modulation::refine`]; `w`: `[batch, 64]`.
    ///
    /// # Panics
    /// As [`Modulation::refine`].
    pub fn refine_without_noise(&self, refiner: &Refiner, latent: Features, w: Tensor<2>) -> Features {
        self.run(refiner, latent, w, |_, x| x)
    }

    /// Runs all blocks; `noisy` adds noise to the input of the block with this index.
    fn run(
        &self,
        refiner: &Refiner,
        latent: Features,
        w: Tensor<2>,
        noisy: impl Fn(usize, Features) -> Features,
    ) -> Features {
        assert_eq!(refiner.blocks().len(), self.styles.len(), "blocks of refiner and modulation");
        let styles = self.styles(w, &latent);
        let blocks = refiner.blocks().iter().zip(&styles).enumerate();
        // What a literal delta adds is the latent as the first block sees it.
        let first = noisy(0, latent);
        let refined = blocks.fold(first.clone(), |x, (index, (block, styles))| {
            block.forward_styled(if index == 0 { x } else { noisy(index, x) }, styles)
        });
        refiner.finish(first, refined)
    }

    /// `x + q noise`, with the strength `q` of each channel.
    fn with_noise(&self, block: usize, x: Features, noise: Tensor<4>) -> Features {
        let channels = x.channels();
        let strength = self.noise[block].val();
        let all = strength.reshape([1, channels.total(), 1, 1]) * noise; // [batch, channels, height, width]
        x + Features::split(all, channels)
    }
}

/// The mean of each channel over all places, `[batch, channels]`.
fn means(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
}

/// The fraction of hole pixels in each place of the latent.
///
/// # Shapes
/// `mask`: `[batch, 1, 8 height, 8 width]`; the result: `[batch, 1, height, width]`.
fn inside(mask: Tensor<4>) -> Tensor<4> {
    let [batch, _, height, width] = mask.dims();
    let [rows, columns] = [height, width].map(|side| side / MULTIPLE);
    let places = mask.reshape([batch * rows, MULTIPLE, columns, MULTIPLE]); // rows of places, pixels in each
    places.mean_dim(1).mean_dim(3).reshape([batch, 1, rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Generator;
    use crate::testing::{
        assert_fixture, from_fixture, gradients_by_name, load_fixture, random, rng, tensor, values,
    };
    use crate::weights::{is_statistic, set_learning};
    use burn::tensor::Device;
    use lacuna::checkpoint::Checkpoint;
    use lacuna_network::{Delta, Family, Shape};
    use testkit::assert_close;
    use testkit::fixtures::{self, Fixtures};

    /// Reference values of `oracle/make_system_fixtures.py`.
    const TOLERANCE: f32 = 1e-5;

    /// The plain network of the reference.
    fn base() -> Generator {
        let checkpoint = Checkpoint::open(fixtures::path("systems/base.safetensors")).unwrap();
        Generator::from_checkpoint(&checkpoint, &Device::flex()).unwrap()
    }

    /// The base with a modulation that is still without effect.
    fn fresh() -> Generator {
        let base = base();
        let config = Family::Sampled.network(base.config().shape().clone());
        Generator::new(&config, rng(1), &Device::flex()).unwrap().starting_from(&base).unwrap()
    }

    /// The reference's sampled network.
    fn sampled() -> Generator {
        let weights = fixtures::load("systems/sampled_weights.safetensors");
        let mut generator = fresh();
        generator.modulation =
            generator.modulation.map(|modulation| load_fixture(modulation, &weights, str::to_owned));
        generator
    }

    fn numbers() -> Fixtures {
        fixtures::load("systems/sampled_io.safetensors")
    }

    /// Both answers of the reference.
    struct Scene {
        image: Tensor<4>,
        mask: Tensor<4>,
        z: Tensor<2>,
        maps: Vec<Tensor<4>>,
    }

    fn scene(numbers: &Fixtures) -> Scene {
        let twice = |name: &str| from_fixture::<4>(numbers.get(name)).repeat_dim(0, 2);
        Scene {
            image: twice("image"),
            mask: twice("mask"),
            z: from_fixture(numbers.get("z")),
            maps: ["map_0", "map_1"].map(|name| from_fixture(numbers.get(name))).into(),
        }
    }

    fn answers(generator: &Generator, scene: &Scene, psi: f64) -> Answers {
        let mapping = &generator.modulation.as_ref().unwrap().mapping;
        let w = mapping.truncated(mapping.forward(scene.z.clone()), psi);
        Answers { w, maps: scene.maps.clone() }
    }

    #[test]
    fn every_stage_equals_the_reference() {
        let (numbers, generator) = (numbers(), sampled());
        let scene = scene(&numbers);
        let answers = answers(&generator, &scene, 1.0);
        let modulation = generator.modulation.as_ref().unwrap();
        let latent = generator.encode(scene.image.clone(), scene.mask.clone()).unwrap();
        let first = |tensor: Tensor<4>| tensor.narrow(0, 0, 1);
        assert_fixture(&numbers, "latent_local", first(latent.local.clone()));
        assert_fixture(&numbers, "latent_global", first(latent.global.clone().unwrap()));
        assert_fixture(&numbers, "picture", means(latent.clone().concat()));
        assert_fixture(&numbers, "inside", inside(scene.mask.clone()));
        let mut x = latent.clone();
        let styles = modulation.styles(answers.w.clone(), &latent);
        for (index, (block, halves)) in generator.refiner.blocks().iter().zip(&styles).enumerate() {
            for (half, style) in halves.iter().enumerate() {
                let all = Tensor::cat(vec![style.local.clone(), style.global.clone()], 1);
                assert_fixture(&numbers, &format!("style_{index}_{half}"), all);
                let restored = block.fast_fourier()[half].restored(style);
                for (part, factors) in
                    [("local", restored.local), ("global", restored.global), ("spectral", restored.spectral)]
                {
                    assert_fixture(&numbers, &format!("restore_{part}_{index}_{half}"), factors);
                }
            }
            x = modulation.with_noise(index, x, inside(scene.mask.clone()) * answers.maps[index].clone());
            x = block.forward_styled(x, halves);
            assert_fixture(&numbers, &format!("block_{index}_local"), x.local.clone());
            assert_fixture(&numbers, &format!("block_{index}_global"), x.global.clone().unwrap());
        }
        let prediction = generator.answer(scene.image.clone(), scene.mask.clone(), &answers).unwrap();
        assert_fixture(&numbers, "predicted", prediction.predicted);
        assert_fixture(&numbers, "inpainted", first(prediction.inpainted));
    }

    /// At the start every answer is that of the base network.
    #[test]
    fn without_training_it_has_no_effect() {
        let (numbers, generator) = (numbers(), fresh());
        let scene = scene(&numbers);
        let answers = answers(&generator, &scene, 1.0);
        let prediction = generator.answer(scene.image.clone(), scene.mask.clone(), &answers).unwrap();
        let plain = base().forward(scene.image.clone(), scene.mask.clone()).unwrap();
        assert_close(&values(prediction.predicted.clone()), &values(plain.predicted), 1e-6);
        let [one, other] = [0, 1].map(|answer| values(prediction.predicted.clone().narrow(0, answer, 1)));
        assert_eq!(one, other, "answers at the start");
        assert_close(&one, &numbers.get("at_zero_predicted").values, TOLERANCE);
    }

    #[test]
    fn without_a_code_it_gives_the_answer_of_the_mean_code() {
        let (numbers, generator) = (numbers(), sampled());
        let Scene { image, mask, .. } = scene(&numbers);
        let w = generator.modulation.as_ref().unwrap().mapping.mean(2);
        let mean = generator.answer(image.clone(), mask.clone(), &Answers { w, maps: Vec::new() }).unwrap();
        let plain = generator.forward(image, mask).unwrap();
        assert_eq!(values(plain.predicted), values(mean.predicted));
    }

    #[test]
    fn full_truncation_leaves_only_the_noise() {
        let (numbers, mut generator) = (numbers(), sampled());
        let scene = scene(&numbers);
        let differ = |generator: &Generator| {
            let answers = answers(generator, &scene, 0.0);
            let all = generator.answer(scene.image.clone(), scene.mask.clone(), &answers).unwrap().predicted;
            let [one, other] = [0, 1].map(|answer| values(all.clone().narrow(0, answer, 1)));
            one != other
        };
        assert!(differ(&generator));
        let mut silent = generator.modulation.take().unwrap();
        silent.noise = silent.noise.into_iter().map(|row| row.map(|row| row.zeros_like())).collect();
        generator.modulation = Some(silent);
        assert!(!differ(&generator));
    }

    /// `best_of + 0.1 spread` by hand, with the spread that the reference wants.
    #[test]
    fn gradients_are_those_of_the_reference() {
        const WANTED: f64 = 0.5;
        let numbers = numbers();
        let plain = scene(&numbers);
        let device = Device::flex().autodiff();
        let mut generator = sampled().freeze().train().to_device(&device);
        generator.modulation = generator.modulation.map(|modulation| set_learning(modulation, |_| true));
        let lift = |tensor: Tensor<4>| Tensor::<4>::from_inner(tensor);
        let scene = Scene {
            image: lift(plain.image),
            mask: lift(plain.mask),
            z: Tensor::from_inner(plain.z),
            maps: plain.maps.into_iter().map(lift).collect(),
        };
        let Scene { image, mask, .. } = &scene;
        let answers = answers(&generator, &scene, 1.0);
        let predicted = generator.answer(image.clone(), mask.clone(), &answers).unwrap().predicted;
        let hole = mask.clone().narrow(0, 0, 1);
        let pixels = hole.clone().sum().into_scalar::<f32>() * 3.0;
        let distance = |x: Tensor<4>| (x.abs() * hole.clone()).sum().div_scalar(pixels);
        let [one, other] = [0, 1].map(|answer| predicted.clone().narrow(0, answer, 1));
        let image = image.clone().narrow(0, 0, 1);
        let errors = [&one, &other].map(|answer| distance(answer.clone() - image.clone()));
        let [first, second] = errors.clone().map(|error| error.into_scalar::<f32>());
        let best = if first < second { errors[0].clone() } else { errors[1].clone() };
        assert_close(&[first.min(second)], &[0.259_863_2], TOLERANCE);
        let spread = distance(one - other).neg().add_scalar(WANTED).div_scalar(WANTED);
        assert_close(&values(spread.clone()), &[0.950_023_95], TOLERANCE);
        let gradients = gradients_by_name(&generator, &(best + spread.mul_scalar(0.1)).backward());
        for (name, expected) in
            numbers.names().filter_map(|name| Some((name.strip_prefix("grad.")?, numbers.get(name))))
        {
            let found = gradients.iter().find(|gradient| gradient.name == name).expect("a gradient");
            let largest = expected.values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            assert_close(&found.weight.values, &expected.values, 1e-4 * largest);
        }
        let base = gradients.iter().find(|gradient| {
            !["mapping.", "styles.", "noise."].iter().any(|part| gradient.name.starts_with(part))
        });
        assert!(base.is_none(), "a frozen part has a gradient: {base:?}");
    }

    #[test]
    fn any_size_and_batch() {
        let shape = Shape { channels_in: 4, width: 2, blocks: 2, control: true, delta: Delta::Literal };
        let generator = Generator::new(&Family::Sampled.network(shape), rng(1), &Device::flex()).unwrap();
        let mapping = &generator.modulation.as_ref().unwrap().mapping;
        for [batch, height, width] in [[1, 16, 24], [2, 40, 16], [3, 24, 24]] {
            let map = |seed| random([batch, 1, height / 8, width / 8], seed);
            let w = mapping.forward(random([batch, 64], 1));
            let answers = Answers { w, maps: vec![map(2), map(3)] };
            let mask = tensor([batch, 1, height, width], vec![1.0; batch * height * width]);
            let prediction = generator.answer(random([batch, 3, height, width], 4), mask, &answers).unwrap();
            assert_eq!(prediction.predicted.dims(), [batch, 3, height, width]);
        }
        assert!(generator.weights().unwrap().iter().any(|named| is_statistic(&named.name)));
    }

    #[test]
    fn the_fraction_of_hole_pixels_by_hand() {
        let hole = (0..16 * 24).map(|at| f32::from(u8::from(at % 24 < 9 && at / 24 < 4)));
        let found = inside(tensor([1, 1, 16, 24], hole.collect()));
        assert_eq!(values(found), [0.5, 0.0625, 0.0, 0.0, 0.0, 0.0]);
    }
}
