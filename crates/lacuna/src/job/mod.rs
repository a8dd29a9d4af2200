//! One fill, from the files of an image and its mask to the bytes of the filled image. The program, the server and
//! evaluations all use it.

mod inputs;

use std::borrow::Cow;
use std::sync::Arc;

pub use inputs::{Inputs, MaskSource, Source};

use crate::hint::{Hint, HintKind, HintStrength};
use crate::hole::Expand;
use crate::inpainter::{Forecast, check_sizes};
use crate::mask_fit::MaskFile;
use crate::picture::{Format, Limits, SaveOptions};
use crate::soft_edge::soft_edge;
use crate::strategy::Plan;
use crate::{
    Budget, Error, Hole, HoleOptions, Inpainter, Mask, MaskFit, MaskOptions, Picture, Predictor, Result,
    Sizing, Watch,
};

/// The options of a fill, without its files.
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
    /// Handling of a mask that is not as large as the image.
    pub fit: MaskFit,
    /// Growth of the hole.
    pub expand: Expand,
    /// Width in pixels of the soft seam; the hole grows by at least as much.
    pub feather: u32,
    /// Handling of large images.
    pub sizing: Sizing,
    /// Seed of all randomness.
    pub seed: u64,
    /// How much a hint counts.
    pub hint_strength: HintStrength,
    /// Options for writing the result.
    pub save: SaveOptions,
}

