//! Test helpers of this crate: conversion of tensors, and gradient checks of whole blocks.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use testkit::fixtures::{Fixture, Fixtures};
use testkit::pictures::noise;
use testkit::worst_difference;

use crate::block::Init;
use crate::weights::{self, NamedWeight, Path, Weight};

/// A random number generator.
pub fn rng(seed: u64) -> Pcg64 {
    Pcg64::seed_from_u64(seed)
}

/// Seeded initialisation on the plain CPU device.
pub fn seeded(seed: u64) -> Init {
    Init::drawn(rng(seed), &Device::flex())
}

/// Seeded initialisation on the CPU, for training.
pub fn seeded_to_train(seed: u64) -> Init {
    Init::drawn(rng(seed), &Device::flex().autodiff())
}

/// A tensor on the plain CPU device.
pub fn tensor<const D: usize>(shape: [usize; D], values: Vec<f32>) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// A tensor of uniform noise in `[-1, 1)`.
pub fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    tensor(shape, noise(seed, shape.iter().product()))
}

/// A fixture as a tensor.
pub fn from_fixture<const D: usize>(fixture: &Fixture) -> Tensor<D> {
    tensor(fixture.shape.clone().try_into().expect("the fixture's rank"), fixture.values.clone())
}

/// Asserts that a tensor has the shape and, within 1e-5, the values of a fixture.
#[track_caller]
pub fn assert_fixture<const D: usize>(numbers: &Fixtures, name: &str, found: Tensor<D>) {
    const TOLERANCE: f32 = 1e-5;
    let expected = numbers.get(name);
    assert_eq!(found.dims().to_vec(), expected.shape, "{name}");
    let worst = worst_difference(&values(found), &expected.values).unwrap().size();
    assert!(worst <= TOLERANCE, "{name} is off by {worst:e}");
}

/// The values of a tensor, row-major.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("float32")
}

/// Loads `module` from fixtures; `rename` maps each key to the fixture's name.
pub fn load_fixture<M: Module>(module: M, fixtures: &Fixtures, rename: impl Fn(&str) -> String) -> M {
    weights::load(module, |name| {
        fixtures
            .find(&rename(name))
            .map(|fixture| Weight { shape: fixture.shape.clone(), values: fixture.values.clone() })
    })
    .unwrap()
}

/// Sets every BatchNorm statistic of `module` to a distinct value, so that a mix-up is detected.
pub fn with_random_statistics<M: Module>(module: M, seed: u64) -> M {
    let all = weights::read(&module).unwrap();
    weights::load(module, |name| {
        let found = all.iter().position(|named| named.name == name)?;
        let mut weight = all[found].weight.clone();
        let noise = noise(seed + found as u64, weight.values.len());
        if name.ends_with("running_mean") {
            weight.values = noise.iter().map(|noise| 0.3 * noise).collect();
        } else if name.ends_with("running_var") {
            weight.values = noise.iter().map(|noise| 1.0 + 0.6 * noise).collect();
        }
        Some(weight)
    })
    .unwrap()
}

/// A module with all values in float64, for finite differences.
pub fn in_float64<M: Module>(module: M) -> M {
    struct Mapper;
    impl ModuleMapper for Mapper {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.cast(DType::F64))
        }
    }
    module.map(&mut Mapper)
}

/// The weighted sum of all values, computed in float64.
pub fn weighted_sum<const D: usize>(tensor: Tensor<D>, weighting: &[f32]) -> f64 {
    let values = tensor.into_data().try_into_vec::<f64>().expect("float64");
    assert_eq!(values.len(), weighting.len());
    values.iter().zip(weighting).map(|(&value, &weight)| value * f64::from(weight)).sum()
}

/// Checks the gradient of a block in eval mode, with respect to its input and every parameter, against
/// finite differences of the sum of its outputs with fixed random weights.
#[track_caller]
pub fn assert_block_gradient<M: Module>(
    module: M,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<4>,
    input_shape: [usize; 4],
    tolerance: f64,
) {
    let module = with_random_statistics(module, 77).valid();
    let input = noise(78, input_shape.iter().product());
    let plain = Device::flex();
    let output = forward(&module, tensor(input_shape, input.clone()));
    let weighting = noise(79, output.shape().num_elements());
    let objective = |module: M, input: &[f32]| -> f64 {
        let x = tensor(input_shape, input.to_vec()).cast(DType::F64);
        weighted_sum(forward(&in_float64(module), x), &weighting)
    };

    // Frozen flags keep BatchNorm in eval mode, parameters still require gradients.
    let tracked = module.clone().freeze().train().set_require_grad(true);
    let device = plain.clone().autodiff();
    let x = Tensor::<4>::from_data(TensorData::new(input.clone(), input_shape), &device).require_grad();
    let y = forward(&tracked, x.clone());
    let weighted = y.clone() * Tensor::from_data(TensorData::new(weighting.clone(), y.dims()), &device);
    let gradients = weighted.sum().backward();

    let input_gradient = values(x.grad(&gradients).expect("the input's gradient"));
    testkit::gradient::assert_gradient(
        |point| objective(module.clone(), point),
        &input,
        &input_gradient,
        tolerance,
    );

    let parameters = weights::read(&module).unwrap();
    let found = gradients_by_name(&tracked, &gradients);
    for named in parameters.iter().filter(|named| !weights::is_statistic(&named.name)) {
        let gradient = &found.iter().find(|gradient| gradient.name == named.name).expect("a gradient").weight;
        testkit::gradient::assert_gradient(
            |point| {
                let moved = weights::load(module.clone(), |name| {
                    let all = parameters.iter().find(|other| other.name == name)?;
                    let mut weight = all.weight.clone();
                    if name == named.name {
                        weight.values = point.to_vec();
                    }
                    Some(weight)
                });
                objective(moved.unwrap(), &input)
            },
            &named.weight.values,
            &gradient.values,
            tolerance,
        );
    }
}

/// The gradients of a module's parameters; parameters without one are left out.
pub fn gradients_by_name<M: Module>(module: &M, gradients: &Gradients) -> Vec<NamedWeight> {
    struct Visitor<'a> {
        path: Path,
        gradients: &'a Gradients,
        found: Vec<NamedWeight>,
    }
    impl ModuleVisitor for Visitor<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.gradients) {
                let weight = weights::read_tensor(gradient).unwrap();
                self.found.push(NamedWeight { name: self.path.name(), weight });
            }
        }
    }
    let mut visitor = Visitor { path: Path::default(), gradients, found: Vec::new() };
    module.visit(&mut visitor);
    visitor.found
}
