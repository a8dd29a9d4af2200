//! Context encoders as predictors: a network of one size fills a square around the hole.

mod square;

use std::sync::{Arc, OnceLock};

use lacuna_cpu::Isa;
use lacuna_cpu::engine::{Chain, product_rate};
use lacuna_network::ContextEncoder;

use crate::checkpoint::Checkpoint;
use crate::refine::Refinement;
use crate::{Error, Mask, Planes, Predictor, Result, Sides, Watch};
pub use square::Square;

/// Longest side of a frame, in pixels: the fill is enlarged from 128 pixels at most, longer frames only cost memory.
const LARGEST_SIDE: usize = 2048;

/// Speed of a run relative to large products. Measured on two Zen 4 cores: 0.7 with 1.5 million parameters (9 ms), 0.35 with
/// 71 million (50 ms), whose full connections wait for memory.
const EFFICIENCY: f64 = 0.4;

/// Something that runs a context encoder, on any engine.
pub trait RunsContextEncoder: Send + Sync {
    /// The network's answer to an erased image.
    ///
    /// # Shapes
    /// - `erased`: `[3, side, side]` in `[-1, 1]`
    /// - the result: `[3, answer side, answer side]` in `[-1, 1]`
    ///
    /// # Errors
    /// What went wrong; [`Error::Stopped`] if `watch` was cancelled.
    fn answer(&self, erased: &[f32], watch: &Watch) -> Result<Vec<f32>>;

    /// Bytes of weights.
    fn weight_bytes(&self) -> u64;

    /// Bytes of a run besides weights.
    fn working_bytes(&self) -> u64;

    /// Seconds of a run.
    fn seconds(&self) -> f64;
}

/// Fills the square around a hole with a context encoder.
///
/// The square is so large that the hole takes at most half of its side, is scaled to the network's size, filled, and
/// scaled back. Detail is therefore that of 64 or 128 pixels.
pub struct ContextPredictor<R> {
    network: ContextEncoder,
    runner: R,
    name: String,
}

/// Runs a context encoder on the processor.
#[derive(Debug)]
pub struct ChainRunner {
    chain: Chain,
    rate: OnceLock<f64>,
}

impl<R: RunsContextEncoder> ContextPredictor<R> {
    /// A predictor with the network `network` on `runner`; `place` is where it runs, for its name.
    pub fn new(network: ContextEncoder, runner: R, place: &str) -> Self {
        Self { network, runner, name: format!("{} ({place})", network.label()) }
    }

    fn square(&self, mask: &Mask) -> Option<Square> {
        let hole = mask.bounds()?;
        Some(Square::around(hole, (mask.width(), mask.height()), &self.network))
    }
}

impl ContextPredictor<ChainRunner> {
    /// A predictor with the weights of a checkpoint, on the processor.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file has another kind of network; [`Error::Argument`] if `LACUNA_ISA` names
    /// instructions that this processor lacks.
    pub fn open(checkpoint: &Checkpoint) -> Result<Self> {
        let failed =
            |problem: String| Error::checkpoint(checkpoint.source().path.display().to_string(), problem);
        let config = checkpoint.config();
        let network = *config.context_encoder().ok_or_else(|| {
            failed(format!("has a {} network, expected a context encoder", config.family_name()))
        })?;
        let isa = Isa::selected().map_err(|error| Error::Argument(error.to_string()))?;
        let chain = Chain::compile(&config.layers(), network.side, isa, |name| checkpoint.values(name));
        checkpoint.release();
        let chain = chain.map_err(|error| failed(error.to_string()))?;
        let runner = ChainRunner { chain, rate: OnceLock::new() };
        Ok(Self::new(network, runner, &format!("cpu, {isa}")))
    }
}

impl RunsContextEncoder for ChainRunner {
    fn answer(&self, erased: &[f32], watch: &Watch) -> Result<Vec<f32>> {
        let proceed = |fraction| watch.reached(fraction).is_ok();
        self.chain.run(erased, &proceed).map_err(|error| match error {
            lacuna_cpu::Error::Stopped => Error::Stopped,
            other => Error::Predict { predictor: "context encoder".into(), problem: other.to_string() },
        })
    }

    fn weight_bytes(&self) -> u64 {
        self.chain.weight_bytes()
    }

    fn working_bytes(&self) -> u64 {
        self.chain.map_bytes()
    }

    fn seconds(&self) -> f64 {
        let rate = *self.rate.get_or_init(|| product_rate(self.chain.isa()));
        self.chain.operations() / (EFFICIENCY * rate)
    }
}

