//! Networks on the processor, through the engine of `lacuna-cpu`.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use lacuna_cpu::engine::{Engine, Plan, PlanOptions, Sample, Wanted, product_rate};
use lacuna_cpu::{Error as EngineError, Isa};
use lacuna_network::geometry::MULTIPLE;
use lacuna_network::{Architecture, TRUNCATION};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;

use crate::checkpoint::Checkpoint;
use crate::context::ContextPredictor;
use crate::method::{Build, Method};
use crate::refine::{EngineLatents, Refined, Refinement};
use crate::{Draw, Error, Mask, Planes, Predictor, Result, Sides, Watch};

/// A network alone, for the table in [`Method`].
pub(crate) const METHOD: Method =
    Method { name: "network", meaning: "A neural network alone", build: Build::WithNetwork(Ok) };

/// Bytes of packed weights after which the file's pages are released.
const RELEASE_BYTES: usize = 16 << 20;

/// The predictor of a weights file's network on the processor, whatever its family.
///
/// # Errors
/// As [`EnginePredictor::new`] and [`ContextPredictor::open`].
pub fn network_predictor(checkpoint: &Checkpoint) -> Result<Arc<dyn Predictor>> {
    Ok(match checkpoint.config().context_encoder() {
        Some(_) => Arc::new(ContextPredictor::open(checkpoint)?),
        None => Arc::new(EnginePredictor::new(checkpoint)?),
    })
}

/// Predicts the pixels of a hole with a network on the processor.
#[derive(Debug)]
pub struct EnginePredictor {
    engine: Engine,
    name: String,
    rate: OnceLock<f64>,
}

impl EnginePredictor {
    /// A predictor with the weights of a checkpoint, which may be closed afterwards.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the engine lacks a layer of the network; [`Error::Argument`] if `LACUNA_ISA` names
    /// instructions that this processor lacks.
    pub fn new(checkpoint: &Checkpoint) -> Result<Self> {
        let config = checkpoint.config();
        if config.generator().is_none() {
            let path = checkpoint.source().path.display().to_string();
            let problem = format!(
                "has a {} network, expected one with encoder, refiner and decoder",
                config.family_name()
            );
            return Err(Error::checkpoint(path, problem));
        }
        let unreleased = Cell::new(0);
        let engine = Engine::compile(&checkpoint.config().layers(), isa()?, |name| {
            if unreleased.get() > RELEASE_BYTES {
                checkpoint.release();
                unreleased.set(0);
            }
            let values = checkpoint.values(name)?;
            unreleased.set(unreleased.get() + size_of_val(&*values));
            Some(values)
        });
        checkpoint.release();
        let path = || checkpoint.source().path.display().to_string();
        let engine = engine.map_err(|error| Error::checkpoint(path(), error.to_string()))?;
        Ok(Self::of(engine, checkpoint.config()))
    }

    /// A predictor with random weights, for benchmarks: convolutions are uniform as in PyTorch, norms are identities.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such network, or `LACUNA_ISA` names instructions that this processor lacks.
    pub fn random(config: &Architecture, seed: u64) -> Result<Self> {
        config.check().map_err(|error| Error::Argument(error.to_string()))?;
        let layers = config.layers();
        let shapes = layers.tensors().into_iter().enumerate();
        let shapes: HashMap<String, (usize, Vec<usize>)> =
            shapes.map(|(index, (name, shape))| (name, (index, shape))).collect();
        let engine = Engine::compile(&layers, isa()?, |name| {
            let (index, shape) = shapes.get(name)?;
            Some(Cow::Owned(random_tensor(name, shape, seed.wrapping_add(*index as u64))))
        });
        Ok(Self::of(engine.map_err(|error| Error::Argument(error.to_string()))?, config))
    }

