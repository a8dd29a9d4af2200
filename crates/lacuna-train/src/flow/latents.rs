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
    /// The input of a ControlNet branch, if one is trained: `[batch, 4, 8 height, 8 width]`.
    pub hint: Option<Tensor<4>>,
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
        self.latents_with(self.truth(batch)?, batch)
    }

    /// The latents of a batch, whose ground truth [`LatentMaker::truth`] was computed before.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn latents_with(&self, truth: Tensor<4>, batch: &Batch) -> Result<Latents> {
        let fill = self.fill(batch)?;
        let hole = HoleCells::of_batch(batch, self.halo, &self.generator.device())?;
        let known = hole.free.clone().neg().add_scalar(1.0);
        Ok(Latents {
            data: truth * hole.free.clone() + fill.clone() * known,
            fill,
            fraction: hole.fraction,
            free: hole.free,
            hint: None,
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
        let Self { data, fill, fraction, free, hint } = self;
        let [data, fill, fraction, free] = [data, fill, fraction, free].map(Tensor::from_inner);
        Self { data, fill, fraction, free, hint: hint.map(Tensor::from_inner) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{small_batch, small_maker, values};

    /// Two rows of values for each cell of the batch: those of `free` cells and those of others.
    fn split(tensor: Tensor<4>, free: &Tensor<4>) -> [Vec<f32>; 2] {
        let channels = tensor.dims()[1];
        let [batch, _, height, width] = free.dims();
        let free = values(free.clone().expand([batch, channels, height, width]));
        let values = values(tensor);
        let of = |wanted: f32| {
            values.iter().zip(&free).filter(|&(_, &free)| free == wanted).map(|(&value, _)| value).collect()
        };
        [of(1.0), of(0.0)]
    }

    #[test]
    fn known_cells_are_the_fill_and_free_ones_the_ground_truth() {
        let (maker, batch) = (small_maker(), small_batch());
        let latents = maker.latents(&batch).unwrap();
        assert_eq!(latents.data.dims(), [2, 32, 4, 4]);
        assert_eq!(latents.fraction.dims(), [2, 1, 4, 4]);
        // Columns 9 to 16 and rows 12 to 19 are in cells 1 and 2; with a halo of one cell all sixteen are free.
        assert_eq!(values(latents.free.clone()), [1.0; 32]);
        let cell = |row: usize, column: usize| values(latents.fraction.clone())[row * 4 + column];
        assert_eq!((cell(1, 1), cell(2, 2), cell(0, 0)), (28.0 / 64.0, 4.0 / 64.0, 0.0));

        let tight = LatentMaker { halo: 0, ..maker.clone() };
        let latents = tight.latents(&batch).unwrap();
        assert_eq!(values(latents.free.clone()).iter().sum::<f32>(), 8.0);
        let [data_free, data_known] = split(latents.data.clone(), &latents.free);
        let [truth_free, truth_known] = split(maker.truth(&batch).unwrap(), &latents.free);
        let [fill_free, fill_known] = split(latents.fill.clone(), &latents.free);
        assert_eq!((data_free.len(), data_known.len()), (8 * 32, 24 * 32));
        assert_eq!((&data_free, &data_known), (&truth_free, &fill_known));
        assert!(data_free != fill_free && data_known != truth_known);
    }

    /// The pixels of the hole are in the ground truth alone.
    #[test]
    fn a_fill_does_not_see_the_hole() {
        let (maker, batch) = (small_maker(), small_batch());
        let mut other = batch.clone();
        let pixels = other.side * other.side;
        for (index, value) in other.images.iter_mut().enumerate() {
            let place = index / (3 * pixels) * pixels + index % pixels;
            if batch.masks[place] > 0.0 {
                *value = 0.5;
            }
        }
        assert_ne!(batch.images, other.images);
        let [one, two] = [batch, other].map(|batch| maker.latents(&batch).unwrap());
        assert_eq!(values(one.fill), values(two.fill));
        assert_eq!(values(one.free), values(two.free));
        assert_eq!(values(one.fraction), values(two.fraction));
        assert_ne!(values(one.data), values(two.data));
    }
}
