//! The inference engine: a network compiled once, a plan for each size of picture, one block of memory, and kernels that
//! work on blocks of sixteen channels.

pub(crate) mod arena;
pub(crate) mod channels;
mod colours;
mod conv;
mod fft;
mod fourier;
pub(crate) mod map;
mod network;
mod pace;
mod place;
mod plan;
mod profile;
mod run;

mod speed;
mod stem;
mod steps;
#[cfg(test)]
mod testing;
mod tile;
mod weights;
mod window;
pub(crate) mod winograd;

use std::borrow::Cow;
use std::sync::Mutex;

pub use plan::{MULTIPLE, Plan, PlanOptions, SMALLEST_SIDE, Strips, WINDOW_BYTES};
pub use profile::PROFILE_VARIABLE;
pub use run::Wanted;
pub use speed::product_rate;
pub use steps::Step;

use crate::config::NetworkConfig;
use crate::error::{Error, Result};
use crate::isa::Isa;
use arena::Arena;
use network::Network;
use pace::Pace;
use profile::Profile;
use run::Run;
use stem::Picture;

/// A network that is ready to run on this processor.
#[derive(Debug)]
pub struct Engine {
    network: Network,
    /// The memory of the last run, for the next: fresh pages cost time.
    idle: Mutex<Option<Arena>>,
}

impl Engine {
    /// Packs the weights that `source` gives by the names of Lacuna's checkpoints, row-major.
    ///
    /// # Errors
    /// If a tensor is missing or has another size.
    pub fn compile<'w>(
        config: &NetworkConfig,
        isa: Isa,
        source: impl Fn(&str) -> Option<Cow<'w, [f32]>>,
    ) -> Result<Self> {
        Ok(Self { network: Network::compile(config, isa, source)?, idle: Mutex::new(None) })
    }

    /// The shape of the network.
    pub fn config(&self) -> &NetworkConfig {
        &self.network.config
    }

    /// The instructions that it uses.
    pub fn isa(&self) -> Isa {
        self.network.isa
    }

    /// Bytes of all weights, as they are packed.
    pub fn weight_bytes(&self) -> u64 {
        self.network.bytes() as u64
    }

    /// Gives back the memory that was kept for the next run.
    pub fn release(&self) {
        *self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    /// Plans a run for pictures of this size.
    ///
    /// # Errors
    /// [`Error::Size`] if the network cannot take it, [`Error::Memory`] if it needs more memory than allowed.
    pub fn plan(&self, width: usize, height: usize, options: &PlanOptions) -> Result<Plan> {
        self.network.plan(width, height, options)
    }

    /// Predicts a picture. The result does not depend on the number of threads.
    ///
    /// # Shapes
    /// - `image`: `[3, height, width]` in `[0, 1]`; what it holds inside the hole is ignored
    /// - `mask`: `[height, width]`, true in the hole
    /// - the result: `[3, height, width]` in `[0, 1]`
    ///
    /// # Errors
    /// [`Error::Input`] if image or mask have another size than the plan, [`Error::ForeignPlan`] if it was made for another
    /// network, [`Error::Allocation`] if the system has no memory.
    pub fn run(&self, plan: &Plan, image: &[f32], mask: &[bool], wanted: Wanted) -> Result<Vec<f32>> {
        self.run_watched(plan, image, mask, wanted, &|_| true)
    }

    /// [`Engine::run`], asking `go_on` after every step, with the share of the work that is done (0 to 1), whether to go on.
    ///
    /// # Errors
    /// As [`Engine::run`]; [`Error::Stopped`] if `go_on` says no.
    pub fn run_watched(
        &self,
        plan: &Plan,
        image: &[f32],
        mask: &[bool],
        wanted: Wanted,
        go_on: &dyn Fn(f32) -> bool,
    ) -> Result<Vec<f32>> {
        let (width, height) = (plan.width, plan.height);
        let check = |what: &'static str, expected: usize, found: usize| {
            if expected == found { Ok(()) } else { Err(Error::Input { what, expected, found }) }
        };
        check("image", 3 * width * height, image.len())?;
        check("mask", width * height, mask.len())?;
        if plan.config != self.network.config || plan.isa != self.network.isa {
            return Err(Error::ForeignPlan);
        }
        let mut arena = self.arena(plan)?;
        let mut profile = Profile::from_environment();
        let pace = Pace::new(plan, go_on);
        let mut run =
            Run { network: &self.network, plan, arena: arena.numbers(), profile: &mut profile, pace };
        let predicted = run.predict(Picture { image, mask, height, width }, wanted);
        if let Some(table) = profile.table(plan) {
            eprintln!("{table}");
        }
        // Nobody panics while holding it; if somebody did, the memory is as good as before.
        *self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(arena);
        predicted
    }

    /// Memory for a plan: that of the last run if it was for the same size.
    fn arena(&self, plan: &Plan) -> Result<Arena> {
        let idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        match idle {
            Some(arena) if arena.len() == plan.places.numbers => Ok(arena),
            other => {
                // Given back before new memory is taken.
                drop(other);
                Arena::new(plan.places.numbers)
                    .map_err(|source| Error::Allocation { bytes: plan.arena_bytes(), source })
            }
        }
    }
}
