//! The block of a layer, whatever its operation.

use burn::module::Module;
use lacuna_network::{Layer, Operation};

use super::{
    Conv2dConfig, ConvNormAct, ConvTransposeConfig, ConvTransposeNormAct, FfcConfig, FfcNormAct, Init,
};
use crate::Features;
use crate::error::{Error, Result};

/// A [`Layer`] that ends in BatchNorm, as all inner layers of a network do.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a few dozen of them live in a network of megabytes")]
pub enum LayerBlock {
    /// [`Operation::Convolution`].
    Convolution(ConvNormAct),
    /// [`Operation::Transposed`].
    Transposed(ConvTransposeNormAct),
    /// [`Operation::FastFourier`].
    FastFourier(FfcNormAct),
}

impl LayerBlock {
    /// The block with PyTorch's default initialisation.
    ///
    /// # Errors
    /// [`Error::Config`] for a layer without BatchNorm, and for a fast Fourier convolution with bias or with a stride across
    /// its spectral path.
    pub fn new(layer: &Layer, init: &mut Init) -> Result<Self> {
        let Layer { inputs, form, .. } = layer;
        match form.operation {
            Operation::Convolution if form.norm => {
                Ok(Self::Convolution(ConvNormAct::new(&Conv2dConfig::of(layer), form.activation, init)))
            }
            Operation::Transposed if form.norm => {
                let config = ConvTransposeConfig::of(layer);
                Ok(Self::Transposed(ConvTransposeNormAct::new(&config, form.activation, init)))
            }
            Operation::FastFourier if form.norm && !form.bias && (form.stride == 1 || inputs.global == 0) => {
                Ok(Self::FastFourier(FfcNormAct::new(&FfcConfig::of(layer), form.activation, init)))
            }
            _ => Err(Error::Config(format!("{}: there is no block for a {form}", layer.path))),
        }
    }

    /// Computes the layer's output.
    ///
    /// # Shapes
    /// `x`: parts `[batch, channels, height, width]`; the result: likewise, with the layer's output channels and, with
    /// stride 2, half or (transposed) twice the sides.
    ///
    /// # Panics
    /// If `x` has other parts than the layer's input.
    pub fn forward(&self, x: Features) -> Features {
        match self {
            Self::Convolution(block) => Features::local(block.forward(x.local)),
            Self::Transposed(block) => Features::local(block.forward(x.local)),
            Self::FastFourier(block) => block.forward(x),
        }
    }

    /// The fast Fourier convolution; `None` for another operation.
    pub fn as_fast_fourier(&self) -> Option<&FfcNormAct> {
        match self {
            Self::FastFourier(block) => Some(block),
            Self::Convolution(_) | Self::Transposed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, seeded};
    use crate::weights::shapes;
    use lacuna_network::{Activation, Border, Form, Split};

    const BOTH: Split = Split { local: 2, global: 6 };

    fn layer(operation: Operation) -> Layer {
        let bias = operation != Operation::FastFourier;
        let border = Border::Zero;
        let form =
            Form { operation, kernel: 3, stride: 1, border, bias, norm: true, activation: Activation::Relu };
        Layer { path: "layer".into(), inputs: Split::local(4), outputs: Split::local(8), level: 0, form }
    }

    /// The module has exactly the tensors that the layer lists, for any form.
    #[test]
    fn a_block_has_the_tensors_of_its_layer() {
        let mut layers = Vec::new();
        for operation in [Operation::Convolution, Operation::Transposed, Operation::FastFourier] {
            for (kernel, stride) in [(1, 1), (3, 2), (5, 1), (7, 3)] {
                let mut layer = layer(operation);
                (layer.form.kernel, layer.form.stride) = (kernel, stride);
                layers.push(layer);
            }
        }
        for (inputs, outputs) in [(Split::local(4), BOTH), (BOTH, BOTH), (BOTH, Split::local(4))] {
            layers.push(Layer { inputs, outputs, ..layer(Operation::FastFourier) });
        }
        let mut without = layer(Operation::Convolution);
        without.form.bias = false;
        layers.push(without.clone());
        without.form.operation = Operation::Transposed;
        layers.push(without);
        for layer in layers {
            let block = LayerBlock::new(&layer, &mut seeded(1)).unwrap();
            let mut found: Vec<_> = shapes(&block)
                .into_iter()
                .map(|named| (format!("layer.{}", named.name), named.shape))
                .collect();
            let mut expected = layer.tensors();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{}", layer.form);
            let x = Features::split(random([1, layer.inputs.total(), 12, 18], 1), layer.inputs);
            let y = block.forward(x);
            let stride = layer.form.stride;
            let sides = match layer.form.operation {
                Operation::Transposed => [12 * stride, 18 * stride],
                _ => [12_usize.div_ceil(stride), 18_usize.div_ceil(stride)],
            };
            assert_eq!(y.channels(), layer.outputs, "{}", layer.form);
            assert_eq!(y.local.dims()[2..], sides, "{}", layer.form);
        }
    }

    #[test]
    fn the_activation_is_the_layers() {
        for operation in [Operation::Convolution, Operation::Transposed, Operation::FastFourier] {
            let run = |activation: Activation| {
                let mut layer = layer(operation);
                layer.form.activation = activation;
                let block = LayerBlock::new(&layer, &mut seeded(1)).unwrap();
                crate::testing::values(block.forward(Features::local(random([1, 4, 5, 6], 2))).local)
            };
            let plain = run(Activation::Identity);
            assert!(plain.iter().any(|&value| value < 0.0));
            let relu: Vec<f32> = plain.iter().map(|value| value.max(0.0)).collect();
            testkit::assert_close(&run(Activation::Relu), &relu, 1e-6);
            let sigmoid: Vec<f32> = plain.iter().map(|value| 1.0 / (1.0 + (-value).exp())).collect();
            testkit::assert_close(&run(Activation::Sigmoid), &sigmoid, 1e-6);
        }
    }

    #[test]
    fn what_has_no_block_is_refused_by_name() {
        let changed = |operation: Operation, change: fn(&mut Layer)| {
            let mut layer = layer(operation);
            change(&mut layer);
            LayerBlock::new(&layer, &mut seeded(1)).unwrap_err().to_string()
        };
        for problem in [
            changed(Operation::Convolution, |layer| layer.form.norm = false),
            changed(Operation::Transposed, |layer| layer.form.norm = false),
            changed(Operation::FastFourier, |layer| layer.form.norm = false),
            changed(Operation::FastFourier, |layer| layer.form.bias = true),
            changed(Operation::FastFourier, |layer| {
                (layer.inputs, layer.outputs, layer.form.stride) = (BOTH, BOTH, 2);
            }),
        ] {
            assert!(problem.starts_with("no such network: layer: there is no block for a 3x3 "), "{problem}");
        }
    }
}
