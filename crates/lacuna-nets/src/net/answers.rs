//! What the answers of a sampled network differ in.

use burn::tensor::{Device, Tensor, TensorData};
use lacuna::Draw;
use lacuna_network::geometry::MULTIPLE;
use lacuna_network::{CODE, TRUNCATION};

use super::{Generator, Prediction};
use crate::error::Result;

/// Codes and noise of a batch of answers.
///
/// # Shapes
/// - `w`: `[batch, 64]`, mapped codes
/// - `maps`: for each block `[batch, 1, height / 8, width / 8]`, normal noise; empty for none
#[derive(Clone, Debug)]
pub struct Answers {
    /// Mapped codes.
    pub w: Tensor<2>,
    /// Noise for each block.
    pub maps: Vec<Tensor<4>>,
}

/// The random values of a batch of answers, before codes are mapped.
///
/// # Shapes
/// - `z`: `[batch, 64]`
/// - `maps`: as in [`Answers`]
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Random codes.
    pub z: Tensor<2>,
    /// Noise for each block.
    pub maps: Vec<Tensor<4>>,
}

impl Drawn {
    /// The values of answers with these seeds, for `blocks` refiner blocks and a latent of `[rows, columns]` places.
    pub fn new(seeds: &[u64], blocks: usize, places: [usize; 2], device: &Device) -> Self {
        let [rows, columns] = places;
        let draws: Vec<Draw> = seeds.iter().map(|&seed| Draw::new(seed, blocks, places)).collect();
        let z: Vec<f32> = draws.iter().flat_map(|draw| draw.code).collect();
        let map = |block: usize| {
            let values: Vec<f32> = draws.iter().flat_map(|draw| draw.maps[block].iter().copied()).collect();
            Tensor::from_data(TensorData::new(values, [seeds.len(), 1, rows, columns]), device)
        };
        Self {
            z: Tensor::from_data(TensorData::new(z, [seeds.len(), CODE]), device),
            maps: (0..blocks).map(map).collect(),
        }
    }
}

impl Generator {
    /// The answers with these seeds, one for each image of the batch, as a network in use gives them: with noise, and codes
    /// truncated by [`TRUNCATION`].
    ///
    /// # Shapes
    /// As [`Generator::forward`].
    ///
    /// # Errors
    /// As [`Generator::answer`].
    pub fn answer_of(&self, image: Tensor<4>, mask: Tensor<4>, seeds: &[u64]) -> Result<Prediction> {
        let mapping = &self.modulation()?.mapping;
        let [_, _, height, width] = image.dims();
        let places = [height / MULTIPLE, width / MULTIPLE];
        let Drawn { z, maps } = Drawn::new(seeds, self.refiner.blocks().len(), places, &image.device());
        let w = mapping.truncated(mapping.forward(z), TRUNCATION);
        self.answer(image, mask, &Answers { w, maps })
    }
}
