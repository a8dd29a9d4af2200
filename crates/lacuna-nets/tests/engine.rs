//! The CPU engine compared with the Burn networks, which are the reference.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::checkpoint::Checkpoint;
use lacuna::{EnginePredictor, Mask, Planes, Predictor, Refinement, Watch};
use lacuna_cpu::Isa;
use lacuna_cpu::engine::{Backward, Engine, PlanOptions, Wanted};
use lacuna_nets::block::Init;
use lacuna_nets::net::Refiner;
use lacuna_nets::weights::{NamedWeight, Weight, is_statistic};
use lacuna_nets::{DeviceName, Features, Generator, NetworkPredictor};
use lacuna_network::{Architecture, Delta, Family, Shape};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use testkit::{assert_close, pictures};

/// On predictions in `[0, 1]`, through all layers.
const TOLERANCE: f32 = 1e-4;

/// Smallest range of values that predictions must have.
const CONTRAST: f32 = 0.1;

/// A network with weights like trained ones: statistics that are not 0 and 1, and nonzero control.
struct Both {
    generator: Generator,
    engine: Engine,
    trained: HashMap<String, Weight>,
}

impl Both {
    fn new(config: &Architecture) -> Self {
        let device = Device::flex();
        let drawn = Generator::new(config, Pcg64::seed_from_u64(3), &device).unwrap().weights().unwrap();
        let trained: HashMap<String, Weight> = drawn
            .into_iter()
            .enumerate()
            .map(|(index, NamedWeight { name, mut weight })| {
                let noise = pictures::noise(index as u64, weight.values.len());
                let fan_in = weight.shape.iter().skip(1).product::<usize>() as f32;
                if name.ends_with("running_var") {
                    // The approximate variance after a convolution with random weights and input of variance 1.
                    let typical = if name.contains("refiner") { 1.0 } else { 0.15 };
                    weight.values = noise.iter().map(|noise| typical * (1.0 + 0.3 * noise)).collect();
                } else if is_statistic(&name) {
                    weight.values = noise.iter().map(|noise| 0.1 * noise).collect();
                } else if name.starts_with("control.zero") {
                    weight.values = noise.iter().map(|noise| noise / fan_in.sqrt()).collect();
                }
                (name, weight)
            })
            .collect();
        let generator = Generator::load(config, |name| trained.get(name).cloned(), &device).unwrap();
        let source = |name: &str| trained.get(name).map(|weight| Cow::Borrowed(weight.values.as_slice()));
        let engine = Engine::compile(&config.layers(), Isa::best(), source).unwrap();
        Self { generator, engine, trained }
    }

    /// The largest difference of predictions for a batch of images.
    fn difference(&self, batch: usize, [height, width]: [usize; 2]) -> f32 {
        let pixels = height * width;
        let image: Vec<f32> = (0..batch)
            .flat_map(|index| {
                let scale = 1.0 / (index + 1) as f32;
                pictures::picture(width, height).into_iter().map(move |value| value * scale)
            })
            .collect();
        let mask: Vec<bool> = (0..batch)
            .flat_map(|index| {
                let mut mask = pictures::hole(width, height);
                mask.rotate_left(index * width * height / 3);
                mask
            })
            .collect();
        let tensor = |values: Vec<f32>, channels: usize| {
            Tensor::<4>::from_data(TensorData::new(values, [batch, channels, height, width]), &Device::flex())
        };
        let hole = mask.iter().map(|&hole| if hole { 1.0 } else { 0.0 }).collect();
        let expected = self.generator.forward(tensor(image.clone(), 3), tensor(hole, 1)).unwrap().predicted;
        let expected = expected.into_data().try_into_vec::<f32>().unwrap();
        let extreme = |join: fn(f32, f32) -> f32| expected.iter().copied().reduce(join).unwrap();
        let contrast = extreme(f32::max) - extreme(f32::min);
        assert!(contrast > CONTRAST, "a flat prediction proves nothing: {contrast}");
        let plan = self.engine.plan(width, height, &PlanOptions::default()).unwrap();
        let found = image
            .chunks_exact(3 * pixels)
            .zip(mask.chunks_exact(pixels))
            .flat_map(|(image, mask)| self.engine.run(&plan, image, mask, Wanted::Everything).unwrap());
        let differences = found.zip(expected).map(|(found, expected)| (found - expected).abs());
        differences.fold(
            0.0,
            |worst: f32, difference| if difference.is_nan() { f32::NAN } else { worst.max(difference) },
        )
    }
}

