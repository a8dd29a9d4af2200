//! A layer of a context encoder or of its discriminator: a convolution in either direction, with or without BatchNorm.

use burn::module::Module;
use burn::tensor::Tensor;
use lacuna_network::{Activation, Layer, Operation};

use super::activation::activate;
use super::{BatchNorm, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTransposeConfig, Init};
use crate::error::{Error, Result};

/// `activation(norm(conv(x)))`, or without the norm.
#[derive(Module, Debug)]
pub struct Stage {
    conv: AnyConv,
    norm: Option<BatchNorm>,
    #[module(skip)]
    activation: Activation,
}

/// A convolution in either direction.
#[derive(Module, Debug)]
pub enum AnyConv {
    /// [`Operation::Convolution`].
    Convolution(Conv2d),
    /// [`Operation::Transposed`].
    Transposed(ConvTranspose2d),
}

impl Stage {
    /// The stage of a layer, with PyTorch's default initialisation.
    ///
    /// # Errors
    /// [`Error::Config`] for an operation other than a convolution or a transposed one.
    pub fn new(layer: &Layer, init: &mut Init) -> Result<Self> {
        let conv = match layer.form.operation {
            Operation::Convolution => AnyConv::Convolution(Conv2dConfig::of(layer).init(init)),
            Operation::Transposed => AnyConv::Transposed(ConvTransposeConfig::of(layer).init(init)),
            Operation::FastFourier | Operation::ChannelWise => {
                return Err(Error::Config(format!("{}: there is no stage for a {}", layer.path, layer.form)));
            }
        };
        let norm = if layer.form.norm { Some(BatchNorm::new(layer.outputs.total(), init)) } else { None };
        Ok(Self { conv, norm, activation: layer.form.activation })
    }

    /// Computes the layer's output.
    ///
    /// # Shapes
    /// `x`: `[batch, channels_in, height, width]`; the result as [`Conv2d::forward`] or [`ConvTranspose2d::forward`].
    ///
    /// # Panics
    /// As [`BatchNorm::forward`].
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = match &self.conv {
            AnyConv::Convolution(conv) => conv.forward(x),
            AnyConv::Transposed(conv) => conv.forward(x),
        };
        match &self.norm {
            Some(norm) => norm.forward_activated(y, self.activation),
            None => activate(y, self.activation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded};
    use crate::weights::shapes;
    use lacuna_network::{Border, Form, Split};

    /// Of values near 1; LeakyReLU has a kink.
    const GRADIENT_TOLERANCE: f64 = 1e-4;

    fn layer(operation: Operation, stride: usize, border: Border, norm: bool) -> Layer {
        let activation = Activation::LeakyRelu;
        let form = Form { operation, kernel: 4, stride, border, bias: false, norm, activation };
        let path = if norm { "stage" } else { "stage.conv" };
        Layer { path: path.into(), inputs: Split::local(2), outputs: Split::local(3), level: 0, form }
    }

    #[test]
    fn a_stage_has_the_tensors_and_sides_of_its_layer() {
        for operation in [Operation::Convolution, Operation::Transposed] {
            for (stride, border) in [(2, Border::Zero), (1, Border::None)] {
                for norm in [false, true] {
                    let layer = layer(operation, stride, border, norm);
                    let stage = Stage::new(&layer, &mut seeded(1)).unwrap();
                    let found = shapes(&stage).into_iter();
                    let found: Vec<_> =
                        found.map(|named| (format!("stage.{}", named.name), named.shape)).collect();
                    assert_eq!(found, layer.tensors(), "{}", layer.form);
                    for batch in [1, 2] {
                        let dims = stage.forward(random([batch, 2, 6, 4], 1)).dims();
                        assert_eq!(dims, [batch, 3, layer.form.side(6), layer.form.side(4)]);
                    }
                }
            }
        }
        let refused = layer(Operation::FastFourier, 1, Border::Zero, true);
        assert!(Stage::new(&refused, &mut seeded(1)).is_err());
    }

    #[test]
    fn it_has_the_right_gradient() {
        for operation in [Operation::Convolution, Operation::Transposed] {
            let stage = Stage::new(&layer(operation, 2, Border::Zero, true), &mut seeded(1)).unwrap();
            assert_block_gradient(stage, Stage::forward, [2, 2, 4, 6], GRADIENT_TOLERANCE);
        }
    }
}