    fn of(engine: Engine, config: &Architecture) -> Self {
        let name = format!("{} (cpu, {})", config.label(), engine.isa());
        Self { engine, name, rate: OnceLock::new() }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The plan for frames of this size.
    ///
    /// # Errors
    /// [`Error::Predict`] if the network does not accept that size.
    pub fn plan(&self, width: usize, height: usize) -> Result<Plan> {
        self.engine.plan(width, height, &PlanOptions::default()).map_err(|error| self.failed(error))
    }

    /// Forecast time of a plan on this machine, in seconds.
    pub fn seconds(&self, plan: &Plan) -> f64 {
        plan.forecast_seconds(self.rate())
    }

    /// Operations per second of large products on this machine, measured once.
    pub(crate) fn rate(&self) -> f64 {
        *self.rate.get_or_init(|| product_rate(self.engine.isa()))
    }

    /// Predicts the whole image, or the part in `wanted`. A network with several answers gives that of its mean code.
    ///
    /// # Errors
    /// [`Error::Predict`] if the network does not accept the image, the mask has another size, or memory is
    /// insufficient; [`Error::Stopped`] if `watch` was cancelled.
    pub fn run(&self, image: &Planes, mask: &Mask, wanted: Wanted, watch: &Watch) -> Result<Planes> {
        self.run_sampled(image, mask, None, wanted, watch)
    }

    /// The answer of a draw, if there is one.
    fn run_sampled(
        &self,
        image: &Planes,
        mask: &Mask,
        draw: Option<&Draw>,
        wanted: Wanted,
        watch: &Watch,
    ) -> Result<Planes> {
        self.check_frame(image, mask)?;
        let (width, height) = (image.width(), image.height());
        let plan = self.plan(width, height)?;
        let proceed = |fraction| watch.reached(fraction).is_ok();
        let input = (image.values(), mask.hole());
        let sample = draw.map(|Draw { code, maps }| Sample { code, maps, psi: TRUNCATION });
        let predicted = self.engine.run_sampled(&plan, input, wanted, sample.as_ref(), &proceed);
        Ok(Planes::new(width, height, predicted.map_err(|error| self.failed(error))?))
    }

    /// The refined latents of images of one size, see [`Engine::refined_batch`].
    ///
    /// # Shapes
    /// `images`: `[batch, 3, height, width]` in `[0, 1]`; `masks`: `[batch, height, width]`; the result: `[batch, channels, height / 8,
    /// width / 8]`.
    ///
    /// # Errors
    /// [`Error::Predict`] if the network does not accept that size, or there is not a mask for each image.
    pub fn refined(&self, [height, width]: [usize; 2], images: &[f32], masks: &[bool]) -> Result<Vec<f32>> {
        let plan = self.plan(width, height)?;
        self.engine.refined_batch(&plan, images, masks).map_err(|error| self.failed(error))
    }

    pub(crate) fn failed(&self, error: EngineError) -> Error {
        if matches!(error, EngineError::Stopped) {
            return Error::Stopped;
        }
        Error::Predict { predictor: self.name(), problem: error.to_string() }
    }
}

fn isa() -> Result<Isa> {
    Isa::selected().map_err(|error| Error::Argument(error.to_string()))
}

/// A random tensor for benchmarks.
fn random_tensor(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    if let [_, inner @ ..] = shape
        && !inner.is_empty()
    {
        let reach = 1.0 / (inner.iter().product::<usize>() as f32).sqrt();
        let mut rng = Pcg64::seed_from_u64(seed);
        return (0..count).map(|_| reach * (2.0 * rng.random::<f32>() - 1.0)).collect();
    }
    let is_one = name.ends_with(".weight") || name.ends_with(".running_var");
    vec![if is_one { 1.0 } else { 0.0 }; count]
}

/// Bytes of a plan besides weights and the image.
fn working_bytes(plan: &Plan) -> u64 {
    plan.forecast_bytes() - plan.weight_bytes() - plan.picture_bytes()
}

impl Predictor for EnginePredictor {
    fn runs_in_parallel(&self) -> bool {
        true
    }

