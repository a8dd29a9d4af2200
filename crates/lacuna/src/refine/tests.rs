//! Refinement against the published program's values, at its limits, and stopped.

use lacuna_network::{Architecture, Delta, Family, Shape};
use testkit::fixtures::{Fixtures, load, path};
use testkit::{assert_close, pictures};

use super::adam::Adam;
use super::loss::Loss;
use super::*;
use crate::checkpoint::Checkpoint;
use crate::patchmatch::PatchMatch;
use crate::{EnginePredictor, Error, Guided};
use std::sync::Arc;

/// The pyramid of the reference values.
const PYRAMID: Pyramid = Pyramid { side: 30, levels: 3, erosion: 5 };

fn network() -> Arc<EnginePredictor> {
    let checkpoint = Checkpoint::open(path("refinement/weights.safetensors")).unwrap();
    Arc::new(EnginePredictor::new(&checkpoint).unwrap())
}

fn refined(network: &Arc<EnginePredictor>, passes: u16, pyramid: Option<Pyramid>) -> Refined {
    Refined::new(EngineLatents::new(Arc::clone(network)), Refinement { passes, pyramid })
}

fn image_of(fixtures: &Fixtures, name: &str) -> Planes {
    let tensor = fixtures.get(name);
    let &[1, 3, height, width] = tensor.shape.as_slice() else { panic!("{:?}", tensor.shape) };
    Planes::new(width, height, tensor.values.clone())
}

fn mask_of(fixtures: &Fixtures, name: &str) -> Mask {
    let tensor = fixtures.get(name);
    let &[1, 1, height, width] = tensor.shape.as_slice() else { panic!("{:?}", tensor.shape) };
    Mask::new(width, height, tensor.values.iter().map(|&value| value > 0.5).collect())
}

/// Local and global channels, one after the other.
fn latent_of(fixtures: &Fixtures, name: &str) -> Vec<f32> {
    ["local", "global"]
        .iter()
        .flat_map(|part| fixtures.get(&format!("{name}_{part}")).values.clone())
        .collect()
}

#[test]
fn the_coarse_level_is_the_published_programs() {
    let (coarse, fine) = (load("refinement/coarse.safetensors"), load("refinement/fine.safetensors"));
    assert_eq!(levels(61, 76, PYRAMID.side, PYRAMID.levels), 2);
    let halving = Halving::new(61, 76);
    let (image, mask) = (image_of(&coarse, "image"), mask_of(&coarse, "mask"));
    assert_eq!(halving.hole(&mask_of(&fine, "mask")), mask);
    assert_close(halving.picture(&image_of(&fine, "image")).values(), image.values(), 1e-6);
    assert_eq!(reflected(&image), image_of(&coarse, "padded"));
    assert_eq!(reflected_mask(&mask), mask_of(&coarse, "padded_mask"));
    let refined = refined(&network(), 15, Some(PYRAMID));
    let predicted = refined.level(&image, &mask, None, &Watch::default(), 2).unwrap();
    let filled = composed(predicted, &image, &mask);
    assert_close(filled.values(), image_of(&coarse, "inpainted").values(), 1e-5);
}

#[test]
fn losses_gradient_updates_and_prediction_are_the_published_programs() {
    let (coarse, fine) = (load("refinement/coarse.safetensors"), load("refinement/fine.safetensors"));
    let network = network();
    let network = EngineLatents::new(network);
    let (image, mask) = (image_of(&fine, "image"), mask_of(&fine, "mask"));
    let (padded, hole) = (reflected(&image), reflected_mask(&mask));
    let halving = Halving::new(61, 76);
    let core = eroded(&halving.core(&mask), PYRAMID.erosion);
    assert_eq!(core, mask_of(&fine, "core"));
    let coarser = Coarser { halving, size: (61, 76), fill: image_of(&coarse, "inpainted"), core };
    let target = Target { image: &padded, mask: &hole, coarser: Some(&coarser) };
    let mut run = network.run(&padded, &hole, &|_| true).unwrap().run;
    assert_close(&run.latent(), &latent_of(&fine, "latent"), 1e-5);
    let mut adam = Adam::new(0.002);
    for pass in 0..15 {
        let predicted = run.predict(&|_| true).unwrap();
        let loss = Loss::of(&predicted, target);
        for (found, name) in
            [(loss.total(), "losses"), (loss.known, "losses_known"), (loss.low, "losses_core")]
        {
            let expected = f64::from(fine.get(name).values[pass]);
            assert!((found - expected).abs() < 1e-6, "{name} of pass {pass}: {found}, {expected}");
        }
        run.backward(&predicted, &loss.gradient, &|_| true).unwrap();
        if pass == 0 {
            assert_close(&predicted, &fine.get("predicted_0").values, 1e-5);
            let expected = latent_of(&fine, "grad");
            let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            assert_close(&run.gradient(), &expected, 1e-4 * largest);
        }
        if pass == 14 {
            assert_close(&predicted, &fine.get("predicted").values, 1e-5);
        }
        adam.update(run.parts().collect());
        if [1, 5, 14, 15].contains(&(pass + 1)) {
            // One wrong sign is 0.004.
            assert_close(&run.latent(), &latent_of(&fine, &format!("after_{}", pass + 1)), 1e-5);
        }
    }
}

