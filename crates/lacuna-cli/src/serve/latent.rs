//! The latent view of the page: equation 4.1 of the thesis.

use anyhow::Result;
use lacuna::checkpoint::Checkpoint;
use lacuna::frame::Frame;
use lacuna::{Mask, Picture, Planes, Rect};
use lacuna_nets::latent::Stage;
use lacuna_nets::net::Generator;
use lacuna_nets::{Device, DeviceName, NetworkPredictor};

/// Longer side in pixels: enough to see where features are damaged, in about a second.
const LONG_SIDE: usize = 512;

/// Draws the latent view of a network.
pub struct Viewer {
    generator: Generator,
    device: Device,
    predictor: NetworkPredictor,
}

impl Viewer {
    /// Loads a network for the latent view.
    ///
    /// # Errors
    /// If the device does not exist.
    pub fn new(checkpoint: &Checkpoint, device: &str) -> Result<Self> {
        let name: DeviceName = device.parse()?;
        let device = name.open()?;
        let generator = Generator::from_checkpoint(checkpoint, &device)?;
        let predictor = NetworkPredictor::new(generator.clone(), name)?;
        Ok(Self { generator, device, predictor })
    }

    fn view(&self, photo: &Picture, mask: &Mask) -> Result<Planes> {
        let whole = Rect::whole(photo.width(), photo.height());
        let long_side = (whole.long_side() > LONG_SIDE).then_some(LONG_SIDE);
        let frame = Frame::new(whole, whole, long_side, &self.predictor);
        let (_, hole) = frame.cut(photo, mask);
        let truth = frame.cut_whole(photo);
        let view = lacuna_nets::latent::LatentView::new(&self.generator, &truth, &hole, &self.device)?;
        let masked = view.stages.into_iter().find(|stage| stage.stage == Stage::Masked);
        let drawn = masked.ok_or_else(|| anyhow::anyhow!("the network has no masked stage"))?.decoded;
        Ok(without_padding(&drawn, frame.width, frame.height))
    }
}

/// The upper left part of planes.
fn without_padding(planes: &Planes, width: usize, height: usize) -> Planes {
    let rows = |channel: usize| planes.plane(channel).chunks_exact(planes.width()).take(height);
    let values =
        (0..3).flat_map(|channel| rows(channel).flat_map(|row| row[..width].iter().copied())).collect();
    Planes::new(width, height, values)
}

impl lacuna_serve::LatentView for Viewer {
    fn draw(&self, photo: &Picture, mask: &Mask) -> Result<Planes, String> {
        self.view(photo, mask).map_err(|error| format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_cut_off() {
        let planes = Planes::new(3, 2, (0..18).map(|value| value as f32).collect());
        assert_eq!(without_padding(&planes, 2, 1).values(), [0.0, 1.0, 6.0, 7.0, 12.0, 13.0]);
    }
}
