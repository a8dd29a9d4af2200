//! Networks of one image size whose layers follow each other: context encoders.
//!
//! Layers are computed one after another on planes, with the kernels of training: at sides of 128 pixels and less a plan
//! over blocks of channels saves little. Full connections have loops of their own (`engine/dense.rs`).

mod layer;

use std::borrow::Cow;

use lacuna_network::geometry::IMAGE_CHANNELS;
use lacuna_network::{Cost, Layers};

use super::source::Source;
use crate::Isa;
use crate::error::{Error, Result};
use layer::ChainLayer;

/// A compiled chain of layers.
#[derive(Debug)]
pub struct Chain {
    layers: Vec<ChainLayer>,
    side: usize,
    cost: Cost,
    isa: Isa,
}

impl Chain {
    /// Packs the weights of a network for images of `side` x `side` pixels; `weights` returns them by the names of
    /// [`Layers::tensors`].
    ///
    /// # Errors
    /// [`Error::Operation`] if there is no kernel for a layer, [`Error::Structure`] if layers do not fit together or do not
    /// only follow each other; [`Error::MissingTensor`] and [`Error::TensorSize`].
    pub fn compile<'w>(
        layers: &Layers,
        side: usize,
        isa: Isa,
        weights: impl Fn(&str) -> Option<Cow<'w, [f32]>>,
    ) -> Result<Self> {
        if !layers.refiner.is_empty() || layers.control.is_some() {
            let problem = "residual blocks and mask control do not fit into a chain".into();
            return Err(Error::Structure { layer: "the network".into(), problem });
        }
        let source = Source::new(weights);
        let (mut channels, mut length) = (IMAGE_CHANNELS, side);
        let mut compiled: Vec<ChainLayer> = Vec::new();
        for layer in layers.iter() {
            if layer.inputs.total() != channels {
                let problem = format!("{} channels where {channels} meet them", layer.inputs.total());
                return Err(Error::Structure { layer: layer.path.clone(), problem });
            }
            compiled.push(ChainLayer::compile(layer, length, &source)?);
            (channels, length) = (layer.outputs.total(), layer.form.side(length));
        }
        Ok(Self { layers: compiled, side, cost: Cost::of(layers, side, side), isa })
    }

    /// The instruction set that it uses.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Bytes of all packed weights.
    pub fn weight_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.weight_bytes()).sum::<usize>() as u64
    }

    /// Bytes of the maps of a run, at most.
    pub fn map_bytes(&self) -> u64 {
        (self.cost.written as usize * size_of::<f32>()) as u64
    }

    /// Multiplications and additions of a run.
    pub fn operations(&self) -> f64 {
        self.cost.operations
    }

    /// Runs all layers. Calls `proceed` after each with the fraction of layers that is done (0 to 1); the run is cancelled
    /// if it returns false. The result does not depend on the number of threads.
    ///
    /// # Shapes
    /// `image`: `[3, side, side]`; the result: the last layer's output, `[channels, rows, columns]`.
    ///
    /// # Errors
    /// [`Error::Input`] if the image has another size, [`Error::Stopped`] if the run was cancelled.
    pub fn run(&self, image: &[f32], proceed: &dyn Fn(f32) -> bool) -> Result<Vec<f32>> {
        let expected = IMAGE_CHANNELS * self.side * self.side;
        Error::check_length("image", expected, image.len())?;
        let mut x = image.to_vec();
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.run(self.isa, &x);
            if !proceed((index + 1) as f32 / self.layers.len() as f32) {
                return Err(Error::Stopped);
            }
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_network::{Architecture, ContextEncoder, ContextHole, Delta, Family, Middle, Shape};

    const NETWORK: ContextEncoder =
        ContextEncoder { side: 32, hole: ContextHole::Region, width: 2, middle: Middle::ChannelWise };

    fn compile(network: &Architecture, isa: Isa) -> Result<Chain> {
        let layers = network.layers();
        let sizes: std::collections::HashMap<_, _> = layers.tensors().into_iter().collect();
        let weights = |name: &str| {
            let count = sizes.get(name)?.iter().product();
            let values = testkit::pictures::noise(name.len() as u64, count);
            let is_variance = name.ends_with("running_var");
            Some(Cow::Owned(
                values.iter().map(|v| if is_variance { 1.0 + 0.5 * v } else { 0.3 * v }).collect(),
            ))
        };
        Chain::compile(&layers, 32, isa, weights)
    }

    #[test]
    fn instruction_sets_agree_and_threads_change_no_bit() {
        let image = testkit::pictures::noise(1, 3 * 32 * 32);
        for middle in [Middle::ChannelWise, Middle::Bottleneck { channels: 7 }] {
            let network = Architecture::ContextEncoder(ContextEncoder { middle, ..NETWORK });
            let reference = compile(&network, Isa::Portable).unwrap().run(&image, &|_| true).unwrap();
            assert!(
                reference.iter().all(|value| value.abs() <= 1.0) && reference.iter().any(|v| v.abs() > 0.01)
            );
            for isa in Isa::available() {
                let chain = compile(&network, isa).unwrap();
                let run = |threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| chain.run(&image, &|_| true)).unwrap()
                };
                let one = run(1);
                testkit::assert_close(&one, &reference, 1e-5);
                assert_eq!(one, run(3), "{isa}");
            }
        }
    }

    #[test]
    fn it_can_be_cancelled_and_refuses_what_does_not_fit() {
        let chain = compile(&Architecture::ContextEncoder(NETWORK), Isa::Portable).unwrap();
        let image = vec![0.0; 3 * 32 * 32];
        assert!(matches!(chain.run(&image, &|done| done < 0.5), Err(Error::Stopped)));
        assert!(matches!(
            chain.run(&image[1..], &|_| true),
            Err(Error::Input { expected: 3072, found: 3071, .. })
        ));
        assert!(chain.weight_bytes() > 0 && chain.operations() > 0.0 && chain.map_bytes() > 0);
        let shape = Shape { channels_in: 3, width: 2, blocks: 1, control: false, delta: Delta::None };
        let error = compile(&Family::Regular.network(shape), Isa::Portable).unwrap_err().to_string();
        assert!(error.contains("do not fit into a chain"), "{error}");
    }
}
