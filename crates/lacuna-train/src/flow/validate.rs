//! Validation of a flow's model, always on the same crops, masks, times, noise and hints.

use std::sync::OnceLock;

use burn::tensor::{Tensor, TensorData};
use image::RgbImage;
use lacuna::{Mask, Planes};
use lacuna_diffusion::noise::Origin;
use lacuna_diffusion::{Draw, MapShape, Noise};
use lacuna_eval::report::sheet::{arrange, masked};
use lacuna_nets::weights::read_tensor;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::Path;
use super::hint::{HintSource, Shown};
use super::latents::Latents;
use super::learner::{FlowLearner, start_of};
use super::model::Velocities;
use super::sample::DeviceSampling;
use crate::Result;
use crate::data::{Batch, sample_rng};
use crate::loss::velocity::{KnownCells, mse};
use crate::step::Pictures;
use crate::validate::{Scores, VALIDATION_EPOCH, Validation};

/// Euler steps of a fill. More do not improve flows that start at a fill (reference specification of diffusion, 4.4).
const STEPS: usize = 4;

/// The scores of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowScores {
    /// Mean squared error of the velocity over the generated cells of all crops.
    pub velocity_mse: f64,
    /// The same for a network that predicts zero.
    pub trivial_mse: f64,
    /// Their ratio: 1 for a new network.
    pub ratio: f64,
    /// What hints change, for a ControlNet branch.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub steered: Option<SteeredScores>,
    /// Scores of fills with four steps.
    #[serde(flatten)]
    pub fills: Scores,
}

/// What the hints of a ControlNet branch change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SteeredScores {
    /// [`FlowScores::velocity_mse`] of the denoiser without the branch.
    pub unsteered_velocity_mse: f64,
    /// How far fills are from their hints, in the hole ([`HintSource::distance`]) …
    pub hint_distance: f64,
    /// … and how far without the branch.
    pub unsteered_hint_distance: f64,
    /// LPIPS of fills without the branch, if its weights were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsteered_lpips: Option<f64>,
}

/// Validation crops with their latents, in batches.
#[derive(Debug)]
pub(crate) struct FlowValidation {
    validation: Validation,
    batches: Vec<ValidationBatch>,
    /// What a branch's denoiser does without it, which never changes.
    unsteered: OnceLock<Unsteered>,
}

#[derive(Clone, Copy, Debug)]
struct Unsteered {
    velocity_mse: f64,
    hint_distance: f64,
    lpips: Option<f64>,
}

#[derive(Debug)]
struct ValidationBatch {
    pictures: Pictures,
    latents: Latents,
    times: Vec<f64>,
    /// Noise of the velocity loss.
    noise: Tensor<4>,
    /// The number of the first crop.
    first: usize,
}

impl FlowValidation {
    /// Reads the validation photos of a run and computes their latents.
    ///
    /// # Errors
    /// If a source cannot be opened or the generator fails.
    pub fn open(learner: &FlowLearner) -> Result<Self> {
        let (recipe, maker) = (learner.recipe(), learner.maker());
        let validation = Validation::open(&recipe.data)?;
        let pairs = validation.pairs();
        // Stratified times are spread over all crops.
        let mut rng = sample_rng(0, VALIDATION_EPOCH, u64::MAX);
        let times = recipe.times().draw(pairs.len(), &mut rng);
        let mut batches = Vec::new();
        for (number, pairs) in pairs.chunks(recipe.run.batch).enumerate() {
            let first = number * recipe.run.batch;
            let batch = batch_of(pairs, recipe.data.side);
            let device = maker.generator().device();
            let hint = learner.hints().map(|hints| hints.inputs::<Pcg64>(&batch, Shown::Always, &device));
            let latents = Latents { hint, ..maker.latents(&batch)? };
            let [count, channels, height, width] = latents.data.dims();
            let shape = MapShape::one(channels, height, width);
            let noise: Vec<f32> = (first..first + count)
                .flat_map(|crop| Noise::new(crop as u64).map(Draw::Known(0), shape, Origin::default()))
                .collect();
            let noise = Tensor::from_data(TensorData::new(noise, latents.data.dims()), &device);
            let times = times[first..first + count].to_vec();
            batches.push(ValidationBatch {
                pictures: Pictures::new(&batch, &device),
                latents,
                times,
                noise,
                first,
            });
        }
        Ok(Self { validation, batches, unsteered: OnceLock::new() })
    }

