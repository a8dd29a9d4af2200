//! Initialisation of parameters.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_pcg::Pcg64;

/// Creates parameters on one device, either with PyTorch's default initialisation or uninitialised, to be loaded.
///
/// Values are drawn on the host, one parameter after another, so that the same generator gives the same network on
/// every device and with any number of threads.
#[derive(Debug)]
pub struct Init {
    values: Values,
    device: Device,
}

#[derive(Debug)]
enum Values {
    Drawn(Box<Pcg64>),
    Unset,
}

impl Init {
    /// Values drawn from `rng`. Pass an autodiff device to train.
    pub fn drawn(rng: Pcg64, device: &Device) -> Self {
        Self { values: Values::Drawn(Box::new(rng)), device: device.clone() }
    }

    /// Uninitialised: parameters have only a shape, and cost nothing until they are loaded.
    pub fn unset(device: &Device) -> Self {
        Self { values: Values::Unset, device: device.clone() }
    }

    /// The device of the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A parameter uniform in `±1/sqrt(fan_in)`: PyTorch's default for the weight and bias of convolutions.
    ///
    /// # Panics
    /// If `fan_in` is zero.
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        assert!(fan_in > 0, "a convolution needs inputs");
        let bound = 1.0 / (fan_in as f32).sqrt();
        match &mut self.values {
            Values::Drawn(rng) => {
                let count = shape.iter().product();
                let values: Vec<f32> =
                    (0..count).map(|_| bound * (2.0 * rng.random::<f32>() - 1.0)).collect();
                Param::from_data(TensorData::new(values, shape), &self.device)
            }
            Values::Unset => self.lazy(shape, 0.0),
        }
    }

    /// A parameter with the same value everywhere.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        match &self.values {
            Values::Drawn(_) => {
                let values = vec![value; shape.iter().product()];
                Param::from_data(TensorData::new(values, shape), &self.device)
            }
            Values::Unset => self.lazy(shape, value),
        }
    }

    fn lazy<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        Param::uninitialized(
            ParamId::new(),
            move |device, require_grad| {
                let tensor = Tensor::full(shape, value, device);
                if require_grad { tensor.require_grad() } else { tensor }
            },
            self.device.clone(),
            true,
            shape.into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{seeded, values};

    #[test]
    fn the_same_generator_gives_the_same_values() {
        let first = seeded(1).uniform([4, 3, 3, 3], 27);
        let again = seeded(1).uniform([4, 3, 3, 3], 27);
        let other = seeded(2).uniform([4, 3, 3, 3], 27);
        assert_eq!(values(first.val()), values(again.val()));
        assert_ne!(values(first.val()), values(other.val()));
    }

    #[test]
    fn uniform_values_fill_the_interval() {
        let drawn = values(seeded(1).uniform([100, 100], 16).val());
        let largest = drawn.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let mean = drawn.iter().sum::<f32>() / drawn.len() as f32;
        // 1/sqrt(16); the largest of 10^4 draws misses the bound by more than 1 % with probability 1e-44.
        assert!(largest <= 0.25 && largest > 0.2475, "largest {largest}");
        // Standard deviation of the mean: 0.25 / sqrt(3 * 10^4).
        assert!(mean.abs() < 0.0075, "mean {mean}");
    }

    #[test]
    fn unset_parameters_have_a_shape_but_no_values() {
        let parameter = Init::unset(&Device::flex()).uniform([1000, 1000], 9);
        assert!(!parameter.is_initialized());
        assert_eq!(parameter.lazy_shape().num_elements(), 1_000_000);
        assert!(!parameter.is_initialized());
    }

    #[test]
    fn parameters_on_an_autodiff_device_require_gradients() {
        let device = Device::flex().autodiff();
        assert!(Init::unset(&device).constant([3], 1.0).val().is_require_grad());
        let parameter = Init::drawn(crate::testing::rng(1), &device).constant([3], 1.0);
        assert!(parameter.val().is_require_grad());
        assert_eq!(values(parameter.val()), [1.0; 3]);
    }
}