impl FillJob {
    /// A job with default options and no memory limit.
    pub fn new(predictor: Arc<dyn Predictor>) -> Self {
        Self {
            predictor,
            limits: Limits::default(),
            memory: None,
            mask: MaskOptions::default(),
            fit: MaskFit::default(),
            expand: Expand::default(),
            feather: 0,
            sizing: Sizing::default(),
            seed: 0,
            hint_strength: HintStrength::default(),
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

    /// Reads all files and plans the fill. Everything that can be refused is refused here.
    ///
    /// # Errors
    /// [`crate::Error::Picture`] or [`crate::Error::TooLarge`] for the image; the same in [`crate::Error::Mask`] for a
    /// mask; [`crate::Error::MaskSize`], [`crate::Error::MaskShape`] and [`crate::Error::NoKnownPixels`] for a mask that does
    /// not fit; [`crate::Error::Unfit`] if the output format cannot hold the image; [`crate::Error::Memory`] if the memory
    /// limit is too low; [`crate::Error::Argument`] for a hint of another size, or for a predictor that takes none;
    /// [`crate::Error::Read`] if a file cannot be read.
    pub fn prepare<'a>(&'a self, inputs: Inputs<'a>) -> Result<Prepared<'a>> {
        let Opened { picture, hole, avoid, hint, mask_pixels, format, notes } = self.open(inputs)?;
        let mut inpainter = self.inpainter(&picture);
        if let Some(avoid) = avoid {
            inpainter = inpainter.avoiding(avoid);
        }
        if let Some(hint) = hint {
            inpainter = inpainter.steered(hint, self.hint_strength);
        }
        let plan = inpainter.plan(&picture, hole.mask())?;
        Ok(Prepared {
            job: self,
            image: inputs.image,
            picture,
            hole,
            mask_pixels,
            format,
            inpainter,
            plan,
            notes,
        })
    }

    /// Reads all files.
    pub(crate) fn open(&self, inputs: Inputs<'_>) -> Result<Opened> {
        let budget = self.budget();
        let mut picture = inputs.image.open(&Limits { memory: budget, ..self.limits })?;
        let budget = budget.map(|budget| budget.holding(picture.pixel_bytes()));
        let mut notes = picture.notes().to_vec();
        let mask = match inputs.mask {
            MaskSource::File(source) => self.read_mask(source, &self.mask, &picture, budget, &mut notes)?,
            MaskSource::Alpha => {
                let mask = Mask::from_alpha(&picture, &self.mask)?;
                picture.make_opaque(&mask);
                mask
            }
        };
        let mask_pixels = mask.count();
        let format = self.save.format.unwrap_or(picture.format());
        picture.check_fits(format, self.save.quality)?;
        let hole = self.grown(&mask, &picture, budget, &mut notes)?;
        drop(mask);
        let avoid = inputs.avoid.map(|source| {
            let options = MaskOptions { invert: false, ..self.mask };
            self.read_mask(source, &options, &picture, budget, &mut notes)
        });
        let avoid = avoid.transpose()?.filter(|avoid| avoid.count() > 0);
        let hint = inputs.hint.map(|source| self.read_hint(source, &picture, budget, &mut notes));
        let hint = hint.transpose()?.flatten();
        notes.extend(picture.writing_notes(&self.save));
        Ok(Opened { picture, hole, avoid, hint, mask_pixels, format, notes })
    }

    /// Fills the hole of an image in memory; no file is read or written. Pixels outside the hole keep their bits. `avoid`
    /// is a mask of what must not be copied. The options for reading and writing files do not count.
    ///
    /// # Errors
    /// [`crate::Error::MaskSize`] if a mask is not as large as the image; [`crate::Error::NoKnownPixels`];
    /// [`crate::Error::Memory`] if the memory limit is too low; [`crate::Error::Predict`] if the prediction fails;
    /// [`crate::Error::Stopped`] if `watch` was cancelled. After the last two, parts of the hole may be filled.
    pub fn fill_pixels(
        &self,
        picture: &mut Picture,
        mask: &Mask,
        avoid: Option<&Mask>,
        watch: &Watch,
    ) -> Result<FilledPixels> {
        for mask in [Some(mask), avoid].into_iter().flatten() {
            check_sizes(picture, mask)?;
        }
        let mut notes = Vec::new();
        notes.extend(inverted_note(mask, picture.name()));
        let budget = self.budget().map(|budget| budget.holding(picture.pixel_bytes()));
        let hole = self.grown(mask, picture, budget, &mut notes)?;
        let mut inpainter = self.inpainter(picture).in_memory().with_watch(watch.clone());
        if let Some(avoid) = avoid.filter(|avoid| avoid.count() > 0) {
            inpainter = inpainter.avoiding(avoid.clone());
        }
        let plan = inpainter.inpaint(picture, &hole, self.seed)?;
        Ok(FilledPixels { plan, notes })
    }

    /// Reads a mask file and fits it to the image. Appends notes for the user.
    fn read_mask(
        &self,
        source: Source<'_>,
        options: &MaskOptions,
        picture: &Picture,
        budget: Option<Budget>,
        notes: &mut Vec<String>,
    ) -> Result<Mask> {
        let limits = Limits { memory: budget, ..self.limits };
        let file = source.open(&limits).map_err(crate::Error::in_mask)?;
        notes.extend_from_slice(file.notes());
        notes.extend(options.notes(&file));
        let mask = Mask::from_picture(&file, options);
        let as_stored = MaskFile { mask, name: file.name(), orientation: file.orientation() };
        let is_empty = as_stored.mask.count() == 0;
        let (mask, note) = as_stored.fitted(picture, self.fit)?;
        notes.extend(note);
        // A logo's own mask may be all hole: what counts is how much of the photo it covers.
        notes.extend(inverted_note(&mask, file.name()));
        if mask.count() == 0 && !is_empty {
            notes.push(format!("{}: none of its hole lies on the photo", file.name()));
        }
        Ok(mask)
    }

    /// Reads a hint; none if it has no lines. Appends notes for the user.
    fn read_hint(
        &self,
        source: Source<'_>,
        picture: &Picture,
        budget: Option<Budget>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Hint>> {
        match self.predictor.hint_kind() {
            None => Err(Error::Argument(format!(
                "{} takes no hint: that needs a flow file with a ControlNet branch as model, and method flow or network",
                self.predictor.name()
            ))),
            Some(HintKind::Lines) => {
                let options = MaskOptions { invert: false, ..self.mask };
                let name = source.name();
                let mut about = Vec::new();
                let lines = self.read_mask(source, &options, picture, budget, &mut about);
                let lines = lines.map_err(|error| Error::Argument(format!("the hint {name}: {error}")))?;
                if lines.looks_inverted() {
                    return Err(Error::Argument(format!(
                        "the hint {name}: nearly everything is a line; draw lines in white on black, or on a transparent picture"
                    )));
                }
                notes.extend(about);
                Ok((lines.count() > 0).then_some(Hint::Lines(lines)))
            }
            Some(HintKind::Guide) => {
                let guide = source.open(&Limits { memory: budget, ..self.limits })?;
                let [expected, found] = [picture, &guide].map(|it| (it.width(), it.height()));
                if expected != found {
                    return Err(Error::Argument(format!(
                        "{}: a hint of {} x {} pixels for a photo of {} x {}",
                        guide.name(),
                        found.0,
                        found.1,
                        expected.0,
                        expected.1
                    )));
                }
                notes.extend_from_slice(guide.notes());
                Ok(Some(Hint::Guide(Box::new(guide))))
            }
        }
    }

    /// The hole of a mask.
    fn grown(
        &self,
        mask: &Mask,
        picture: &Picture,
        budget: Option<Budget>,
        notes: &mut Vec<String>,
    ) -> Result<Hole> {
        let most = HoleOptions { expand: self.expand.most(), feather: self.feather };
        if let Some(budget) = budget {
            let held = budget.holding(mask.hole().len() as u64);
            held.check(format!("growing the hole of {}", picture.name()), most.growth_bytes(mask))?;
        }
        let expand = match self.expand {
            Expand::Pixels(pixels) => pixels,
            Expand::Auto => {
                let pixels = soft_edge(picture, mask);
                notes.push(format!("{}: the hole is expanded by {pixels} pixels", picture.name()));
                pixels
            }
        };
        Hole::new(mask, &HoleOptions { expand, feather: self.feather })
    }

    /// The memory limit, and the part of it in use before anything is read.
    pub(crate) fn budget(&self) -> Option<Budget> {
        self.memory.map(|bytes| Budget::new(bytes, self.predictor.resident_bytes()))
    }

    /// Whether the file of an image with an empty hole is the result: no other encoding is requested.
    pub(crate) fn is_copied(&self, picture: &Picture, format: Format) -> bool {
        format == picture.format() && !picture.is_converted() && self.save.quality.is_none()
    }

    pub(crate) fn inpainter(&self, picture: &Picture) -> Inpainter {
        let strategy = self.sizing.strategy(picture.width().max(picture.height()));
        let inpainter = Inpainter::new(Arc::clone(&self.predictor), strategy);
        match self.memory {
            Some(bytes) => inpainter.with_memory(bytes),
            None => inpainter,
        }
    }
}

/// A note on a mask that seems to mark what to keep.
fn inverted_note(mask: &Mask, name: &str) -> Option<String> {
    let note = || format!("{name}: nearly the whole mask is hole; if it marks what to keep, invert it");
    mask.looks_inverted().then(note)
}

/// The files of a fill, in memory.
pub(crate) struct Opened {
    /// The image.
    pub picture: Picture,
    /// What is filled.
    pub hole: Hole,
    /// What must not be copied.
    pub avoid: Option<Mask>,
    /// What a person wants in the hole.
    pub hint: Option<Hint>,
    /// Pixels of the mask before the hole grows.
    pub mask_pixels: usize,
    /// The format of the result.
    pub format: Format,
    /// Notes for the user.
    pub notes: Vec<String>,
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

/// How an image in memory was filled.
pub struct FilledPixels {
    /// The plan that was followed; `None` for an empty mask.
    pub plan: Option<Plan>,
    /// Notes for the user.
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

    /// The hole.
    pub fn hole(&self) -> &Mask {
        self.hole.mask()
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
        self.plan.is_none() && self.job.is_copied(&self.picture, self.format)
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
            return Ok(Filled { bytes: self.image.bytes(&self.job.limits)?, notes: Vec::new() });
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
    use crate::Planes;
    use crate::error::Limit;
    use crate::hint::FrameHint;
    use crate::predictor::Scene;
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
        let inputs = Inputs::new(source("photo.png", &photo), source("mask.png", &mask));
        let of_bytes = job.prepare(inputs).unwrap();
        assert_eq!((of_bytes.mask_pixels(), of_bytes.plan().unwrap().strategy.as_str()), (9 * 19, "full"));
        let of_bytes = of_bytes.run(&Watch::default()).unwrap().bytes;
        let inputs = Inputs::new(Source::File(&photo_path), Source::File(&mask_path));
        let of_files = job.prepare(inputs).unwrap();
        assert_eq!(of_files.run(&Watch::default()).unwrap().bytes, of_bytes);
        let filled = Picture::decode(&of_bytes, "a", &Limits::default()).unwrap().pixels().to_rgb8();
        assert_eq!(
            (filled.get_pixel(3, 30), filled.get_pixel(30, 30)),
            (&Rgb([128; 3]), &Rgb([30, 30, 132]))
        );
    }

    /// The same pixels, hole and seed give the same values with and without files.
    #[test]
    fn pixels_in_memory_are_filled_as_in_files() {
        let (photo, mask_file) = (photo(60, 40), mask(60, 40, |x, y| x < 9 && y > 20));
        let job = FillJob { expand: Expand::Pixels(2), feather: 3, ..job() };
        let inputs = Inputs::new(source("photo.png", &photo), source("mask.png", &mask_file));
        let (expected, _) = filled(&job, inputs);
        let mut picture = Picture::decode(&photo, "photo.png", &Limits::default()).unwrap();
        let mask = Mask::new(60, 40, (0..60 * 40).map(|i| i % 60 < 9 && i / 60 > 20).collect());
        let in_memory = job.fill_pixels(&mut picture, &mask, None, &Watch::default()).unwrap();
        assert_eq!(in_memory.plan.unwrap().strategy, "full");
        assert_eq!(picture.into_samples(), expected.into_samples());
    }

    #[test]
    fn pixels_in_memory_are_refused_before_they_change() {
        let small = Mask::new(3, 2, vec![true, false, false, false, false, false]);
        let before = Picture::decode(&photo(60, 40), "photo.png", &Limits::default()).unwrap();
        let mask = Mask::new(60, 40, (0..60 * 40).map(|i| i < 9).collect());
        let refused = |job: &FillJob, mask: &Mask, avoid: Option<&Mask>| {
            let mut picture = before.clone();
            let error = job.fill_pixels(&mut picture, mask, avoid, &Watch::default()).err().unwrap();
            assert_eq!(picture.pixels(), before.pixels());
            error
        };
        assert!(matches!(
            refused(&job(), &small, None),
            Error::MaskSize { mask: (3, 2), image: (60, 40), .. }
        ));
        assert!(matches!(refused(&job(), &mask, Some(&small)), Error::MaskSize { .. }));
        let tight = FillJob { memory: Some(1 << 20), ..job() };
        assert!(matches!(refused(&tight, &mask, None), Error::Memory { allowed: 1_048_576, .. }));
        let all = Mask::new(60, 40, vec![true; 60 * 40]);
        assert!(matches!(refused(&job(), &all, None), Error::NoKnownPixels { .. }));
    }

    #[test]
    fn an_empty_mask_keeps_the_bytes_unless_another_encoding_is_asked_for() {
        let (photo, mask) = (photo(20, 20), mask(20, 20, |_, _| false));
        let same = job();
        let prepared = same.prepare(Inputs::new(source("a.png", &photo), source("m.png", &mask))).unwrap();
        assert!(prepared.plan().is_none() && prepared.is_unchanged());
        assert!(
            matches!(prepared.run(&Watch::default()).unwrap().bytes, Cow::Borrowed(bytes) if bytes == photo)
        );
        let save = SaveOptions { format: Some(Format::Bmp), quality: None };
        let other = FillJob { save, ..job() };
        let prepared = other.prepare(Inputs::new(source("a.png", &photo), source("m.png", &mask))).unwrap();
        assert!(prepared.run(&Watch::default()).unwrap().bytes.starts_with(b"BM"));
    }

    #[test]
    fn errors_tell_the_image_from_the_mask_and_the_request() {
        let (photo, good) = (photo(60, 40), mask(60, 40, |x, _| x < 9));
        let error = |job: &FillJob, photo: &[u8], mask: &[u8]| {
            job.prepare(Inputs::new(source("photo.png", photo), source("mask.png", mask))).err().unwrap()
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
        let grown = FillJob { expand: Expand::Pixels(600), ..job() };
        let (pixels, budget) = (u64::from(width * height), Budget::new(0, 0));
        let window = u64::from(width) * 1201;
        // Per pixel: three bytes of the image, one of the mask, one of the grown hole; 12 per pixel of the window.
        let needed = budget.held + 5 * pixels + 12 * window;
        let prepare = |memory| {
            let job = FillJob { memory: Some(memory), ..grown.clone() };
            job.prepare(Inputs::new(source("a.png", &photo), source("m.png", &mask))).map(|_| ())
        };
        let Err(Error::Memory { what, needed: refused, .. }) = prepare(needed - 1) else {
            panic!("a byte too few is refused")
        };
        assert_eq!((what.as_str(), refused), ("growing the hole of a.png", needed));
        // With this much memory the growth is allowed.
        if let Err(Error::Memory { what, .. }) = prepare(needed) {
            assert!(!what.starts_with("growing"), "{what}");
        }
    }

    fn filled(job: &FillJob, inputs: Inputs<'_>) -> (Picture, Vec<String>) {
        let prepared = job.prepare(inputs).unwrap();
        let notes = prepared.notes().to_vec();
        let bytes = prepared.run(&Watch::default()).unwrap().bytes.into_owned();
        (Picture::decode(&bytes, "a", &Limits::default()).unwrap(), notes)
    }

    /// Gives the hint back as the fill: white lines on black, or the guide.
    struct Drawn(HintKind);

    impl Predictor for Drawn {
        fn name(&self) -> String {
            "drawn".into()
        }

        fn hint_kind(&self) -> Option<HintKind> {
            Some(self.0)
        }

        fn predict_watched(&self, image: &Planes, _: &Mask, _: u64, _: &Watch) -> Result<Planes> {
            Ok(Planes::new(image.width(), image.height(), vec![0.0; image.values().len()]))
        }

        fn predict_scene(&self, scene: &Scene<'_>, watch: &Watch) -> Result<Planes> {
            let (width, height) = (scene.image.width(), scene.image.height());
            match scene.hint {
                None => self.predict_watched(scene.image, scene.mask, 0, watch),
                Some((FrameHint::Guide(guide), _)) => Ok(guide.clone()),
                Some((FrameHint::Lines(lines), strength)) => {
                    let line = lines.hole().iter().map(|&line| strength.get() * f32::from(line));
                    Ok(Planes::new(width, height, line.clone().chain(line.clone()).chain(line).collect()))
                }
            }
        }

        fn sides(&self) -> crate::Sides {
            crate::Sides::NETWORK
        }

        fn forecast_bytes(&self, _: usize, _: usize) -> u64 {
            0
        }

        fn forecast_seconds(&self, _: usize, _: usize, _: usize) -> f64 {
            0.0
        }
    }

    #[test]
    fn hints_reach_the_predictor_where_they_were_drawn() {
        let (photo, hole) = (photo(60, 40), mask(60, 40, |x, y| (9..30).contains(&x) && y > 20));
        let (lines, guide) = (mask(60, 40, |x, _| x % 5 == 0), photo.clone());
        let (empty, small) = (mask(60, 40, |_, _| false), mask(30, 20, |_, _| true));
        let inputs = |hint| Inputs {
            hint: Some(source("hint.png", hint)),
            ..Inputs::new(source("photo.png", &photo), source("mask.png", &hole))
        };
        let job = |kind| FillJob::new(Arc::new(Drawn(kind)));
        let half = HintStrength::new(0.5).unwrap();
        let (drawn, _) = filled(&FillJob { hint_strength: half, ..job(HintKind::Lines) }, inputs(&lines));
        let (guided, _) = filled(&job(HintKind::Guide), inputs(&guide));
        let shade = |picture: &Picture, x, y| picture.pixels().to_rgb8().get_pixel(x, y).0;
        assert_eq!((shade(&drawn, 20, 30), shade(&drawn, 21, 30)), ([128; 3], [0; 3]));
        assert_eq!(shade(&guided, 21, 30), [21, 30, (21 * 30 % 256) as u8]);
        // An empty sketch is no hint.
        let (none, _) = filled(&job(HintKind::Lines), inputs(&empty));
        assert_eq!(shade(&none, 20, 30), [0; 3]);
        let refused = |job: &FillJob, hint| job.prepare(inputs(hint)).err().unwrap().to_string();
        for (kind, words) in [
            (HintKind::Lines, "30 x 20"),
            (HintKind::Guide, "hint.png: a hint of 30 x 20 pixels for a photo of 60 x 40"),
        ] {
            let problem = refused(&job(kind), &small);
            assert!(problem.contains(words) && problem.contains("60 x 40"), "{problem}");
        }
        let problem = refused(&super::tests::job(), &lines);
        assert!(problem.contains("takes no hint") && problem.contains("ControlNet"), "{problem}");
    }

    #[test]
    fn transparent_pixels_are_filled_and_opaque_then() {
        let with_alpha = |alpha: fn(u32) -> u8| {
            let pixel = |x: u32, y: u32| image::Rgba([x as u8, y as u8, 9, alpha(x)]);
            encoded(DynamicImage::ImageRgba8(ImageBuffer::from_fn(40, 30, pixel)))
        };
        let cut_out = with_alpha(|x| if x < 5 { 0 } else { 255 });
        let inputs = |photo| Inputs { image: photo, mask: MaskSource::Alpha, avoid: None, hint: None };
        let (picture, _) = filled(&job(), inputs(source("a.png", &cut_out)));
        assert!(!picture.has_alpha(), "all is opaque");
        let pixels = picture.pixels().to_rgb8();
        assert_eq!((pixels.get_pixel(4, 9), pixels.get_pixel(5, 9)), (&Rgb([128; 3]), &Rgb([5, 9, 9])));
        // As a JPEG, which holds no alpha.
        let save = SaveOptions { format: Some(Format::Jpeg), quality: None };
        assert_eq!(
            filled(&FillJob { save, ..job() }, inputs(source("a.png", &cut_out))).0.format(),
            Format::Jpeg
        );
        // What stays half transparent keeps its alpha.
        let soft = with_alpha(|x| [0, 200, 255][(x / 5).min(2) as usize]);
        let half = MaskOptions { threshold: Some(127), ..MaskOptions::default() };
        let (picture, _) = filled(&FillJob { mask: half, ..job() }, inputs(source("a.png", &soft)));
        let pixels = picture.pixels().to_rgba8();
        assert_eq!((pixels.get_pixel(2, 9)[3], pixels.get_pixel(7, 9)[3]), (255, 200));
    }

    #[test]
    fn masks_of_other_sizes_are_fitted_with_a_note() {
        let (photo, half) = (photo(60, 40), mask(30, 20, |x, y| x < 5 && y < 5));
        let inputs = Inputs::new(source("photo.png", &photo), source("mask.png", &half));
        assert!(matches!(job().prepare(inputs).err(), Some(Error::MaskSize { .. })));
        let (picture, notes) = filled(&FillJob { fit: MaskFit::Same, ..job() }, inputs);
        assert!(
            notes.iter().any(|note| note.contains("mask.png: scaled from 30 x 20 to 60 x 40")),
            "{notes:?}"
        );
        let pixels = picture.pixels().to_rgb8();
        assert_eq!((pixels.get_pixel(9, 9), pixels.get_pixel(10, 9)), (&Rgb([128; 3]), &Rgb([10, 9, 90])));
        let far = mask(300, 200, |x, y| x < 5 && y < 5);
        let corner = MaskFit::At(crate::anchor::Anchor::BottomRight, crate::anchor::AnchorScale::None);
        let inputs = Inputs::new(source("photo.png", &photo), source("mask.png", &far));
        let (_, notes) = filled(&FillJob { fit: corner, ..job() }, inputs);
        assert!(notes.iter().any(|note| note.contains("none of its hole lies on the photo")), "{notes:?}");
    }

    #[test]
    fn expanding_to_the_soft_edge_is_noted() {
        let pixel = |x: u32, _: u32| Luma([if x < 50 { 20 } else { 20 + 20 * (x - 50).min(9) as u8 }]);
        let photo = encoded(DynamicImage::ImageLuma8(ImageBuffer::from_fn(120, 60, pixel)));
        let mask = mask(120, 60, |x, _| x < 50);
        let job = FillJob { expand: Expand::Auto, ..job() };
        let prepared = job.prepare(Inputs::new(source("a.png", &photo), source("m.png", &mask))).unwrap();
        assert!(prepared.notes().iter().any(|note| note.contains("expanded by ")), "{:?}", prepared.notes());
        let columns = prepared.hole_fraction() * 120.0;
        assert!((58.0..=60.0).contains(&columns), "{columns}");
        assert_eq!(prepared.mask_pixels(), 50 * 60);
    }

    #[test]
    fn jobs_at_a_time_split_what_the_weights_leave() {
        let job = job().with_shared_memory(1000, 4);
        assert_eq!(job.memory, Some(250), "this predictor has no weights");
    }
}
