//! Hints for training: what a person would draw, made from the ground truth.

use burn::tensor::{Device, Tensor, TensorData};
use image::{ImageBuffer, Luma, Rgb, imageops};
use lacuna::flow::hint_input;
use lacuna::hint::FrameHint;
use lacuna::planes::luma;
use lacuna::{HintKind, Mask, Planes};
use lacuna_network::HINT_CHANNELS;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::data::Batch;

/// How hints are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HintSource {
    /// The edges of the ground truth in the hole.
    Lines {
        /// Fraction of crops that show them; the others have no lines, as a person may draw none.
        shown: f64,
    },
    /// The ground truth in the hole, blurred: colours and rough shapes.
    Guide {
        /// Least and greatest standard deviation of the blur in pixels, drawn uniformly.
        blur: [f64; 2],
    },
}

/// Which hints are made.
#[derive(Debug)]
pub enum Shown<'r, R> {
    /// Drawn anew for each crop, for training.
    Random(&'r mut R),
    /// Always lines, and the mean blur: for validation.
    Always,
}

/// Standard deviation in pixels of the blur before edges are found.
const EDGE_BLUR: f32 = 1.5;

/// Edges are stronger than this fraction of the strongest one …
const EDGE_FRACTION: f32 = 0.25;

/// … and than this: crops without structure have no edges.
const LEAST_EDGE: f32 = 0.02;

