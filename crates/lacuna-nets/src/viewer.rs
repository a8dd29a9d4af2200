//! Latent views of photos of any size, which are scaled down and padded to a size that the network accepts.

use lacuna::checkpoint::Checkpoint;
use lacuna::frame::Frame;
use lacuna::{Mask, Picture, Planes, Rect};

use crate::latent::LatentView;
use crate::net::Generator;
use crate::{Device, DeviceName, NetworkPredictor, Result};

/// A network whose latent space can be shown.
#[derive(Debug)]
pub struct LatentViewer {
    generator: Generator,
    device: Device,
    predictor: NetworkPredictor,
}

/// The view of one photo. All images have the padded size.
#[derive(Clone, Debug)]
pub struct PhotoView {
    /// The photo as the network sees it.
    pub photo: Planes,
    /// Its hole.
    pub hole: Mask,
    /// The network's view of them.
    pub view: LatentView,
    /// Columns and rows without padding.
    pub size: (usize, usize),
}

impl LatentViewer {
    /// Loads a network onto a device.
    ///
    /// # Errors
    /// If the device does not exist or the network cannot be built.
    pub fn new(checkpoint: &Checkpoint, device_name: DeviceName) -> Result<Self> {
        let device = device_name.open()?;
        let generator = Generator::from_checkpoint(checkpoint, &device)?;
        let predictor = NetworkPredictor::new(generator.clone(), device_name)?;
        Ok(Self { generator, device, predictor })
    }

    /// Computes the view of a photo and its hole, which have equal sizes. A longer side than `long_side` pixels is scaled
    /// down to it.
    ///
    /// # Errors
    /// If the network fails.
    pub fn view(&self, photo: &Picture, mask: &Mask, long_side: usize) -> Result<PhotoView> {
        let whole = Rect::whole(photo.width(), photo.height());
        let frame =
            Frame::new(whole, whole, (whole.long_side() > long_side).then_some(long_side), &self.predictor);
        let (_, hole) = frame.cut(photo, mask);
        let photo = frame.cut_whole(photo);
        let view = LatentView::new(&self.generator, &photo, &hole, &self.device)?;
        Ok(PhotoView { photo, hole, view, size: (frame.width, frame.height) })
    }
}

impl PhotoView {
    /// The upper left part of an image of this view, without padding.
    pub fn without_padding(&self, image: &Planes) -> Planes {
        let (width, height) = self.size;
        let rows = |channel: usize| image.plane(channel).chunks_exact(image.width()).take(height);
        let values =
            (0..3).flat_map(|channel| rows(channel).flat_map(|row| row[..width].iter().copied())).collect();
        Planes::new(width, height, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::Stage;
    use lacuna::picture::Format;
    use testkit::fixtures;

    #[test]
    fn photos_are_scaled_down_and_padding_is_cut_off() {
        let checkpoint = Checkpoint::open(fixtures::path("generator/bare.safetensors")).unwrap();
        let viewer = LatentViewer::new(&checkpoint, DeviceName::Cpu).unwrap();
        let pixels = image::RgbImage::from_fn(90, 60, |x, y| image::Rgb([x as u8, y as u8, 120]));
        let photo = Picture::from_pixels("photo", pixels.into(), Format::Png);
        let mask = Mask::new(90, 60, (0..90 * 60).map(|at| at % 90 < 30).collect());
        let view = viewer.view(&photo, &mask, 45).unwrap();
        assert_eq!(view.size, (45, 30));
        assert_eq!((view.photo.width(), view.photo.height()), (48, 32));
        assert_eq!(view.view.stages[0].stage, Stage::Masked);
        let cut = view.without_padding(&view.photo);
        assert_eq!((cut.width(), cut.height()), (45, 30));
        assert_eq!(cut.plane(2)[45], view.photo.plane(2)[48]);
    }
}
