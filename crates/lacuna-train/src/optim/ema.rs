//! Exponential moving average of a network's weights, which performs better than the latest weights.
//!
//! Polyak averaging as in Tarvainen and Valpola 2017, <https://arxiv.org/abs/1703.01780>: `average = decay · average +
//! (1 - decay) · network`. The decay grows to its final value, so that the first steps are forgotten: `min(decay, (1 +
//! step) / (10 + step))`.
//! Differs from it in: BatchNorm's statistics are averaged like parameters.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use lacuna_nets::Network;
use lacuna_nets::weights::Path;

/// Steps after which the growing decay is about one half.
const RAMP: f64 = 10.0;

/// The averaged network, without autodiff.
#[derive(Clone, Debug)]
pub struct Ema<M = Network> {
    average: M,
    decay: f64,
    steps: u64,
}

impl<M: Module> Ema<M> {
    /// An average initialised with `network`.
    pub fn new(network: &M, decay: f64) -> Self {
        Self { average: network.valid(), decay, steps: 0 }
    }

    /// Restores the average after `steps` updates from a checkpoint.
    pub fn restore(average: M, decay: f64, steps: u64) -> Self {
        Self { average: average.valid(), decay, steps }
    }

    /// The averaged network.
    pub fn average(&self) -> &M {
        &self.average
    }

    /// Updates so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Moves the average towards `network`.
    pub fn update(&mut self, network: &M) {
        let step = self.steps as f64;
        let decay = self.decay.min((1.0 + step) / (RAMP + step));
        self.steps += 1;
        let mut newest = Rows { path: Path::default(), rows: BTreeMap::new() };
        network.visit(&mut newest);
        let mut blend = Blend { path: Path::default(), newest: newest.rows, decay };
        self.average = self.average.clone().map(&mut blend);
    }
}

struct Rows {
    path: Path,
    rows: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for Rows {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let row = param.val().without_autodiff().flatten::<1>(0, D - 1);
        self.rows.insert(self.path.name(), row);
    }
}

struct Blend {
    path: Path,
    newest: BTreeMap<String, Tensor<1>>,
    decay: f64,
}

impl ModuleMapper for Blend {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let newest = self.newest.remove(&self.path.name()).expect("the same network");
        let decay = self.decay;
        param.map(|average| {
            let shape = average.dims();
            average.mul_scalar(decay) + newest.reshape(shape).mul_scalar(1.0 - decay)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{device, reference_denoiser, small_generator, values_of};
    use lacuna_nets::Denoiser;
    use lacuna_nets::weights::{NamedWeight, Weight, load, read};
    use testkit::assert_close;

    fn filled(value: f32) -> Network {
        let generator = Network::from(small_generator(3, false, &device()));
        let shapes: BTreeMap<_, _> = lacuna_nets::weights::shapes(&generator)
            .into_iter()
            .map(|named| (named.name, named.shape))
            .collect();
        load(generator, |name| {
            let shape = shapes[name].clone();
            Some(Weight { values: vec![value; shape.iter().product()], shape })
        })
        .unwrap()
    }

    #[test]
    fn two_updates_by_hand() {
        let mut ema = Ema::new(&filled(1.0), 0.15);
        ema.update(&filled(2.0));
        // decay min(0.15, 1/10) = 0.1, then min(0.15, 2/11) = 0.15
        assert_close(&values_of(ema.average(), "decoder.out.bias"), &[1.9; 3], 1e-6);
        ema.update(&filled(3.0));
        let expected = [0.15 * 1.9 + 0.85 * 3.0; 3];
        assert_close(&values_of(ema.average(), "decoder.out.bias"), &expected, 1e-6);
        let width = values_of(ema.average(), "encoder.stem.norm_local.running_mean");
        assert_close(&width, &vec![expected[0]; width.len()], 1e-6);
        assert_eq!(ema.steps(), 2);
    }

    /// Reference values of `fixtures/diffusion`: one update with the decay of the first step, one with the final decay.
    #[test]
    fn updates_at_both_ends_of_the_ramp_equal_the_reference() {
        let numbers = testkit::fixtures::load("diffusion/training.safetensors");
        let network = reference_denoiser();
        let raised: Vec<NamedWeight> = read(&network).unwrap();
        let moved = load(network.clone(), |name| {
            let mut weight = raised.iter().find(|named| named.name == name)?.weight.clone();
            weight.values.iter_mut().for_each(|value| *value += 0.01);
            Some(weight)
        })
        .unwrap();
        let mut ema = Ema::new(&network, 0.999);
        ema.update(&moved);
        let bias = |ema: &Ema<Denoiser>| values_of(ema.average(), "conv_out.bias");
        assert_close(&bias(&ema), &numbers.get("ema.leave.bias_0").values, 1e-7);
        let mut later = Ema::restore(ema.average().clone(), 0.5, 40);
        later.update(&moved);
        assert_close(&bias(&later), &numbers.get("ema.leave.bias_1").values, 1e-7);
    }
}
