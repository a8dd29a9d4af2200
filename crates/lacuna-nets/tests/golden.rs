//! Results that must not change: first weights, forecasts and names.

use std::fmt::Write as _;

use burn::tensor::Device;
use lacuna::Predictor;
use lacuna_nets::cost::{bytes, seconds};
use lacuna_nets::weights::NamedWeight;
use lacuna_nets::{DeviceName, Generator, NetworkPredictor};
use lacuna_network::Cost;
use rand::SeedableRng;
use rand_pcg::Pcg64;
use testkit::golden::{assert_golden, sha256_of_bits};
use testkit::networks::{label, variants};

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
    /// Operations per second for forecasts of time.
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
