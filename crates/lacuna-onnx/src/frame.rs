//! What surrounds the network: inputs, padding, cropping, and the composition of the result.

use crate::builder::{Builder, Setting, Value};
use crate::proto::Side as ProtoSide;
use crate::proto::{BOOL, Dimension, FLOAT, TensorShape, TensorType, Type, UINT8, ValueInfo};
use crate::side::{Side, to_float};
use crate::{Interface, Options};

/// The network's inputs, and what the result is made of.
pub struct Frame {
    /// Rows and columns of inputs and output.
    dimensions: [Dimension; 2],
    height: Side,
    width: Side,
    /// `[1, 3, height, width]`, padded, black in the hole.
    pub masked: Value,
    /// `[1, 1, height, width]`, padded: 1 in the hole, else 0.
    pub hole: Value,
    /// Rows of the latent.
    pub latent_height: Side,
    /// Columns of the latent.
    pub latent_width: Side,
    /// The inputs of a pipeline as floats: image `[height, width, 3]` and whether a pixel is hole `[height, width]`.
    bytes: Option<[Value; 2]>,
}

impl Frame {
    /// Adds inputs and padding.
    pub fn begin(builder: &mut Builder, options: Options) -> Self {
        let Options { interface, size } = options;
        let dimensions =
            [fixed_or("height", size.map(|size| size.1)), fixed_or("width", size.map(|size| size.0))];
        let [height, width] = dimensions.clone();
        let (image, hole, bytes) = match interface {
            Interface::Network => {
                let side = [fixed(1), fixed(3), height.clone(), width.clone()];
                let image = builder.input(info("image", FLOAT, side.to_vec()));
                let mask = builder.input(info("mask", FLOAT, vec![fixed(1), fixed(1), height, width]));
                let half = builder.float(0.5);
                let hole = builder.node("Greater", &[&mask, &half], &[]);
                (image, to_float(builder, &hole), None)
            }
            Interface::Pipeline => {
                let image =
                    builder.input(info("image", UINT8, vec![height.clone(), width.clone(), fixed(3)]));
                let mask = builder.input(info("mask", UINT8, vec![height, width]));
                let image = to_float(builder, &image);
                let is_hole = builder.node("Cast", &[&mask], &[Setting::Int("to", BOOL.into())]);
                let hole = to_float(builder, &is_hole);
                let outer = builder.integers(&[0, 1]);
                let hole = builder.node("Unsqueeze", &[&hole, &outer], &[]);
                let planes = builder.node("Transpose", &[&image], &[Setting::Ints("perm", &[2, 0, 1])]);
                let first = builder.integers(&[0]);
                let planes = builder.node("Unsqueeze", &[&planes, &first], &[]);
                let most = builder.float(255.0);
                (builder.node("Div", &[&planes, &most], &[]), hole, Some([image, is_hole]))
            }
        };
        let (height, width) = match size {
            Some((width, height)) => (Side::Fixed(height), Side::Fixed(width)),
            None => {
                let shape = builder.node("Shape", &[&hole], &[]);
                let mut side = |axis: i64| {
                    let axis = builder.integer(axis);
                    Side::Computed(builder.node("Gather", &[&shape, &axis], &[Setting::Int("axis", 0)]))
                };
                (side(2), side(3))
            }
        };
        let (padded_height, padded_width) = (height.padded(builder), width.padded(builder));
        let rows = mirrored(builder, &height, &padded_height);
        let columns = mirrored(builder, &width, &padded_width);
        let mut padded = |mut x: Value| {
            for (places, axis) in [(&rows, 2), (&columns, 3)] {
                if let Some(places) = places {
                    x = builder.node("Gather", &[&x, places], &[Setting::Int("axis", axis)]);
                }
            }
            x
        };
        let (image, hole) = (padded(image), padded(hole));
        let one = builder.float(1.0);
        let known = builder.node("Sub", &[&one, &hole], &[]);
        let masked = builder.node("Mul", &[&image, &known], &[]);
        let (latent_height, latent_width) =
            (padded_height.of_latent(builder), padded_width.of_latent(builder));
        Self { dimensions, height, width, masked, hole, latent_height, latent_width, bytes }
    }

