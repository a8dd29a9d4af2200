//! Fills a hole by sampling the refined latent of a generator's fill.

use std::fmt::Display;
use std::sync::Arc;

use lacuna_cpu::engine::{ControlEngine, DenoiserEngine, DenoiserPlan, Known, Stage, Steering, Wanted};
use lacuna_cpu::{Error as EngineError, Isa};
use lacuna_diffusion::cells::grown;
use lacuna_diffusion::flow::resolution_shift;
use lacuna_diffusion::noise::Origin;
use lacuna_diffusion::ring::{RING_PIXELS, match_ring};
use lacuna_diffusion::{Cells, KnownRegion, KnownWay, MapShape, Noise};
use lacuna_network::geometry::MULTIPLE;

use super::{Flow, FlowFile, FlowStart, Sampling, hint_input};
use crate::checkpoint::Checkpoint;
use crate::hint::{FrameHint, HintKind, HintStrength};
use crate::method::{Build, Method};
use crate::predictor::Scene;
use crate::words::Word;
use crate::{EnginePredictor, Error, Mask, Planes, Predictor, Result, Sides, Watch};

/// A flow, for the table in [`Method`].
pub(crate) const METHOD: Method = Method {
    name: "flow",
    meaning: "Answers sampled from a network's latent; needs the flow file of a training",
    build: Build::WithNetwork(|network| match network.is_flow() {
        true => Ok(network),
        false => {
            let name = network.name();
            Err(Error::Argument(format!(
                "method flow needs a flow file as model, {name} is a network without a flow"
            )))
        }
    }),
};

/// Cells of the latents of training crops, for [`resolution_shift`].
const TRAINED_CELLS: usize = 16 * 16;

/// The largest shift of the times for large images.
const MOST_SHIFT: f64 = 3.0;

/// Steps of a flow that starts from noise, and of one that starts from a fill.
const STEPS: [usize; 2] = [8, 4];

/// Maps of a latent that sampling holds at most, besides the denoiser's memory: fill, normalised fill, start, current values, velocity.
const LATENT_MAPS: usize = 5;

/// Generates a fill by a flow: the generator's own fill is encoded, its cells in and around the hole are sampled again, and the result
/// is decoded.
///
/// Known cells keep the generator's values at every step. The decoder does not return known pixels exactly, so the colours of the result
/// are matched to the ring of known pixels around the hole ([`match_ring`]).
///
/// If the file has a ControlNet branch, a hint steers the flow; without a hint, or with strength 0, fills have the same bits as without a
/// branch.
#[derive(Debug)]
pub struct FlowPredictor {
    generator: Arc<EnginePredictor>,
    denoiser: DenoiserEngine,
    control: Option<ControlEngine>,
    flow: Flow,
    sampling: Sampling,
    /// Evaluations of the denoiser.
    evaluations: usize,
}

impl FlowPredictor {
    /// A predictor for the flow of a file and the generator that it was trained for; `steps` of Euler's method, by default 4 for a
    /// flow that starts from a fill and 8 for one that starts from noise.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the flow was trained for another generator; [`Error::Argument`] for no steps; the errors of
    /// [`EnginePredictor::new`].
    pub fn new(file: &FlowFile, generator: &Checkpoint, steps: Option<usize>) -> Result<Self> {
        file.check_generator(generator)?;
        let flow = file.flow().clone();
        let isa = Isa::selected().map_err(|error| Error::Argument(error.to_string()))?;
        let refused =
            |error: EngineError| Error::checkpoint(file.path().display().to_string(), error.to_string());
        let denoiser =
            DenoiserEngine::compile(&flow.denoiser, isa, |name| file.values(name)).map_err(refused)?;
        let control = flow.control.map(|control| {
            let network = control.network(&flow.denoiser);
            ControlEngine::compile(&network, isa, |name| file.control_values(name)).map_err(refused)
        });
        let control = control.transpose()?;
        file.release();
        let [from_noise, from_fill] = STEPS;
        let steps = steps.unwrap_or(match flow.start {
            FlowStart::Noise => from_noise,
            FlowStart::Mean { .. } => from_fill,
        });
        let sampling = Sampling::steps(steps);
        let generator = Arc::new(EnginePredictor::new(generator)?);
        Self { generator, denoiser, control, flow, sampling, evaluations: steps }.sampled_by(sampling)
    }

