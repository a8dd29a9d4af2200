//! The completion from the coarsest level to the finest.

use super::PatchMatchConfig;
use super::areas::Areas;
use super::curate::{Candidate, best, judged_at};
use super::descent::{Descent, Pace};
use super::field::Field;
use super::level::Level;
use super::membrane::{self, Cell};
use super::patch_map::PATCH;
use super::seam;
use super::vote::{self, Votes};
use super::weights::Weights;
use crate::predictor::Scene;
use crate::{Mask, Planes, Result, Watch};
use rayon::prelude::*;

/// The pyramid ends where the hole is at most this deep, in pixels. Shallower (4) loses what only a fine level
/// shows, and thin strokes most of all (LPIPS Alex 0.097 against 0.083 over 40 photos, half of them strokes 0.075
/// against 0.063); deeper (40) has a slightly lower LPIPS but invents objects where 16 continues lines.
const COARSEST_DEPTH: u16 = 16;

/// The pyramid also ends before fewer sources than this are left: a choice that small repeats itself visibly.
const FEWEST_SOURCES: usize = 200;

/// Fills the wanted hole of a scene; known pixels are the same bits. A `guide` of the same size says what patches should
/// look like roughly.
///
/// # Errors
/// [`Error::Stopped`](crate::Error::Stopped) if `watch` says so.
pub(super) fn complete(
    scene: &Scene<'_>,
    guide: Option<&Planes>,
    config: &PatchMatchConfig,
    watch: &Watch,
) -> Result<Planes> {
    watch.reached(0.0)?;
    let &Scene { image, seed, .. } = scene;
    let areas = Areas::of(scene);
    let mask = areas.hole.as_ref();
    if mask.count() == 0 {
        return Ok(image.clone());
    }
    let finest = Level::finest(image, &areas);
    if finest.patches.sources() == 0 {
        drop(finest);
        return Ok(fill_smoothly(image, &areas));
    }
    let finest = match guide {
        Some(guide) => finest.guided(guide),
        None => finest,
    };
    let mut levels = pyramid(finest);
    let judged = judged_at(&levels);
    let mut pace = Pace::new(&levels, judged, config, watch);
    let Candidate { field, seeds, .. } = best(&mut levels, judged, config, seed, &mut pace)?;
    levels.truncate(judged + 1);
    let field = Descent { config, seeds, pace: &mut pace }.go_on(&mut levels, field, 0)?;
    let finest = levels.swap_remove(0);
    drop(levels);
    Ok(finish(image, mask, finest, field))
}

/// All levels, finest first.
fn pyramid(finest: Level) -> Vec<Level> {
    let mut levels = vec![finest];
    loop {
        let last = &levels[levels.len() - 1];
        let deepest = last.depths.iter().copied().max().unwrap_or(0);
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
fn fill_smoothly(image: &Planes, areas: &Areas<'_>) -> Planes {
    let mut output = image.clone();
    let (width, height) = (areas.unknown.width(), areas.unknown.height());
    let cell = |(&hole, &unknown): (&bool, &bool)| match (hole, unknown) {
        (true, _) => Cell::Free,
        (false, true) => Cell::Outside,
        (false, false) => Cell::Fixed,
    };
    let cells: Vec<Cell> = areas.hole.hole().iter().zip(areas.unknown.hole()).map(cell).collect();
    let loads = vec![0.0; width * height];
    output
        .values_mut()
        .par_chunks_mut(width * height)
        .for_each(|plane| membrane::fill(width, height, plane, &cells, &loads));
    output
}

/// The last vote, on the picture itself instead of its 11-bit copy, and the correction of seams.
fn finish(image: &Planes, mask: &Mask, level: Level, field: Field) -> Planes {
    let (width, window) = (level.width, seam::window(mask));
    let planes = [image.plane(0), image.plane(1), image.plane(2)];
    let weights = Weights::new(&level, &field, level.patches.targets());
    let votes = Votes { level: &level, field: &field, weights: &weights };
    let concerns = |x, y| mask.is_hole(x, y) || seam::is_rim(mask, x, y);
    let colours =
        vote::by_row(width, window, |_, x, y| concerns(x, y).then(|| votes.colour(planes, x, y)).flatten());
    let mut voted = image.clone();
    for (index, colour) in colours.into_iter().flatten() {
        for (channel, value) in colour.into_iter().enumerate() {
            voted.plane_mut(channel)[index as usize] = value;
        }
    }
    let jumps = vote::by_row(width, window, |_, x, y| {
        concerns(x, y).then(|| seam::jump(&voted, mask, (x, y), votes.steps(planes, x, y))).flatten()
    });
    drop((level, field, weights));
    seam::correct(voted, image, mask, window, jumps)
}