/// Relative to the largest value of a gradient.
const GRADIENT_TOLERANCE: f32 = 1e-4;

/// The fraction of a gradient's values that may differ by more: a sum within rounding of 0 may have the other sign, and
/// then the ReLU after it passes another gradient.
const OTHER_SIGNS: f64 = 1e-3;

/// Largest norm of the difference of gradients, relative to the norm of the gradient.
const NORM_TOLERANCE: f64 = 1e-3;

impl Both {
    /// Compares the gradient of the latent for noise as the image's gradient with that of Burn's autodiff.
    fn compare_gradients(&self, config: &Architecture, [height, width]: [usize; 2]) {
        let backward = Backward::new(&self.engine);
        let plan = self.engine.plan_latent(&backward, width, height, &PlanOptions::default()).unwrap();
        let (image, mask) = (pictures::picture(width, height), pictures::hole(width, height));
        let go_on = |_: f32| true;
        let mut run = self.engine.encode(&backward, plan, &image, &mask, &go_on).unwrap();
        let latent = run.latent();
        let of_image = pictures::noise(7, 3 * height * width);
        let predicted = run.predict(&go_on).unwrap();
        run.backward(&predicted, &of_image, &go_on).unwrap();
        let found = run.gradient();

        let device = Device::flex().autodiff();
        let generator = Generator::load(config, |name| self.trained.get(name).cloned(), &device).unwrap();
        let generator = generator.freeze();
        let channels = config.layers().latent();
        let shape = [1, channels.local + channels.global, height / 8, width / 8];
        let latent = Tensor::<4>::from_data(TensorData::new(latent, shape), &device).require_grad();
        let weighting = TensorData::new(of_image, [1, 3, height, width]);
        let refined = generator.refine(Features::split(latent.clone(), channels));
        let loss = (generator.decode(refined) * Tensor::<4>::from_data(weighting, &device)).sum();
        let expected = latent.grad(&loss.backward()).unwrap().into_data().try_into_vec::<f32>().unwrap();

        let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        assert!(largest > 0.0, "a gradient of zeros proves nothing");
        let differences: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).collect();
        // NaN is wrong, too.
        let within = |difference: &&f32| **difference <= GRADIENT_TOLERANCE * largest;
        let wrong = differences.len() - differences.iter().filter(within).count();
        let norm = |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        let ratio = norm(&differences) / norm(&expected);
        println!("{config:?} {height} x {width}: {wrong} of {} differ, norm {ratio:e}", expected.len());
        assert!(
            wrong as f64 <= OTHER_SIGNS * expected.len() as f64,
            "{config:?}: {wrong} of {}",
            expected.len()
        );
        assert!(ratio <= NORM_TOLERANCE, "{config:?} {height} x {width}: {ratio}");
    }
}

#[test]
fn gradients_of_the_latent() {
    for family in Family::PLAIN {
        for (channels_in, control) in [(4, false), (3, true)] {
            for delta in [Delta::None, Delta::Literal, Delta::Signed] {
                let config = config(family, channels_in, 8, 2)
                    .with(|shape| (shape.control, shape.delta) = (control, delta));
                let both = Both::new(&config);
                for size in [[16, 16], [24, 40], [88, 72]] {
                    both.compare_gradients(&config, size);
                }
            }
        }
        let config = config(family, 4, 4, 1);
        let both = Both::new(&config);
        for size in [[16, 512], [512, 512]] {
            both.compare_gradients(&config, size);
        }
    }
}

/// Largest difference of refined predictions: half of an 8-bit step. A sign that changes a pass earlier leads to another
/// path of the same loss.
const REFINED_TOLERANCE: f32 = 2e-3;