    /// The same flow, sampled in another way.
    ///
    /// # Errors
    /// [`Error::Argument`] if the flow cannot be sampled so.
    pub fn sampled_by(self, sampling: Sampling) -> Result<Self> {
        sampling.check(self.flow.start).map_err(Error::Argument)?;
        let evaluations = sampling.evaluations().map_err(|problem| Error::Argument(problem.to_string()))?;
        Ok(Self { sampling, evaluations, ..self })
    }

    /// How it is sampled.
    pub fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// The description of the flow.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// The shift of the times for a latent of this many cells.
    fn shift(&self, cells: usize) -> f64 {
        match self.flow.start {
            FlowStart::Noise => resolution_shift(cells, TRAINED_CELLS, MOST_SHIFT),
            FlowStart::Mean { .. } => 1.0,
        }
    }

    /// The encoded hint, with its strength.
    ///
    /// # Errors
    /// [`Error::Predict`] if there is no branch for this kind of hint, or the hint has another size than the image.
    fn guidance(
        &self,
        (hint, strength): (&FrameHint, HintStrength),
        image: &Planes,
        mask: &Mask,
        watch: &Watch,
    ) -> Result<Guidance> {
        let Some(control) = self.control.as_ref().filter(|_| self.hint_kind() == Some(hint.kind())) else {
            let takes = self.hint_kind().map_or("none", HintKind::name);
            return Err(self.failed(format!("a hint of the kind {}, it takes {takes}", hint.kind())));
        };
        let (width, height) = (image.width(), image.height());
        if hint.size() != (width, height) {
            let (columns, rows) = hint.size();
            return Err(
                self.failed(format!("a hint of {columns} x {rows} for a frame of {width} x {height}"))
            );
        }
        let input = hint_input(hint, image.values(), mask.hole());
        let sides = [height / MULTIPLE, width / MULTIPLE];
        let proceed = |fraction| watch.reached(fraction).is_ok();
        let encoded = control.encode_hint(&input, sides, rayon::current_num_threads(), &proceed);
        let hint = encoded.map_err(|error| self.engine_failed(error))?;
        Ok(Guidance { hint, strength: strength.get() })
    }

    /// The plan of the denoiser, with or without the branch.
    fn plan(&self, [rows, columns]: [usize; 2], steered: bool) -> Result<DenoiserPlan<'_>, EngineError> {
        let threads = rayon::current_num_threads();
        match self.control.as_ref().filter(|_| steered) {
            Some(control) => self.denoiser.plan_steered(control, [rows, columns], threads),
            None => self.denoiser.plan(rows, columns, threads),
        }
    }

    /// The refined latent with generated cells, from the generator's: `[channels, height / 8, width / 8]`.
    fn sample(
        &self,
        refined: Vec<f32>,
        mask: &Mask,
        guidance: Option<&Guidance>,
        seed: u64,
        watch: &Watch,
    ) -> Result<Vec<f32>> {
        let (rows, columns) = (mask.height() / MULTIPLE, mask.width() / MULTIPLE);
        let cells = rows * columns;
        let hole = Cells::of_mask(mask.hole(), mask.width(), MULTIPLE, self.flow.halo)
            .map_err(|problem| self.failed(problem))?;
        let mut fill = refined.clone();
        self.flow.statistics.normalise(&mut fill, cells);
        let shape = MapShape::one(self.flow.denoiser.latent, rows, columns);
        let region = KnownRegion::new(shape, &fill, &hole.free).map_err(|problem| self.failed(problem))?;
        let start = self.flow.start.of(&fill);
        let steering =
            guidance.map(|guidance| Steering { hint: &guidance.hint, strength: guidance.strength });
        let known = Known { masked: &fill, fraction: &hole.fraction, mean: None, steering };
        let plan = self.plan([rows, columns], guidance.is_some());
        let mut run = plan.and_then(|plan| plan.start(known)).map_err(|error| self.engine_failed(error))?;
        let mut step = 0;
        let predict = |x: &[f32], time: f64| -> Result<Vec<f32>, Failure> {
            let proceed =
                |fraction: f32| watch.reached((step as f32 + fraction) / self.evaluations as f32).is_ok();
            let velocity = run.predict(x, time, &proceed).map_err(Failure::Engine)?;
            step += 1;
            Ok(velocity)
        };
        let noise = Noise::new(seed);
        let noise = |draw| noise.map(draw, shape, Origin::default());
        let sampled = self.sampling.sample((start, self.shift(cells)), &region, noise, predict);
        let mut sampled = sampled.map_err(|failure| match failure {
            Failure::Engine(error) => self.engine_failed(error),
            Failure::Sampler(problem) => self.failed(problem),
        })?;
        self.flow.statistics.restore(&mut sampled, cells);
        // Known cells keep what normalising would clip.
        for (index, (value, known)) in sampled.iter_mut().zip(refined).enumerate() {
            if !hole.free[index % cells] {
                *value = known;
            }
        }
        Ok(sampled)
    }

    fn failed(&self, problem: impl Display) -> Error {
        Error::Predict { predictor: self.name(), problem: problem.to_string() }
    }

    fn engine_failed(&self, error: EngineError) -> Error {
        if matches!(error, EngineError::Stopped) { Error::Stopped } else { self.failed(error) }
    }

    /// Fractions of the work that are done after the generator's fill, after encoding the hint, and after sampling, for a frame of this
    /// size.
    fn shares(&self, width: usize, height: usize, steered: bool) -> [f32; 3] {
        let seconds = self.seconds(width, height, steered);
        let total: f64 = seconds.iter().sum();
        [1, 2, 3].map(|parts| (seconds[..parts].iter().sum::<f64>() / total) as f32)
    }

    /// Forecast times of the generator's fill, of encoding the hint, of sampling, and of decoding, in seconds.
    fn seconds(&self, width: usize, height: usize, steered: bool) -> [f64; 4] {
        let rate = self.generator.rate();
        let (rows, columns) = (height / MULTIPLE, width / MULTIPLE);
        let control = self.control.as_ref().filter(|_| steered);
        let added = control.map_or(0.0, |control| control.forecast_seconds(rows, columns, rate));
        let hint = control.map_or(0.0, |control| control.forecast_hint_seconds(rows, columns, rate));
        let step = self.denoiser.forecast_seconds(rows, columns, rate) + added;
        let sampling = self.evaluations as f64 * step;
        // Frames have sizes that the network accepts.
        let Ok(plan) = self.generator.plan(width, height) else { return [f64::INFINITY; 4] };
        let stages = |stages: &[Stage]| plan.stage_seconds(stages, rate);
        [stages(&[Stage::Encode, Stage::Refine]), hint, sampling, stages(&[Stage::Decode])]
    }
}