/// The whole predictor: the fixture's loss falls in all passes, so that the last is the best.
#[test]
fn the_fill_is_the_published_programs_and_known_pixels_keep_their_bits() {
    let fine = load("refinement/fine.safetensors");
    let refined = refined(&network(), 15, Some(PYRAMID));
    let (image, mask) = (image_of(&fine, "image"), mask_of(&fine, "mask"));
    let predicted = refined.refine(&image, &mask, &Watch::default()).unwrap();
    let filled = composed(predicted, &image, &mask);
    assert_close(filled.values(), image_of(&fine, "inpainted").values(), 1e-5);
    for (index, _) in mask.hole().iter().enumerate().filter(|(_, hole)| !**hole) {
        assert!(
            (0..3).all(
                |channel| filled.plane(channel)[index].to_bits() == image.plane(channel)[index].to_bits()
            )
        );
    }
}

/// Mean difference of latents on paths of the same loss: a fortieth of one update.
const MEAN_PATH: f32 = 5e-5;
/// Largest difference of their predictions: half of an 8-bit step.
const WORST_PATH: f32 = 2e-3;

#[test]
fn known_pixels_alone_are_fitted_at_one_level() {
    let (fine, known) = (load("refinement/fine.safetensors"), load("refinement/known.safetensors"));
    let network = network();
    let latents = EngineLatents::new(Arc::clone(&network));
    let (image, mask) = (image_of(&fine, "image"), mask_of(&fine, "mask"));
    let (padded, hole) = (reflected(&image), reflected_mask(&mask));
    let target = Target { image: &padded, mask: &hole, coarser: None };
    let mut latent = latents.run(&padded, &hole, &|_| true).unwrap();
    let stop = Stop { passes: 15, early: Early::Never };
    let fitted = fit(&mut latent, target, stop, &Watch::default()).unwrap();
    for ([found, low], expected) in fitted.losses.iter().zip(&known.get("losses").values) {
        assert!((found - f64::from(*expected)).abs() < 1e-6 && *low == 0.0, "{found}, {expected}");
    }
    // A pixel or a ReLU whose sign changes one pass earlier than in PyTorch leads to another path of the same loss.
    let (latent, expected) = (latent.run.latent(), latent_of(&known, "after_14"));
    let mean = latent.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum::<f32>() / latent.len() as f32;
    assert!(mean < MEAN_PATH, "{mean}");
    let expected = &known.get("predicted").values;
    assert_close(&fitted.predicted, expected, WORST_PATH);
    let predicted = refined(&network, 15, None).predict(&padded, &hole, 0).unwrap();
    assert_close(predicted.values(), expected, WORST_PATH);
}

#[test]
fn a_hole_without_a_core_fits_known_pixels() {
    // `refine_without_core` of the reference values.
    const LOSSES: [f64; 2] = [0.288_103_043, 0.282_235_622];
    let fine = load("refinement/fine.safetensors");
    let network = network();
    let latents = EngineLatents::new(Arc::clone(&network));
    let image = image_of(&fine, "image");
    let is_hole = |index: usize| (20..60).contains(&(index / 61)) && (30..34).contains(&(index % 61));
    let mask = Mask::new(61, 76, (0..61 * 76).map(is_hole).collect());
    assert_eq!(eroded(&Halving::new(61, 76).core(&mask), PYRAMID.erosion).count(), 0);
    let (padded, hole) = (reflected(&image), reflected_mask(&mask));
    let target = Target { image: &padded, mask: &hole, coarser: None };
    let mut latent = latents.run(&padded, &hole, &|_| true).unwrap();
    let fitted =
        fit(&mut latent, target, Stop { passes: 15, early: Early::Never }, &Watch::default()).unwrap();
    for (pass, expected) in [0, 14].into_iter().zip(LOSSES) {
        assert!((fitted.losses[pass][0] - expected).abs() < 1e-6, "{:?}", fitted.losses[pass]);
    }
    let refined = refined(&network, 15, Some(PYRAMID));
    assert!(refined.refine(&image, &mask, &Watch::default()).is_ok());
}

fn drawn(family: Family, control: bool) -> Arc<EnginePredictor> {
    let shape =
        Shape { channels_in: if control { 3 } else { 4 }, width: 2, blocks: 1, control, delta: Delta::None };
    let network: Architecture = family.network(shape);
    Arc::new(EnginePredictor::random(&network, 1).unwrap())
}

