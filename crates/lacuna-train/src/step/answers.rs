//! The pass of a generator with several answers for each photo.
//!
//! Errors of known pixels count for all answers, those of the hole for the best one alone, so that the others may differ.

use burn::tensor::{Int, Tensor, TensorData};
use lacuna_nets::net::{Answers, Drawn};
use lacuna_nets::{Features, Generator};
use lacuna_network::geometry::MULTIPLE;
use rand::RngExt;

use super::pass::{Pass, PassOutput, Pictures, Predicted, Seeds};
use crate::Result;
use crate::config::{Loss, Noise};
use crate::data::sample_rng;
use crate::loss::{Losses, Term, answers, best_of, mode_seeking, spread};

/// First of the random streams for answers: those of a step's photos and of an epoch's order are others.
const STREAM: u64 = 1 << 63;

/// Seeds of the answers of one batch. They depend on the run's seed, the step and the number of the batch in the step alone, so
/// neither an interruption nor the number of processes changes them.
pub(super) fn seeds(run: u64, step: u64, batch: u64, count: usize) -> Vec<u64> {
    let mut rng = sample_rng(run, step, STREAM + batch);
    (0..count).map(|_| rng.random()).collect()
}

/// Positions of the answers that features and latents hold to the ground truth: the best of each photo or, with the chance `others`, the one
/// after it.
fn held(best: &[i32], seeds: &[u64], photos: usize, others: f64) -> Vec<i32> {
    let position = |(photo, &best): (usize, &i32)| {
        let is_other = sample_rng(seeds[photo], 0, STREAM).random_bool(others);
        if is_other { (best + photos as i32) % seeds.len() as i32 } else { best }
    };
    best.iter().enumerate().map(position).collect()
}

impl Pass<'_> {
    /// Encodes each photo once and gives it as many answers as there are seeds for it.
    pub(super) fn run_answers(
        &self,
        generator: &Generator,
        pictures: &Pictures,
        Seeds { seeds, noise, others }: &Seeds,
    ) -> Result<PassOutput> {
        let Pictures { image, mask } = pictures.clone();
        let [photos, _, height, width] = image.dims();
        let answers = seeds.len() / photos;
        let modulation = generator.modulation()?;
        let latent = generator.encode(image.clone(), mask.clone())?;
        let places = [height / MULTIPLE, width / MULTIPLE];
        let Drawn { z, maps } = Drawn::new(seeds, generator.refiner.blocks().len(), places, &image.device());
        let maps = match noise {
            Noise::Own => maps,
            Noise::Common => {
                maps.into_iter().map(|map| map.narrow(0, 0, photos).repeat_dim(0, answers)).collect()
            }
        };
        let w = modulation.mapping.forward(z.clone());
        modulation.mapping.track(w.clone());

        let all = Pictures { image: image.repeat_dim(0, answers), mask: mask.repeat_dim(0, answers) };
        let latent = Features {
            local: latent.local.repeat_dim(0, answers),
            global: latent.global.map(|global| global.repeat_dim(0, answers)),
        };
        let refined = modulation.refine(&generator.refiner, latent, all.mask.clone(), &Answers { w, maps });
        let predicted = generator.decode(refined.clone()); // [answers * photos, 3, height, width]

        let mut losses = Losses::default();
        self.add_pixel_losses(&mut losses, &predicted, &all);
        let best = self.add_answer_losses(&mut losses, &predicted, &z, pictures);
        let held = held(&best, seeds, photos, *others);
        let held = Tensor::<1, Int>::from_data(TensorData::new(held, [photos]), &predicted.device());
        let Pictures { image, mask } = pictures;
        self.add_perceptual_losses(&mut losses, &predicted.clone().select(0, held.clone()), image);
        let known = all.mask.clone().neg().add_scalar(1.0);
        let inpainted = all.mask.clone() * predicted + known * all.image.clone();
        self.add_adversarial_losses(&mut losses, &inpainted, &all.image);
        if let Some(target) = self.target(image) {
            let refined = Features {
                local: refined.local.select(0, held.clone()),
                global: refined.global.map(|global| global.select(0, held)),
            };
            self.add_latent_losses(&mut losses, &refined, &target, mask);
        }
        let predicted = Predicted { image: inpainted.detach(), mask: all.mask };
        Ok(PassOutput { losses, predicted: Some(predicted), refined: None, target: None })
    }

    /// The terms that compare answers, and diagnostics. Returns the positions of the best answers.
    fn add_answer_losses(
        &self,
        losses: &mut Losses,
        predicted: &Tensor<4>,
        z: &Tensor<2>,
        pictures: &Pictures,
    ) -> Vec<i32> {
        let Loss { best_of_l1, spread_l1, mode_seeking_l1, .. } = self.loss;
        let Pictures { image, mask } = pictures;
        let best = best_of::l1(predicted, image, mask);
        if let Some(weighted) = best_of_l1 {
            losses.add(Term::BestOfL1, best.error, weighted.weight);
        }
        if let Some(spread_l1) = spread_l1 {
            losses.add(Term::SpreadL1, spread::l1(predicted, mask, *spread_l1), spread_l1.weight);
        }
        if let Some(weighted) = mode_seeking_l1 {
            losses.add(Term::ModeSeekingL1, mode_seeking::l1(predicted, z, mask), weighted.weight);
        }
        let first = Tensor::from_floats([best.first], &mask.device());
        let difference = answers::differences(&predicted.clone().detach(), mask).mean();
        losses.observe(Term::AnswerDifferenceL1, difference);
        losses.observe(Term::FirstIsBest, first);
        best.positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_answers_are_held_as_often_as_asked() {
        // Three answers for each of two photos: the second answer of the first photo, the third of the second.
        let best = [2, 5];
        let all: Vec<Vec<i32>> = (0..1000).map(|step| held(&best, &seeds(1, step, 0, 6), 2, 0.25)).collect();
        let others = [0, 1].map(|photo| all.iter().filter(|held| held[photo] != best[photo]).count());
        assert!(others.iter().all(|count| (200..300).contains(count)), "{others:?}");
        // The answer after the third is the first.
        assert!(all.iter().all(|held| [2, 4].contains(&held[0]) && [5, 1].contains(&held[1])));
        assert_eq!(held(&best, &seeds(1, 0, 0, 6), 2, 0.0), best);
    }

    #[test]
    fn seeds_differ_by_run_step_and_batch() {
        let all =
            [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)].map(|(run, step, batch)| seeds(run, step, batch, 3));
        let distinct: std::collections::BTreeSet<u64> = all.iter().flatten().copied().collect();
        assert_eq!(distinct.len(), 12);
        assert_eq!(seeds(1, 0, 0, 2), all[0][..2]);
    }
}