/// What steers a fill.
struct Guidance {
    /// The encoded hint.
    hint: Vec<f32>,
    strength: f32,
}

/// Why a sampler ended early.
enum Failure {
    Engine(EngineError),
    Sampler(lacuna_diffusion::Error),
}

impl From<lacuna_diffusion::Error> for Failure {
    fn from(error: lacuna_diffusion::Error) -> Self {
        Self::Sampler(error)
    }
}

impl Predictor for FlowPredictor {
    fn name(&self) -> String {
        let Sampling { steps, way, jumps } = self.sampling;
        let how = match (jumps, way) {
            (Some(jumps), _) => format!(", jumps of {} taken {} times", jumps.length, jumps.count),
            (None, KnownWay::Clean) => String::new(),
            (None, way) => format!(", {way:?}"),
        };
        format!("{} with {steps} steps of {}{how}", self.generator.name(), self.flow.denoiser.label())
    }

    fn runs_in_parallel(&self) -> bool {
        true
    }

    fn is_flow(&self) -> bool {
        true
    }

    fn hint_kind(&self) -> Option<HintKind> {
        self.flow.control.map(|control| control.hint)
    }

    fn predict_watched(&self, image: &Planes, mask: &Mask, seed: u64, watch: &Watch) -> Result<Planes> {
        self.predict_scene(&Scene::new(image, mask, seed), watch)
    }

