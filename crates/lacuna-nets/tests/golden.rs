//! Results that must stay as they are: first weights, forecasts and names.

use std::fmt::Write as _;

use burn::tensor::Device;
use lacuna::Predictor;
use lacuna_nets::cost::{bytes, seconds};
use lacuna_nets::weights::NamedWeight;
use lacuna_nets::{DeviceName, Generator, NetworkPredictor};
use lacuna_network::{Architecture, Cost, Delta, Family, Shape};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use testkit::golden::{assert_golden, sha256_of_bits};

/// Both families with three and four inputs, with and without mask control.
fn variants(width: usize, blocks: usize) -> Vec<Architecture> {
    Family::ALL
        .into_iter()
        .flat_map(|family| [(family, 3), (family, 4)])
        .flat_map(|(family, channels_in)| [(family, channels_in, false), (family, channels_in, true)])
        .map(|(family, channels_in, control)| {
            family.network(Shape { channels_in, width, blocks, control, delta: Delta::None })
        })
        .collect()
}

fn label(config: &Architecture) -> String {
    let Shape { channels_in, width, blocks, control, delta } = config.shape();
    let family = config.family();
    format!("{family:?} width {width} blocks {blocks} inputs {channels_in} control {control} delta {delta:?}")
}

/// The same seed gives the same network.
#[test]
fn first_weights() {
    let mut hashes = String::new();
    for config in variants(4, 2) {
        let generator = Generator::new(&config, Pcg64::seed_from_u64(3), &Device::flex()).unwrap();
        let (mut names, mut values) = (String::new(), Vec::new());
        for NamedWeight { name, weight } in generator.weights().unwrap() {
            writeln!(names, "{name} {:?}", weight.shape).unwrap();
            values.extend(weight.values);
        }
        let [names, values] = [testkit::golden::sha256(names.as_bytes()), sha256_of_bits(&values)];
        writeln!(hashes, "{}: names {names}, values {values}", label(&config)).unwrap();
    }
    assert_golden("first-weights.txt", &hashes);
}

#[test]
fn costs() {
    /// Operations a second that forecasts of time are made for.
    const RATE: f64 = 1e11;
    let mut lines = String::new();
    for (width, blocks) in [(8, 9), (64, 18), (3, 1)] {
        for config in variants(width, blocks) {
            for [columns, rows] in [[256, 256], [1000, 72], [9, 17]] {
                let cost = Cost::of(&config.layers(), columns, rows);
                let (bytes, seconds) = (bytes(&cost), seconds(&cost, RATE));
                writeln!(
                    lines,
                    "{} {columns}x{rows}: {cost:?}, {bytes} bytes, {seconds:.9e} s",
                    label(&config)
                )
                .unwrap();
            }
        }
    }
    assert_golden("costs.txt", &lines);
}

#[test]
fn names_that_manifests_compare() {
    let mut names = String::new();
    for config in variants(8, 9) {
        let generator = Generator::new(&config, Pcg64::seed_from_u64(3), &Device::flex()).unwrap();
        let predictor = NetworkPredictor::new(generator, DeviceName::Cpu).unwrap();
        writeln!(names, "{}: {}", label(&config), predictor.name()).unwrap();
    }
    assert_golden("names-burn.txt", &names);
}
