//! The weights of the backward pass, packed from those of the forward pass.

use lacuna_network::Border;
use lacuna_network::geometry::LEVELS;

use super::head::HeadGradient;
use crate::engine::Engine;
use crate::engine::conv::{Conv, Taps};
use crate::engine::network::{Half, Network, SpectralPath};
use crate::simd::LANES;
use crate::tiles::channels::Channels;
use crate::tiles::winograd::{Blocks, InputGradient};

/// The backward pass of an engine's network, from the prediction to the latent.
///
/// The kernels of 3x3 convolutions are those of the engine; the other weights, which are few, are packed again.
#[derive(Debug)]
pub struct Backward {
    /// From the gradient of an image to that of level 0.
    pub(super) head: HeadGradient,
    /// From each level to the next coarser one, finest first.
    pub(super) down: [Conv; LEVELS],
    /// The halves of all residual blocks, in the order of the forward pass.
    pub(super) halves: Vec<HalfGradient>,
    /// A bias of zero for each lane of the latent.
    pub(super) no_bias: Vec<f32>,
}

/// The input gradient of half a residual block.
#[derive(Debug)]
pub(super) struct HalfGradient {
    pub spectral: Option<SpectralGradient>,
    pub convolve: InputGradient,
}

/// The input gradient of a spectral path.
///
/// The adjoint of the inverse transform is the forward transform with all columns doubled except that of DC and, for
/// even widths, of Nyquist; the adjoint of the forward transform is the inverse one with the same columns halved. The
/// 1x1 convolution between them keeps columns apart, so the factors cancel, and both are the plain transforms.
#[derive(Debug)]
pub(super) struct SpectralGradient {
    /// From all global channels to half as many.
    pub expand: Conv,
    /// The 1x1 convolution of the spectrum.
    pub mix: Conv,
    /// From half of the global channels to all.
    pub reduce: Conv,
}

impl Backward {
    /// Packs the weights of an engine's network.
    pub fn new(engine: &Engine) -> Self {
        let network = &engine.network;
        let latent = &network.levels[LEVELS];
        let layers = network.layers.refiner.iter().flatten();
        let halves = network.refiner.iter().flatten().zip(layers).map(|(half, layer)| {
            let channels = (layer.inputs.global, layer.outputs.global);
            half_gradient(half, channels, latent)
        });
        Self {
            head: HeadGradient::new(network.isa, &network.head, &network.levels[0]),
            down: std::array::from_fn(|level| down(network, level)),
            halves: halves.collect(),
            no_bias: vec![0.0; latent.blocks() * LANES],
        }
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let spectral = self.halves.iter().flat_map(|half| &half.spectral);
        let spectral = spectral.flat_map(|path| [&path.expand, &path.mix, &path.reduce]);
        self.head.bytes() + self.down.iter().chain(spectral).map(Conv::bytes).sum::<usize>()
    }
}

fn half_gradient(half: &Half, (from, to): (usize, usize), latent: &Channels) -> HalfGradient {
    let (all, local) = (latent.blocks(), half.add_from);
    let blocks = if half.spectral.is_some() {
        vec![Blocks { inputs: 0..all, outputs: 0..local }, Blocks { inputs: 0..local, outputs: local..all }]
    } else {
        vec![Blocks { inputs: 0..all, outputs: 0..all }]
    };
    let spectral = half.spectral.as_ref().map(|SpectralPath { reduce, mix, expand, reduced }| {
        let (from, to) = (Channels::parts([from]), Channels::parts([to]));
        let spectrum = Channels::spectrum(reduced.total());
        SpectralGradient {
            expand: transposed(expand, (reduced, &to)),
            mix: transposed(mix, (&spectrum, &spectrum)),
            reduce: transposed(reduce, (&from, reduced)),
        }
    });
    HalfGradient { spectral, convolve: InputGradient::new(&half.convolve, blocks) }
}

/// The input gradient of a pointwise convolution, given its inputs and outputs.
fn transposed(conv: &Conv, (inputs, outputs): (&Channels, &Channels)) -> Conv {
    let (at_input, at_output) = (inputs.positions(), outputs.positions());
    let taps = Taps::square(1, 1, Border::Zero);
    Conv::new(conv.isa, (outputs.clone(), inputs), taps, None, |input, output, _| {
        conv.weight(at_output[output], at_input[input], 0)
    })
}

/// The input gradient of the decoder's layer to `level`: a convolution of stride 2.
///
/// Row `2 y + k - 1` of the output has row `k` of the kernel at row `y` of the input: see `up` in `network/compile.rs` for
/// the phase of the output, and the tap of its convolution.
fn down(network: &Network, level: usize) -> Conv {
    /// For each row (or column) of the kernel: phase of the output, and index among its taps.
    const PHASES: [(usize, usize); 3] = [(1, 1), (0, 0), (1, 0)];
    /// Taps along an axis of each phase.
    const ALONG: [usize; 2] = [1, 2];
    let phases = &network.up[LEVELS - 1 - level];
    let (inputs, outputs) = (&network.levels[level + 1], &network.levels[level]);
    let (at_input, at_output) = (inputs.positions(), outputs.positions());
    let taps = Taps::square(3, 2, Border::Zero);
    Conv::new(network.isa, (outputs.clone(), inputs), taps, None, |input, output, tap| {
        let ((down, y), (right, x)) = (PHASES[tap / 3], PHASES[tap % 3]);
        let phase = &phases[2 * down + right];
        phase.weight(at_output[output], at_input[input], y * ALONG[right] + x)
    })
}
