//! Results that must not change: the engine's bits, plans and forecasts.

mod common;

use std::fmt::Write as _;

use common::{engine, image, network};
use lacuna_cpu::Isa;
use lacuna_cpu::engine::PlanOptions;
use lacuna_network::{Architecture, Delta, Family, Shape};
use testkit::golden::{assert_golden, sha256};
use testkit::networks::label;

/// Every variant that the engine computes in another way, with widths that leave lanes empty.
fn variants() -> Vec<Architecture> {
    let mut networks = Vec::new();
    for family in Family::PLAIN {
        for (channels_in, control) in [(3, false), (3, true), (4, false), (4, true)] {
            for delta in [Delta::None, Delta::Literal, Delta::Signed] {
                networks.push(family.network(Shape { channels_in, width: 8, blocks: 2, control, delta }));
            }
        }
    }
    let narrow = Shape { control: true, ..network(Family::Fourier, 3, 1).shape().clone() };
    networks.extend(Family::PLAIN.map(|family| family.network(narrow.clone())));
    networks
}

/// Bits depend on the instruction set alone.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_engines_bits() {
    use lacuna_cpu::engine::Wanted;
    use testkit::golden::sha256_of_bits;
    use testkit::pictures;

    /// Smallest range of values that predictions must have.
    const CONTRAST: f32 = 0.1;

    for isa in Isa::available() {
        let mut hashes = String::new();
        for network in variants() {
            let engine = engine(&network, isa);
            for [width, height] in [[16, 16], [40, 24], [72, 88]] {
                let (image, mask) = (image(width, height), pictures::hole(width, height));
                let plan = engine.plan(width, height, &PlanOptions::default()).unwrap();
                for wanted in [Wanted::Everything, Wanted::Hole] {
                    let predicted = engine.run(&plan, &image, &mask, wanted).unwrap();
                    let [least, most] =
                        [f32::min, f32::max].map(|join| predicted.iter().copied().reduce(join).unwrap());
                    assert!(most - least > CONTRAST, "a flat prediction proves nothing: {least} to {most}");
                    let hash = sha256_of_bits(&predicted);
                    writeln!(hashes, "{} {width}x{height} {wanted:?}: {hash}", label(&network)).unwrap();
                }
            }
        }
        assert_golden(&format!("engine-{isa}.txt"), &hashes);
    }
}

#[test]
fn plans_and_forecasts() {
    /// Operations per second for forecasts of time.
    const RATE: f64 = 1e11;
    let options = PlanOptions { threads: 2, ..PlanOptions::default() };
    for isa in Isa::available() {
        let mut lines = String::new();
        for network in variants() {
            let engine = engine(&network, isa);
            for [width, height] in [[16, 16], [40, 24], [256, 512]] {
                let plan = engine.plan(width, height, &options).unwrap();
                writeln!(
                    lines,
                    "{} {width}x{height}: {} bytes, arena {}, weights {}, {:?}, {:.9e} operations, {:.9e} s, plan {}",
                    label(&network),
                    plan.forecast_bytes(),
                    plan.arena_bytes(),
                    plan.weight_bytes(),
                    plan.strips,
                    plan.operations(),
                    plan.forecast_seconds(RATE),
                    sha256(format!("{plan}").as_bytes()),
                )
                .unwrap();
            }
        }
        assert_golden("plans.txt", &lines);
    }
    let shape = Shape { channels_in: 3, width: 8, blocks: 1, control: true, delta: Delta::Literal };
    let plan = engine(&Family::Fourier.network(shape), Isa::Portable).plan(64, 48, &options);
    assert_golden("plan.txt", &plan.unwrap().to_string());
}
