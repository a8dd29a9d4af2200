//! A view into the latent space: what a hole damages, how far around it, and what is healed again.
//!
//! "Image inpainting in latent space" (Babin 2024), eq. 4.1: `D[E(truth) - E(masked)]`, the decoded difference of latents.
//! Beside it, for the plain encoder, for mask control and for the refiner: where features differ from the truth's, at every
//! level and group of channels, and the error of the latent against the distance to the hole. Differences are means over
//! channels of absolute values, relative to the mean of the true features.

use burn::tensor::{Device, Tensor};
use lacuna::{Mask, Planes, Rect};
use lacuna_network::geometry::MULTIPLE;
use serde::Serialize;

use crate::Features;
use crate::error::{Error, Result};
use crate::net::Generator;
use crate::tensors::{download, upload};
use crate::weights::read_tensor;

/// A step of distances in the curve, in pixels: one pixel of the latent.
const STEP: f64 = MULTIPLE as f64;

/// What is compared with the encoding of the true picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The encoding of the masked picture.
    Masked,
    /// The same with mask control, in networks that have it.
    Controlled,
    /// The refiner's output.
    Refined,
}

/// Channels that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Channels that see their neighbourhood.
    Local,
    /// Channels that see the whole picture.
    Global,
}

/// Everything that there is to see.
#[derive(Clone, Debug)]
pub struct LatentView {
    /// The network's picture, the hole composited.
    pub inpainted: Planes,
    /// Each stage that the network has.
    pub stages: Vec<StageView>,
}

/// A stage against the truth.
#[derive(Clone, Debug)]
pub struct StageView {
    /// The stage.
    pub stage: Stage,
    /// The decoded difference of latents, truth less stage: eq. 4.1 for [`Stage::Masked`].
    pub decoded: Planes,
    /// Where features differ, of every level and group; of the refiner the last level alone.
    pub damage: Vec<Damage>,
    /// The latent's error by distance to the hole.
    pub curve: Vec<CurvePoint>,
}

/// Where features of a level differ from the truth's.
#[derive(Clone, Debug)]
pub struct Damage {
    /// The level: sides are the picture's, divided by `2^level`.
    pub level: usize,
    /// The channels.
    pub group: Group,
    /// Where.
    pub map: Map,
}

