//! The published initialisation.

use std::collections::HashMap;

use lacuna_network::{Layer, Operation};
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::weights::Weight;

/// Deviation of the weights of convolutions and of norms.
const DEVIATION: f64 = 0.02;

/// Initial weights of layers, by name, as published: see [`super::ContextEncoder::new`].
pub fn initial_weights<'a>(
    layers: impl Iterator<Item = &'a Layer>,
    mut rng: Pcg64,
) -> HashMap<String, Weight> {
    let mut found = HashMap::new();
    for layer in layers {
        for (name, shape) in layer.tensors() {
            let count = shape.iter().product();
            let is_weight = name.ends_with(".weight");
            let (mean, deviation) = match shape.len() {
                _ if name.ends_with(".running_var") => (1.0, 0.0),
                1 if is_weight => (1.0, DEVIATION),
                3 if layer.form.operation == Operation::ChannelWise => (0.0, 1.0 / layer.form.kernel as f64),
                _ if is_weight => (0.0, DEVIATION),
                _ => (0.0, 0.0),
            };
            let values = (0..count).map(|_| match deviation {
                0.0 => mean as f32,
                _ => (mean + deviation * normal(&mut rng)) as f32,
            });
            found.insert(name, Weight { values: values.collect(), shape });
        }
    }
    found
}

/// A normal number by Box and Muller's method.
fn normal(rng: &mut Pcg64) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