    fn predict_scene(&self, scene: &Scene<'_>, watch: &Watch) -> Result<Planes> {
        let &Scene { image, mask, seed, .. } = scene;
        self.check_frame(image, mask)?;
        let counts = |(hint, strength): &(&FrameHint, HintStrength)| strength.get() > 0.0 && hint.is_in(mask);
        let hint = scene.hint.filter(counts);
        let (width, height) = (image.width(), image.height());
        let (engine, plan) = (self.generator.engine(), self.generator.plan(width, height)?);
        let input = (image.values(), mask.hole());
        let [filled, encoded, sampled] = self.shares(width, height, hint.is_some());
        let failed = |error| self.engine_failed(error);

        let part = watch.part(0.0, filled);
        let refined = engine.refined(&plan, input, &|fraction| part.reached(fraction).is_ok());
        let refined = refined.map_err(failed)?;
        let guidance = hint.map(|hint| self.guidance(hint, image, mask, &watch.part(filled, encoded)));
        let guidance = guidance.transpose()?;
        let latent = self.sample(refined, mask, guidance.as_ref(), seed, &watch.part(encoded, sampled))?;
        let part = watch.part(sampled, 1.0);
        let proceed = |fraction| part.reached(fraction).is_ok();
        // The ring is predicted as well: its colours are compared with the known ones.
        let wanted = grown(mask.hole(), width, RING_PIXELS);
        let input = (image.values(), wanted.as_slice());
        let decoded = engine.decoded(&plan, &latent, input, Wanted::Hole, &proceed).map_err(failed)?;
        let matched = match_ring(&decoded, image.values(), mask.hole(), width, RING_PIXELS)
            .map_err(|problem| self.failed(problem))?;
        Ok(Planes::new(width, height, matched))
    }

    fn sides(&self) -> Sides {
        let smallest = self.flow.denoiser.smallest_side() * MULTIPLE;
        Sides { smallest: smallest.max(Sides::NETWORK.smallest), ..Sides::NETWORK }
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        let (rows, columns) = (height / MULTIPLE, width / MULTIPLE);
        let map = (self.flow.denoiser.latent * rows * columns * size_of::<f32>()) as u64;
        // With a hint, if there may be one.
        let Ok(plan) = self.plan([rows, columns], true) else { return u64::MAX };
        let pixels = (width * height * size_of::<f32>()) as u64;
        let hint = self.control.as_ref().map_or(0, |control| {
            let input = control.config().hint as u64 * pixels;
            input + control.hint_bytes(rows, columns, rayon::current_num_threads())
        });
        // The generator keeps its memory while the denoiser runs. Twice the image: what is decoded, and with matched colours.
        self.generator.forecast_bytes(width, height)
            + plan.arena_bytes().max(hint)
            + LATENT_MAPS as u64 * map
            + 2 * 3 * pixels
    }

    fn forecast_seconds(&self, width: usize, height: usize, _hole_pixels: usize) -> f64 {
        self.seconds(width, height, true).iter().sum()
    }

    fn resident_bytes(&self) -> u64 {
        let control = self.control.as_ref().map_or(0, ControlEngine::weight_bytes);
        self.generator.resident_bytes() + self.denoiser.weight_bytes() + control
    }

