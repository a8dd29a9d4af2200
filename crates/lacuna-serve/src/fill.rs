//! The work itself: files in, file out.

use std::fmt::Debug;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use lacuna::budget::{hole_bytes, pixel_bytes};
use lacuna::inpainter::check_sizes;
use lacuna::picture::{Format, Limits, SaveOptions};
use lacuna::{Hole, Inpainter, Mask, MaskOptions, Picture, Planes, Predictor, Watch};
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::config::Bounds;
use crate::models::LatentView;
use crate::problem::{Code, Problem};
use crate::queue::{Key, Outcome};
use crate::settings::Settings;

/// A file from a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upload {
    /// Its name, without folders.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A hole to fill.
#[derive(Clone, Debug)]
pub struct FillRequest {
    /// The picture.
    pub image: Upload,
    /// Its mask.
    pub mask: Upload,
    /// How to fill.
    pub settings: Settings,
}

/// A picture to look at.
#[derive(Clone, Debug)]
pub struct PreviewRequest {
    /// The picture.
    pub image: Upload,
    /// Pixels on the longer side, at most.
    pub long_side: u32,
}

/// A latent to look into.
#[derive(Clone, Debug)]
pub struct LatentRequest {
    /// The picture.
    pub image: Upload,
    /// Its mask.
    pub mask: Upload,
    /// The network, as the request names it.
    pub model: Option<String>,
}

/// The hash of all that decides an outcome: what kind of work it is, its settings, and its files.
pub(crate) fn key(kind: &str, settings: &dyn Debug, files: &[&Upload]) -> Key {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(kind.as_bytes());
    add(format!("{settings:?}").as_bytes());
    for file in files {
        add(file.name.as_bytes());
        add(&file.bytes);
    }
    hash.finalize().into()
}

/// The media type of a format.
fn media_type(format: Format) -> &'static str {
    match format {
        Format::Png => "image/png",
        Format::Jpeg => "image/jpeg",
        Format::WebP => "image/webp",
        Format::Tiff => "image/tiff",
        Format::Bmp => "image/bmp",
    }
}

pub(crate) fn decode_picture(file: &Upload, limits: &Limits, invalid: Code) -> Result<Picture, Problem> {
    Picture::decode(&file.bytes, &file.name, limits).map_err(|error| Problem::from_error(&error, invalid))
}

fn mask_of(
    file: &Upload,
    options: &MaskOptions,
    picture: &Picture,
    limits: &Limits,
) -> Result<Mask, Problem> {
    let mask = Mask::from_picture(&decode_picture(file, limits, Code::MaskInvalid)?, options);
    check_sizes(picture, &mask).map_err(|error| Problem::new(Code::MaskSize, error.to_string()))?;
    Ok(mask)
}

impl FillRequest {
    /// The hash of all that decides the outcome.
    pub fn key(&self) -> Key {
        key("fill", &self.settings, &[&self.image, &self.mask])
    }

    /// Fills the hole.
    ///
    /// # Errors
    /// Whatever is wrong with the files or with what is asked for.
    pub fn run(&self, predictor: Arc<dyn Predictor>, bounds: &Bounds, watch: &Watch) -> Outcome {
        let start = Instant::now();
        let settings = &self.settings;
        let mut limits = bounds.limits();
        // The network's weights are there already.
        limits.memory = inpainter(&predictor, settings, 0, bounds.memory).budget();
        let mut picture = decode_picture(&self.image, &limits, Code::ImageInvalid)?;
        let options = SaveOptions { format: settings.format, quality: settings.quality };
        let format = settings.format.unwrap_or(picture.format());
        picture.check_fits(format, settings.quality).map_err(|error| unfit(&error))?;
        limits.memory = limits.memory.map(|budget| budget.holding(pixel_bytes(&picture)));
        let mask = mask_of(&self.mask, &settings.mask, &picture, &limits)?;
        let given = mask.count();
        let of_memory = |error: &lacuna::Error| Problem::from_error(error, Code::ImageInvalid);
        if let Some(budget) = limits.memory {
            budget.check("growing the hole", hole_bytes(&mask, &settings.hole)).map_err(|e| of_memory(&e))?;
        }
        let hole = Hole::new(&mask, &settings.hole)
            .map_err(|error| Problem::new(Code::NoKnownPixels, error.to_string()))?;
        drop(mask);
        let long_side = picture.width().max(picture.height());
        let inpainter = inpainter(&predictor, settings, long_side, bounds.memory).with_watch(watch.clone());
        let plan =
            inpainter.inpaint(&mut picture, &hole, settings.seed).map_err(|error| of_memory(&error))?;
        // Nobody masked anything, so that nothing may change, not even JPEG's rounding.
        let unchanged = plan.is_none() && settings.format.is_none() && settings.quality.is_none();
        let body = if unchanged {
            self.image.bytes.clone()
        } else {
            picture.encode(&options).map_err(|error| unfit(&error))?.into()
        };
        let seconds = start.elapsed().as_secs_f64();
        Ok(Answer::new(body, media_type(format))
            .named(&output_name(&self.image.name, format))
            .with("x-lacuna-method", &inpainter.predictor_name())
            .with("x-lacuna-strategy", plan.as_ref().map_or("none", |plan| &plan.strategy))
            .with("x-lacuna-hole", &given.to_string())
            .with("x-lacuna-seconds", &format!("{seconds:.3}"))
            .with("x-seed", &settings.seed.to_string()))
    }
}