    /// Whether there are no validation photos.
    pub fn is_empty(&self) -> bool {
        self.validation.is_empty()
    }

    /// Scores the learner's average.
    ///
    /// # Errors
    /// If the model fails.
    pub fn evaluate(&self, learner: &FlowLearner) -> Result<FlowScores> {
        let model = learner.averaged();
        let [velocity_mse, trivial_mse] = self.velocity(learner, &model)?;
        let count = self.validation.pairs().len();
        let filled = self.fills(learner, &model, count)?;
        let fills = self.scores(&filled)?;
        let steered = match (model.unsteered(), learner.hints()) {
            (Some(base), Some(hints)) => {
                let unsteered = self.unsteered(learner, &base, hints)?;
                Some(SteeredScores {
                    unsteered_velocity_mse: unsteered.velocity_mse,
                    hint_distance: self.distance(hints, &filled),
                    unsteered_hint_distance: unsteered.hint_distance,
                    unsteered_lpips: unsteered.lpips,
                })
            }
            _ => None,
        };
        Ok(FlowScores { velocity_mse, trivial_mse, ratio: velocity_mse / trivial_mse, steered, fills })
    }

    /// What the denoiser of a branch does without it, computed once.
    fn unsteered(&self, learner: &FlowLearner, base: &Velocities, hints: &HintSource) -> Result<Unsteered> {
        if let Some(unsteered) = self.unsteered.get() {
            return Ok(*unsteered);
        }
        let filled = self.fills(learner, base, self.validation.pairs().len())?;
        let unsteered = Unsteered {
            velocity_mse: self.velocity(learner, base)?[0],
            hint_distance: self.distance(hints, &filled),
            lpips: self.scores(&filled)?.lpips,
        };
        Ok(*self.unsteered.get_or_init(|| unsteered))
    }

    /// The scores of fills of all crops.
    fn scores(&self, filled: &[Planes]) -> Result<Scores> {
        Ok(self.validation.score(|index, _, _| Ok(filled[index].clone()))?.scores)
    }

    /// The mean distance of fills from their hints.
    fn distance(&self, hints: &HintSource, filled: &[Planes]) -> f64 {
        let pairs = self.validation.pairs();
        let distances =
            filled.iter().zip(pairs).map(|(fill, (photo, mask))| hints.distance(fill, photo, mask));
        distances.sum::<f64>() / pairs.len().max(1) as f64
    }

    /// The loss of a model, and that of a network that predicts zero.
    fn velocity(&self, learner: &FlowLearner, model: &Velocities) -> Result<[f64; 2]> {
        let start = learner.recipe().start;
        let (mut sums, mut cells) = ([0.0; 2], 0.0);
        for ValidationBatch { latents, times, noise, .. } in &self.batches {
            let Latents { data, fill, free, .. } = latents;
            let start = start_of(start, fill, noise.clone());
            let path = Path { data: data.clone(), start, times: times.clone() };
            let trained = mse(&path, free, KnownCells::Clean, |x| model.predict(x, times, latents))?;
            let trivial = mse(&path, free, KnownCells::Clean, |x| Ok(x.zeros_like()))?;
            let weight = f64::from(free.clone().sum().into_scalar::<f32>());
            for (sum, loss) in sums.iter_mut().zip([trained, trivial]) {
                *sum += weight * f64::from(loss.into_scalar::<f32>());
            }
            cells += weight;
        }
        Ok(sums.map(|sum| sum / cells.max(1.0)))
    }

    /// A model's fills of the first crops.
    fn fills(&self, learner: &FlowLearner, model: &Velocities, count: usize) -> Result<Vec<Planes>> {
        let flow = learner.flow();
        let sampling = DeviceSampling { velocities: model, flow: &flow, steps: STEPS };
        let mut fills = Vec::with_capacity(count);
        for ValidationBatch { pictures, latents, first, .. } in &self.batches {
            if fills.len() >= count {
                break;
            }
            let Pictures { image, mask } = pictures.clone();
            fills.extend(planes(sampling.fill(learner.maker(), latents, [image, mask], *first as u64)?)?);
        }
        Ok(fills)
    }

