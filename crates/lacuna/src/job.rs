//! One fill, from an image file and a mask file to the bytes of the filled image. The program, the server and
//! evaluations all use it.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::inpainter::{Forecast, check_sizes};
use crate::picture::{Format, Limits, SaveOptions, read_file};
use crate::strategy::Plan;
use crate::{
    Budget, Hole, HoleOptions, Inpainter, Mask, MaskOptions, Picture, Predictor, Result, Sizing, Watch,
};

/// The options of a fill, without the two files.
#[derive(Clone)]
pub struct FillJob {
    /// The predictor.
    pub predictor: Arc<dyn Predictor>,
    /// Limits on what is read. [`Limits::memory`] is ignored; `memory` takes its place.
    pub limits: Limits,
    /// Memory limit of the process in bytes; `None` for no limit.
    pub memory: Option<u64>,
    /// Options for reading the mask file.
    pub mask: MaskOptions,
    /// Growth of the hole.
    pub hole: HoleOptions,
    /// Handling of large images.
    pub sizing: Sizing,
    /// Seed of all randomness.
    pub seed: u64,
    /// Options for writing the result.
    pub save: SaveOptions,
}

/// A file that a job reads.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A file on this machine.
    File(&'a Path),
    /// The bytes of a file.
    Bytes {
        /// Its name, for messages.
        name: &'a str,
        /// Its contents.
        bytes: &'a [u8],
    },
}

impl Source<'_> {
    fn open(&self, limits: &Limits) -> Result<Picture> {
        match self {
            Self::File(path) => Picture::open(path, limits),
            Self::Bytes { name, bytes } => Picture::decode(bytes, name, limits),
        }
    }
}

impl FillJob {
    /// A job with default options and no memory limit.
    pub fn new(predictor: Arc<dyn Predictor>) -> Self {
        Self {
            predictor,
            limits: Limits::default(),
            memory: None,
            mask: MaskOptions::default(),
            hole: HoleOptions::default(),
            sizing: Sizing::default(),
            seed: 0,
            save: SaveOptions::default(),
        }
    }

    /// This job as one of `count` concurrent jobs within `bytes` of memory: they use the same weights and split the
    /// remaining memory evenly.
    pub fn with_shared_memory(self, bytes: u64, count: u16) -> Self {
        let weights = self.predictor.resident_bytes();
        let part = bytes.saturating_sub(weights) / u64::from(count.max(1));
        Self { memory: Some(weights + part), ..self }
    }

    /// Reads both files and plans the fill. Everything that can be refused is refused here.
    ///
    /// # Errors
    /// [`crate::Error::Picture`] or [`crate::Error::TooLarge`] for the image; the same in [`crate::Error::Mask`] for the
    /// mask; [`crate::Error::MaskSize`] and [`crate::Error::NoKnownPixels`] for a mask that does not fit;
    /// [`crate::Error::Unfit`] if the output format cannot hold the image; [`crate::Error::Memory`] if the memory limit
    /// is too low; [`crate::Error::Read`] if a file cannot be read.
    pub fn prepare<'a>(&'a self, image: Source<'a>, mask: Source<'_>) -> Result<Prepared<'a>> {
        let budget = self.budget();
        let picture = image.open(&Limits { memory: budget, ..self.limits })?;
        let format = self.save.format.unwrap_or(picture.format());
        picture.check_fits(format, self.save.quality)?;
        let budget = budget.map(|budget| budget.holding(picture.pixel_bytes()));
        let mut notes = picture.notes().to_vec();
        let (hole, mask_pixels) = self.read_hole(mask, &picture, budget, &mut notes)?;
        notes.extend(picture.writing_notes(&self.save));
        let inpainter = self.inpainter(&picture);
        let plan = inpainter.plan(&picture, hole.mask())?;
        Ok(Prepared { job: self, image, picture, hole, mask_pixels, format, inpainter, plan, notes })
    }

    /// Reads the hole and counts the mask's pixels. Appends notes for the user.
    fn read_hole(
        &self,
        source: Source<'_>,
        picture: &Picture,
        budget: Option<Budget>,
        notes: &mut Vec<String>,
    ) -> Result<(Hole, usize)> {
        let limits = Limits { memory: budget, ..self.limits };
        let mask = source.open(&limits).map_err(crate::Error::in_mask)?;
        let name = mask.name().to_owned();
        notes.extend_from_slice(mask.notes());
        notes.extend(self.mask.notes(&mask));
        let mask = Mask::from_picture(&mask, &self.mask);
        if mask.looks_inverted() {
            notes.push(format!("{name}: nearly the whole mask is hole; if it marks what to keep, invert it"));
        }
        check_sizes(picture, &mask)?;
        if let Some(budget) = budget {
            let held = budget.holding(mask.hole().len() as u64);
            held.check(format!("growing the hole of {name}"), self.hole.growth_bytes(&mask))?;
        }
        Ok((Hole::new(&mask, &self.hole)?, mask.count()))
    }

    /// The memory limit, and the part of it in use before anything is read.
    fn budget(&self) -> Option<Budget> {
        self.memory.map(|bytes| Budget::new(bytes, self.predictor.resident_bytes()))
    }

    fn inpainter(&self, picture: &Picture) -> Inpainter {
        let strategy = self.sizing.strategy(picture.width().max(picture.height()));
        let inpainter = Inpainter::new(Arc::clone(&self.predictor), strategy);
        match self.memory {
            Some(bytes) => inpainter.with_memory(bytes),
            None => inpainter,
        }
    }
}