/// Differences of features, relative to the mean of the true ones.
#[derive(Clone, Debug)]
pub struct Map {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width]`
    pub values: Vec<f32>,
}

/// The latent's error at some distance to the hole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Pixels of the picture from the hole, without; 0 stands for the hole itself if `to` is 0, too.
    pub from: f64,
    /// Up to so many pixels, with.
    pub to: f64,
    /// Pixels of the latent that are so far away.
    pub cells: usize,
    /// Their mean error, relative to the mean of the true latent.
    pub error: f64,
}

impl LatentView {
    /// Looks at a picture and its hole.
    ///
    /// # Shapes
    /// Both `[height, width]` with sides that are multiples of 8 from 16 up.
    ///
    /// # Errors
    /// [`Error::Shape`] if the sizes are others.
    pub fn new(generator: &Generator, photo: &Planes, mask: &Mask, device: &Device) -> Result<Self> {
        let (width, height) = (photo.width(), photo.height());
        if (mask.width(), mask.height()) != (width, height) {
            let (columns, rows) = (mask.width(), mask.height());
            return Err(Error::Shape(format!("image of {width} x {height}, mask of {columns} x {rows}")));
        }
        let (image, hole) = upload(photo, mask, device);
        let plain = without_control(generator);
        let truth = plain.encode_levels(image.clone(), hole.zeros_like())?;
        let masked = plain.encode_levels(image.clone(), hole.clone())?;
        let controlled = match &generator.control {
            Some(_) => Some(generator.encode_levels(image.clone(), hole.clone())?),
            None => None,
        };
        let latent = controlled.as_ref().unwrap_or(&masked).last().expect("an encoder has levels").clone();
        let refined = generator.refine(latent);
        let predicted = generator.decode(refined.clone());
        let known = hole.clone().neg().add_scalar(1.0);
        let stages = [
            (Stage::Masked, Some(masked)),
            (Stage::Controlled, controlled),
            (Stage::Refined, Some(vec![refined])),
        ];
        let distances = distances(mask);
        let stages = stages.into_iter().filter_map(|(stage, levels)| Some((stage, levels?)));
        let stages = stages.map(|(stage, levels)| {
            let latent =
                [&truth, &levels].map(|levels| levels.last().expect("an encoder has levels").clone());
            let [true_latent, latent] = latent;
            let decoded = download(decoded_difference(generator, true_latent.clone(), latent.clone()))?;
            // The refiner has the last level alone.
            let first = truth.len() - levels.len();
            let mut damage = Vec::new();
            for (at, features) in levels.into_iter().enumerate() {
                damage.extend(damages(first + at, &truth[first + at], features)?);
            }
            let whole = Map::new(true_latent.concat(), latent.concat())?;
            Ok(StageView { stage, decoded, damage, curve: curve(&whole.values, &distances) })
        });
        Ok(Self {
            stages: stages.collect::<Result<_>>()?,
            inpainted: download(hole * predicted + known * image)?,
        })
    }
}

/// The network without mask control: its encoder sees only the masked image.
pub fn without_control(generator: &Generator) -> Generator {
    let mut plain = generator.clone();
    plain.control = None;
    plain
}

/// The decoded difference of two latents, the ground truth's minus another: eq. 4.1 if the other is the masked image's.
///
/// # Shapes
/// Latents `[batch, channels, height / 8, width / 8]`; the image `[batch, 3, height, width]`.
pub fn decoded_difference(generator: &Generator, truth: Features, latent: Features) -> Tensor<4> {
    generator.decode(truth - latent)
}

/// The damage of each group of channels.
fn damages(level: usize, truth: &Features, features: Features) -> Result<Vec<Damage>> {
    let local = Some((Group::Local, truth.local.clone(), features.local));
    let global =
        truth.global.clone().zip(features.global).map(|(truth, other)| (Group::Global, truth, other));
    let damage = |(group, truth, features)| Ok(Damage { level, group, map: Map::new(truth, features)? });
    local.into_iter().chain(global).map(damage).collect()
}

impl Map {
    fn new(truth: Tensor<4>, features: Tensor<4>) -> Result<Self> {
        let [_, _, height, width] = truth.dims();
        let scale = read_tensor(truth.clone().abs().mean())?.values[0].max(f32::MIN_POSITIVE);
        let map = (truth - features).abs().mean_dim(1).div_scalar(scale);
        Ok(Self { width, height, values: read_tensor(map)?.values })
    }
}

/// The distance of each pixel of the latent to the hole, 0 for those that the hole reaches into.
fn distances(mask: &Mask) -> Vec<f64> {
    let (width, height) = (mask.width(), mask.height());
    if mask.bounds().is_none() {
        return Vec::new();
    }
    let squares = mask.squared_distances(Rect::whole(width, height));
    let (columns, rows) = (width / MULTIPLE, height / MULTIPLE);
    let nearest = |row: usize, column: usize| {
        let lines = (row * MULTIPLE..(row + 1) * MULTIPLE)
            .map(|y| &squares[y * width + column * MULTIPLE..][..MULTIPLE]);
        lines.flatten().copied().fold(f64::INFINITY, f64::min).sqrt()
    };
    (0..rows * columns).map(|at| nearest(at / columns, at % columns)).collect()
}

/// Means by steps of distance; empty without a hole.
fn curve(errors: &[f32], distances: &[f64]) -> Vec<CurvePoint> {
    let step = |distance: f64| (distance / STEP).ceil() as usize;
    let last = distances.iter().copied().map(step).max();
    let mut sums = vec![(0.0, 0); last.map_or(0, |last| last + 1)];
    for (error, distance) in errors.iter().zip(distances) {
        let (sum, cells) = &mut sums[step(*distance)];
        *sum += f64::from(*error);
        *cells += 1;
    }
    let points = sums.into_iter().enumerate().filter(|(_, (_, cells))| *cells > 0);
    points
        .map(|(at, (sum, cells))| CurvePoint {
            from: (at as f64 - 1.0).max(0.0) * STEP,
            to: at as f64 * STEP,
            cells,
            error: sum / f64::from(cells as u32),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;
    use lacuna::checkpoint::Checkpoint;
    use lacuna_network::geometry::LEVELS;
    use lacuna_network::{Delta, Family, Shape};
    use testkit::{assert_close, fixtures, pictures};

    /// Numbers of `oracle/make_fixtures.py`.
    const TOLERANCE: f32 = 2e-5;

    fn small(family: Family, channels_in: usize) -> Generator {
        let shape = Shape { channels_in, width: 4, blocks: 1, control: false, delta: Delta::None };
        let config = family.network(shape);
        Generator::new(&config, rng(1), &Device::flex()).unwrap()
    }

    #[test]
    fn the_decoded_difference_equals_the_reference() {
        let checkpoint = Checkpoint::open(fixtures::path("control/weights.safetensors")).unwrap();
        let mut generator = Generator::from_checkpoint(&checkpoint, &Device::flex()).unwrap();
        let numbers = fixtures::load("control/latent_difference.safetensors");
        let (image, mask) = (numbers.get("image"), numbers.get("mask"));
        let (height, width) = (image.shape[2], image.shape[3]);
        let photo = Planes::new(width, height, image.values.clone());
        let mask = Mask::new(width, height, mask.values.iter().map(|&value| value > 0.0).collect());
        generator.control = None;
        let view = LatentView::new(&generator, &photo, &mask, &Device::flex()).unwrap();
        assert_close(view.stages[0].decoded.values(), &numbers.get("decoded").values, TOLERANCE);
    }

    #[test]
    fn without_a_hole_nothing_is_damaged() {
        for family in Family::ALL {
            for channels_in in [3, 4] {
                let generator = small(family, channels_in);
                let photo = Planes::new(32, 24, pictures::picture(32, 24));
                let view = LatentView::new(
                    &generator,
                    &photo,
                    &Mask::new(32, 24, vec![false; 768]),
                    &Device::flex(),
                );
                let masked = &view.unwrap().stages[0];
                assert!(
                    masked.damage.iter().all(|damage| damage.map.values.iter().all(|&value| value == 0.0))
                );
                assert!(masked.curve.is_empty());
                let groups = masked.damage.iter().filter(|damage| damage.group == Group::Global).count();
                // Each level has a local part, and the latent perhaps a global one.
                let global = usize::from(generator.config().latent().global > 0);
                assert_eq!((masked.damage.len(), groups), (LEVELS + 1 + global, global));
            }
        }
    }

    #[test]
    fn damage_is_in_the_hole() {
        let generator = small(Family::Regular, 3);
        let photo = Planes::new(64, 64, pictures::picture(64, 64));
        let hole = (0..64 * 64).map(|at| at % 64 < 8 && at / 64 < 8).collect();
        let view = LatentView::new(&generator, &photo, &Mask::new(64, 64, hole), &Device::flex()).unwrap();
        assert_eq!(
            view.stages.iter().map(|stage| stage.stage).collect::<Vec<_>>(),
            [Stage::Masked, Stage::Refined]
        );
        let Damage { level: 0, map, .. } = &view.stages[0].damage[0] else { panic!("level 0 is first") };
        assert!(map.values[0] > 0.0);
        // The first layer sees three pixels around.
        assert_eq!(map.values[20 * map.width + 20], 0.0);
        let curve = &view.stages[0].curve;
        assert_eq!((curve[0].from, curve[0].to, curve[0].cells), (0.0, 0.0, 1));
        assert!(curve[0].error > curve.last().unwrap().error);
        assert!(
            LatentView::new(&generator, &photo, &Mask::new(8, 8, vec![true; 64]), &Device::flex()).is_err()
        );
    }

    #[test]
    fn curves_by_hand() {
        let mask = Mask::new(32, 16, (0..512).map(|at| at % 32 < 4 && at / 32 < 4).collect());
        // The second column of cells begins 5 pixels from the hole's last, the third 13.
        let squares = distances(&mask);
        assert_eq!(squares[..4], [0.0, 5.0, 13.0, 21.0]);
        let points = curve(&[4.0, 2.0, 1.0, 0.5, 3.0, 2.0, 1.0, 0.5], &squares);
        let of = |from, to, cells, error| CurvePoint { from, to, cells, error };
        assert_eq!(points[0], of(0.0, 0.0, 1, 4.0));
        assert_eq!(points[1], of(0.0, 8.0, 3, 7.0 / 3.0));
        assert_eq!(points.last().unwrap(), &of(16.0, 24.0, 2, 0.5));
    }
}
