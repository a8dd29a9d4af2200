//! The completion from the coarsest level to the finest.

use super::PatchMatchConfig;
use super::depth::depths;
use super::field::Field;
use super::level::Level;
use super::membrane;
use super::metric::WholePatch;
use super::patch_map::PATCH;
use super::peel::peel;
use super::search::{Order, Pass};
use super::vote::{self, Ballot, Weights};
use crate::{Mask, Planes};
use rayon::prelude::*;

/// The pyramid ends where the hole is at most this deep, in pixels: then the known surroundings reach into every
/// patch, and the first estimate is a matter of matching, not of guessing.
const COARSEST_DEPTH: u16 = 4;

/// The pyramid also ends before fewer sources than this are left: a choice that small repeats itself visibly.
const FEWEST_SOURCES: usize = 200;

/// Search passes between two votes.
const PASSES: u64 = 2;

/// Fills the hole of `image`; known pixels are the same bits.
pub(super) fn complete(image: &Planes, mask: &Mask, config: &PatchMatchConfig, seed: u64) -> Planes {
    let mut output = image.clone();
    if mask.count() == 0 {
        return output;
    }
    let finest = Level::finest(image, mask);
    if finest.patches.sources() == 0 {
        fill_smoothly(&mut output, mask);
        return output;
    }
    let mut levels = pyramid(finest);
    // Each use takes its own seed: passes and fields count it up.
    let mut seed = seed;
    let mut field: Option<Field> = None;
    let mut coarser: Option<Level> = None;
    while let Some(mut level) = levels.pop() {
        let depths = depths(level.width, level.height, &level.hole);
        let mut current = match (&field, &coarser) {
            (Some(field), Some(coarser)) => {
                let refined = field.refined(coarser, &level, seed);
                let weights = Weights::new(&level, &refined, &depths);
                vote::repaint(&mut level, &refined, &weights, 1, |_| true);
                refined
            }
            _ => {
                let mut random = Field::random(&level, seed);
                seed = peel(&mut level, &mut random, &depths, seed + 1);
                random
            }
        };
        seed += 1;
        let rounds = config.finest_rounds + config.rounds_per_level * levels.len();
        for round in 0..rounds {
            let radius = level.width.max(level.height);
            for number in 0..PASSES {
                let metric = WholePatch { pixels: &level.pixels, width: level.width };
                let order = if number % 2 == 0 { Order::Forward } else { Order::Backward };
                let active = level.patches.targets();
                Pass { level: &level, metric: &metric, active, order, radius, seed }.run(&mut current);
                seed += 1;
            }
            if round + 1 < rounds || !levels.is_empty() {
                let weights = Weights::new(&level, &current, &depths);
                vote::repaint(&mut level, &current, &weights, config.power, |_| true);
            }
        }
        if levels.is_empty() {
            let weights = Weights::new(&level, &current, &depths);
            finish(&mut output, image, &level, &current, &weights, config);
        }
        field = Some(current);
        coarser = Some(level);
    }
    output
}

/// All levels, finest first.
fn pyramid(finest: Level) -> Vec<Level> {
    let mut levels = vec![finest];
    loop {
        let last = &levels[levels.len() - 1];
        let deepest = depths(last.width, last.height, &last.hole).into_iter().max().unwrap_or(0);
        if deepest <= COARSEST_DEPTH || last.width.min(last.height) < 2 * PATCH {
            return levels;
        }
        let next = last.halved();
        if next.patches.sources() < FEWEST_SOURCES {
            return levels;
        }
        levels.push(next);
    }
}

/// The membrane over every channel: for pictures in which no patch is known.
fn fill_smoothly(output: &mut Planes, mask: &Mask) {
    let (width, height) = (mask.width(), mask.height());
    let known: Vec<bool> = mask.hole().iter().map(|&hole| !hole).collect();
    output
        .values_mut()
        .par_chunks_mut(width * height)
        .for_each(|plane| membrane::fill(width, height, plane, &known));
}

/// The last vote, on the picture itself instead of its 11-bit copy, and the correction of seams.
fn finish(
    output: &mut Planes,
    image: &Planes,
    level: &Level,
    field: &Field,
    weights: &Weights,
    config: &PatchMatchConfig,
) {
    let (width, area) = (level.width, level.width * level.height);
    let planes = [image.plane(0), image.plane(1), image.plane(2)];
    let targets = level.patches.targets();
    let _ = targets;
    let mut voted = vec![[0.0f32; 3]; area];
    let mut voters = vec![false; area];
    voted.par_chunks_mut(width).zip(voters.par_chunks_mut(width)).enumerate().for_each(
        |(y, (voted, voters))| {
            for x in 0..width {
                let ballot = Ballot::on(level, field, weights, x, y);
                if !ballot.is_empty() {
                    voters[x] = true;
                    voted[x] = ballot.elect(config.final_power, |source| planes.map(|plane| plane[source]));
                }
            }
        },
    );
    let rim = |index: usize| {
        let (x, y) = (index % width, index / width);
        !level.hole[index] && voters[index] && {
            let columns = x.saturating_sub(1)..(x + 2).min(width);
            (y.saturating_sub(1)..(y + 2).min(level.height))
                .any(|row| level.hole[row * width + columns.start..row * width + columns.end].contains(&true))
        }
    };
    let known: Vec<bool> = (0..area).into_par_iter().map(rim).collect();
    output.values_mut().par_chunks_mut(area).enumerate().for_each(|(channel, plane)| {
        let mut correction: Vec<f32> = (0..area)
            .map(
                |index| if known[index] { config.seam * (plane[index] - voted[index][channel]) } else { 0.0 },
            )
            .collect();
        // Outside hole and rim nothing must flow: treat as known zero.
        let fixed: Vec<bool> = (0..area).map(|index| known[index] || !level.hole[index]).collect();
        if config.seam > 0.0 {
            membrane::fill(width, level.height, &mut correction, &fixed);
        }
        for index in 0..area {
            if level.hole[index] {
                plane[index] = (voted[index][channel] + correction[index]).clamp(0.0, 1.0);
            }
        }
    });
}