/// A planned fill with its inputs in memory.
pub struct Prepared<'a> {
    job: &'a FillJob,
    image: Source<'a>,
    picture: Picture,
    hole: Hole,
    mask_pixels: usize,
    format: Format,
    inpainter: Inpainter,
    plan: Option<Plan>,
    notes: Vec<String>,
}

/// A filled image.
pub struct Filled<'a> {
    /// The file's bytes.
    pub bytes: Cow<'a, [u8]>,
    /// Notes for the user that arose during the fill, in addition to [`Prepared::notes`].
    pub notes: Vec<String>,
}

impl Prepared<'_> {
    /// The image.
    pub fn picture(&self) -> &Picture {
        &self.picture
    }

    /// The format of the result.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Pixels of the mask before the hole grows.
    pub fn mask_pixels(&self) -> usize {
        self.mask_pixels
    }

    /// The fraction of the image that is filled, 0 to 1.
    pub fn hole_fraction(&self) -> f64 {
        self.hole.mask().count() as f64 / self.hole.mask().hole().len() as f64
    }

    /// The plan; `None` for an empty mask.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Forecast cost of the fill.
    pub fn forecast(&self) -> Forecast {
        match &self.plan {
            Some(plan) => self.inpainter.forecast(&self.picture, self.hole.mask(), plan),
            None => Forecast { bytes: self.picture.pixel_bytes(), seconds: 0.0 },
        }
    }

    /// Notes for the user: how the files were read, and what the result cannot keep.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the result is the unchanged image file: the mask is empty and no other encoding is requested.
    pub fn is_unchanged(&self) -> bool {
        self.plan.is_none()
            && self.format == self.picture.format()
            && !self.picture.is_converted()
            && self.job.save.quality.is_none()
    }
}