    /// A grid with one row for each of the first crops: photo, masked photo, the generator's fill, the flow's fill; for a ControlNet
    /// branch also the hint, and the flow's fill without it before the one with it.
    ///
    /// # Errors
    /// If a network fails.
    pub fn sheet(&self, learner: &FlowLearner, rows: usize) -> Result<RgbImage> {
        let examples = self.validation.examples(rows);
        let model = learner.averaged();
        let mut columns = vec![examples.iter().map(|(photo, mask)| masked(photo, mask)).collect()];
        if let Some(base) = model.unsteered() {
            columns.push(self.hints(examples.len())?);
            columns.push(self.generated(learner, examples.len())?);
            columns.push(self.fills(learner, &base, examples.len())?);
        } else {
            columns.push(self.generated(learner, examples.len())?);
        }
        columns.push(self.fills(learner, &model, examples.len())?);
        let rows: Vec<Vec<Planes>> = (examples.iter().enumerate())
            .map(|(row, (photo, _))| {
                let columns = columns.iter().map(|column: &Vec<Planes>| column[row].clone());
                [photo.clone()].into_iter().chain(columns).collect()
            })
            .collect();
        Ok(arrange(&rows))
    }

    /// The generator's fills of the first crops.
    fn generated(&self, learner: &FlowLearner, count: usize) -> Result<Vec<Planes>> {
        let mut generated = Vec::with_capacity(count);
        for ValidationBatch { pictures: Pictures { image, mask }, .. } in &self.batches {
            if generated.len() >= count {
                break;
            }
            let generator = learner.maker().generator();
            let latent = generator.refined(image.clone(), mask.clone())?;
            generated.extend(planes(generator.fill(latent, [image.clone(), mask.clone()]))?);
        }
        Ok(generated)
    }

    /// The last three channels of the hints of the first crops, as colours.
    fn hints(&self, count: usize) -> Result<Vec<Planes>> {
        let mut hints = Vec::with_capacity(count);
        for ValidationBatch { latents, .. } in &self.batches {
            if hints.len() >= count {
                break;
            }
            let hint = latents.hint.clone().expect("crops of a branch have hints");
            hints.extend(planes(hint.narrow(1, 1, 3))?);
        }
        Ok(hints)
    }
}

/// Photos and masks as a batch.
fn batch_of(pairs: &[(Planes, Mask)], side: usize) -> Batch {
    let hole =
        |mask: &Mask| mask.hole().iter().map(|&hole| if hole { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
    Batch {
        side,
        images: pairs.iter().flat_map(|(photo, _)| photo.values().to_vec()).collect(),
        masks: pairs.iter().flat_map(|(_, mask)| hole(mask)).collect(),
        names: vec![String::new(); pairs.len()],
    }
}

/// The images of a tensor `[batch, 3, height, width]`.
fn planes(images: Tensor<4>) -> Result<Vec<Planes>> {
    let [_, channels, height, width] = images.dims();
    let values = read_tensor(images)?.values;
    let images = values.chunks_exact(channels * height * width);
    Ok(images.map(|values| Planes::new(width, height, values.to_vec())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::small_flow;
    use testkit::pictures::write_noise_photos;

    #[test]
    fn a_new_denoiser_has_the_ratio_one_and_scores_as_its_start() {
        let folder = tempfile::tempdir().unwrap();
        write_noise_photos(folder.path(), 3, 32);
        let photos = format!("data.validation=[{{ kind = \"folder\", path = {:?} }}]", folder.path());
        let learner = small_flow(&[&photos, "data.validation_masks={ kind = \"half\" }"]);
        let validation = FlowValidation::open(&learner).unwrap();
        assert!(!validation.is_empty());
        let scores = validation.evaluate(&learner).unwrap();
        assert_eq!((scores.velocity_mse, scores.ratio), (scores.trivial_mse, 1.0));
        assert!(
            scores.trivial_mse > 0.0 && scores.fills.l1 > 0.0 && scores.fills.lpips.is_none(),
            "{scores:?}"
        );
        assert_eq!(validation.evaluate(&learner).unwrap(), scores);
        // Three rows of photo, masked photo and two fills, of 32 pixels and a border of 4.
        let sheet = validation.sheet(&learner, 3).unwrap();
        assert_eq!(sheet.dimensions(), (4 + 4 * 36, 4 + 3 * 36));
        let json = serde_json::to_value(scores).unwrap();
        assert!(json["ratio"].is_number() && json["ssim"].is_number());
    }
}
