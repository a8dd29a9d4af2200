//! A linear layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lacuna_network::Linear as Shape;

use super::Init;

/// `y = weight x + bias`.
///
/// # Shapes
/// `weight`: `[outputs, inputs]`; `bias`: `[outputs]`.
#[derive(Module, Debug)]
pub struct Linear {
    /// One row for each output.
    pub weight: Param<Tensor<2>>,
    /// Offset of each output.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// With PyTorch's default initialisation: weights and bias uniform in `±1/sqrt(inputs)`.
    pub fn new(shape: &Shape, init: &mut Init) -> Self {
        let Shape { inputs, outputs, .. } = *shape;
        Self { weight: init.uniform([outputs, inputs], inputs), bias: init.uniform([outputs], inputs) }
    }

    /// With weights and bias zero.
    pub fn zero(shape: &Shape, init: &mut Init) -> Self {
        let Shape { inputs, outputs, .. } = *shape;
        Self { weight: init.constant([outputs, inputs], 0.0), bias: init.constant([outputs], 0.0) }
    }

    /// Maps each row of `x`.
    ///
    /// # Shapes
    /// `x`: `[batch, inputs]`; the result: `[batch, outputs]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, seeded, tensor, values};

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    fn shape(inputs: usize, outputs: usize) -> Shape {
        Shape { path: "layer".into(), inputs, outputs }
    }

    #[test]
    fn two_rows_by_hand() {
        let mut linear = Linear::zero(&shape(2, 1), &mut seeded(1));
        let x = || tensor([2, 2], vec![1.0, 2.0, 3.0, -1.0]);
        assert_eq!(values(linear.forward(x())), [0.0, 0.0]);
        linear.weight = Param::from_tensor(tensor([1, 2], vec![10.0, 100.0]));
        linear.bias = Param::from_tensor(tensor([1], vec![0.5]));
        assert_eq!(values(linear.forward(x())), [210.5, -69.5]);
    }

    #[test]
    fn it_has_the_right_gradient() {
        let linear = Linear::new(&shape(4, 3), &mut seeded(1));
        let forward = |linear: &Linear, x: Tensor<4>| {
            let [batch, ..] = x.dims();
            linear.forward(x.reshape([batch, 4])).reshape([batch, 3, 1, 1])
        };
        assert_block_gradient(linear, forward, [2, 4, 1, 1], GRADIENT_TOLERANCE);
    }
}
