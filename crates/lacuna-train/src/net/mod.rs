//! Networks that only training needs.

mod discriminator;
mod vgg;

pub use discriminator::{Discriminator, Judgement, Kind, TangentJudgement};
pub use vgg::{Reach, Vgg16};
