//! Diffusion: noise schedules, samplers, and ways to keep the known region of an image or a latent.
//!
//! A network is a closure from noisy values and a time to a prediction, so that the CPU engine, a network in training and a test
//! with an exact formula share all of this. Values are rows of `f32`, `[batch, channels, height, width]` ([`MapShape`]): latents,
//! or images in `[-1, 1]`.
//!
//! - [`schedule`]: how much noise each level of a discrete schedule has. [`spacing`] selects levels, [`levels`] holds them.
//! - [`prediction`]: what a network predicts (noise, v, or the data). [`ddpm`], [`ddim`] and [`dpm_solver`] are single steps.
//! - [`discrete`] samples along a discrete schedule, [`repaint`] does so with RePaint's jumps, [`flow`] by flow matching.
//! - [`known`]: the published ways to keep the known region. [`cells`]: which cells of a latent are generated.
//! - [`noise`]: random values by position. [`ring`]: colour of a fill, matched to its surroundings.
//!
//! Times run from 1 (noise) to 0 (data). `alpha_bar` is the product of `1 - beta`: noisy values are
//! `sqrt(alpha_bar) data + sqrt(1 - alpha_bar) noise` (Ho, Jain and Abbeel 2020, <https://arxiv.org/abs/2006.11239>).

//! Logarithms, exponentials and cosines are those of `libm`, so that samples have the same bits on every system.
//!
//! A flow in four steps, with a network that knows the answer:
//!
//! ```
//! use lacuna_diffusion::flow::FlowGrid;
//! use lacuna_diffusion::{Error, FlowSampler, KnownRegion, KnownWay, MapShape, Noise, Start};
//!
//! let shape = MapShape::one(1, 1, 3);
//! let known = [0.5, 0.0, -0.5];
//! let region = KnownRegion::new(shape, &known, &[false, true, false])?;
//! let sampler = FlowSampler { grid: FlowGrid::new(4, 1.0)?, way: KnownWay::Clean };
//! let noise = |draw| Noise::new(1).map(draw, shape, Default::default());
//! // The velocity towards 0.25: x = (1 - time) 0.25 + time start.
//! let predict = |x: &[f32], time: f64| {
//!     Ok::<_, Error>(x.iter().map(|x| (x - 0.25) / time as f32).collect())
//! };
//! let filled = sampler.sample(Start::Noise, &region, noise, predict)?;
//! assert_eq!((filled[0], filled[2]), (0.5, -0.5));
//! assert!((filled[1] - 0.25).abs() < 1e-6);
//! # Ok::<(), Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod cells;
pub mod ddim;
pub mod ddpm;
pub mod discrete;
pub mod dpm_solver;
mod error;
pub mod flow;
pub mod known;
pub mod levels;
pub mod noise;
pub mod prediction;
pub mod repaint;
pub mod ring;
pub mod schedule;
mod shape;
pub mod spacing;

pub use cells::Cells;
pub use discrete::{DiscreteSampler, Method, Variance};
pub use error::{Error, Result};
pub use flow::{FlowSampler, Start};
pub use known::{KnownNoise, KnownRegion, KnownWay, When};
pub use levels::{Level, Levels, Transition};
pub use noise::{Draw, Noise};
pub use prediction::{Estimate, Prediction};
pub use repaint::{Jumps, RePaint};
pub use schedule::{Betas, NoiseSchedule};
pub use shape::MapShape;
pub use spacing::Spacing;