#[test]
fn every_size_and_hole() {
    let holes: [fn(usize, usize) -> bool; 5] = [
        |x, _| x < 3,
        |_, y| y < 2,
        |x, y| x > 5 && y > 6,
        |x, y| (3..7).contains(&x) && (2..8).contains(&y),
        |_, _| true,
    ];
    for (family, control) in [(Family::Fourier, true), (Family::Regular, false)] {
        let network = drawn(family, control);
        let pyramid = Some(Pyramid { side: 8, levels: 3, erosion: 3 });
        for pyramid in [None, pyramid] {
            let refined = refined(&network, 3, pyramid);
            for side in 9..=40 {
                let (width, height) = (side, 49 - side);
                let image = Planes::new(width, height, pictures::picture(width, height));
                let hole = holes[side % holes.len()];
                let pixels = (0..width * height).map(|index| hole(index % width, index / width));
                let mask = Mask::new(width, height, pixels.collect());
                let predicted = refined.refine(&image, &mask, &Watch::default()).unwrap();
                assert_eq!((predicted.width(), predicted.height()), (width, height));
                assert!(
                    predicted.values().iter().all(|value| (0.0..=1.0).contains(value)),
                    "{width} x {height}"
                );
            }
        }
    }
}

#[test]
fn what_the_hole_held_and_threads_change_nothing_and_no_hole_returns_the_picture() {
    let network = drawn(Family::Fourier, true);
    let pyramid = Some(Pyramid { side: 16, levels: 2, erosion: 3 });
    let refined = refined(&network, 4, pyramid);
    let image = Planes::new(48, 40, pictures::picture(48, 40));
    let mask = Mask::new(48, 40, pictures::hole(48, 40));
    let mut other = image.clone();
    for channel in 0..3 {
        let pixels = other.plane_mut(channel).iter_mut().zip(mask.hole());
        pixels.filter(|(_, hole)| **hole).for_each(|(value, _)| *value = f32::NAN);
    }
    let fill = |image: &Planes, threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| refined.predict(image, &mask, 0)).unwrap()
    };
    assert!(fill(&image, 1) == fill(&other, 3));
    let none = Mask::new(48, 40, vec![false; 48 * 40]);
    assert!(refined.predict(&image, &none, 0).unwrap() == image);
}

#[test]
fn the_best_pass_is_kept_and_constant_losses_end_the_passes() {
    let network = drawn(Family::Fourier, false);
    let latents = EngineLatents::new(Arc::clone(&network));
    // All is hole: there is nothing to fit, so that three passes without a fall follow the first.
    let (image, all) = (Planes::black(16, 16), Mask::new(16, 16, vec![true; 256]));
    let mut latent = latents.run(&image, &all, &|_| true).unwrap();
    let target = Target { image: &image, mask: &all, coarser: None };
    let watch = Watch::default();
    let fitted = fit(&mut latent, target, Stop { passes: 100, early: Early::Stop }, &watch).unwrap();
    assert_eq!(fitted.losses.len(), 4);
    assert_eq!(fitted.predicted, network.predict(&image, &all, 0).unwrap().values());
    assert!(watch.done() < 0.1);
}

#[test]
fn it_is_cancelled_and_finished_between_passes() {
    let network = drawn(Family::Fourier, true);
    let refined = refined(&network, 50, None);
    let image = Planes::new(64, 64, pictures::picture(64, 64));
    let mask = Mask::new(64, 64, pictures::hole(64, 64));
    let watch = Watch::default();
    watch.finish();
    let first = refined.predict_watched(&image, &mask, 0, &watch).unwrap();
    let plain = network.run(&image, &mask, lacuna_cpu::engine::Wanted::Everything, &Watch::default());
    assert!(first == plain.unwrap(), "one pass, without an update, is a plain prediction");
    let watch = Watch::default();
    refined.predict_watched(&image, &mask, 0, &watch).unwrap();
    assert!(watch.done() > 0.0);
    watch.stop();
    assert!(matches!(refined.predict_watched(&image, &mask, 0, &watch), Err(Error::Stopped)));
}

#[test]
fn it_says_what_it_is_and_what_it_needs() {
    let network = drawn(Family::Fourier, false);
    let (name, weights) = (network.name(), network.resident_bytes());
    let default = refined(&network, DEFAULT_PASSES, None);
    assert_eq!(default.name(), format!("{name}, refined: 15 passes, known pixels"));
    let pyramid = Some(Pyramid::new(256));
    let other = refined(&network, 3, pyramid);
    assert_eq!(other.name(), format!("{name}, refined: 3 passes, pyramid to 256 pixels"));
    assert!(default.resident_bytes() > weights);
    assert!(default.forecast_bytes(256, 256) > network.forecast_bytes(256, 256));
    assert!(default.forecast_bytes(256, 256) < default.forecast_bytes(512, 512));
    let seconds = default.forecast_seconds(256, 256, 1) / network.forecast_seconds(256, 256, 1);
    assert!((15.0..40.0).contains(&seconds), "{seconds}");
    let patchmatch: Arc<dyn Predictor> = Arc::new(PatchMatch::default());
    let error = patchmatch.refined(Refinement::default()).err().unwrap().to_string();
    assert_eq!(error, "patchmatch cannot be refined: it is no network");
    let guided: Arc<dyn Predictor> = network.refined(Refinement::default()).unwrap();
    assert!(Guided::new(guided, PatchMatch::default()).name().contains("refined: 15 passes"));
}
