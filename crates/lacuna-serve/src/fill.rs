//! The work of a job: files in, file out.

use std::borrow::Cow;
use std::fmt::Debug;
use std::io::{Cursor, Write as _};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use lacuna::form::{Settings, output_name};
use lacuna::inpainter::check_sizes;
use lacuna::job::{Inputs, MaskSource, Source};
use lacuna::picture::{Format, Limits};
use lacuna::{FillJob, Mask, MaskOptions, Picture, Planes, Predictor, Watch};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::answer::Answer;
use crate::config::Bounds;
use crate::models::LatentView;
use crate::problem::{Code, Problem};
use crate::queue::{Key, Outcome};

/// A file from a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upload {
    /// Its name, without folders.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Upload {
    fn source(&self) -> Source<'_> {
        Source::Bytes { name: &self.name, bytes: &self.bytes }
    }
}

/// A request to fill a hole.
#[derive(Clone, Debug)]
pub struct FillRequest {
    /// The image.
    pub image: Upload,
    /// What says where the hole is.
    pub mask: MaskUpload,
    /// A mask of what must not be copied into the hole.
    pub avoid: Option<Upload>,
    /// What a person wants in the hole.
    pub hint: Option<Upload>,
    /// The settings.
    pub settings: Settings,
}

/// What says where the hole is.
#[derive(Clone, Debug)]
pub enum MaskUpload {
    /// A mask file.
    File(Upload),
    /// The image's alpha channel.
    Alpha,
}

/// A request for a preview.
#[derive(Clone, Debug)]
pub struct PreviewRequest {
    /// The image.
    pub image: Upload,
    /// Limit of the longer side in pixels.
    pub long_side: u32,
}

/// A request for a latent view.
#[derive(Clone, Debug)]
pub struct LatentRequest {
    /// The image.
    pub image: Upload,
    /// Its mask.
    pub mask: Upload,
    /// The network, as named in the request.
    pub model: Option<String>,
}

/// Hash of everything that decides an outcome: the kind of work, its settings, and its files.
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

fn decode_image(file: &Upload, limits: &Limits) -> Result<Picture, Problem> {
    Picture::decode(&file.bytes, &file.name, limits).map_err(|error| Problem::of(&error))
}

pub(crate) fn decode_mask(file: &Upload, limits: &Limits) -> Result<Picture, Problem> {
    Picture::decode(&file.bytes, &file.name, limits).map_err(|error| Problem::of(&error.in_mask()))
}

fn mask_of(
    file: &Upload,
    options: &MaskOptions,
    picture: &Picture,
    limits: &Limits,
) -> Result<Mask, Problem> {
    let mask = Mask::from_picture(&decode_mask(file, limits)?, options);
    check_sizes(picture, &mask).map_err(|error| Problem::of(&error))?;
    Ok(mask)
}

impl FillRequest {
    /// Hash of everything that decides the outcome.
    pub fn key(&self) -> Key {
        let mask = match &self.mask {
            MaskUpload::File(mask) => Some(mask),
            MaskUpload::Alpha => None,
        };
        let files: Vec<&Upload> = [Some(&self.image), mask, self.avoid.as_ref(), self.hint.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        // The same two files may be image and mask, image and what is avoided, or image and hint.
        let given = [mask.is_some(), self.avoid.is_some(), self.hint.is_some()];
        key("fill", &(&self.settings, given), &files)
    }

    /// Fills the hole, once or several times.
    ///
    /// # Errors
    /// If the files or settings are invalid.
    pub fn run(&self, predictor: Arc<dyn Predictor>, bounds: &Bounds, watch: &Watch) -> Outcome {
        let start = Instant::now();
        let job = self.job(predictor, bounds);
        let count = self.settings.further_answers + 1;
        if count > 1 && !job.predictor.uses_seed() {
            let name = job.predictor.name();
            let detail = format!("{name} has one answer for each hole, samples is {count}");
            return Err(Problem::new(Code::FieldInvalid, detail));
        }
        let part = |answer: u16| f32::from(answer) / f32::from(count);
        let answer = |number: u16| {
            let seed = job.seed.wrapping_add(number.into());
            self.filled(&FillJob { seed, ..job.clone() }, &watch.part(part(number), part(number + 1)))
        };
        let first = answer(0)?;
        let seconds = || format!("{:.3}", start.elapsed().as_secs_f64());
        let described = |answer: Answer| {
            let answer = answer
                .with("x-lacuna-method", &job.predictor.name())
                .with("x-lacuna-strategy", &first.strategy)
                .with("x-lacuna-hole", &first.mask_pixels.to_string())
                .with("x-lacuna-seconds", &seconds())
                .with("x-seed", &job.seed.to_string());
            first.notes.iter().fold(answer, |answer, note| answer.with(NOTES, &header_text(note)))
        };
        let name = output_name(&self.image.name, first.format, None);
        if count == 1 {
            let answer = Answer::new(first.body.clone(), first.format.media_type());
            return Ok(described(answer.named(&name)));
        }
        let mut archive = Archive::new(&self.image.name);
        archive.add(&first)?;
        for number in 1..count {
            archive.add(&answer(number)?)?;
        }
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        Ok(described(Answer::new(archive.finish()?, "application/zip").named(&format!("{stem}.zip"))))
    }

    /// Fills the hole once.
    fn filled(&self, job: &FillJob, watch: &Watch) -> Result<FilledPhoto, Problem> {
        let mask = match &self.mask {
            MaskUpload::File(mask) => MaskSource::File(mask.source()),
            MaskUpload::Alpha => MaskSource::Alpha,
        };
        let [avoid, hint] = [&self.avoid, &self.hint].map(|file| file.as_ref().map(Upload::source));
        let prepared = job.prepare(Inputs { image: self.image.source(), mask, avoid, hint });
        let prepared = prepared.map_err(|error| Problem::of(&error))?;
        let format = prepared.format();
        let strategy = prepared.plan().map_or("none", |plan| &plan.strategy).to_owned();
        let mask_pixels = prepared.mask_pixels();
        let mut notes = prepared.notes().to_vec();
        let filled = prepared.run(watch).map_err(|error| Problem::of(&error))?;
        notes.extend(filled.notes);
        let body = match filled.bytes {
            Cow::Borrowed(_) => self.image.bytes.clone(),
            Cow::Owned(bytes) => bytes.into(),
        };
        Ok(FilledPhoto { body, format, strategy, mask_pixels, notes })
    }

    fn job(&self, predictor: Arc<dyn Predictor>, bounds: &Bounds) -> FillJob {
        FillJob { limits: bounds.limits(), memory: bounds.memory, ..self.settings.job(predictor) }
    }
}

/// One answer.
struct FilledPhoto {
    body: Bytes,
    format: Format,
    strategy: String,
    mask_pixels: usize,
    notes: Vec<String>,
}

/// A ZIP file of answers.
struct Archive<'a> {
    photo: &'a str,
    count: u16,
    writer: ZipWriter<Cursor<Vec<u8>>>,
}

