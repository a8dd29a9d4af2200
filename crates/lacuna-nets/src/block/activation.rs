//! The last step of a layer.

use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, relu, sigmoid, tanh};
use lacuna_network::{Activation, LEAKY_SLOPE};

/// Activates every value of `x`.
///
/// # Shapes
/// `x` and the result: `[batch, channels, height, width]`.
pub fn activate(x: Tensor<4>, activation: Activation) -> Tensor<4> {
    match activation {
        Activation::Identity => x,
        Activation::Relu => relu(x),
        Activation::LeakyRelu => leaky_relu(x, f64::from(LEAKY_SLOPE)),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => tanh(x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};
    use testkit::assert_close;

    #[test]
    fn by_hand() {
        let x = tensor([1, 1, 1, 3], vec![-1.0, 0.0, 0.5]);
        for (activation, expected) in [
            (Activation::Identity, [-1.0, 0.0, 0.5]),
            (Activation::Relu, [0.0, 0.0, 0.5]),
            (Activation::LeakyRelu, [-0.2, 0.0, 0.5]),
            (Activation::Sigmoid, [0.268_941, 0.5, 0.622_459]),
            (Activation::Tanh, [-0.761_594, 0.0, 0.462_117]),
        ] {
            assert_close(&values(activate(x.clone(), activation)), &expected, 1e-6);
        }
    }
}
