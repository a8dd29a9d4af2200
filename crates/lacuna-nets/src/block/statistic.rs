//! A running statistic: a buffer that a forward pass in train mode changes.
//!
//! Burn's own `RunningState` is unsuitable: its clones hold one common value, so a frozen copy of a network would keep
//! following the original, and an update becomes visible to a visitor (such as saving) only one pass later.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
    ParamId,
};
use burn::tensor::{Device, Tensor};

/// One value per channel that is measured, not trained. Clones are independent.
///
/// # Shapes
/// value: `[channels]`.
#[derive(Debug)]
pub struct Statistic {
    id: ParamId,
    value: Mutex<Tensor<1>>,
}

impl Statistic {
    /// A statistic with the initial value `value`, `[channels]`.
    pub fn new(value: Tensor<1>) -> Self {
        Self::with_id(ParamId::new(), value)
    }

    fn with_id(id: ParamId, value: Tensor<1>) -> Self {
        Self { id, value: Mutex::new(value) }
    }

    /// The current value, `[channels]`, without gradients.
    pub fn value(&self) -> Tensor<1> {
        self.lock().clone()
    }

    /// Replaces the value by `momentum * measured + (1 - momentum) * value`.
    ///
    /// # Shapes
    /// `measured`: `[channels]`.
    pub fn update(&self, measured: Tensor<1>, momentum: f32) {
        let mut value = self.lock();
        *value = (value.clone().mul_scalar(1.0 - momentum) + measured.mul_scalar(momentum)).detach();
    }

    // A panic elsewhere cannot leave a partial value: only whole tensors are stored.
    fn lock(&self) -> MutexGuard<'_, Tensor<1>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(self, change: impl FnOnce(Tensor<1>) -> Tensor<1>) -> Self {
        let value = change(self.value());
        Self::with_id(self.id, value)
    }
}

impl Clone for Statistic {
    fn clone(&self) -> Self {
        Self::with_id(self.id, self.value())
    }
}

impl Module for Statistic {
    fn collect_devices(&self, mut devices: Devices) -> Devices {
        let device = self.value().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn to_device(self, device: &Device) -> Self {
        self.replace(|value| value.to_device(device))
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        visitor.visit_float(&Param::initialized(self.id, self.value()));
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        let mapped = mapper.map_float(Param::initialized(self.id, self.value()));
        // A mapper that enables gradients everywhere must not affect a buffer.
        Self::with_id(self.id, mapped.into_value().set_require_grad(false))
    }

    fn train(self) -> Self {
        self.replace(|value| if value.is_autodiff() { value } else { Tensor::from_inner(value) })
    }

    fn valid(&self) -> Self {
        Self::with_id(self.id, self.value().without_autodiff())
    }

    fn materialize(self) -> Self {
        self
    }
}

impl std::fmt::Display for Statistic {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Statistic of {} channels", self.value().dims()[0])
    }
}

impl ModuleDisplayDefault for Statistic {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(self).optional()
    }
}

impl ModuleDisplay for Statistic {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};

    #[test]
    fn updates_show_at_once_and_only_here() {
        let statistic = Statistic::new(tensor([2], vec![0.0, 10.0]));
        let copy = statistic.clone();
        statistic.update(tensor([2], vec![1.0, 0.0]), 0.25);
        assert_eq!(values(statistic.value()), [0.25, 7.5]);
        assert_eq!(values(copy.value()), [0.0, 10.0]);
    }

    #[test]
    fn gradients_are_never_required() {
        let device = Device::flex().autodiff();
        let statistic = Statistic::new(Tensor::zeros([2], &device));
        assert!(!statistic.set_require_grad(true).value().is_require_grad());
    }

    #[test]
    fn the_value_survives_changes_of_mode() {
        let statistic = Statistic::new(Tensor::ones([2], &Device::flex().autodiff()));
        statistic.update(Tensor::zeros([2], &Device::flex().autodiff()), 0.5);
        let valid = statistic.valid();
        assert!(!valid.value().device().is_autodiff());
        assert_eq!(values(valid.value()), [0.5, 0.5]);
        let train = valid.train();
        assert!(train.value().device().is_autodiff());
        assert_eq!(values(train.value()), [0.5, 0.5]);
    }
}
