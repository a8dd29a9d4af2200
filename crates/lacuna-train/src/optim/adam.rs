//! Adam.
//!
//! Kingma and Ba 2014, <https://arxiv.org/abs/1412.6980>: `m = β₁ m + (1 - β₁) g`, `v = β₂ v + (1 - β₂) g²`, `x -= rate
//! · m / (1 - β₁ᵗ) / (sqrt(v / (1 - β₂ᵗ)) + ε)`, with PyTorch's ε. Burn's own Adam stores its state under ids
//! that differ from run to run, and applies ε differently. Here moments are stored under parameter names, as
//! checkpoints need.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use lacuna_nets::weights::{NamedWeight, Path, Weight, read_tensor};

use super::Gradients;
use crate::{Error, Result};

/// Decay of the means of gradients and of their squares: PyTorch's defaults.
pub const BETAS: [f64; 2] = [0.9, 0.999];
/// PyTorch's default.
const EPSILON: f64 = 1e-8;

/// Running mean and mean square of one parameter's gradient, as rows without autodiff.
#[derive(Clone, Debug)]
struct Moments {
    first: Tensor<1>,
    second: Tensor<1>,
}

/// The optimizer and its state.
#[derive(Clone, Debug)]
pub struct Adam {
    moments: BTreeMap<String, Moments>,
    steps: u64,
    betas: [f64; 2],
}

impl Default for Adam {
    fn default() -> Self {
        Self::new(BETAS)
    }
}

impl Adam {
    /// An optimizer before its first step.
    pub fn new(betas: [f64; 2]) -> Self {
        Self { moments: BTreeMap::new(), steps: 0, betas }
    }

    /// One step of `module` along `gradients`. Parameters without a gradient do not change.
    pub fn step<M: Module>(&mut self, module: M, gradients: &Gradients, rate: f64) -> M {
        self.step_with(module, gradients, &|_| rate)
    }

    /// As [`Adam::step`], with a learning rate for each parameter, by its name.
    pub fn step_with<M: Module>(
        &mut self,
        module: M,
        gradients: &Gradients,
        rate: &dyn Fn(&str) -> f64,
    ) -> M {
        self.steps += 1;
        let betas = self.betas;
        let corrections = betas.map(|beta| 1.0 - beta.powf(self.steps as f64));
        let mut update =
            Update { path: Path::default(), moments: &mut self.moments, gradients, rate, betas, corrections };
        module.map(&mut update)
    }

    /// Finished steps.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The moments, for checkpoints: `NAME.first` and `NAME.second`.
    ///
    /// # Errors
    /// [`lacuna_nets::Error::Execution`] if a tensor cannot be read from its device.
    pub fn state(&self) -> Result<Vec<NamedWeight>> {
        let mut state = Vec::with_capacity(2 * self.moments.len());
        for (name, moments) in &self.moments {
            for (kind, row) in [("first", &moments.first), ("second", &moments.second)] {
                state.push(NamedWeight { name: format!("{name}.{kind}"), weight: read_tensor(row.clone())? });
            }
        }
        Ok(state)
    }

    /// Restores an optimizer of these betas after `steps` steps from [`Adam::state`].
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if one of a pair of moments is missing.
    pub fn restore(betas: [f64; 2], steps: u64, state: Vec<NamedWeight>, device: &Device) -> Result<Self> {
        let mut rows: BTreeMap<String, Tensor<1>> = state
            .into_iter()
            .map(|NamedWeight { name, weight: Weight { shape, values } }| {
                (name, Tensor::from_data(TensorData::new(values, shape), device))
            })
            .collect();
        let mut moments = BTreeMap::new();
        while let Some((name, first)) = rows.pop_first() {
            let alone = || Error::Checkpoint(format!("optimizer: {name} has no partner"));
            let parameter = name.strip_suffix(".first").ok_or_else(alone)?;
            let second = rows.remove(&format!("{parameter}.second")).ok_or_else(alone)?;
            moments.insert(parameter.to_owned(), Moments { first, second });
        }
        Ok(Self { moments, steps, betas })
    }
}

