//! Networks that only training needs.

pub(crate) mod discriminator;
mod vgg;

pub use discriminator::{Discriminator, Judgement, Kind, TangentJudgement};
pub use vgg::{Reach, Vgg16};
