//! The photos and the loader of a run file.

use std::sync::Arc;

use super::{Loader, LoaderOptions, Part, Photos, Position};
use crate::config::RunConfig;
use crate::{Error, Result};

/// Batches prepared in advance.
const AHEAD: usize = 4;

/// The photos of a run, enough for one batch.
pub(crate) fn photos_of(config: &RunConfig) -> Result<Arc<Photos>> {
    let photos = Photos::open(&config.data.train)?;
    if !config.data.held_out.is_empty() {
        photos.check_apart(&Photos::open(&config.data.held_out)?)?;
    }
    if photos.len() < config.run.batch {
        let (count, batch) = (photos.len(), config.run.batch);
        return Err(Error::Photos(format!("{count} photos are not enough for a batch of {batch}")));
    }
    Ok(Arc::new(photos))
}

/// The loader of a process's part of a run, starting at `start`.
pub(crate) fn loader_of(
    config: &RunConfig,
    photos: Arc<Photos>,
    start: Position,
    part: Part,
) -> Result<Loader> {
    let data = &config.data;
    let options = LoaderOptions {
        batch: config.run.batch,
        side: data.side,
        seed: config.seed,
        workers: data.workers,
        ahead: AHEAD,
        start,
        part,
    };
    let (augment, side, masks, data) = (data.augment, data.side, data.masks.generator(), data.clone());
    Loader::start(
        photos,
        options,
        Arc::new(move |photo, rng| augment.apply(photo, side as u32, rng)),
        Arc::new(move |rng| data.draw(&masks, rng)),
    )
}
