//! The inference engine: a network compiled once, a plan for each image size, one block of memory, and kernels that
//! work on blocks of sixteen channels.

mod backward;
mod buffers;
mod chain;
mod conv;
mod denoiser;
mod dense;
mod features;
mod fft;
mod fourier;
mod head;
mod latent;
mod modulation;
mod network;
mod pace;
mod place;
mod plan;
mod profile;
mod run;
mod sizes;
mod source;
mod speed;
mod stem;
mod steps;
mod table;
mod window;

use std::borrow::Cow;

use lacuna_network::Layers;

pub use backward::{Backward, LatentPart, LatentPlan, LatentRun};
pub use chain::Chain;
pub use denoiser::{ControlEngine, DenoiserEngine, DenoiserPlan, DenoiserRun, Known, Steering};
pub use features::{FeatureConvolution, FeatureNetwork, FeatureStep, Features, Pooling};
pub use lacuna_network::geometry::{MULTIPLE, SMALLEST_SIDE};
pub use modulation::Sample;
pub use plan::{Plan, PlanOptions, Strips, WINDOW_BYTES};
pub use profile::PROFILE_VARIABLE;
pub use run::Wanted;
pub use speed::product_rate;
pub use steps::{Kernel, Stage, Step};

use crate::error::{Error, Result};
use crate::isa::Isa;
use crate::tiles::arena::{Arena, Kept};
use network::Network;
use stem::Picture;

/// A network compiled for this processor.
#[derive(Debug)]
pub struct Engine {
    network: Network,
    /// The memory of the last run, reused by the next: fresh pages cost time.
    kept: Kept,
}

impl Engine {
    /// Packs weights, which `weights` returns by the names of [`Layers::tensors`].
    ///
    /// # Errors
    /// [`Error::Operation`] if the engine has no kernel for a layer, [`Error::Structure`] if layers do not fit together;
    /// [`Error::MissingTensor`] and [`Error::TensorSize`].
    pub fn compile<'w>(
        layers: &Layers,
        isa: Isa,
        weights: impl Fn(&str) -> Option<Cow<'w, [f32]>>,
    ) -> Result<Self> {
        Ok(Self { network: Network::compile(layers, isa, weights)?, kept: Kept::new() })
    }

    /// The layers of the network.
    pub fn layers(&self) -> &Layers {
        &self.network.layers
    }

    /// The instruction set that it uses.
    pub fn isa(&self) -> Isa {
        self.network.isa
    }

    /// Bytes of all packed weights.
    pub fn weight_bytes(&self) -> u64 {
        self.network.bytes() as u64
    }

    /// Releases the memory kept for the next run.
    pub fn release(&self) {
        self.kept.release();
    }

    /// Plans a run for images of this size.
    ///
    /// # Errors
    /// [`Error::Size`] if the network does not accept that size, [`Error::Memory`] if it needs more memory than
    /// allowed.
    pub fn plan(&self, width: usize, height: usize, options: &PlanOptions) -> Result<Plan> {
        self.network.plan(width, height, options)
    }

    /// Predicts an image. The result does not depend on the number of threads.
    ///
    /// # Shapes
    /// - `image`: `[3, height, width]` in `[0, 1]`; what it holds inside the hole is ignored
    /// - `mask`: `[height, width]`, true in the hole
    /// - the result: `[3, height, width]` in `[0, 1]`
    ///
    /// # Errors
    /// [`Error::Input`] if image or mask differ from the plan's size, [`Error::ForeignPlan`] if the plan belongs to
    /// another network, [`Error::Allocation`] if the system has no memory.
    pub fn run(&self, plan: &Plan, image: &[f32], mask: &[bool], wanted: Wanted) -> Result<Vec<f32>> {
        self.run_watched(plan, image, mask, wanted, &|_| true)
    }

    /// As [`Engine::run`]. Calls `proceed` after every step with the fraction of the work that is done (0 to 1); the run is
    /// cancelled if it returns false.
    ///
    /// # Errors
    /// As [`Engine::run`]; [`Error::Stopped`] if the run was cancelled.
    pub fn run_watched(
        &self,
        plan: &Plan,
        image: &[f32],
        mask: &[bool],
        wanted: Wanted,
        proceed: &dyn Fn(f32) -> bool,
    ) -> Result<Vec<f32>> {
        self.run_sampled(plan, (image, mask), wanted, None, proceed)
    }

    /// Whether the network has several answers.
    pub fn is_sampled(&self) -> bool {
        self.network.modulation.is_some()
    }

    /// As [`Engine::run_watched`], with the answer of a sample. Without one, a network with several answers gives that of its
    /// mean code, without noise.
    ///
    /// # Shapes
    /// `input`: image and mask as in [`Engine::run`].
    ///
    /// # Errors
    /// As [`Engine::run_watched`]; [`Error::Input`] if the sample has not a map of the latent's size for each refiner block.
    pub fn run_sampled(
        &self,
        plan: &Plan,
        (image, mask): (&[f32], &[bool]),
        wanted: Wanted,
        sample: Option<&Sample<'_>>,
        proceed: &dyn Fn(f32) -> bool,
    ) -> Result<Vec<f32>> {
        let (width, height) = (plan.width, plan.height);
        check_input(width, height, image, mask)?;
        if !plan.is_for(&self.network) {
            return Err(Error::ForeignPlan);
        }
        if let Some(sample) = sample {
            self.check_sample(plan, sample)?;
        }
        let stages = [Stage::Encode, Stage::Refine, Stage::Decode];
        let picture = Picture { image, mask, height, width };
        self.stages(plan, &stages, proceed, |run| run.predict(picture, wanted, sample))
    }

    fn check_sample(&self, plan: &Plan, sample: &Sample<'_>) -> Result<()> {
        let blocks = if self.is_sampled() { self.network.refiner.len() } else { 0 };
        Error::check_length("maps of noise", blocks, sample.maps.len())?;
        let places = plan.width / MULTIPLE * (plan.height / MULTIPLE);
        sample.maps.iter().try_for_each(|map| Error::check_length("map of noise", places, map.len()))
    }

    /// Memory of exactly the plan's size: no more than was forecast.
    fn arena(&self, plan: &Plan) -> Result<Arena> {
        let arena = self.kept.take_exactly(plan.places.numbers);
        arena.map_err(|source| Error::Allocation { bytes: plan.arena_bytes(), source })
    }
}

/// Checks the sizes of an image and its mask.
fn check_input(width: usize, height: usize, image: &[f32], mask: &[bool]) -> Result<()> {
    Error::check_length("image", 3 * width * height, image.len())?;
    Error::check_length("mask", width * height, mask.len())
}
