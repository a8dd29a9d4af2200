//! The latent view of the page: equation 4.1 of the thesis.

use anyhow::{Context, Result};
use lacuna::checkpoint::Checkpoint;
use lacuna::{Mask, Picture, Planes};
use lacuna_nets::LatentViewer;
use lacuna_nets::latent::Stage;

/// Longer side in pixels: enough to see where features are damaged, in about a second.
const LONG_SIDE: usize = 512;

/// Draws the latent view of a network.
pub struct Viewer(LatentViewer);

impl Viewer {
    /// Loads a network for the latent view.
    ///
    /// # Errors
    /// If the device does not exist.
    pub fn new(checkpoint: &Checkpoint, device: &str) -> Result<Self> {
        Ok(Self(LatentViewer::new(checkpoint, device.parse()?)?))
    }

    fn view(&self, photo: &Picture, mask: &Mask) -> Result<Planes> {
        let viewed = self.0.view(photo, mask, LONG_SIDE)?;
        let masked = viewed.view.stages.iter().find(|stage| stage.stage == Stage::Masked);
        Ok(viewed.without_padding(&masked.context("the network has no masked stage")?.decoded))
    }
}

impl lacuna_serve::LatentView for Viewer {
    fn draw(&self, photo: &Picture, mask: &Mask) -> Result<Planes, String> {
        self.view(photo, mask).map_err(|error| format!("{error:#}"))
    }
}
