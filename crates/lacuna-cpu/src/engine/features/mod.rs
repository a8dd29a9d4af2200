//! Networks that find features of images, such as Inception: convolutions with ReLU, pooling, and parallel branches whose outputs are
//! concatenated.
//!
//! Weights are packed once, for images of one size. A map is stored with zeros around it (`field.rs`), so that a convolution of stride 1 is
//! one product over all its pixels in order, whatever its kernel: taps beyond the border read zeros (`product.rs`). Branches write
//! next to each other.

mod field;
mod pool;
mod product;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::Isa;
use crate::tiles::channels::Channels;
use field::{Field, Place, Shape};
pub use pool::Pooling;
use product::Product;

/// A step of a network.
#[derive(Clone, Debug)]
pub enum FeatureStep {
    /// A convolution with ReLU.
    Convolution(FeatureConvolution),
    /// Pooling.
    Pooling(Pooling),
    /// Branches with the same input; their outputs are concatenated by channel. None is empty.
    Fork(Vec<Vec<FeatureStep>>),
}

/// A convolution with ReLU and zero padding.
#[derive(Clone, Debug)]
pub struct FeatureConvolution {
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// 1 or 2. With 2 there is no padding.
    pub stride: usize,
    /// Rows and columns of zeros on each side, fewer than half of the kernel's.
    pub padding: [usize; 2],
    /// `[channels_out, channels_in, rows, columns]`.
    pub weight: Vec<f32>,
    /// `[channels_out]`.
    pub bias: Vec<f32>,
}

/// A compiled network for images of one size.
#[derive(Debug)]
pub struct FeatureNetwork {
    isa: Isa,
    input: (Channels, Shape),
    steps: Vec<Compiled>,
    output: (Channels, Shape),
}

/// Planes of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Number of channels.
    pub channels: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// `[channels, rows, columns]`.
    pub values: Vec<f32>,
}

#[derive(Debug)]
struct Compiled {
    kind: Kind,
    /// Of the output.
    shape: Shape,
}

#[derive(Debug)]
enum Kind {
    Product(Product),
    Pooling(Pooling),
    /// The first block of each branch, and its steps.
    Fork(Vec<(usize, Vec<Compiled>)>),
}

impl FeatureConvolution {
    /// Length of the output along rows (0) or columns (1).
    ///
    /// # Panics
    /// If the kernel is larger than the map, or the result larger than the map.
    fn side(&self, length: usize, along: usize) -> usize {
        assert!(
            2 * self.padding[along] < self.kernel[along],
            "padding {:?} of a kernel {:?}",
            self.padding,
            self.kernel
        );
        assert!(
            length + 2 * self.padding[along] >= self.kernel[along],
            "a kernel of {:?} on {length} pixels",
            self.kernel
        );
        (length + 2 * self.padding[along] - self.kernel[along]) / self.stride + 1
    }
}

impl FeatureNetwork {
    /// Packs the weights of `steps` for images of `size = [channels, rows, columns]`.
    ///
    /// # Panics
    /// If there are no steps, or they do not fit together.
    pub fn compile(isa: Isa, size: [usize; 3], steps: Vec<FeatureStep>) -> Self {
        let [channels, rows, columns] = size;
        let mut compiler = Compiler { isa, gaps: HashMap::new(), reach: 0 };
        let mut at = Walk { sides: [rows, columns], origin: columns };
        compiler.survey(&steps, &mut at);
        let image = Channels::parts([channels]);
        let shape = compiler.shape(image.blocks(), [rows, columns]);
        let start = Compiling { parts: vec![channels], shape };
        let (steps, end) = compiler.chain(steps, start);
        Self { isa, input: (image, shape), steps, output: (Channels::parts(end.parts), end.shape) }
    }

    /// The features of an image.
    ///
    /// # Shapes
    /// `image`: `[channels, rows, columns]` of the size that it was compiled for.
    ///
    /// # Panics
    /// If the image has another size.
    pub fn run(&self, image: &[f32]) -> Features {
        let (channels, shape) = &self.input;
        let mut input = Field::new(*shape);
        input.set_planes(channels, image);
        let (channels, shape) = &self.output;
        let mut output = Field::new(*shape);
        run(self.isa, &self.steps, input.place(0), output.place(0));
        let values = output.to_planes(channels);
        Features { channels: channels.total(), rows: shape.rows, columns: shape.columns, values }
    }
}

fn run(isa: Isa, steps: &[Compiled], input: Place<'_>, output: Place<'_>) {
    let Some((step, rest)) = steps.split_first() else { return };
    if rest.is_empty() {
        return step.run(isa, input, output);
    }
    let mut between = Field::new(step.shape);
    step.run(isa, input, between.place(0));
    run(isa, rest, between.place(0), output);
}

