//! From masked crops to what a denoiser is trained on: normalised latents of ground truth and fill, and the hole in cells.

use burn::tensor::{Device, Tensor, TensorData};
use lacuna::flow::Statistics;
use lacuna_diffusion::Cells;
use lacuna_nets::net::denoiser::Condition;
use lacuna_network::geometry::MULTIPLE;

use super::generator::FrozenGenerator;
use super::statistics::Normaliser;
use crate::data::Batch;
use crate::step::Pictures;
use crate::{Error, Result};

/// A batch of masked crops in latent space, without autodiff.
///
/// # Shapes
/// `data`, `fill`: `[batch, channels, height, width]`; `fraction`, `free`: `[batch, 1, height, width]`.
#[derive(Clone, Debug)]
pub struct Latents {
    /// Ground truth: the latent of the whole crop in free cells, the fill's own in known ones, as in use.
    pub data: Tensor<4>,
    /// The latent of the generator's fill.
    pub fill: Tensor<4>,
    /// The fraction of hole pixels in each cell.
    pub fraction: Tensor<4>,
    /// 1 where a cell is generated.
    pub free: Tensor<4>,
}

/// Computes [`Latents`].
#[derive(Clone, Debug)]
pub struct LatentMaker {
    generator: FrozenGenerator,
    statistics: Statistics,
    normaliser: Normaliser,
    halo: usize,
}

impl LatentMaker {
    /// Latents of `generator`, normalised with `statistics`.
    pub fn new(generator: FrozenGenerator, statistics: Statistics, halo: usize) -> Self {
        let normaliser = Normaliser::new(&statistics, &generator.device());
        Self { generator, statistics, normaliser, halo }
    }

    /// The generator.
    pub fn generator(&self) -> &FrozenGenerator {
        &self.generator
    }

    /// The statistics.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Mean and deviation of latents on the device.
    pub fn normaliser(&self) -> &Normaliser {
        &self.normaliser
    }

    /// The latents of a batch.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn latents(&self, batch: &Batch) -> Result<Latents> {
        let truth = self.truth(batch)?;
        let fill = self.fill(batch)?;
        let hole = HoleCells::of_batch(batch, self.halo, &self.generator.device())?;
        let known = hole.free.clone().neg().add_scalar(1.0);
        Ok(Latents {
            data: truth * hole.free.clone() + fill.clone() * known,
            fill,
            fraction: hole.fraction,
            free: hole.free,
        })
    }

    /// The normalised refined latents of whole crops.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn truth(&self, batch: &Batch) -> Result<Tensor<4>> {
        let Pictures { image, mask } = Pictures::new(batch, &self.generator.device());
        Ok(self.normaliser.normalise(self.generator.refined(image, mask.zeros_like())?))
    }

    /// The normalised refined latents of masked crops.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn fill(&self, batch: &Batch) -> Result<Tensor<4>> {
        let Pictures { image, mask } = Pictures::new(batch, &self.generator.device());
        Ok(self.normaliser.normalise(self.generator.refined(image, mask)?))
    }
}

impl Latents {
    /// What a denoiser knows of them.
    pub fn condition(&self) -> Condition {
        Condition { masked: self.fill.clone(), fraction: self.fraction.clone(), mean: None }
    }

    /// The same for a denoiser with autodiff, as constants.
    pub(super) fn for_autodiff(self) -> Self {
        let Self { data, fill, fraction, free } = self;
        let [data, fill, fraction, free] = [data, fill, fraction, free].map(Tensor::from_inner);
        Self { data, fill, fraction, free }
    }
}

/// The holes of a batch in cells of the latent.
///
/// # Shapes
/// `[batch, 1, height, width]`
struct HoleCells {
    fraction: Tensor<4>,
    free: Tensor<4>,
}

impl HoleCells {
    fn of_batch(batch: &Batch, halo: usize, device: &Device) -> Result<Self> {
        let side = batch.side;
        let (mut fraction, mut free) = (Vec::new(), Vec::new());
        for mask in batch.masks.chunks_exact(side * side) {
            let hole: Vec<bool> = mask.iter().map(|&value| value > 0.0).collect();
            let cells = Cells::of_mask(&hole, side, MULTIPLE, halo)
                .map_err(|problem| Error::Config(format!("data.side: {problem}")))?;
            fraction.extend(cells.fraction);
            free.extend(cells.free.iter().map(|&free| if free { 1.0 } else { 0.0 }));
        }
        let shape = [batch.names.len(), 1, side / MULTIPLE, side / MULTIPLE];
        let tensor = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, shape), device);
        Ok(Self { fraction: tensor(fraction), free: tensor(free) })
    }
}