    fn release(&self) {
        self.generator.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{NamedTensor, Storage};
    use crate::flow::{Control, Statistics};
    use lacuna_diffusion::{Jumps, KnownNoise, When};
    use lacuna_network::Denoiser;
    use std::borrow::Cow;
    use testkit::{assert_close, fixtures, pictures};

    const SIDES: [usize; 2] = [64, 48];

    fn generator() -> Checkpoint {
        Checkpoint::open(fixtures::path("control/weights.safetensors")).unwrap()
    }

    /// A flow whose weights are noise of this size.
    fn predictor(start: FlowStart, size: f32, steps: Option<usize>) -> Result<FlowPredictor> {
        predictor_with(None, start, size, steps)
    }

    fn predictor_with(
        hint: Option<HintKind>,
        start: FlowStart,
        size: f32,
        steps: Option<usize>,
    ) -> Result<FlowPredictor> {
        let generator = generator();
        let latent = generator.config().latent().total();
        let denoiser = Denoiser { latent, width: 16, levels: vec![1, 2], blocks: 1, mean: false };
        let control = hint.map(|hint| Control { hint, hint_widths: [4, 8, 8, 16] });
        // Wide enough that nothing is clipped.
        let statistics = Statistics { mean: vec![0.5; latent], deviation: vec![50.0; latent] };
        let flow = Flow { denoiser, generator: generator.fingerprint(), start, halo: 1, statistics, control };
        let tensors = flow.tensors().into_iter().enumerate().map(|(seed, (name, shape))| {
            let values = pictures::noise(seed as u64, shape.iter().product());
            let values = Cow::Owned(values.iter().map(|value| size * value).collect());
            NamedTensor { name, shape, values }
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flow.safetensors");
        FlowFile::save(&path, &flow, "a test", tensors, Storage::F32).unwrap();
        FlowPredictor::new(&FlowFile::open(&path).unwrap(), &generator, steps)
    }

    fn scene() -> (Planes, Mask) {
        let [width, height] = SIDES;
        (
            Planes::new(width, height, pictures::picture(width, height)),
            Mask::new(width, height, pictures::hole(width, height)),
        )
    }

    const MEAN: FlowStart = FlowStart::Mean { deviation: 0.05 };

    /// A velocity of 0 from the fill without noise is the generator's fill, with matched colours.
    #[test]
    fn a_flow_that_stands_still_gives_the_generator_s_fill() {
        let (image, mask) = scene();
        let still = predictor(FlowStart::Mean { deviation: 0.0 }, 0.0, None).unwrap();
        let generator = EnginePredictor::new(&generator()).unwrap();
        let fill = generator.run(&image, &mask, Wanted::Everything, &Watch::default()).unwrap();
        let expected = match_ring(fill.values(), image.values(), mask.hole(), SIDES[0], RING_PIXELS).unwrap();
        let found = still.predict(&image, &mask, 3).unwrap();
        let in_hole = |values: &[f32]| -> Vec<f32> {
            let pixels = values.iter().zip(mask.hole().iter().cycle());
            pixels.filter(|(_, hole)| **hole).map(|(value, _)| *value).collect()
        };
        assert_close(&in_hole(found.values()), &in_hole(&expected), 1e-4);
    }

    #[test]
    fn answers_depend_on_the_seed_alone() {
        let (image, mask) = scene();
        for start in [MEAN, FlowStart::Noise] {
            let predictor = predictor(start, 0.1, None).unwrap();
            let one = predictor.predict(&image, &mask, 1).unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            assert_eq!(pool.install(|| predictor.predict(&image, &mask, 1)).unwrap(), one, "{start:?}");
            assert_ne!(predictor.predict(&image, &mask, 2).unwrap(), one, "{start:?}");
            assert!(one.values().iter().all(|value| (0.0..=1.0).contains(value)));
            predictor.release();
            assert_eq!(predictor.predict(&image, &mask, 1).unwrap(), one, "{start:?}");
        }
    }

    #[test]
    fn what_the_hole_held_has_no_influence() {
        let (image, mask) = scene();
        let mut spoiled = image.clone();
        let pixels = SIDES[0] * SIDES[1];
        let hole = mask.hole().to_vec();
        spoiled
            .values_mut()
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| hole[at % pixels])
            .for_each(|(_, v)| *v = 0.9);
        for start in [MEAN, FlowStart::Noise] {
            let predictor = predictor(start, 0.1, Some(2)).unwrap();
            for seed in 0..3 {
                let [one, other] =
                    [&image, &spoiled].map(|image| predictor.predict(image, &mask, seed).unwrap());
                assert_eq!(one, other, "{start:?}, seed {seed}");
            }
        }
    }

    #[test]
    fn who_watches_sees_it_grow_and_can_stop_it() {
        let (image, mask) = scene();
        let (predictor, watch) = (predictor(MEAN, 0.1, None).unwrap(), Watch::default());
        predictor.predict_watched(&image, &mask, 0, &watch).unwrap();
        assert!((watch.done() - 1.0).abs() < 1e-5, "{}", watch.done());
        watch.stop();
        assert!(matches!(predictor.predict_watched(&image, &mask, 0, &watch), Err(Error::Stopped)));
    }

    #[test]
    fn it_says_what_it_is_and_refuses_what_does_not_fit() {
        let [from_mean, from_noise] =
            [MEAN, FlowStart::Noise].map(|start| predictor(start, 0.1, None).unwrap());
        assert_eq!((from_mean.sampling().steps, from_noise.sampling().steps), (4, 8));
        let name = from_mean.name();
        assert!(name.contains("with 4 steps of denoiser-c") && name.contains("cpu"), "{name}");
        assert!(from_mean.uses_seed() && !from_mean.can_refine());
        let problem = predictor(MEAN, 0.1, Some(0)).unwrap_err().to_string();
        assert!(problem.contains("steps of a flow: 0"), "{problem}");
        assert_eq!(from_mean.sides().smallest, 24);
        assert!(from_mean.forecast_bytes(64, 48) > from_mean.generator.forecast_bytes(64, 48));
        let jumps = Sampling { jumps: Some(Jumps { length: 2, count: 2 }), ..Sampling::steps(6) };
        let problem = from_mean.sampled_by(jumps).unwrap_err().to_string();
        assert!(problem.contains("starts from a fill"), "{problem}");
    }

    /// Every way gives its own fill, whose known cells are the generator's.
    #[test]
    fn ways_and_jumps_give_other_fills() {
        let (image, mask) = scene();
        let way = |way| Sampling { way, ..Sampling::steps(3) };
        let replaced = |noise| KnownWay::Replace { when: When::Before, noise };
        let jumps = Sampling { jumps: Some(Jumps { length: 2, count: 2 }), ..Sampling::steps(6) };
        let samplings = [
            way(KnownWay::Clean),
            way(KnownWay::Project),
            way(replaced(KnownNoise::Start)),
            way(replaced(KnownNoise::Fresh)),
            jumps,
        ];
        let fills = samplings.map(|sampling| {
            let predictor = predictor(FlowStart::Noise, 0.3, None).unwrap().sampled_by(sampling).unwrap();
            let watch = Watch::default();
            let fill = predictor.predict_watched(&image, &mask, 1, &watch).unwrap();
            assert!((watch.done() - 1.0).abs() < 1e-5, "{sampling:?}: {}", watch.done());
            fill
        });
        for (index, fill) in fills.iter().enumerate() {
            assert!(fills[..index].iter().all(|other| other != fill), "{:?}", samplings[index]);
        }
    }

    /// A hint changes the fill; none, one of strength 0, and lines beside the hole do not.
    #[test]
    fn hints_steer_and_nothing_else_changes() {
        let (image, mask) = scene();
        let [width, height] = SIDES;
        let lines = |drawn: &dyn Fn(usize) -> bool| {
            FrameHint::Lines(Mask::new(width, height, (0..width * height).map(drawn).collect()))
        };
        let guide =
            |shade: f32| FrameHint::Guide(Planes::new(width, height, vec![shade; 3 * width * height]));
        let plain = predictor(MEAN, 0.1, None).unwrap().predict(&image, &mask, 1).unwrap();
        let hole = mask.hole();
        for (kind, one, other, outside) in [
            (HintKind::Lines, lines(&|at| at % 3 == 0), lines(&|at| at % 4 == 0), lines(&|at| !hole[at])),
            (HintKind::Guide, guide(0.2), guide(0.9), guide(0.2)),
        ] {
            let steered = predictor_with(Some(kind), MEAN, 0.1, None).unwrap();
            assert_eq!(steered.hint_kind(), Some(kind));
            let fill = |hint: &FrameHint, strength: f32| {
                let hint = Some((hint, HintStrength::new(strength).unwrap()));
                let (scene, watch) = (Scene { hint, ..Scene::new(&image, &mask, 1) }, Watch::default());
                let fill = steered.predict_scene(&scene, &watch).unwrap();
                assert!((watch.done() - 1.0).abs() < 1e-5, "{kind}: {}", watch.done());
                fill
            };
            assert_eq!(steered.predict(&image, &mask, 1).unwrap(), plain, "{kind}");
            assert_eq!(fill(&one, 0.0), plain, "{kind}");
            let fills = [fill(&one, 1.0), fill(&other, 1.0), fill(&one, 0.5), plain.clone()];
            for (index, fill) in fills.iter().enumerate() {
                assert!(fills[..index].iter().all(|other| other != fill), "{kind}: {index}");
            }
            assert_eq!(
                fill(&outside, 1.0) == plain,
                kind == HintKind::Lines,
                "{kind}: lines beside the hole"
            );
            assert!(
                steered.forecast_bytes(width, height)
                    > predictor(MEAN, 0.1, None).unwrap().forecast_bytes(width, height)
            );
        }
    }

    #[test]
    fn hints_that_do_not_fit_are_refused() {
        let (image, mask) = scene();
        let [width, height] = SIDES;
        let small = FrameHint::Lines(Mask::new(8, 16, vec![true; 8 * 16]));
        let guide = FrameHint::Guide(Planes::new(width, height, vec![0.0; 3 * width * height]));
        let of_lines = predictor_with(Some(HintKind::Lines), MEAN, 0.1, None).unwrap();
        for (predictor, hint, words) in [
            (&of_lines, &small, "a hint of 8 x 16 for a frame of 64 x 48"),
            (&of_lines, &guide, "a hint of the kind guide, it takes lines"),
            (&predictor(MEAN, 0.1, None).unwrap(), &guide, "a hint of the kind guide, it takes none"),
        ] {
            let hint = Some((hint, HintStrength::default()));
            let scene = Scene { hint, ..Scene::new(&image, &mask, 1) };
            let problem = predictor.predict_scene(&scene, &Watch::default()).unwrap_err().to_string();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