impl<'a> Archive<'a> {
    /// No answers yet; `photo` is the name of the photo.
    fn new(photo: &'a str) -> Self {
        Self { photo, count: 0, writer: ZipWriter::new(Cursor::new(Vec::new())) }
    }

    fn add(&mut self, answer: &FilledPhoto) -> Result<(), Problem> {
        self.count += 1;
        let name = output_name(self.photo, answer.format, Some(self.count));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        self.writer.start_file(name, stored).map_err(|error| Problem::internal(&error.to_string()))?;
        self.writer.write_all(&answer.body).map_err(|error| Problem::internal(&error.to_string()))
    }

    fn finish(self) -> Result<Vec<u8>, Problem> {
        let written = self.writer.finish().map_err(|error| Problem::internal(&error.to_string()))?;
        Ok(written.into_inner())
    }
}

/// The header of a note on the result; one for each note.
pub(crate) const NOTES: &str = "x-lacuna-notes";

/// What is percent-encoded in a note: all but printable ASCII, the percent sign itself, and the comma, because programs and
/// proxies join the headers of one name with commas (RFC 9110, section 5.3).
const ENCODED: &AsciiSet = &CONTROLS.add(b'%').add(b',');

/// Encodes a text for a header that may be joined with others.
fn header_text(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

impl PreviewRequest {
    /// Hash of everything that decides the outcome.
    pub fn key(&self) -> Key {
        key("preview", &self.long_side, &[&self.image])
    }

    /// Draws the image small enough for a screen.
    ///
    /// # Errors
    /// If the image cannot be read.
    pub fn run(&self, bounds: &Bounds) -> Outcome {
        let picture = decode_image(&self.image, &bounds.limits())?;
        let (width, height) = (picture.pixels().width(), picture.pixels().height());
        Ok(png(&picture.preview(self.long_side))?
            .with("x-lacuna-width", &width.to_string())
            .with("x-lacuna-height", &height.to_string())
            .with("x-lacuna-depth", &picture.depth().to_string())
            .with("x-lacuna-format", &picture.format().to_string()))
    }
}

impl LatentRequest {
    /// Hash of everything that decides the outcome.
    pub fn key(&self) -> Key {
        key("latent", &self.model, &[&self.image, &self.mask])
    }

    /// Draws the latent view.
    ///
    /// # Errors
    /// If a file cannot be read, or the view cannot be drawn.
    pub fn run(&self, view: &dyn LatentView, bounds: &Bounds) -> Outcome {
        let picture = decode_image(&self.image, &bounds.limits())?;
        let mask = mask_of(&self.mask, &MaskOptions::default(), &picture, &bounds.limits())?;
        if mask.count() == 0 {
            return Err(Problem::new(Code::MaskInvalid, "the mask is empty: there is no hole to show"));
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
    Ok(Answer::new(bytes.into_inner(), Format::Png.media_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_fit_into_headers() {
        assert_eq!(header_text("a b: 5 %, c"), "a b: 5 %25%2C c");
        assert_eq!(header_text("ї\n"), "%D1%97%0A");
    }

    #[test]
    fn keys_differ_by_everything() {
        let upload = |name: &str, bytes: &'static [u8]| Upload { name: name.into(), bytes: bytes.into() };
        let request = |image, mask, seed| {
            let settings = Settings { seed, ..Settings::default() };
            FillRequest { image, mask: MaskUpload::File(mask), avoid: None, hint: None, settings }.key()
        };
        // The same file as what is avoided and as hint.
        let further = |avoid: Option<&Upload>, hint: Option<&Upload>| {
            let (image, settings) = (upload("a", b"12"), Settings::default());
            let (avoid, hint) = (avoid.cloned(), hint.cloned());
            FillRequest { image, mask: MaskUpload::Alpha, avoid, hint, settings }.key()
        };
        let (one, other) = (upload("h", b"4"), upload("h", b"5"));
        let keys = [
            further(None, None),
            further(Some(&one), None),
            further(None, Some(&one)),
            further(None, Some(&other)),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
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
