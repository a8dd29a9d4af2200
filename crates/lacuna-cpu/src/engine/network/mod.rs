//! A network with its weights packed for the kernels: encoder, mask control, refiner and decoder.

mod compile;
mod half;
mod styled;
mod support;

use std::sync::Arc;

use lacuna_network::Layers;
use lacuna_network::geometry::LEVELS;

use super::conv::Conv;
use super::head::RgbHead;
use super::modulation::Modulation;
use super::stem::Stem;
use crate::Isa;
use crate::tiles::channels::Channels;

pub(crate) use half::{Half, SpectralPath};
pub(crate) use styled::{StyledHalf, StyledSource};

/// A compiled network.
#[derive(Debug)]
pub(crate) struct Network {
    /// Its layers.
    pub layers: Arc<Layers>,
    /// The instruction set of the packed weights.
    pub isa: Isa,
    /// From the image to level 0.
    pub stem: Stem,
    /// From each level to the next.
    pub down: [Conv; LEVELS],
    /// Mask control.
    pub control: Option<Control>,
    /// Residual blocks.
    pub refiner: Vec<[Half; 2]>,
    /// From each level to the next finer one, coarsest first; one convolution per phase of the output.
    pub up: [[Conv; 4]; LEVELS],
    /// From level 0 to an image.
    pub head: RgbHead,
    /// What makes several answers of one latent.
    pub modulation: Option<Modulation>,
    /// Channels of the levels, full resolution first.
    pub levels: [Channels; LEVELS + 1],
}

/// The mask encoder, whose level 0 has two values for each channel, and its zero convolutions.
#[derive(Debug)]
pub(crate) struct Control {
    /// Level 0 of the mask encoder: lanes outside the hole and inside it.
    pub stem: [Vec<f32>; 2],
    /// From each level of the mask encoder to the next.
    pub down: [Conv; LEVELS],
    /// From each level of the mask encoder, except 0 (which the stem adds), to the summand of the image encoder's
    /// level.
    pub zero: [Conv; LEVELS],
    /// Channels of the levels of the mask encoder.
    pub levels: [Channels; LEVELS + 1],
}

impl Network {
    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let control = self.control.iter().flat_map(|control| control.down.iter().chain(&control.zero));
        let convs = self.down.iter().chain(self.up.iter().flatten()).chain(control).map(Conv::bytes);
        let halves = self.refiner.iter().flatten().map(Half::bytes);
        let modulation = self.modulation.as_ref().map_or(0, Modulation::bytes);
        self.stem.bytes() + self.head.bytes() + convs.sum::<usize>() + halves.sum::<usize>() + modulation
    }

    /// Bytes of the weights that are packed for an answer, beyond [`Network::bytes`].
    pub fn answer_bytes(&self) -> usize {
        let halves = self.refiner.iter().flatten().filter(|_| self.modulation.is_some());
        halves.map(Half::styled_bytes).sum()
    }
}