fn inpainter(
    predictor: &Arc<dyn Predictor>,
    settings: &Settings,
    long_side: usize,
    memory: Option<u64>,
) -> Inpainter {
    let inpainter = Inpainter::new(Arc::clone(predictor), settings.sizing.strategy(long_side));
    match memory {
        Some(bytes) => inpainter.with_memory(bytes),
        None => inpainter,
    }
}

fn unfit(error: &lacuna::Error) -> Problem {
    Problem::from_error(error, Code::FormatUnfit)
}

/// What a filled picture is saved as.
fn output_name(input: &str, format: Format) -> String {
    let (stem, extension) = match input.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, Some(extension)),
        _ => (input, None),
    };
    // The owner's own spelling of the extension, where it is right.
    let own = extension.filter(|_| Format::from_extension(input.as_ref()) == Some(format));
    format!("{stem}-inpainted.{}", own.unwrap_or(format.extension()))
}

impl PreviewRequest {
    /// The hash of all that decides the outcome.
    pub fn key(&self) -> Key {
        key("preview", &self.long_side, &[&self.image])
    }

    /// Draws the picture small enough for a screen.
    ///
    /// # Errors
    /// If the picture cannot be read.
    pub fn run(&self, bounds: &Bounds) -> Outcome {
        let picture = decode_picture(&self.image, &bounds.limits(), Code::ImageInvalid)?;
        let (width, height) = (picture.pixels().width(), picture.pixels().height());
        let pixels = if picture.has_alpha() {
            DynamicImage::ImageRgba8(picture.pixels().to_rgba8())
        } else {
            DynamicImage::ImageRgb8(picture.pixels().to_rgb8())
        };
        let small = if width.max(height) > self.long_side {
            pixels.thumbnail(self.long_side, self.long_side)
        } else {
            pixels
        };
        Ok(png(&small)?
            .with("x-lacuna-width", &width.to_string())
            .with("x-lacuna-height", &height.to_string())
            .with("x-lacuna-depth", &picture.depth().to_string())
            .with("x-lacuna-format", &picture.format().to_string()))
    }
}

impl LatentRequest {
    /// The hash of all that decides the outcome.
    pub fn key(&self) -> Key {
        key("latent", &self.model, &[&self.image, &self.mask])
    }

    /// Draws the latent view.
    ///
    /// # Errors
    /// If a file cannot be read, or the view not be drawn.
    pub fn run(&self, view: &dyn LatentView, bounds: &Bounds) -> Outcome {
        let picture = decode_picture(&self.image, &bounds.limits(), Code::ImageInvalid)?;
        let mask = mask_of(&self.mask, &MaskOptions::default(), &picture, &bounds.limits())?;
        if mask.count() == 0 {
            return Err(Problem::new(Code::MaskInvalid, "the mask is empty: no hole damages anything"));
        }
        let drawn = view.draw(&picture, &mask).map_err(|error| Problem::internal(&error))?;
        png(&DynamicImage::ImageRgb8(pixels(&drawn)))
    }
}

/// Planes as 8-bit pixels.
fn pixels(planes: &Planes) -> RgbImage {
    let width = planes.width() as u32;
    RgbImage::from_fn(width, planes.height() as u32, |x, y| {
        let at = (y * width + x) as usize;
        let value = |channel: usize| (planes.plane(channel)[at].clamp(0.0, 1.0) * 255.0).round() as u8;
        Rgb([0, 1, 2].map(value))
    })
}

pub(crate) fn png(pixels: &DynamicImage) -> Result<Answer, Problem> {
    let mut bytes = Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, ImageFormat::Png).map_err(|error| Problem::internal(&error.to_string()))?;
    Ok(Answer::new(bytes.into_inner(), media_type(Format::Png)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_after_their_photos() {
        for (input, format, expected) in [
            ("photo.JPG", Format::Jpeg, "photo-inpainted.JPG"),
            ("photo.jpeg", Format::Png, "photo-inpainted.png"),
            ("a.b.tif", Format::Tiff, "a.b-inpainted.tif"),
            ("photo", Format::WebP, "photo-inpainted.webp"),
            (".png", Format::Png, ".png-inpainted.png"),
        ] {
            assert_eq!(output_name(input, format), expected);
        }
    }

    #[test]
    fn keys_differ_by_everything() {
        let upload = |name: &str, bytes: &'static [u8]| Upload { name: name.into(), bytes: bytes.into() };
        let request = |image, mask, seed| {
            let settings = Settings { seed, ..Settings::default() };
            FillRequest { image, mask, settings }.key()
        };
        let base = request(upload("a", b"12"), upload("m", b"3"), 0);
        assert_eq!(request(upload("a", b"12"), upload("m", b"3"), 0), base);
        for other in [
            request(upload("b", b"12"), upload("m", b"3"), 0),
            request(upload("a", b"1"), upload("m", b"23"), 0),
            request(upload("a", b"12"), upload("m", b"4"), 0),
            request(upload("a", b"12"), upload("m", b"3"), 1),
        ] {
            assert_ne!(other, base);
        }
    }
}