impl<R: RunsContextEncoder> Predictor for ContextPredictor<R> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn predict_watched(&self, image: &Planes, mask: &Mask, _: u64, watch: &Watch) -> Result<Planes> {
        watch.reached(0.0)?;
        self.check_frame(image, mask)?;
        let Some(square) = self.square(mask) else { return Ok(image.clone()) };
        let view = square.view(image, mask, &self.network);
        let answer = self.runner.answer(&view.erased, watch)?;
        let mut filled = image.clone();
        square.paste(&view, &answer, &self.network, mask, &mut filled);
        Ok(filled)
    }

    fn sides(&self) -> Sides {
        Sides::any(LARGEST_SIDE)
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        // The largest hole; a plane of its square and the known pixels of that, twice while they are scaled.
        let side = width.max(height) * self.network.side / self.network.longest_hole();
        (2 * side * side * (size_of::<f32>() + 1)) as u64 + self.runner.working_bytes()
    }

    fn resident_bytes(&self) -> u64 {
        self.runner.weight_bytes()
    }

    fn forecast_seconds(&self, _width: usize, _height: usize, _hole_pixels: usize) -> f64 {
        self.runner.seconds()
    }

    fn uses_seed(&self) -> bool {
        false
    }

    fn refined(self: Arc<Self>, _: Refinement) -> Result<Arc<dyn Predictor>> {
        Err(Error::Argument(format!(
            "{} cannot be refined: only networks with encoder, refiner and decoder can",
            self.name
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_network::{ContextHole, Middle};

    const REGION: ContextEncoder =
        ContextEncoder { side: 64, hole: ContextHole::Region, width: 2, middle: Middle::ChannelWise };
    const CENTRE: ContextEncoder = ContextEncoder { hole: ContextHole::Centre { overlap: 2 }, ..REGION };

    /// Answers with one value, and checks what it sees.
    struct Constant(ContextEncoder);

    impl RunsContextEncoder for Constant {
        fn answer(&self, erased: &[f32], watch: &Watch) -> Result<Vec<f32>> {
            watch.reached(1.0)?;
            assert_eq!(erased.len(), 3 * self.0.side * self.0.side);
            assert!(erased.iter().all(|value| value.is_finite()), "the hole's values were seen");
            Ok(vec![0.5; 3 * self.0.answer_side() * self.0.answer_side()])
        }

        fn weight_bytes(&self) -> u64 {
            1
        }

        fn working_bytes(&self) -> u64 {
            1
        }

        fn seconds(&self) -> f64 {
            1.0
        }
    }

    fn predictor(network: ContextEncoder) -> ContextPredictor<Constant> {
        ContextPredictor::new(network, Constant(network), "test")
    }

    #[test]
    fn any_size_and_hole_is_filled_and_the_rest_kept() {
        struct Case(usize, usize, fn(usize, usize) -> bool);
        for Case(width, height, hole) in [
            Case(1, 1, |_, _| true),
            Case(1, 50, |_, y| y > 3),
            Case(33, 57, |x, y| x < 16 && y < 20),
            Case(97, 61, |x, y| (x + y) % 31 < 9),
            Case(300, 200, |x, y| (40..240).contains(&x) && y > 150),
            Case(300, 200, |x, y| (290..300).contains(&x) && (0..10).contains(&y)),
            Case(80, 80, |_, _| true),
        ] {
            for network in [REGION, CENTRE] {
                let is_hole: Vec<bool> = (0..width * height).map(|i| hole(i % width, i / width)).collect();
                let mask = Mask::new(width, height, is_hole.clone());
                let values = (0..3 * width * height)
                    .map(|i| if is_hole[i % (width * height)] { f32::NAN } else { (i % 7) as f32 / 7.0 });
                let image = Planes::new(width, height, values.collect());
                let filled = predictor(network).predict(&image, &mask, 1).unwrap();
                for (at, hole) in is_hole.iter().enumerate() {
                    for colour in 0..3 {
                        let value = filled.plane(colour)[at];
                        match hole {
                            // An answer of 0.5 in [-1, 1] is 0.75; near the edge of the hole known pixels are mixed in.
                            true => assert!((0.0..=1.0).contains(&value), "{value}"),
                            false => assert_eq!(value, image.plane(colour)[at]),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_middle_of_a_hole_is_the_answer() {
        for network in [REGION, CENTRE] {
            let hole = |i: usize| (100..200).contains(&(i % 300)) && (60..140).contains(&(i / 300));
            let mask = Mask::new(300, 200, (0..60_000).map(hole).collect());
            let image = Planes::new(300, 200, vec![0.2; 180_000]);
            let filled = predictor(network).predict(&image, &mask, 1).unwrap();
            assert!((filled.plane(1)[100 * 300 + 150] - 0.75).abs() < 1e-6);
        }
    }

    #[test]
    fn it_is_cancelled_says_its_name_and_refuses_refinement() {
        let (image, mask) = (Planes::black(8, 8), Mask::new(8, 8, vec![true; 64]));
        let watch = Watch::default();
        watch.stop();
        let stopped = predictor(REGION).predict_watched(&image, &mask, 1, &watch);
        assert!(matches!(stopped, Err(Error::Stopped)));
        let predictor = Arc::new(predictor(REGION));
        assert_eq!(predictor.name(), "context-region-64-w2-channelwise (test)");
        assert!(!predictor.can_refine() && !predictor.uses_seed());
        let error = predictor.refined(Refinement::default()).err().unwrap().to_string();
        assert!(error.contains("cannot be refined"), "{error}");
    }

    #[test]
    fn without_a_hole_nothing_changes() {
        let (image, mask) = (Planes::black(9, 5), Mask::new(9, 5, vec![false; 45]));
        assert_eq!(predictor(REGION).predict(&image, &mask, 1).unwrap(), image);
    }
}
