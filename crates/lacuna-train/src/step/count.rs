//! Counts of trained parameters.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use lacuna_nets::weights::{Path, is_statistic};

/// Number of a module's parameters (without BatchNorm statistics) that `counts` accepts, given whether they are
/// trained.
pub fn count_parameters<M: Module>(module: &M, counts: impl Fn(bool) -> bool) -> usize {
    let mut counter = Counter(Path::default(), counts, 0);
    module.visit(&mut counter);
    counter.2
}

struct Counter<Counts>(Path, Counts, usize);
impl<Counts: Fn(bool) -> bool> ModuleVisitor for Counter<Counts> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.0.exit();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !is_statistic(&self.0.name()) && (self.1)(param.is_require_grad()) {
            self.2 += param.lazy_shape().num_elements();
        }
    }
}
