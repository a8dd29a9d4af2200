//! The way of one completion through the levels of the pyramid, from coarse to fine.

use super::curate::candidates;
use super::field::Field;
use super::level::Level;
use super::metric::WholePatch;
use super::peel::peel;
use super::search::{Scope, Seeds, search};
use super::vote;
use super::weights::Weights;
use super::{PatchMatchConfig, PeelConfig};
use crate::{Result, Watch};

/// The random search of the rounds reaches this part of the longest side: the peel has searched everywhere. With
/// the whole side LPIPS is the same (0.0839 and 0.0838 Alex over 40 photos) for three draws more of about a dozen.
const RADIUS_SHARE: usize = 8;

/// With more patches than this to match at the coarsest level, as in a bar of 30 x 1600 pixels, the onion peel of a large
/// level is [`PeelConfig::QUICK`]: each layer is searched for over the whole level.
const MOST_PEELED: usize = 1 << 15;

/// Levels up to this many pixels are always peeled with care: of 256 x 256 crops with thin holes, a third has more patches than
/// [`MOST_PEELED`], and a quick peel raises their L1 by 2 %.
const LARGE_LEVEL: usize = 512 * 512;

/// A completion on its way.
pub(super) struct Descent<'a, 'watch> {
    pub(super) config: &'a PatchMatchConfig,
    pub(super) seeds: Seeds,
    pub(super) pace: &'a mut Pace<'watch>,
}

impl Descent<'_, '_> {
    /// Completes the levels, finest first, from the coarsest down to `levels[last]`. What they hold in the hole does not
    /// matter.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) if the watch says so.
    pub(super) fn begin(&mut self, levels: &mut [Level], last: usize) -> Result<Field> {
        let coarsest = levels.len() - 1;
        let level = &mut levels[coarsest];
        let mut field = Field::random(level, self.seeds.next());
        let is_large = level.width * level.height > LARGE_LEVEL;
        let config =
            if is_large && targets(level) > MOST_PEELED { &PeelConfig::QUICK } else { &self.config.peel };
        peel(level, &mut field, config, &mut self.seeds);
        self.improve(level, &mut field, coarsest)?;
        self.go_on(levels, field, last)
    }

    /// The same from the `field` of the coarsest level.
    ///
    /// # Errors
    /// As [`Descent::begin`].
    pub(super) fn go_on(&mut self, levels: &mut [Level], mut field: Field, last: usize) -> Result<Field> {
        for index in (last..levels.len() - 1).rev() {
            let (finer, coarser) = levels.split_at_mut(index + 1);
            let level = &mut finer[index];
            field = field.refined(&coarser[0], level, self.seeds.next());
            vote_again(level, &field);
            self.improve(level, &mut field, index)?;
        }
        Ok(field)
    }

    /// The rounds of search at a level, with votes between them.
    fn improve(&mut self, level: &mut Level, field: &mut Field, index: usize) -> Result<()> {
        let patches = targets(level);
        for round in 0..rounds(self.config, index) {
            if round > 0 {
                vote_again(level, field);
            }
            search_all(level, field, &mut self.seeds);
            self.pace.passed(patches)?;
        }
        Ok(())
    }
}

/// Patches that are searched for in a round.
pub(super) fn targets(level: &Level) -> usize {
    level.patches.targets().iter().filter(|&&target| target).count()
}

/// Rounds of search and vote at a level; 0 is the finest.
fn rounds(config: &PatchMatchConfig, level: usize) -> usize {
    config.finest_rounds.get() + config.rounds_per_level * level
}

/// One pass in each direction over all targets.
fn search_all(level: &Level, field: &mut Field, seeds: &mut Seeds) {
    let metric = WholePatch { pixels: &level.pixels, width: level.width };
    let radius = level.width.max(level.height).div_ceil(RADIUS_SHARE);
    search(level, &metric, &Scope { active: level.patches.targets(), radius, pairs: 1 }, field, seeds);
}

/// Gives all hole pixels the colours the field votes for now.
fn vote_again(level: &mut Level, field: &Field) {
    let weights = Weights::new(level, field, level.patches.targets());
    vote::repaint(level, field, &weights, |level, index| level.hole[index]);
}

/// How far all of it is, counted in patches searched.
pub(super) struct Pace<'a> {
    total: usize,
    done: usize,
    watch: &'a Watch,
}

impl<'a> Pace<'a> {
    /// Candidates go as far as the level `judged`, one of them all the way.
    pub(super) fn new(levels: &[Level], judged: usize, config: &PatchMatchConfig, watch: &'a Watch) -> Self {
        let candidates = candidates(config, &levels[judged]);
        let searched = |(index, level): (usize, &Level)| {
            let times = if index < judged { 1 } else { candidates };
            times * rounds(config, index) * targets(level)
        };
        Self { total: levels.iter().enumerate().map(searched).sum(), done: 0, watch }
    }

    /// So many patches were searched for once more.
    fn passed(&mut self, patches: usize) -> Result<()> {
        self.done += patches;
        self.watch.reached(self.done as f32 / self.total.max(1) as f32)
    }
}