impl HintSource {
    /// The kind of hint.
    pub fn kind(&self) -> HintKind {
        match self {
            Self::Lines { .. } => HintKind::Lines,
            Self::Guide { .. } => HintKind::Guide,
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The value that is out of range, in words.
    pub fn check(&self) -> Result<(), String> {
        match *self {
            Self::Lines { shown } if !(0.0..=1.0).contains(&shown) => {
                Err(format!("shown: expected a number from 0 to 1, got {shown}"))
            }
            Self::Guide { blur: [least, most] } if !(0.0 < least && least <= most && most.is_finite()) => {
                Err(format!("blur: expected two numbers above 0 in order, got {least} and {most}"))
            }
            _ => Ok(()),
        }
    }

    /// The input of a branch for each crop of a batch.
    ///
    /// # Shapes
    /// The result: `[batch, 4, side, side]` in `[0, 1]`.
    pub fn inputs<R: Rng>(&self, batch: &Batch, mut shown: Shown<'_, R>, device: &Device) -> Tensor<4> {
        let (side, pixels) = (batch.side, batch.side * batch.side);
        let mut values = Vec::with_capacity(batch.names.len() * HINT_CHANNELS * pixels);
        for (image, mask) in batch.images.chunks_exact(3 * pixels).zip(batch.masks.chunks_exact(pixels)) {
            let hole: Vec<bool> = mask.iter().map(|&value| value > 0.0).collect();
            let hint = match *self {
                Self::Lines { shown: fraction } => {
                    let is_shown = match &mut shown {
                        Shown::Random(rng) => rng.random::<f64>() < fraction,
                        Shown::Always => true,
                    };
                    let lines = if is_shown { Edges::of(image, side).lines() } else { vec![false; pixels] };
                    FrameHint::Lines(Mask::new(side, side, lines))
                }
                Self::Guide { blur: [least, most] } => {
                    let at = match &mut shown {
                        Shown::Random(rng) => rng.random::<f64>(),
                        Shown::Always => 0.5,
                    };
                    let guide = blurred(image, side, (least + at * (most - least)) as f32);
                    FrameHint::Guide(Planes::new(side, side, guide))
                }
            };
            values.extend(hint_input(&hint, image, &hole));
        }
        let shape = [batch.names.len(), HINT_CHANNELS, side, side];
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// How far a fill is from the hint of its photo, the mean over the hole: of |edge - line|, where the edges of the fill are relative to
    /// the strongest of the photo; or of the differences of colours after the mean blur. 0 without a hole.
    pub fn distance(&self, fill: &Planes, photo: &Planes, mask: &Mask) -> f64 {
        let side = photo.width();
        let differences: Vec<f32> = match *self {
            Self::Lines { .. } => {
                let truth = Edges::of(photo.values(), side);
                let (found, strongest) = (Edges::of(fill.values(), side), truth.strongest());
                let lines = truth.lines().into_iter().map(f32::from);
                let found = found.strength.iter().map(|edge| (edge / strongest).min(1.0));
                found.zip(lines).map(|(edge, line)| (edge - line).abs()).collect()
            }
            Self::Guide { blur: [least, most] } => {
                let [fill, photo] =
                    [fill, photo].map(|planes| blurred(planes.values(), side, ((least + most) / 2.0) as f32));
                fill.iter().zip(&photo).map(|(one, other)| (one - other).abs()).collect()
            }
        };
        let values = differences.iter().zip(mask.hole().iter().cycle());
        let (sum, count) = values
            .filter(|(_, hole)| **hole)
            .fold((0.0, 0u32), |(sum, count), (value, _)| (sum + f64::from(*value), count + 1));
        sum / f64::from(count.max(1))
    }
}

/// The strength of a photo's edges: Sobel's gradient of the blurred luma, `[height, width]`.
struct Edges {
    strength: Vec<f32>,
}

impl Edges {
    /// # Shapes
    /// `image`: `[3, height, side]`.
    fn of(image: &[f32], side: usize) -> Self {
        let pixels = image.len() / 3;
        let bright = (0..pixels).map(|at| luma([0, 1, 2].map(|channel| image[channel * pixels + at])));
        let (width, height) = (side, pixels / side);
        let plane: ImageBuffer<Luma<f32>, _> = buffer(width, height, bright.collect());
        let smooth = imageops::blur(&plane, EDGE_BLUR).into_raw();
        // Pixels beyond the border are those at the border.
        let at = |x: isize, y: isize| {
            let inside = |place: isize, length: usize| place.clamp(0, length as isize - 1) as usize;
            smooth[inside(y, height) * width + inside(x, width)]
        };
        let strength = (0..pixels).map(|index| {
            let (x, y) = ((index % width) as isize, (index / width) as isize);
            let slope = |dx: isize, dy: isize| {
                // Along (dx, dy), smoothed across it.
                let side =
                    |sign: isize, across: isize| at(x + sign * dx + across * dy, y + sign * dy + across * dx);
                let sum = |sign: isize| side(sign, -1) + 2.0 * side(sign, 0) + side(sign, 1);
                sum(1) - sum(-1)
            };
            slope(1, 0).hypot(slope(0, 1))
        });
        Self { strength: strength.collect() }
    }

    fn strongest(&self) -> f32 {
        self.strength.iter().fold(LEAST_EDGE / EDGE_FRACTION, |most, &edge| most.max(edge))
    }

    fn lines(&self) -> Vec<bool> {
        let least = EDGE_FRACTION * self.strongest();
        self.strength.iter().map(|&edge| edge > least).collect()
    }
}

/// A blurred image, `[3, height, side]`.
fn blurred(image: &[f32], side: usize, deviation: f32) -> Vec<f32> {
    let pixels = image.len() / 3;
    let interleaved = (0..3 * pixels).map(|index| image[index % 3 * pixels + index / 3]).collect();
    let picture: ImageBuffer<Rgb<f32>, _> = buffer(side, pixels / side, interleaved);
    let smooth = imageops::blur(&picture, deviation).into_raw();
    (0..3 * pixels).map(|index| smooth[3 * (index % pixels) + index / pixels]).collect()
}

fn buffer<P: image::Pixel<Subpixel = f32>>(
    width: usize,
    height: usize,
    values: Vec<f32>,
) -> ImageBuffer<P, Vec<f32>> {
    ImageBuffer::from_raw(width as u32, height as u32, values).expect("as many values as pixels have")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rng, small_batch, values};
    use rand_pcg::Pcg64;

    const SIDE: usize = 32;

    /// Dark on the left, bright from column `at` on.
    fn step(at: usize) -> Planes {
        let plane: Vec<f32> =
            (0..SIDE * SIDE).map(|index| if index % SIDE < at { 0.2 } else { 0.8 }).collect();
        Planes::new(SIDE, SIDE, plane.repeat(3))
    }

    #[test]
    fn lines_lie_on_edges() {
        let lines = Edges::of(step(16).values(), SIDE).lines();
        for (index, line) in lines.into_iter().enumerate() {
            let from_edge = (index % SIDE) as f32 - 15.5;
            if from_edge.abs() < 1.0 {
                assert!(line, "pixel {index}");
            }
            assert!(!line || from_edge.abs() < 4.0, "pixel {index}");
        }
        // Noise below what can be seen is no structure.
        let flat: Vec<f32> =
            testkit::pictures::noise(1, 3 * SIDE * SIDE).iter().map(|v| 0.5 + 1e-3 * v).collect();
        assert!(Edges::of(&flat, SIDE).lines().iter().all(|line| !line));
    }

    #[test]
    fn a_fill_with_the_edge_is_nearer_than_one_without() {
        let mask = Mask::new(SIDE, SIDE, (0..SIDE * SIDE).map(|at| (8..24).contains(&(at % SIDE))).collect());
        let flat = Planes::new(SIDE, SIDE, vec![0.5; 3 * SIDE * SIDE]);
        for source in [HintSource::Lines { shown: 0.5 }, HintSource::Guide { blur: [1.0, 3.0] }] {
            let distance = |fill: &Planes| source.distance(fill, &step(16), &mask);
            let [right, shifted, none] = [step(16), step(12), flat.clone()].map(|fill| distance(&fill));
            assert!(right < 0.5 * none && right < 0.5 * shifted, "{source:?}: {right}, {shifted}, {none}");
        }
        let lines = HintSource::Lines { shown: 0.5 };
        assert_eq!(lines.distance(&flat, &flat, &Mask::new(SIDE, SIDE, vec![false; SIDE * SIDE])), 0.0);
    }

    #[test]
    fn hints_are_drawn_as_often_as_asked_and_lie_in_the_hole() {
        let batch = small_batch();
        let pixels = SIDE * SIDE;
        let inputs = |source: HintSource, shown: Shown<'_, Pcg64>| {
            let hints = source.inputs(&batch, shown, &Device::flex());
            assert_eq!(hints.dims(), [2, HINT_CHANNELS, SIDE, SIDE]);
            values(hints)
        };
        let lines_of = |hints: &[f32]| hints[pixels..2 * pixels].to_vec();
        let always = inputs(HintSource::Lines { shown: 0.0 }, Shown::Always);
        assert!(lines_of(&always).contains(&1.0), "validation shows lines");
        for (line, mask) in lines_of(&always).iter().zip(&batch.masks) {
            assert!(*line <= *mask, "a line outside the hole");
        }
        let mut random = rng(1);
        let never = inputs(HintSource::Lines { shown: 0.0 }, Shown::Random(&mut random));
        assert!(!lines_of(&never).contains(&1.0));
        assert_eq!(inputs(HintSource::Lines { shown: 1.0 }, Shown::Random(&mut random)), always);
        let guide = HintSource::Guide { blur: [1.0, 8.0] };
        let [one, other] = [0, 1].map(|_| inputs(guide, Shown::Random(&mut random)));
        assert_ne!(one, other, "blurs differ");
        for (index, value) in one[pixels..4 * pixels].iter().enumerate() {
            assert!(batch.masks[index % pixels] > 0.0 || *value == batch.images[index], "value {index}");
        }
    }

    #[test]
    fn impossible_values_are_named() {
        for (source, words) in [
            (HintSource::Lines { shown: 1.5 }, "shown: expected a number from 0 to 1, got 1.5"),
            (HintSource::Guide { blur: [0.0, 2.0] }, "got 0 and 2"),
            (HintSource::Guide { blur: [3.0, 2.0] }, "got 3 and 2"),
        ] {
            assert!(source.check().unwrap_err().contains(words));
        }
        assert_eq!(HintSource::Guide { blur: [2.0, 2.0] }.check(), Ok(()));
    }
}