    /// Adds cropping, composition and the output.
    pub fn end(self, builder: &mut Builder, predicted: &Value) {
        let predicted = self.cropped(builder, predicted);
        let [height, width] = self.dimensions;
        let Some([image, is_hole]) = self.bytes else {
            builder.output(&predicted, info("predicted", FLOAT, vec![fixed(1), fixed(3), height, width]));
            return;
        };
        let most = builder.float(255.0);
        let levels = builder.node("Mul", &[&predicted, &most], &[]);
        let levels = builder.node("Round", &[&levels], &[]);
        let first = builder.integers(&[0]);
        let levels = builder.node("Squeeze", &[&levels, &first], &[]);
        let levels = builder.node("Transpose", &[&levels], &[Setting::Ints("perm", &[1, 2, 0])]);
        let last = builder.integers(&[2]);
        let is_hole = builder.node("Unsqueeze", &[&is_hole, &last], &[]);
        let composed = builder.node("Where", &[&is_hole, &levels, &image], &[]);
        let output = builder.node("Cast", &[&composed], &[Setting::Int("to", UINT8.into())]);
        builder.output(&output, info("output", UINT8, vec![height, width, fixed(3)]));
    }

    fn cropped(&self, builder: &mut Builder, x: &Value) -> Value {
        let ends = match (&self.height, &self.width) {
            (Side::Fixed(height), Side::Fixed(width)) => builder.integers(&[*height as i64, *width as i64]),
            (height, width) => {
                let first = builder.integers(&[0]);
                let [height, width] = [height, width].map(|side| {
                    let side = side.value(builder);
                    builder.node("Unsqueeze", &[&side, &first], &[])
                });
                builder.concat(&[&height, &width], 0)
            }
        };
        let (starts, axes) = (builder.integers(&[0, 0]), builder.integers(&[2, 3]));
        builder.node("Slice", &[x, &starts, &ends, &axes], &[])
    }
}

/// The source of each row or column of a padded side: mirrored at the end, with the last one repeated; none if nothing is added.
fn mirrored(builder: &mut Builder, side: &Side, padded: &Side) -> Option<Value> {
    match (side, padded) {
        (Side::Fixed(side), Side::Fixed(padded)) if side == padded => None,
        (Side::Fixed(side), Side::Fixed(padded)) => {
            let place = |index: usize| (index % (2 * side)).min(2 * side - 1 - index % (2 * side)) as i64;
            Some(builder.integers(&(0..*padded).map(place).collect::<Vec<_>>()))
        }
        _ => {
            let (side, padded) = (side.value(builder), padded.value(builder));
            let (two, one) = (builder.integer(2), builder.integer(1));
            let twice = builder.node("Mul", &[&side, &two], &[]);
            let last = builder.node("Sub", &[&twice, &one], &[]);
            let range = Side::range(builder, &padded);
            let there = builder.node("Mod", &[&range, &twice], &[]);
            let back = builder.node("Sub", &[&last, &there], &[]);
            Some(builder.node("Min", &[&there, &back], &[]))
        }
    }
}

fn fixed(side: usize) -> Dimension {
    Dimension { side: Some(ProtoSide::Value(side as i64)) }
}

fn fixed_or(name: &str, side: Option<usize>) -> Dimension {
    side.map_or_else(|| Dimension { side: Some(ProtoSide::Name(name.to_owned())) }, fixed)
}

fn info(name: &str, elem_type: i32, dim: Vec<Dimension>) -> ValueInfo {
    let tensor_type = Some(TensorType { elem_type, shape: Some(TensorShape { dim }) });
    ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor_type }), doc_string: String::new() }
}