struct Update<'a> {
    path: Path,
    moments: &'a mut BTreeMap<String, Moments>,
    gradients: &'a Gradients,
    rate: &'a dyn Fn(&str) -> f64,
    betas: [f64; 2],
    corrections: [f64; 2],
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let Some(gradient) = self.gradients.get(&name).cloned() else { return param };
        let square = gradient.clone() * gradient.clone();
        let [beta_1, beta_2] = self.betas;
        let moments = match self.moments.remove(&name) {
            None => {
                Moments { first: gradient.mul_scalar(1.0 - beta_1), second: square.mul_scalar(1.0 - beta_2) }
            }
            Some(Moments { first, second }) => Moments {
                first: first.mul_scalar(beta_1) + gradient.mul_scalar(1.0 - beta_1),
                second: second.mul_scalar(beta_2) + square.mul_scalar(1.0 - beta_2),
            },
        };
        let [first, second] = self.corrections;
        let root = moments.second.clone().sqrt().div_scalar(second.sqrt()).add_scalar(EPSILON);
        let change = (moments.first.clone() / root).mul_scalar((self.rate)(&name) / first);
        self.moments.insert(name, moments);
        param.map(|value| {
            let shape = value.dims();
            let moved = value.inner() - change.reshape(shape);
            Tensor::from_inner(moved).require_grad()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{device, tensor, values};
    use testkit::assert_close;

    #[derive(Module, Debug)]
    struct Pair {
        moved: Param<Tensor<2>>,
        kept: Param<Tensor<1>>,
    }

    fn pair() -> Pair {
        Pair {
            moved: Param::from_tensor(tensor([1, 2], vec![1.0, -2.0])),
            kept: Param::from_tensor(tensor([1], vec![5.0])),
        }
        .to_device(&device())
        .train()
    }

    fn step(adam: &mut Adam, pair: Pair) -> Pair {
        // loss = x₀² + x₁³ / 3: gradients 2 x₀, x₁²
        let x = pair.moved.val();
        let (x0, x1) = (x.clone().narrow(1, 0, 1), x.narrow(1, 1, 1));
        let loss = (x0.clone() * x0).sum() + (x1.clone() * x1.clone() * x1).sum().div_scalar(3.0);
        let gradients = Gradients::of(&pair, &loss.backward());
        adam.step(pair, &gradients, 0.1)
    }

    #[test]
    fn two_steps_by_hand() {
        let mut adam = Adam::default();
        let pair = step(&mut adam, pair());
        // The first step is rate · sign(g).
        assert_close(&values(pair.moved.val().reshape([2])), &[0.9, -2.1], 1e-6);
        assert!(pair.moved.is_require_grad());
        let pair = step(&mut adam, pair);
        let by_hand = |x: f32, g: [f32; 2]| {
            let first = (0.9 * 0.1 * g[0] + 0.1 * g[1]) / (1.0 - 0.81);
            let second = (0.999 * 0.001 * g[0] * g[0] + 0.001 * g[1] * g[1]) / (1.0 - 0.998_001);
            x - 0.1 * first / second.sqrt()
        };
        let expected = [by_hand(0.9, [2.0, 1.8]), by_hand(-2.1, [4.0, 4.41])];
        assert_close(&values(pair.moved.val().reshape([2])), &expected, 1e-5);
        assert_eq!(values(pair.kept.val()), [5.0]);
        assert_eq!(adam.steps(), 2);
    }

    #[test]
    fn parameters_have_rates_by_name() {
        let pair = pair();
        let loss = pair.moved.val().sum() + pair.kept.val().sum();
        let gradients = Gradients::of(&pair, &loss.backward());
        let rate = |name: &str| if name == "kept" { 0.01 } else { 0.1 };
        let pair = Adam::default().step_with(pair, &gradients, &rate);
        assert_close(&values(pair.moved.val().reshape([2])), &[0.9, -2.1], 1e-6);
        assert_close(&values(pair.kept.val()), &[4.99], 1e-6);
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_nothing_happened() {
        let mut adam = Adam::default();
        let first = step(&mut adam, pair());
        let mut restored =
            Adam::restore(BETAS, adam.steps(), adam.state().unwrap(), &device().inner()).unwrap();
        let one = step(&mut adam, first.clone());
        let other = step(&mut restored, first);
        assert_eq!(values(one.moved.val()), values(other.moved.val()));
        let mut state = adam.state().unwrap();
        state.pop();
        assert!(Adam::restore(BETAS, 2, state, &device().inner()).is_err());
    }
}
