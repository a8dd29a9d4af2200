//! From photos to batches: [`Source`] lists photos, [`Photos`] reads them, and [`Loader`] makes batches in background
//! threads, in an order that only the seed decides.

mod batch;
mod loader;
mod open;
mod order;
mod part;
mod photos;
mod shards;
mod source;

#[cfg(test)]
mod testing;

pub use batch::{Batch, Position};
pub use loader::{Crop, Draw, Loaded, LoadedStep, Loader, LoaderOptions, Skipped};
pub(crate) use open::Batches;
pub use order::{Order, sample_rng};
pub use part::Part;
pub use photos::Photos;
pub use source::Source;
