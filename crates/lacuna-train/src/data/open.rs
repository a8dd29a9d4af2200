//! The photos and the loader of a run file.

use std::sync::Arc;

use super::{Loader, LoaderOptions, Part, Photos, Position};
use crate::config::Data;
use crate::{Error, Result};

/// Batches prepared in advance.
const AHEAD: usize = 4;

/// What a run file says of its batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches<'a> {
    /// Photos and masks.
    pub data: &'a Data,
    /// Photos per batch.
    pub batch: usize,
    /// The run's seed.
    pub seed: u64,
    /// Crops of each photo that take turns, as in [`LoaderOptions::crops`].
    pub crops: Option<u64>,
}

impl Batches<'_> {
    /// The photos, enough for one batch.
    ///
    /// # Errors
    /// If they cannot be listed, are too few, or are among those held out.
    pub fn photos(&self) -> Result<Arc<Photos>> {
        let photos = Photos::open(&self.data.train)?;
        if !self.data.held_out.is_empty() {
            photos.check_apart(&Photos::open(&self.data.held_out)?)?;
        }
        if photos.len() < self.batch {
            let (count, batch) = (photos.len(), self.batch);
            return Err(Error::Photos(format!("{count} photos are not enough for a batch of {batch}")));
        }
        Ok(Arc::new(photos))
    }

    /// The loader of a process's part, starting at `start`.
    ///
    /// # Errors
    /// As [`Loader::start`].
    pub fn loader(&self, photos: Arc<Photos>, start: Position, part: Part) -> Result<Loader> {
        let Self { data, batch, seed, crops } = *self;
        let options = LoaderOptions {
            batch,
            side: data.side,
            seed,
            workers: data.workers,
            ahead: AHEAD,
            start,
            part,
            crops,
        };
        let (augment, side, masks, data) = (data.augment, data.side, data.masks.generator(), data.clone());
        Loader::start(
            photos,
            options,
            Arc::new(move |photo, rng| augment.apply(photo, side as u32, rng)),
            Arc::new(move |rng| data.draw(&masks, rng)),
        )
    }
}
