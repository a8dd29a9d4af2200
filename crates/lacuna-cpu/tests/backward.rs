//! The backward pass to the latent, against finite differences and PyTorch.

mod common;

use common::{engine, image, network, with_control};
use lacuna_cpu::Error;
use lacuna_cpu::Isa;
use lacuna_cpu::engine::{Backward, Engine, LatentRun, PlanOptions, Wanted};
use lacuna_network::{Architecture, Delta, Family, Shape};
use testkit::{assert_close, pictures};

/// Always goes on.
fn go_on(_: f32) -> bool {
    true
}

struct Setup {
    engine: Engine,
    backward: Backward,
    width: usize,
    height: usize,
    options: PlanOptions,
}

impl Setup {
    fn new(network: &Architecture, isa: Isa, [width, height]: [usize; 2]) -> Self {
        let engine = engine(network, isa);
        let backward = Backward::new(&engine);
        Self { engine, backward, width, height, options: PlanOptions::default() }
    }

    /// Encodes the test image and runs `work`.
    fn run<T>(&self, work: impl FnOnce(&mut LatentRun<'_>) -> T) -> T {
        let Self { engine, backward, width, height, options } = self;
        let plan = engine.plan_latent(backward, *width, *height, options).unwrap();
        let (image, mask) = (image(*width, *height), pictures::hole(*width, *height));
        work(&mut engine.encode(backward, plan, &image, &mask, &go_on).unwrap())
    }

    /// The gradient of the sum of the prediction times noise.
    fn gradient(&self) -> Vec<f32> {
        let of_image = pictures::noise(5, 3 * self.width * self.height);
        self.run(|run| {
            let predicted = run.predict(&go_on).unwrap();
            run.backward(&predicted, &of_image, &go_on).unwrap();
            run.gradient()
        })
    }
}

/// Every variant that the engine computes in another way, with lanes left empty and several blocks of channels.
fn variants() -> Vec<Architecture> {
    let mut networks = vec![network(Family::Fourier, 8, 2), network(Family::Regular, 8, 2)];
    networks.extend(Family::PLAIN.map(|family| with_control(family, 4, 2)));
    for delta in [Delta::Literal, Delta::Signed] {
        for family in Family::PLAIN {
            let shape = Shape { channels_in: 4, width: 3, blocks: 2, control: false, delta };
            networks.push(family.network(shape));
        }
    }
    networks
}

/// The loss is piecewise smooth: the difference along a step is exact up to rounding, which weighs more in short steps, and
/// signs that change, of which long steps have more, often on one side only. A wrong gradient is wrong along all of them and
/// on both sides. The direction is that of the gradient, which has the largest derivative.
#[test]
fn it_agrees_with_finite_differences_along_its_own_direction() {
    /// Relative.
    const TOLERANCE: f64 = 5e-3;
    /// Changes of the latent in all.
    const STEPS: [f64; 3] = [1e-3, 3e-4, 1e-4];
    for network in variants() {
        for size in [[16, 16], [24, 40], [88, 72]] {
            let setup = Setup::new(&network, Isa::best(), size);
            let of_image = pictures::noise(5, 3 * size[0] * size[1]);
            let gradient = setup.gradient();
            let square: f64 = gradient.iter().map(|&g| f64::from(g).powi(2)).sum();
            assert!(square > 0.0, "a gradient");
            let value = |step: f64| {
                setup.run(|run| {
                    let latent = run.latent();
                    let moved: Vec<f32> = latent
                        .iter()
                        .zip(&gradient)
                        .map(|(&z, &g)| (f64::from(z) + step * f64::from(g)) as f32)
                        .collect();
                    run.set_latent(&moved);
                    let predicted = run.predict(&go_on).unwrap();
                    predicted.iter().zip(&of_image).map(|(&p, &g)| f64::from(p) * f64::from(g)).sum::<f64>()
                })
            };
            let here = value(0.0);
            let errors = STEPS.map(|step| {
                let step = step / square.sqrt();
                let (after, before) = (value(step), value(-step));
                let found = [(after - before) / 2.0, after - here, here - before];
                let errors = found.map(|difference| (difference / step - square).abs() / square);
                errors.into_iter().fold(f64::INFINITY, f64::min)
            });
            println!("{} {size:?}: {errors:?}", testkit::networks::label(&network));
            assert!(errors.iter().any(|error| *error < TOLERANCE), "{network:?} {size:?}: {errors:?}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads_or_strips_and_all_instructions_agree() {
    /// Relative to the largest value.
    const TOLERANCE: f32 = 2e-5;
    for network in variants() {
        let gradient = |isa: Isa, options: PlanOptions| {
            Setup { options, ..Setup::new(&network, isa, [40, 104]) }.gradient()
        };
        let expected = gradient(Isa::best(), PlanOptions::default());
        let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        for (threads, window_bytes) in [(1, 0), (3, 40_000)] {
            let options = PlanOptions { threads, window_bytes, ..PlanOptions::default() };
            let found = gradient(Isa::best(), options);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found), bits(&expected), "{threads} threads, {window_bytes} bytes");
        }
        for isa in Isa::available() {
            assert_close(&gradient(isa, PlanOptions::default()), &expected, TOLERANCE * largest);
        }
    }
}

#[test]
fn passes_repeat_and_the_first_prediction_is_that_of_a_plain_run() {
    for network in variants() {
        let setup = Setup::new(&network, Isa::best(), [40, 24]);
        let (image, mask) = (image(40, 24), pictures::hole(40, 24));
        let plan = setup.engine.plan(40, 24, &PlanOptions::default()).unwrap();
        let plain = setup.engine.run(&plan, &image, &mask, Wanted::Everything).unwrap();
        let of_image = pictures::noise(5, plain.len());
        setup.run(|run| {
            let mut gradients = Vec::new();
            let latent = run.latent();
            for _ in 0..3 {
                let predicted = run.predict(&go_on).unwrap();
                assert_eq!(predicted, plain);
                run.backward(&predicted, &of_image, &go_on).unwrap();
                gradients.push(run.gradient());
                assert_eq!(run.latent(), latent, "the latent is never overwritten");
            }
            assert!(gradients.iter().all(|gradient| *gradient == gradients[0]));
            run.set_latent(&vec![0.0; latent.len()]);
            assert!(run.predict(&go_on).unwrap() != plain);
            assert!(run.parts().all(|part| part.latent.iter().all(|&value| value == 0.0)));
        });
    }
}

#[test]
fn a_pass_can_be_stopped_and_wrong_sizes_are_errors() {
    let setup = Setup::new(&with_control(Family::Fourier, 4, 2), Isa::best(), [40, 24]);
    setup.run(|run| {
        let predicted = run.predict(&go_on).unwrap();
        assert!(matches!(run.predict(&|_| false), Err(Error::Stopped)));
        assert!(matches!(run.backward(&predicted, &predicted, &|_| false), Err(Error::Stopped)));
        let short = run.backward(&predicted, &predicted[1..], &go_on).unwrap_err();
        assert_eq!(short.to_string(), "gradient has 2879 values, the plan expects 2880");
        let done = std::cell::Cell::new(0.0);
        run.backward(&predicted, &predicted, &|fraction| fraction >= done.replace(fraction)).unwrap();
        assert!((done.get() - 1.0).abs() < 1e-5, "{}", done.get());
    });
    let other = Setup::new(&network(Family::Regular, 4, 1), Isa::best(), [40, 24]);
    let plan = other.engine.plan_latent(&other.backward, 40, 24, &PlanOptions::default()).unwrap();
    let (image, mask) = (image(40, 24), pictures::hole(40, 24));
    let foreign = setup.engine.encode(&setup.backward, plan, &image, &mask, &go_on);
    assert!(matches!(foreign.map(drop), Err(Error::ForeignPlan)));
}

#[test]
fn the_forecast_counts_signs_and_weights() {
    let engine = engine(&network(Family::Fourier, 8, 2), Isa::best());
    let backward = Backward::new(&engine);
    let options = PlanOptions::default();
    let latent = engine.plan_latent(&backward, 256, 256, &options).unwrap();
    let plain = engine.plan(256, 256, &options).unwrap();
    assert_eq!(latent.weight_bytes(), plain.weight_bytes() + backward.bytes() as u64);
    assert!(latent.arena_bytes() > plain.arena_bytes());
    let needed = latent.forecast_bytes();
    let limited = PlanOptions { max_bytes: Some(needed - 1), ..options };
    let error = engine.plan_latent(&backward, 256, 256, &limited).map(drop).unwrap_err();
    assert!(matches!(error, Error::Memory { needed: found, .. } if found == needed));
}