#[test]
fn refined_predictions() {
    let checkpoint = Checkpoint::open(testkit::fixtures::path("refinement/weights.safetensors")).unwrap();
    let generator = Generator::from_checkpoint(&checkpoint, &Device::flex()).unwrap();
    let networks: [Arc<dyn Predictor>; 2] = [
        Arc::new(EnginePredictor::new(&checkpoint).unwrap()),
        Arc::new(NetworkPredictor::new(generator, DeviceName::Cpu).unwrap()),
    ];
    let (width, height) = (64, 80);
    let image = Planes::new(width, height, pictures::picture(width, height));
    let mask = Mask::new(width, height, pictures::hole(width, height));
    for side in [None, Some(32)] {
        let refinement = Refinement::new(6, side);
        let [engine, burn] = networks.each_ref().map(|network| {
            assert!(network.can_refine());
            let plain = network.predict(&image, &mask, 0).unwrap();
            let refined = Arc::clone(network).refined(refinement).unwrap();
            let predicted = refined.predict(&image, &mask, 0).unwrap();
            let moved = plain.values().iter().zip(predicted.values()).map(|(a, b)| (a - b).abs());
            assert!(moved.fold(0.0, f32::max) > 2.0 * REFINED_TOLERANCE, "refinement moved nothing");
            predicted
        });
        assert_close(burn.values(), engine.values(), REFINED_TOLERANCE);
    }
    let refined = Arc::clone(&networks[1]).refined(Refinement::new(9, None)).unwrap();
    assert!(refined.name().ends_with(" (burn, cpu), refined: 9 passes, known pixels"), "{}", refined.name());
    assert!(refined.forecast_bytes(256, 256) > networks[1].forecast_bytes(256, 256));
    assert!(refined.forecast_seconds(256, 256, 1) > 15.0 * networks[1].forecast_seconds(256, 256, 1));
    let watch = Watch::default();
    watch.stop();
    assert!(matches!(refined.predict_watched(&image, &mask, 0, &watch), Err(lacuna::Error::Stopped)));
}

fn config(family: Family, channels_in: usize, width: usize, blocks: usize) -> Architecture {
    family.network(Shape { channels_in, width, blocks, control: false, delta: Delta::None })
}

#[track_caller]
fn assert_equal(config: &Architecture, batch: usize, sizes: &[[usize; 2]]) {
    let both = Both::new(config);
    for &size in sizes {
        let worst = both.difference(batch, size);
        println!("{config:?} {batch} x {size:?}: worst difference {worst:e}");
        assert!(worst <= TOLERANCE, "{config:?} at {batch} x {size:?}: {worst:e}");
    }
}

#[test]
fn every_variant_at_even_and_odd_latents() {
    for family in Family::ALL {
        for channels_in in [3, 4] {
            for control in [false, true] {
                for delta in [Delta::None, Delta::Literal, Delta::Signed] {
                    let config = config(family, channels_in, 8, 2)
                        .with(|shape| (shape.control, shape.delta) = (control, delta));
                    assert_equal(&config, 1, &[[16, 16], [24, 40], [88, 72]]);
                }
            }
        }
    }
}

#[test]
fn widths_that_leave_lanes_empty() {
    for family in Family::ALL {
        for width in [1, 3, 4, 20] {
            let config = config(family, 4, width, 1).with(|shape| shape.control = true);
            assert_equal(&config, 1, &[[16, 24], [56, 40]]);
        }
    }
}

#[test]
fn batches() {
    for family in Family::ALL {
        assert_equal(&config(family, 4, 8, 2), 3, &[[32, 24]]);
    }
}

#[test]
fn large_pictures() {
    assert_equal(&config(Family::Fourier, 4, 4, 1), 1, &[[1024, 1024], [16, 1024], [1016, 16]]);
}

#[test]
fn the_depth_and_width_of_the_published_network() {
    assert_equal(&config(Family::Fourier, 4, 64, 18), 1, &[[64, 72]]);
    assert_equal(&config(Family::Regular, 4, 64, 9), 1, &[[64, 64]]);
}

#[test]
fn burn_runs_what_the_engine_refuses_by_name() {
    let mut layers = config(Family::Fourier, 4, 2, 1).layers();
    layers.refiner[0][1].form.kernel = 5;
    let refused = Engine::compile(&layers, Isa::best(), |_| None).map(drop).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "refiner.blocks.0.second: the CPU engine has no 5x5 fast Fourier convolution of stride 1, border reflected, \
         BatchNorm, ReLU"
    );
    let mut init = Init::drawn(Pcg64::seed_from_u64(1), &Device::flex());
    let refiner = Refiner::new(&layers, &mut init).unwrap();
    let latent = Features::split(Tensor::ones([1, 16, 4, 6], &Device::flex()), layers.latent());
    let refined = refiner.forward(latent.clone());
    assert_eq!(refined.channels(), layers.latent());
    let added = (refined - latent).concat().into_data().try_into_vec::<f32>().unwrap();
    assert!(added.iter().all(|&value| value >= 0.0) && added.iter().any(|&value| value > 0.0));
}
