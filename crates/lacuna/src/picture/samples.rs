//! Images from samples in memory, and back.

use image::{DynamicImage, ImageBuffer};

use super::{Floats, Format, Picture};
use crate::{Error, Result};

/// The samples of an image in memory: row-major, channels interleaved.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedSamples {
    /// 8 bits per channel.
    Eight(Vec<u8>),
    /// 16 bits per channel.
    Sixteen(Vec<u16>),
    /// 32-bit floats, 0 to 1.
    Float(Vec<f32>),
}

impl OwnedSamples {
    fn len(&self) -> usize {
        match self {
            Self::Eight(samples) => samples.len(),
            Self::Sixteen(samples) => samples.len(),
            Self::Float(samples) => samples.len(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Eight(_) => "8-bit samples",
            Self::Sixteen(_) => "16-bit samples",
            Self::Float(_) => "32-bit floats",
        }
    }
}

impl Picture {
    /// An upright image without a file: 1 to 4 channels (grey, grey + alpha, RGB, RGBA) of 8 or 16 bits, or 1, 3 or 4
    /// channels of floats from 0 to 1.
    ///
    /// # Shapes
    /// `samples`: `[height, width, channels]`.
    ///
    /// # Errors
    /// [`Error::Picture`] if there are no pixels, no such kind of image, or another number of samples.
    pub fn from_samples(
        name: impl Into<String>,
        (width, height): (u32, u32),
        channels: usize,
        samples: OwnedSamples,
    ) -> Result<Self> {
        let name = name.into();
        let size = format!("{width} x {height} pixels with {channels} channels");
        let (given, kind) = (samples.len(), samples.kind());
        if width == 0 || height == 0 {
            return Err(Error::picture(name, format!("the image has no pixels ({width} x {height})")));
        }
        let expected = width as usize * height as usize * channels;
        if given != expected {
            return Err(Error::picture(
                name,
                format!("{size} are {expected} samples, but {given} were given"),
            ));
        }
        let is_grey = channels == 1;
        let floats =
            matches!(samples, OwnedSamples::Float(_)).then_some(Floats { range: (0.0, 1.0), is_grey });
        let pixels = match (samples, channels) {
            (OwnedSamples::Eight(all), 1) => buffer(width, height, all).map(DynamicImage::ImageLuma8),
            (OwnedSamples::Eight(all), 2) => buffer(width, height, all).map(DynamicImage::ImageLumaA8),
            (OwnedSamples::Eight(all), 3) => buffer(width, height, all).map(DynamicImage::ImageRgb8),
            (OwnedSamples::Eight(all), 4) => buffer(width, height, all).map(DynamicImage::ImageRgba8),
            (OwnedSamples::Sixteen(all), 1) => buffer(width, height, all).map(DynamicImage::ImageLuma16),
            (OwnedSamples::Sixteen(all), 2) => buffer(width, height, all).map(DynamicImage::ImageLumaA16),
            (OwnedSamples::Sixteen(all), 3) => buffer(width, height, all).map(DynamicImage::ImageRgb16),
            (OwnedSamples::Sixteen(all), 4) => buffer(width, height, all).map(DynamicImage::ImageRgba16),
            (OwnedSamples::Float(all), 1) => {
                let repeated = all.into_iter().flat_map(|value| [value; 3]).collect();
                buffer(width, height, repeated).map(DynamicImage::ImageRgb32F)
            }
            (OwnedSamples::Float(all), 3) => buffer(width, height, all).map(DynamicImage::ImageRgb32F),
            (OwnedSamples::Float(all), 4) => buffer(width, height, all).map(DynamicImage::ImageRgba32F),
            _ => None,
        };
        let pixels = pixels.ok_or_else(|| {
            Error::picture(&name, format!("an image of {kind} cannot have {channels} channels"))
        })?;
        Ok(Self { floats, ..Self::from_pixels(name, pixels, Format::Tiff) })
    }

    /// The upright samples, in the form that [`Picture::from_samples`] takes.
    pub fn into_samples(self) -> OwnedSamples {
        let is_grey = self.floats.is_some_and(|floats| floats.is_grey);
        match self.pixels {
            DynamicImage::ImageLuma8(image) => OwnedSamples::Eight(image.into_raw()),
            DynamicImage::ImageLumaA8(image) => OwnedSamples::Eight(image.into_raw()),
            DynamicImage::ImageRgb8(image) => OwnedSamples::Eight(image.into_raw()),
            DynamicImage::ImageRgba8(image) => OwnedSamples::Eight(image.into_raw()),
            DynamicImage::ImageLuma16(image) => OwnedSamples::Sixteen(image.into_raw()),
            DynamicImage::ImageLumaA16(image) => OwnedSamples::Sixteen(image.into_raw()),
            DynamicImage::ImageRgb16(image) => OwnedSamples::Sixteen(image.into_raw()),
            DynamicImage::ImageRgba16(image) => OwnedSamples::Sixteen(image.into_raw()),
            DynamicImage::ImageRgb32F(image) if is_grey => {
                OwnedSamples::Float(image.into_raw().into_iter().step_by(3).collect())
            }
            DynamicImage::ImageRgb32F(image) => OwnedSamples::Float(image.into_raw()),
            DynamicImage::ImageRgba32F(image) => OwnedSamples::Float(image.into_raw()),
            _ => unreachable!("the kinds of pixels that are read"),
        }
    }
}

fn buffer<P: image::Pixel>(
    width: u32,
    height: u32,
    samples: Vec<P::Subpixel>,
) -> Option<ImageBuffer<P, Vec<P::Subpixel>>> {
    ImageBuffer::from_raw(width, height, samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_as_they_were() {
        let eight = |channels: usize| OwnedSamples::Eight((0..6 * channels as u8).collect());
        let sixteen = |channels: usize| OwnedSamples::Sixteen((500..500 + 6 * channels as u16).collect());
        let float =
            |channels: usize| OwnedSamples::Float((0..6 * channels).map(|i| i as f32 / 24.0).collect());
        for channels in 1..=4 {
            for samples in [eight(channels), sixteen(channels), float(channels)] {
                if (channels, samples.kind()) == (2, "32-bit floats") {
                    continue;
                }
                let depth = [8, 16, 32][["8-bit samples", "16-bit samples", "32-bit floats"]
                    .iter()
                    .position(|kind| *kind == samples.kind())
                    .unwrap()];
                let picture = Picture::from_samples("a", (3, 2), channels, samples.clone()).unwrap();
                assert_eq!((picture.width(), picture.height(), picture.depth()), (3, 2, depth));
                assert_eq!(picture.into_samples(), samples);
            }
        }
    }

    #[test]
    fn other_shapes_are_refused_with_both_values() {
        for (size, channels, samples, problem) in [
            ((3, 0), 1, OwnedSamples::Eight(vec![]), "the image has no pixels (3 x 0)"),
            (
                (3, 2),
                3,
                OwnedSamples::Eight(vec![0; 17]),
                "3 x 2 pixels with 3 channels are 18 samples, but 17 were given",
            ),
            (
                (1, 1),
                5,
                OwnedSamples::Sixteen(vec![0; 5]),
                "an image of 16-bit samples cannot have 5 channels",
            ),
            (
                (1, 1),
                2,
                OwnedSamples::Float(vec![0.0; 2]),
                "an image of 32-bit floats cannot have 2 channels",
            ),
        ] {
            let error = Picture::from_samples("a", size, channels, samples).unwrap_err().to_string();
            assert_eq!(error, format!("a: {problem}"));
        }
    }
}
