//! Networks that only training needs.

mod discriminator;
pub(crate) mod vgg;

pub use discriminator::{Discriminator, DiscriminatorOutput, Kind, TangentOutput};
pub use vgg::{Reach, Vgg16};
