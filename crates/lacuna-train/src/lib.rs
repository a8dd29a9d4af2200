//! Training Lacuna's networks: the autoencoder, mask control, the latent loss and LaMa's adversarial losses of the thesis
//! "Image inpainting in latent space".
//!
//! The way of a run: [`config`] reads its file, [`data`] and [`augment`] make batches, [`step`] learns from them by the
//! terms of [`loss`] and the optimizer of [`optim`], [`fit()`] is the loop around it, [`validate`] judges, [`checkpoint`]
//! lets it go on after an interruption.

#![forbid(unsafe_code)]

pub mod augment;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod error;
pub mod fit;
pub mod forecast;
pub mod grid;
pub mod log;
pub mod loss;
pub mod net;
pub mod optim;
pub mod step;
pub mod study;
pub mod tensors;
pub mod validate;

#[cfg(test)]
mod testing;

pub use self::fit::{Event, FitOptions, Outcome, fit};
pub use config::RunConfig;
pub use error::{Error, Result};
pub use forecast::Forecast;

/// The number of a module's parameters (BatchNorm statistics left out) that `counts` takes, given whether they learn.
fn weights_that_learn<M: burn::module::Module>(module: &M, counts: impl Fn(bool) -> bool) -> usize {
    use burn::module::{ModuleVisitor, Param};
    use burn::tensor::Tensor;
    use lacuna_nets::weights::{Path, is_statistic};

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
    let mut counter = Counter(Path::default(), counts, 0);
    module.visit(&mut counter);
    counter.2
}
