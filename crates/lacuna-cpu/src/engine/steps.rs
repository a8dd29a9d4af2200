//! The steps of a run, derived from the network's layers.

use std::fmt;

use lacuna_network::geometry::LEVELS;
use lacuna_network::{FastFourier, Kernel as Weights, Layer, Layers, Operation, Pieces};
use serde::{Serialize, Serializer};

use super::fourier::frequencies;
use super::sizes::Sizes;

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Path in the network.
    pub name: String,
    /// The part of the run that it belongs to.
    pub stage: Stage,
    /// The kernel that computes it.
    pub kernel: Kernel,
    /// Channels, rows and columns of its result.
    pub shape: [usize; 3],
    /// Multiplications and additions, counted as direct convolution whatever the kernel saves.
    pub operations: f64,
    /// Bytes of weights, input and output.
    pub bytes: f64,
}

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Encoder and mask control.
    Encode,
    /// Refiner.
    Refine,
    /// Decoder.
    Decode,
}

/// The kernels of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// 7x7 convolution of the interleaved image.
    Interleaved,
    /// 3x3 convolution of stride 2 by register tiles.
    Strided,
    /// 1x1 convolution by register tiles.
    Pointwise,
    /// Transposed 3x3 convolution by register tiles, one for each phase of the output.
    Phases,
    /// 3x3 convolution by Winograd's method.
    Winograd,
    /// Fourier transform.
    Fourier,
    /// 7x7 convolution to an image.
    Head,
    /// One of two values at each pixel.
    TwoValues,
    /// Sum of two maps.
    Sum,
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Interleaved => "interleaved 7x7",
            Self::Strided => "tiles 3x3 /2",
            Self::Pointwise => "tiles 1x1",
            Self::Phases => "tiles by phase 3x3 *2",
            Self::Winograd => "winograd 4x4",
            Self::Fourier => "fourier",
            Self::Head => "lanes summed 7x7",
            Self::TwoValues => "two values",
            Self::Sum => "sum",
        })
    }
}

impl Serialize for Kernel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The steps of a run over an image of this size, in the order of the run.
pub(crate) fn steps(layers: &Layers, sizes: Sizes) -> Vec<Step> {
    let mut list = Steps { sizes, stage: Stage::Encode, list: Vec::new() };
    list.encoder(layers);
    list.stage = Stage::Refine;
    list.refiner(layers);
    list.stage = Stage::Decode;
    layers.decoder.iter().for_each(|layer| list.layer(layer, Kernel::Phases));
    list.layer(&layers.head, Kernel::Head);
    list.list
}

struct Steps {
    sizes: Sizes,
    stage: Stage,
    list: Vec<Step>,
}

impl Steps {
    fn encoder(&mut self, layers: &Layers) {
        for (level, layer) in layers.encoder.iter().enumerate() {
            self.layer(layer, if level == 0 { Kernel::Interleaved } else { Kernel::Strided });
        }
        let Some(control) = &layers.control else { return };
        for (level, (mask, zero)) in control.encoder.iter().zip(&control.zero).enumerate() {
            if level == 0 {
                // The stem adds the result of the first zero convolution.
                let map = self.map(mask.outputs.total(), 0);
                self.add(&mask.path, Kernel::TwoValues, map, 0.0, count(map));
            } else {
                self.layer(mask, Kernel::Strided);
                self.layer(zero, Kernel::Pointwise);
            }
        }
    }

    fn refiner(&mut self, layers: &Layers) {
        for half in layers.refiner.iter().flatten() {
            let (weights, map) = match half.pieces() {
                Pieces::Plain(plain) => (plain.kernel.weights(), half.outputs.total()),
                Pieces::ChannelWise(_) => unreachable!("`check` has refused it"),
                Pieces::FastFourier(pieces) => {
                    self.spectral(half, &pieces);
                    (pieces.neighbourhood().map(Weights::weights).sum(), half.outputs.total())
                }
            };
            let map = self.map(map, LEVELS);
            let operations = 2.0 * weights as f64 * (map[1] * map[2]) as f64;
            let name = format!("{}.convolve", half.path);
            self.add(&name, Kernel::Winograd, map, operations, weights + 2 * count(map));
        }
        if layers.adds_latent {
            let latent = self.map(layers.latent().total(), LEVELS);
            self.add("refiner.delta", Kernel::Sum, latent, 0.0, 3 * count(latent));
        }
    }

    fn spectral(&mut self, half: &Layer, pieces: &FastFourier) {
        let Some(path) = &pieces.spectral else { return };
        let name = |step: &str| format!("{}.{step}", half.path);
        let map = self.map(path.reduce.outputs, LEVELS);
        let [reduced, rows, columns] = map;
        let spectrum = [path.mix.outputs, rows, frequencies(columns)];
        // Five operations per value and halving, the usual count for a fast transform.
        let pixels = (rows * columns) as f64;
        let transform = 2.5 * reduced as f64 * pixels * pixels.log2();
        let moved = count(map) + count(spectrum);
        let global = |channels: usize| [channels, rows, columns];
        self.pointwise(&name("reduce"), &path.reduce, [global(path.reduce.inputs), map]);
        self.add(&name("forward"), Kernel::Fourier, spectrum, transform, moved);
        self.pointwise(&name("mix"), &path.mix, [spectrum, spectrum]);
        self.add(&name("inverse"), Kernel::Fourier, map, transform, moved);
        self.pointwise(&name("expand"), &path.expand, [map, global(path.expand.outputs)]);
    }

    fn pointwise(&mut self, name: &str, kernel: &Weights, [from, to]: [[usize; 3]; 2]) {
        let operations = 2.0 * kernel.weights() as f64 * (to[1] * to[2]) as f64;
        self.add(name, Kernel::Pointwise, to, operations, kernel.weights() + count(from) + count(to));
    }

    /// A step that computes a layer as one convolution of all channels.
    fn layer(&mut self, layer: &Layer, kernel: Kernel) {
        let Layer { level, inputs, outputs, form, .. } = layer;
        let (from_level, is_transposed) = match form.operation {
            Operation::Transposed => (level + 1, true),
            Operation::Convolution | Operation::FastFourier | Operation::ChannelWise => {
                (level + 1 - form.stride, false)
            }
        };
        let (from, to) = (self.map(inputs.total(), from_level), self.map(outputs.total(), *level));
        // Each input pixel of a transposed convolution is multiplied with all taps.
        let computed = if is_transposed { from } else { to };
        let weights = inputs.total() * outputs.total() * form.kernel * form.kernel;
        let operations = 2.0 * weights as f64 * (computed[1] * computed[2]) as f64;
        self.add(&layer.path, kernel, to, operations, weights + count(from) + count(to));
    }

    /// Channels, rows and columns of a map.
    fn map(&self, channels: usize, level: usize) -> [usize; 3] {
        [channels, self.sizes.rows(level), self.sizes.columns(level)]
    }

    fn add(&mut self, name: &str, kernel: Kernel, shape: [usize; 3], operations: f64, numbers: usize) {
        let bytes = (numbers * size_of::<f32>()) as f64;
        self.list.push(Step { name: name.to_owned(), stage: self.stage, kernel, shape, operations, bytes });
    }
}

/// Values of a map.
fn count(map: [usize; 3]) -> usize {
    map.iter().product()
}