impl<'a> Prepared<'a> {
    /// Fills the hole, reports progress to `watch`, and encodes the result. An image that is
    /// [unchanged](Self::is_unchanged) keeps its bytes.
    ///
    /// # Errors
    /// [`crate::Error::Predict`] if the prediction fails; [`crate::Error::Stopped`] if `watch` was cancelled;
    /// [`crate::Error::Read`] if an unchanged file cannot be read again.
    pub fn run(mut self, watch: &Watch) -> Result<Filled<'a>> {
        if self.is_unchanged() {
            let bytes = match self.image {
                Source::File(path) => read_file(path, &self.job.limits)?.into(),
                Source::Bytes { bytes, .. } => bytes.into(),
            };
            return Ok(Filled { bytes, notes: Vec::new() });
        }
        if let Some(plan) = &self.plan {
            let inpainter = self.inpainter.with_watch(watch.clone());
            inpainter.follow(plan, &mut self.picture, &self.hole, self.job.seed)?;
        }
        // The palette may have no room for the new colours.
        let mut notes = self.picture.writing_notes(&self.job.save);
        notes.retain(|note| !self.notes.contains(note));
        Ok(Filled { bytes: self.picture.encode(&self.job.save)?.into(), notes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::error::Limit;
    use crate::predictor::tests::Constant;
    use image::{DynamicImage, ImageBuffer, Luma, Rgb};

    fn job() -> FillJob {
        FillJob::new(Arc::new(Constant { multiple: 8, smallest: 16 }))
    }

    fn encoded(pixels: DynamicImage) -> Vec<u8> {
        Picture::from_pixels("a", pixels, Format::Png).encode(&SaveOptions::default()).unwrap()
    }

    fn photo(width: u32, height: u32) -> Vec<u8> {
        let pixel = |x: u32, y: u32| Rgb([x as u8, y as u8, (x * y) as u8]);
        encoded(DynamicImage::ImageRgb8(ImageBuffer::from_fn(width, height, pixel)))
    }

    fn mask(width: u32, height: u32, is_hole: impl Fn(u32, u32) -> bool) -> Vec<u8> {
        let pixel = |x, y| Luma([if is_hole(x, y) { 255 } else { 0 }]);
        encoded(DynamicImage::ImageLuma8(ImageBuffer::from_fn(width, height, pixel)))
    }

    fn source<'a>(name: &'a str, bytes: &'a [u8]) -> Source<'a> {
        Source::Bytes { name, bytes }
    }

    #[test]
    fn files_and_bytes_give_the_same_result() {
        let (photo, mask) = (photo(60, 40), mask(60, 40, |x, y| x < 9 && y > 20));
        let folder = tempfile::tempdir().unwrap();
        let (photo_path, mask_path) = (folder.path().join("photo.png"), folder.path().join("mask.png"));
        std::fs::write(&photo_path, &photo).unwrap();
        std::fs::write(&mask_path, &mask).unwrap();
        let job = job();
        let of_bytes = job.prepare(source("photo.png", &photo), source("mask.png", &mask)).unwrap();
        assert_eq!((of_bytes.mask_pixels(), of_bytes.plan().unwrap().strategy.as_str()), (9 * 19, "full"));
        let of_bytes = of_bytes.run(&Watch::default()).unwrap().bytes;
        let of_files = job.prepare(Source::File(&photo_path), Source::File(&mask_path)).unwrap();
        assert_eq!(of_files.run(&Watch::default()).unwrap().bytes, of_bytes);
        let filled = Picture::decode(&of_bytes, "a", &Limits::default()).unwrap().pixels().to_rgb8();
        assert_eq!(
            (filled.get_pixel(3, 30), filled.get_pixel(30, 30)),
            (&Rgb([128; 3]), &Rgb([30, 30, 132]))
        );
    }

    #[test]
    fn an_empty_mask_keeps_the_bytes_unless_another_encoding_is_asked_for() {
        let (photo, mask) = (photo(20, 20), mask(20, 20, |_, _| false));
        let same = job();
        let prepared = same.prepare(source("a.png", &photo), source("m.png", &mask)).unwrap();
        assert!(prepared.plan().is_none() && prepared.is_unchanged());
        assert!(
            matches!(prepared.run(&Watch::default()).unwrap().bytes, Cow::Borrowed(bytes) if bytes == photo)
        );
        let save = SaveOptions { format: Some(Format::Bmp), quality: None };
        let other = FillJob { save, ..job() };
        let prepared = other.prepare(source("a.png", &photo), source("m.png", &mask)).unwrap();
        assert!(prepared.run(&Watch::default()).unwrap().bytes.starts_with(b"BM"));
    }

    #[test]
    fn errors_tell_the_image_from_the_mask_and_the_request() {
        let (photo, good) = (photo(60, 40), mask(60, 40, |x, _| x < 9));
        let error = |job: &FillJob, photo: &[u8], mask: &[u8]| {
            job.prepare(source("photo.png", photo), source("mask.png", mask)).err().unwrap()
        };
        let plain = job();
        assert!(matches!(error(&plain, b"x", &good), Error::Picture { name, .. } if name == "photo.png"));
        let of_mask = error(&plain, &photo, b"x");
        assert!(matches!(&of_mask, Error::Mask(inner) if matches!(**inner, Error::Picture { .. })));
        assert!(of_mask.to_string().starts_with("mask.png: "), "{of_mask}");
        let turned = error(&plain, &photo, &mask(40, 60, |x, _| x < 9)).to_string();
        assert!(turned.contains("40 x 60") && turned.contains("60 x 40") && turned.contains("upright"));
        let all = error(&plain, &photo, &mask(60, 40, |_, _| true));
        assert!(matches!(all, Error::NoKnownPixels { width: 60, height: 40, known: 0, growth: 0 }));
        let save = SaveOptions { format: None, quality: Some(80) };
        assert!(matches!(error(&FillJob { save, ..job() }, &photo, &good), Error::Unfit { .. }));
        let limits = Limits { side: 59, ..Limits::default() };
        assert_eq!(error(&FillJob { limits, ..job() }, &photo, &good).limit(), Some(Limit::Side));
    }

    /// The mask, the grown hole and the distances are in memory together with the image. All count at the peak.
    #[test]
    fn growing_the_hole_counts_the_mask_that_is_still_held() {
        let (width, height) = (2000, 1500);
        let (photo, mask) = (photo(width, height), mask(width, height, |_, y| y == 700));
        let grown = FillJob { hole: HoleOptions { expand: 600, feather: 0 }, ..job() };
        let (pixels, budget) = (u64::from(width * height), Budget::new(0, 0));
        let window = u64::from(width) * 1201;
        // Per pixel: three bytes of the image, one of the mask, one of the grown hole; 13 per pixel of the window.
        let needed = budget.held + 5 * pixels + 13 * window;
        let prepare = |memory| {
            let job = FillJob { memory: Some(memory), ..grown.clone() };
            job.prepare(source("a.png", &photo), source("m.png", &mask)).map(|_| ())
        };
        let Err(Error::Memory { what, needed: refused, .. }) = prepare(needed - 1) else {
            panic!("a byte too few is refused")
        };
        assert_eq!((what.as_str(), refused), ("growing the hole of m.png", needed));
        // With this much memory the growth is allowed.
        if let Err(Error::Memory { what, .. }) = prepare(needed) {
            assert!(!what.starts_with("growing"), "{what}");
        }
    }

    #[test]
    fn jobs_at_a_time_split_what_the_weights_leave() {
        let job = job().with_shared_memory(1000, 4);
        assert_eq!(job.memory, Some(250), "this predictor has no weights");
    }
}
