//! Writes Lacuna's networks as ONNX models, for other runtimes.
//!
//! Operators are those of opset 17. BatchNorm is folded into the convolutions. Fourier transforms are matrix products, which every
//! runtime has, and sizes come from the input unless they are fixed. Padding to multiples of eight and cropping are part of the
//! model.

mod builder;
mod folded;
mod fourier;
mod frame;
mod network;
mod proto;
mod side;

use lacuna::checkpoint::{Checkpoint, Family};
use prost::Message;

use builder::Builder;
use frame::Frame;
use proto::{Entry, Model, OperatorSet};

/// The version of ONNX's operators. Newer ones are not needed, and runtimes have this one.
const OPSET: i64 = 17;
/// The version of the file format that belongs to [`OPSET`].
const IR_VERSION: i64 = 8;

/// What a model takes and returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// Takes `image` `[1, 3, height, width]` and `mask` `[1, 1, height, width]`, floats from 0 to 1, more than 0.5 = hole; returns
    /// `predicted` `[1, 3, height, width]`, from 0 to 1, for every pixel.
    #[default]
    Network,
    /// Takes `image` `[height, width, 3]` and `mask` `[height, width]`, bytes, not 0 = hole; returns `output` `[height, width, 3]`,
    /// bytes, in which pixels outside the hole are those of `image`.
    Pipeline,
}

/// How a model is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What it takes and returns.
    pub interface: Interface,
    /// The only size, `(width, height)` in pixels, that the model takes; all matrices are then constants. Without it, it takes
    /// images of every size.
    pub size: Option<(usize, usize)>,
}

/// The options cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A side is 0.
    #[error("a size of {0} x {1}: sides must be at least 1 pixel")]
    Size(usize, usize),
    /// The network has no encoder, refiner and decoder.
    #[error("{0} cannot be exported as ONNX: only networks with encoder, refiner and decoder can")]
    Network(String),
    /// The network has several answers, an ONNX model has one.
    #[error("a network of the {0} family has several answers, which an ONNX model cannot give")]
    SeveralAnswers(Family),
}

/// The bytes of the ONNX model of a network.
///
/// # Errors
/// [`Error::Size`] for an empty size, [`Error::Network`] for a context encoder, [`Error::SeveralAnswers`] for a network with several
/// answers.
pub fn export(checkpoint: &Checkpoint, options: Options) -> Result<Vec<u8>, Error> {
    if let Some((width, height)) = options.size
        && width * height == 0
    {
        return Err(Error::Size(width, height));
    }
    let config = checkpoint.config();
    let Some((family, _)) = config.generator() else {
        return Err(Error::Network(config.label()));
    };
    if config.layers().modulation.is_some() {
        return Err(Error::SeveralAnswers(family));
    }
    let mut builder = Builder::default();
    let frame = Frame::begin(&mut builder, options);
    let predicted = network::predict(&mut builder, checkpoint, &frame);
    frame.end(&mut builder, &predicted);
    let entry = |key: &str, value: &str| Entry { key: key.to_owned(), value: value.to_owned() };
    let mut metadata_props = vec![entry("network", &config.label())];
    metadata_props.extend(checkpoint.provenance().map(|provenance| entry("provenance", provenance)));
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "lacuna".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: options.interface.describe().to_owned(),
        graph: Some(builder.finish(config.label())),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props,
    };
    Ok(model.encode_to_vec())
}

impl Interface {
    /// What the model's inputs and outputs mean, for its description.
    fn describe(self) -> &'static str {
        match self {
            Self::Network => {
                "image [1,3,H,W] in 0..1 and mask [1,1,H,W] (> 0.5 = hole) to predicted [1,3,H,W] in 0..1"
            }
            Self::Pipeline => {
                "image [H,W,3] bytes and mask [H,W] bytes (not 0 = hole) to output [H,W,3] bytes, equal to image outside the hole"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use testkit::fixtures;

    fn model(fixture: &str, options: Options) -> Model {
        let checkpoint = Checkpoint::open(fixtures::path(fixture)).unwrap();
        Model::decode(export(&checkpoint, options).unwrap().as_slice()).unwrap()
    }

    /// Every value is defined once and before it is used.
    #[test]
    fn graphs_are_in_order() {
        for fixture in ["generator/bare.safetensors", "control/weights.safetensors"] {
            for size in [None, Some((40, 33))] {
                for interface in [Interface::Network, Interface::Pipeline] {
                    let graph = model(fixture, Options { interface, size }).graph.unwrap();
                    let mut known = BTreeSet::new();
                    let inputs = graph.input.iter().map(|input| &input.name);
                    for name in inputs.chain(graph.initializer.iter().map(|constant| &constant.name)) {
                        assert!(known.insert(name.as_str()), "{name} twice");
                    }
                    for node in &graph.node {
                        for input in &node.input {
                            assert!(known.contains(input.as_str()), "{input} of {} is not known", node.name);
                        }
                        for output in &node.output {
                            assert!(known.insert(output), "{output} twice");
                        }
                    }
                    for output in &graph.output {
                        assert!(known.contains(output.name.as_str()));
                    }
                }
            }
        }
    }

    /// OpenCV's older engine and many accelerators know neither shapes at run time nor ranges.
    #[test]
    fn a_fixed_size_needs_no_shapes() {
        let operators = |size| -> BTreeSet<String> {
            let options = Options { interface: Interface::Network, size };
            let graph = model("generator/bare.safetensors", options).graph.unwrap();
            graph.node.into_iter().map(|node| node.op_type).collect()
        };
        let (any, fixed) = (operators(None), operators(Some((64, 48))));
        for operator in ["Shape", "Range", "Gather", "Cos"] {
            assert!(any.contains(operator) && !fixed.contains(operator), "{operator}");
        }
    }

    #[test]
    fn several_answers_are_refused() {
        use lacuna::checkpoint::{Delta, NamedTensor, Shape, Storage, save};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sampled.safetensors");
        let shape = Shape { channels_in: 4, width: 1, blocks: 1, control: false, delta: Delta::None };
        let config = Family::Sampled.network(shape);
        let tensors = config.layers().tensors().into_iter().map(|(name, shape)| NamedTensor {
            name,
            values: vec![1.0; shape.iter().product()].into(),
            shape,
        });
        save(&path, &config, "test", tensors, Storage::F32).unwrap();
        let error = export(&Checkpoint::open(&path).unwrap(), Options::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "a network of the sampled family has several answers, which an ONNX model cannot give"
        );
    }

    #[test]
    fn an_empty_size_is_refused() {
        let checkpoint = Checkpoint::open(fixtures::path("generator/bare.safetensors")).unwrap();
        let options = Options { size: Some((0, 8)), ..Options::default() };
        assert_eq!(export(&checkpoint, options), Err(Error::Size(0, 8)));
    }
}