impl Compiled {
    fn run(&self, isa: Isa, input: Place<'_>, output: Place<'_>) {
        match &self.kind {
            Kind::Product(product) => product.run(isa, input, output),
            Kind::Pooling(pooling) => pooling.run(isa, input, output),
            Kind::Fork(branches) => {
                for (first, steps) in branches {
                    run(isa, steps, input, output.blocks_from(*first));
                }
            }
        }
    }
}

/// Where a survey is: the map's sides, and the columns of the map from which rows have their length in memory.
#[derive(Clone, Copy)]
struct Walk {
    sides: [usize; 2],
    origin: usize,
}

/// What a step reads.
#[derive(Clone)]
struct Compiling {
    /// Channels of each concatenated part.
    parts: Vec<usize>,
    shape: Shape,
}

struct Compiler {
    isa: Isa,
    /// Columns of zeros after rows of a map with so many columns.
    gaps: HashMap<usize, usize>,
    /// Rows of zeros above and below every map, and zeros before the first.
    reach: usize,
}

impl Compiler {
    /// Finds the zeros that the padding of each convolution needs.
    fn survey(&mut self, steps: &[FeatureStep], at: &mut Walk) {
        for step in steps {
            match step {
                FeatureStep::Convolution(layer) => {
                    let [rows, columns] = at.sides;
                    let inherited = at.origin - columns;
                    let gap = self.gaps.entry(at.origin).or_default();
                    *gap = (*gap).max(layer.padding[1].saturating_sub(inherited));
                    self.reach = self.reach.max(layer.padding[0]).max(layer.padding[1]);
                    at.sides = [layer.side(rows, 0), layer.side(columns, 1)];
                    if layer.stride > 1 {
                        at.origin = at.sides[1];
                    }
                }
                FeatureStep::Pooling(pooling) => {
                    at.sides = at.sides.map(|side| pooling.side(side));
                    if pooling.is_smaller() {
                        at.origin = at.sides[1];
                    }
                }
                FeatureStep::Fork(branches) => {
                    let start = *at;
                    for branch in branches {
                        *at = start;
                        self.survey(branch, at);
                    }
                }
            }
        }
    }

    /// The shape of a map whose rows get the length that its size needs.
    fn shape(&self, blocks: usize, sides: [usize; 2]) -> Shape {
        let gap = self.gaps.get(&sides[1]).copied().unwrap_or(0);
        Shape::new(blocks, sides, sides[1] + gap, self.reach)
    }

    fn chain(&self, steps: Vec<FeatureStep>, start: Compiling) -> (Vec<Compiled>, Compiling) {
        assert!(!steps.is_empty(), "a network or a branch without steps");
        let mut at = start;
        let steps = steps.into_iter().map(|step| self.step(step, &mut at)).collect();
        (steps, at)
    }

    fn step(&self, step: FeatureStep, at: &mut Compiling) -> Compiled {
        let Shape { rows, columns, stride, .. } = at.shape;
        let kind = match step {
            FeatureStep::Convolution(layer) => {
                let blocks = Channels::parts([layer.channels_out]).blocks();
                let sides = [layer.side(rows, 0), layer.side(columns, 1)];
                let shape = match layer.stride {
                    // Rows keep their length in memory.
                    1 => Shape::new(blocks, sides, stride, self.reach),
                    _ => self.shape(blocks, sides),
                };
                let product = Product::new(self.isa, &layer, (&at.parts, at.shape), shape);
                *at = Compiling { parts: vec![layer.channels_out], shape };
                Kind::Product(product)
            }
            FeatureStep::Pooling(pooling) => {
                let (blocks, sides) = (at.shape.blocks, [rows, columns].map(|side| pooling.side(side)));
                at.shape = match pooling.is_smaller() {
                    true => self.shape(blocks, sides),
                    false => Shape::new(blocks, sides, stride, self.reach),
                };
                Kind::Pooling(pooling)
            }
            FeatureStep::Fork(branches) => {
                let (mut compiled, mut parts, mut blocks) = (Vec::new(), Vec::new(), 0);
                let mut end: Option<Shape> = None;
                for branch in branches {
                    let (steps, last) = self.chain(branch, at.clone());
                    compiled.push((blocks, steps));
                    blocks += last.shape.blocks;
                    parts.extend(last.parts);
                    let same = end.is_none_or(|end| end.with_blocks(0) == last.shape.with_blocks(0));
                    assert!(same, "branches of one size: {end:?} and {:?}", last.shape);
                    end = Some(last.shape);
                }
                let shape = end.expect("a fork has branches").with_blocks(blocks);
                *at = Compiling { parts, shape };
                Kind::Fork(compiled)
            }
        };
        Compiled { kind, shape: at.shape }
    }
}
