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
