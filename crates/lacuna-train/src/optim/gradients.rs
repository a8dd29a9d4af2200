//! Gradients of a module by parameter name: sum, norm and clipping.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use lacuna_nets::weights::{Path, read_tensor};

use crate::Result;

/// Added to the norm as in PyTorch's `clip_grad_norm_`, which prevents division by zero.
const NORM_EPSILON: f64 = 1e-6;

/// Gradients of all parameters that have one, as rows without autodiff.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    rows: BTreeMap<String, Tensor<1>>,
}

impl Gradients {
    /// The gradients in `backward` of the parameters of `module`.
    pub fn of<M: Module>(module: &M, backward: &burn::tensor::Gradients) -> Self {
        let mut collector = Collector { path: Path::default(), backward, rows: BTreeMap::new() };
        module.visit(&mut collector);
        Self { rows: collector.rows }
    }

    /// The gradient of the parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor<1>> {
        self.rows.get(name)
    }

    /// Names of the parameters that have a gradient, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// The sum of both.
    pub fn plus(mut self, other: Self) -> Self {
        for (name, row) in other.rows {
            let sum = match self.rows.remove(&name) {
                Some(own) => own + row,
                None => row,
            };
            self.rows.insert(name, sum);
        }
        self
    }

    /// All gradients times `factor`.
    pub fn scale(self, factor: f64) -> Self {
        let rows = self.rows.into_iter().map(|(name, row)| (name, row.mul_scalar(factor))).collect();
        Self { rows }
    }

    /// The gradients on another device.
    pub fn to_device(self, device: &Device) -> Self {
        let rows = self.rows.into_iter().map(|(name, row)| (name, row.to_device(device))).collect();
        Self { rows }
    }

    /// Number of values of all gradients.
    pub fn count(&self) -> usize {
        self.rows.values().map(|row| row.dims()[0]).sum()
    }

    /// The values of all gradients in the order of names, read from the device at once.
    ///
    /// # Errors
    /// [`lacuna_nets::Error::Execution`] if they cannot be read from their device.
    pub fn values(&self) -> Result<Vec<f32>> {
        let rows: Vec<Tensor<1>> = self.rows.values().cloned().collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        Ok(read_tensor(Tensor::cat(rows, 0))?.values)
    }

    /// Gradients of the same names, lengths and device with other values, in the order of [`Gradients::values`].
    ///
    /// # Panics
    /// If there are not [`Gradients::count`] values.
    pub fn with_values(mut self, values: &[f32]) -> Self {
        assert_eq!(values.len(), self.count(), "values of all gradients");
        let Some(device) = self.rows.values().next().map(Tensor::device) else { return self };
        let all = Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device);
        let mut start = 0;
        for row in self.rows.values_mut() {
            let length = row.dims()[0];
            *row = all.clone().narrow(0, start, length);
            start += length;
        }
        self
    }

    /// Sum of squares of all gradients, as a tensor of one value; `None` without gradients.
    fn squares(&self) -> Option<Tensor<1>> {
        self.rows.values().map(|row| (row.clone() * row.clone()).sum()).reduce(|sum, square| sum + square)
    }

    /// L2 norm of all gradients together.
    pub fn norm(&self) -> f64 {
        self.squares().map_or(0.0, |squares| f64::from(squares.into_scalar::<f32>()).sqrt())
    }

    /// Scales all gradients down to a norm of at most `largest` (PyTorch's `clip_grad_norm_`), and returns the original
    /// norm.
    pub fn clip(self, largest: f64) -> (Self, f64) {
        let norm = self.norm();
        let factor = largest / (norm + NORM_EPSILON);
        (if factor < 1.0 { self.scale(factor) } else { self }, norm)
    }
}

struct Collector<'a> {
    path: Path,
    backward: &'a burn::tensor::Gradients,
    rows: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if !value.is_require_grad() {
            return;
        }
        if let Some(gradient) = value.grad(self.backward) {
            self.rows.insert(self.path.name(), gradient.flatten::<1>(0, D - 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{device, tensor, values};
    use burn::module::Module;
    use testkit::assert_close;

    #[derive(Module, Debug)]
    struct Pair {
        first: Param<Tensor<1>>,
        second: Param<Tensor<2>>,
    }

    /// `first` times 3, `second` times 4: gradients 3 and 4.
    fn gradients() -> Gradients {
        let pair = Pair {
            first: Param::from_tensor(tensor([1], vec![1.0])),
            second: Param::from_tensor(tensor([1, 1], vec![1.0])),
        };
        let pair = Pair { first: pair.first, second: pair.second }.to_device(&device()).train();
        let loss = pair.first.val().mul_scalar(3.0).sum() + pair.second.val().mul_scalar(4.0).sum();
        Gradients::of(&pair, &loss.backward())
    }

    #[test]
    fn the_norm_is_of_all_together() {
        assert!((gradients().norm() - 5.0).abs() < 1e-6);
        assert_eq!(Gradients::default().norm(), 0.0);
    }

    #[test]
    fn long_gradients_are_shortened_and_short_ones_kept() {
        let (clipped, norm) = gradients().clip(1.0);
        assert!((norm - 5.0).abs() < 1e-6);
        assert_close(&values(clipped.get("first").unwrap().clone()), &[0.6], 1e-6);
        assert_close(&values(clipped.get("second").unwrap().clone()), &[0.8], 1e-6);
        let (kept, _) = gradients().clip(6.0);
        assert_eq!(values(kept.get("first").unwrap().clone()), [3.0]);
    }

    #[test]
    fn sums_and_multiples() {
        let sum = gradients().plus(gradients()).scale(0.5);
        assert_eq!(sum.names().collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(values(sum.get("second").unwrap().clone()), [4.0]);
    }

    #[test]
    fn all_values_are_one_row_in_the_order_of_names() {
        let gradients = gradients();
        assert_eq!((gradients.count(), gradients.values().unwrap()), (2, vec![3.0, 4.0]));
        let other = gradients.with_values(&[5.0, 6.0]);
        assert_eq!(values(other.get("first").unwrap().clone()), [5.0]);
        assert_eq!(values(other.get("second").unwrap().clone()), [6.0]);
        assert!(Gradients::default().with_values(&[]).values().unwrap().is_empty());
    }
}