    fn uses_seed(&self) -> bool {
        self.engine.is_sampled()
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn predict_watched(&self, image: &Planes, mask: &Mask, seed: u64, watch: &Watch) -> Result<Planes> {
        let draw = self.engine.is_sampled().then(|| {
            let places = [image.height(), image.width()].map(|side| side / MULTIPLE);
            Draw::new(seed, self.engine.layers().refiner.len(), places)
        });
        self.run_sampled(image, mask, draw.as_ref(), Wanted::Hole, watch)
    }

    fn sides(&self) -> Sides {
        Sides::NETWORK
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        // Frames have sizes that the network accepts.
        self.plan(width, height).map_or(u64::MAX, |plan| working_bytes(&plan))
    }

    fn forecast_seconds(&self, width: usize, height: usize, _hole_pixels: usize) -> f64 {
        self.plan(width, height).map_or(f64::INFINITY, |plan| self.seconds(&plan))
    }

    fn resident_bytes(&self) -> u64 {
        self.engine.weight_bytes()
    }

    fn release(&self) {
        self.engine.release();
    }

    /// Not with several answers: refinement changes the latent from which their styles are computed.
    fn can_refine(&self) -> bool {
        !self.engine.is_sampled()
    }

    fn refined(self: Arc<Self>, refinement: Refinement) -> Result<Arc<dyn Predictor>> {
        if !self.can_refine() {
            let name = self.name();
            return Err(Error::Argument(format!("{name} cannot be refined: it has several answers")));
        }
        Ok(Arc::new(Refined::new(EngineLatents::new(self), refinement)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_network::{Delta, Family, Shape};
    use testkit::pictures;

    /// Largest difference from PyTorch on the fixtures, whose weights resemble trained ones.
    const TORCH_TOLERANCE: f32 = 2e-5;

    fn config(family: Family) -> Architecture {
        family.network(Shape { channels_in: 4, width: 2, blocks: 1, control: false, delta: Delta::None })
    }

    fn predictor(family: Family) -> EnginePredictor {
        EnginePredictor::random(&config(family), 1).unwrap()
    }

    fn scene(width: usize, height: usize) -> (Planes, Mask) {
        (
            Planes::new(width, height, pictures::picture(width, height)),
            Mask::new(width, height, pictures::hole(width, height)),
        )
    }

    #[test]
    fn who_watches_sees_it_grow_and_can_stop_it() {
        let (image, mask) = scene(64, 48);
        for family in Family::ALL {
            let (predictor, watch) = (predictor(family), Watch::default());
            predictor.predict_watched(&image, &mask, 0, &watch).unwrap();
            assert!((watch.done() - 1.0).abs() < 1e-5, "{}", watch.done());
            watch.stop();
            assert!(matches!(predictor.predict_watched(&image, &mask, 0, &watch), Err(Error::Stopped)));
        }
    }

    #[test]
    fn it_says_what_it_is() {
        let isa = Isa::selected().unwrap();
        assert_eq!(predictor(Family::Fourier).name(), format!("fourier-w2-b1 (cpu, {isa})"));
        assert_eq!(predictor(Family::Regular).name(), format!("regular-w2-b1 (cpu, {isa})"));
        let none = Family::Fourier.network(Shape { width: 0, ..config(Family::Fourier).shape().clone() });
        assert!(matches!(EnginePredictor::random(&none, 1), Err(Error::Argument(_))));
    }

    #[test]
    fn a_prediction_is_a_picture_and_always_the_same() {
        let (image, mask) = scene(40, 24);
        for family in Family::ALL {
            let predictor = predictor(family);
            let predicted = predictor.predict(&image, &mask, 1).unwrap();
            assert_eq!((predicted.width(), predicted.height()), (40, 24));
            assert!(predicted.values().iter().all(|value| (0.0..=1.0).contains(value)));
            assert_eq!(predictor.predict(&image, &mask, 1).unwrap(), predicted);
            let other = predictor.predict(&image, &mask, 2).unwrap();
            assert_eq!(other != predicted, predictor.uses_seed(), "{family}");
            assert_eq!(predictor.uses_seed(), family == Family::Sampled);
            predictor.release();
            assert_eq!(predictor.predict(&image, &mask, 1).unwrap(), predicted);
        }
    }

    #[test]
    fn hole_pixels_are_the_same_when_only_they_are_wanted() {
        let (image, mask) = scene(64, 72);
        let predictor = predictor(Family::Fourier);
        let everything = predictor.run(&image, &mask, Wanted::Everything, &Watch::default()).unwrap();
        let hole = predictor.run(&image, &mask, Wanted::Hole, &Watch::default()).unwrap();
        for channel in 0..3 {
            for (i, _) in mask.hole().iter().enumerate().filter(|(_, hole)| **hole) {
                assert_eq!(everything.plane(channel)[i].to_bits(), hole.plane(channel)[i].to_bits());
            }
        }
    }

    #[test]
    fn what_the_hole_held_has_no_influence() {
        let (image, mask) = scene(40, 24);
        let mut spoiled = image.clone();
        for channel in 0..3 {
            for (value, &hole) in spoiled.plane_mut(channel).iter_mut().zip(mask.hole()) {
                *value = if hole { f32::NAN } else { *value };
            }
        }
        let predictor = predictor(Family::Fourier);
        let predicted = predictor.predict(&image, &mask, 0).unwrap();
        assert_eq!(predictor.predict(&spoiled, &mask, 0).unwrap(), predicted);
    }

    #[test]
    fn forecasts_grow_with_the_picture() {
        let predictor = predictor(Family::Fourier);
        let small = predictor.forecast_seconds(256, 256, 100);
        assert!(small > 0.0 && small < predictor.forecast_seconds(512, 512, 100));
        assert!(predictor.forecast_bytes(256, 256) < predictor.forecast_bytes(512, 512));
        assert!(predictor.resident_bytes() > 0);
        let plan = predictor.plan(64, 64).unwrap();
        let (frame, resident) = (25 * 64 * 64, predictor.resident_bytes());
        assert_eq!(predictor.forecast_bytes(64, 64) + frame + resident, plan.forecast_bytes());
    }

    #[test]
    fn wrong_sizes_are_errors_not_panics() {
        let predictor = predictor(Family::Fourier);
        for (width, height) in [(8, 16), (20, 16)] {
            let (image, mask) = scene(width, height);
            let error = predictor.predict(&image, &mask, 0).unwrap_err().to_string();
            let problem = format!("multiples of 8 from 16 up, got {width} x {height}");
            assert!(error.starts_with("fourier-w2-b1 (cpu, ") && error.ends_with(&problem), "{error}");
        }
        let error = predictor.predict(&scene(16, 16).0, &scene(24, 16).1, 0).unwrap_err().to_string();
        assert!(error.ends_with("image of 16 x 16, mask of 24 x 16"), "{error}");
    }

    /// Reference values of `oracle/make_fixtures.py`.
    #[test]
    fn predictions_are_those_of_pytorch() {
        for (weights, numbers) in [
            ("generator/bare.safetensors", "generator/io.safetensors"),
            ("control/weights.safetensors", "control/io.safetensors"),
        ] {
            let checkpoint = Checkpoint::open(testkit::fixtures::path(weights)).unwrap();
            let fixtures = testkit::fixtures::load(numbers);
            let (image, mask) = (fixtures.get("image"), fixtures.get("mask"));
            let &[batch, 3, height, width] = image.shape.as_slice() else { panic!("{:?}", image.shape) };
            let pixels = width * height;
            let hole: Vec<bool> = mask.values.iter().map(|&value| value > 0.0).collect();
            for isa in Isa::available() {
                let engine =
                    Engine::compile(&checkpoint.config().layers(), isa, |name| checkpoint.values(name))
                        .unwrap();
                let plan = engine.plan(width, height, &PlanOptions::default()).unwrap();
                let predicted: Vec<f32> = (0..batch)
                    .flat_map(|i| {
                        let image = &image.values[i * 3 * pixels..][..3 * pixels];
                        engine.run(&plan, image, &hole[i * pixels..][..pixels], Wanted::Everything).unwrap()
                    })
                    .collect();
                let expected = &fixtures.get("predicted").values;
                let worst = predicted.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst <= TORCH_TOLERANCE, "{weights} on {isa}: {worst}");
            }
        }
    }
}
