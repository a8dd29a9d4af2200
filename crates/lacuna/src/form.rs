//! The settings of a fill as the fields of a form: what the server and the page without a server read.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use crate::anchor::{Anchor, AnchorScale};
use crate::hint::HintStrength;
use crate::hole::Expand;
use crate::mask::MaskFrom;
use crate::picture::{Format, SaveOptions};
use crate::refine::{MOST_PASSES, SMALLEST_SIDE};
use crate::strategy::{DEFAULT_LONG_SIDE, SHORTEST_LONG_SIDE, StrategyKind};
use crate::words::{Word, names};
use crate::{FillJob, MaskFit, MaskOptions, Method, Predictor, Refinement, Sizing};

/// A larger growth leaves the region where filling makes sense. This also limits the work of growing.
const MOST_GROWTH: u32 = 1024;

/// Most answers to one request: as many as the page has number keys.
const MOST_SAMPLES: u16 = 9;

/// The value of the format field for the input's own format.
pub const SAME_FORMAT: &str = "same";

/// Limit of quoted text, in characters.
const MOST_EXCERPT: usize = 64;

/// The beginning of a client's text, short enough for a message.
pub fn excerpt(text: &str) -> String {
    text.chars().take(MOST_EXCERPT).collect()
}

/// A field that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// There is no such field.
    #[error("{0}")]
    Unknown(String),
    /// Its value is invalid.
    #[error("{0}")]
    Invalid(String),
}

/// All settings, without the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The method; none for the server's default.
    pub method: Option<Method>,
    /// The network.
    pub model: Option<String>,
    /// How the network is refined, if it is.
    pub refine: Option<Refinement>,
    /// How large images are handled.
    pub sizing: Sizing,
    /// Seed of all randomness.
    pub seed: u64,
    /// Answers besides the first one, each with the next seed.
    pub further_answers: u16,
    /// How much a hint counts.
    pub hint_strength: HintStrength,
    /// How the mask is read.
    pub mask: MaskOptions,
    /// What says where the hole is.
    pub mask_from: MaskFrom,
    /// Handling of masks of other sizes.
    pub fit: MaskFit,
    /// Growth of the hole.
    pub expand: Expand,
    /// Width of the soft seam in pixels.
    pub feather: u32,
    /// The output's format; none for the input's.
    pub format: Option<Format>,
    /// JPEG quality; none for the input's tables.
    pub quality: Option<u8>,
}

impl Settings {
    /// The names of all fields.
    pub const FIELDS: [&str; 20] = [
        "method",
        "model",
        "refine",
        "refine_side",
        "strategy",
        "long_side",
        "seed",
        "samples",
        "hint_strength",
        "expand",
        "feather",
        "threshold",
        "invert",
        "mask_channel",
        "mask_from",
        "fit_mask",
        "anchor",
        "anchor_scale",
        "format",
        "quality",
    ];

    /// Parses settings from the fields of a form.
    ///
    /// # Errors
    /// [`FieldError`] with the field and its valid values.
    pub fn from_fields(fields: &[(String, String)]) -> Result<Self, FieldError> {
        let mut settings = Self::default();
        let (mut strategy, mut long_side) = (StrategyKind::Auto, None);
        let (mut fits, mut anchor, mut anchor_scale) = (false, None, None);
        let (mut passes, mut refine_side) = (0, None);
        for (name, value) in fields {
            let field = Field { name, value };
            match name.as_str() {
                "method" => settings.method = Some(field.word()?),
                "model" => settings.model = Some(value.clone()),
                "refine" => passes = field.number(0, MOST_PASSES)?,
                "refine_side" => refine_side = Some(field.number(SMALLEST_SIDE as u32, u32::from(u16::MAX))?),
                "strategy" => strategy = field.word()?,
                "long_side" => long_side = Some(field.number(SHORTEST_LONG_SIDE, u32::from(u16::MAX))?),
                "seed" => settings.seed = field.number(0, u64::MAX)?,
                "samples" => settings.further_answers = field.number(1, MOST_SAMPLES)? - 1,
                "hint_strength" => settings.hint_strength = field.parsed()?,
                "expand" => settings.expand = field.expand()?,
                "feather" => settings.feather = field.number(0, MOST_GROWTH)?,
                "threshold" => settings.mask.threshold = Some(field.number(0, u8::MAX - 1)?),
                "invert" => settings.mask.invert = field.one_of(&[("true", true), ("false", false)])?,
                "mask_channel" => settings.mask.channel = field.word()?,
                "mask_from" => settings.mask_from = field.word()?,
                "fit_mask" => fits = field.one_of(&[("true", true), ("false", false)])?,
                "anchor" => anchor = Some(field.word::<Anchor>()?),
                "anchor_scale" => anchor_scale = Some(field.word::<AnchorScale>()?),
                "format" if value == SAME_FORMAT => settings.format = None,
                "format" => settings.format = Some(field.word_or(SAME_FORMAT)?),
                "quality" => settings.quality = Some(field.number(1, 100)?),
                _ => {
                    return Err(
                        field.unknown(&[&["image", "mask", "avoid", "hint"], &Self::FIELDS[..]].concat())
                    );
                }
            }
        }
        if let Some(long_side) = long_side.filter(|_| strategy != StrategyKind::Resize) {
            let detail = format!("long_side {long_side} needs strategy resize, but strategy is {strategy}");
            return Err(FieldError::Invalid(detail));
        }
        settings.refine = (passes > 0).then(|| Refinement::new(passes, refine_side));
        if let Some(side) = refine_side.filter(|_| passes == 0) {
            let detail = format!("refine_side {side} needs refine, but refine is 0");
            return Err(FieldError::Invalid(detail));
        }
        settings.fit = match (anchor, anchor_scale) {
            (Some(_), _) if fits => {
                return Err(FieldError::Invalid("fit_mask and anchor exclude each other".into()));
            }
            (Some(anchor), scale) => MaskFit::At(anchor, scale.unwrap_or_default()),
            (None, Some(_)) => {
                return Err(FieldError::Invalid("anchor_scale is for masks at an anchor".into()));
            }
            (None, None) if fits => MaskFit::Same,
            (None, None) => MaskFit::Exact,
        };
        let long_side = long_side.unwrap_or(DEFAULT_LONG_SIDE);
        settings.sizing = Sizing::Always(strategy.with_long_side(long_side as usize));
        Ok(settings)
    }

    /// The fill of the first answer, with default limits.
    pub fn job(&self, predictor: Arc<dyn Predictor>) -> FillJob {
        FillJob {
            mask: self.mask,
            fit: self.fit,
            expand: self.expand,
            feather: self.feather,
            sizing: self.sizing,
            seed: self.seed,
            hint_strength: self.hint_strength,
            save: SaveOptions { format: self.format, quality: self.quality },
            ..FillJob::new(predictor)
        }
    }
}

/// The file name of a filled image, with the number of the answer if there are several.
pub fn output_name(input: &str, format: Format, answer: Option<u16>) -> String {
    let (stem, extension) = match input.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, Some(extension)),
        _ => (input, None),
    };
    // Keep the original spelling of the extension if it matches the format.
    let own = extension.filter(|_| Format::from_extension(input.as_ref()) == Some(format));
    let number = answer.map_or(String::new(), |answer| format!("-{answer}"));
    format!("{stem}-inpainted{number}.{}", own.unwrap_or(format.extension()))
}

/// A field of a form.
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
}

impl Field<'_> {
    /// The problem of an unknown field.
    pub fn unknown(&self, known: &[&str]) -> FieldError {
        let (name, known) = (excerpt(self.name), known.join(", "));
        FieldError::Unknown(format!("field {name:?} is unknown, expected one of {known}"))
    }

    /// Parses the value as a name.
    ///
    /// # Errors
    /// [`FieldError::Invalid`] with all names.
    pub fn word<T: Word>(&self) -> Result<T, FieldError> {
        T::from_name(self.value).map_err(|_| self.invalid(&format!("one of {}", names::<T>().join(", "))))
    }

    /// Parses the value as a name; `other` is also valid, and handled by the caller.
    fn word_or<T: Word>(&self, other: &str) -> Result<T, FieldError> {
        let known = || [vec![other], names::<T>()].concat().join(", ");
        T::from_name(self.value).map_err(|_| self.invalid(&format!("one of {}", known())))
    }

    /// Parses the value as one of several words.
    ///
    /// # Errors
    /// [`FieldError::Invalid`] with all of them.
    pub fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, FieldError> {
        let found = words.iter().find(|(word, _)| *word == self.value);
        found.map(|&(_, meaning)| meaning).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
            self.invalid(&format!("one of {}", words.join(", ")))
        })
    }

    /// The value as growth of a hole.
    fn expand(&self) -> Result<Expand, FieldError> {
        match self.value.parse() {
            Ok(Expand::Auto) => Ok(Expand::Auto),
            _ => self.number(0, MOST_GROWTH).map(Expand::Pixels),
        }
    }

    /// Parses the value as an integer within bounds.
    ///
    /// # Errors
    /// [`FieldError::Invalid`] with the bounds.
    pub fn number<T: FromStr + PartialOrd + Display>(&self, least: T, most: T) -> Result<T, FieldError> {
        let digits = !self.value.is_empty() && self.value.bytes().all(|byte| byte.is_ascii_digit());
        let number = self.value.parse().ok().filter(|number| digits && *number >= least && *number <= most);
        number.ok_or_else(|| self.invalid(&format!("an integer from {least} to {most}")))
    }

    /// Parses the value by its type's own rules.
    ///
    /// # Errors
    /// [`FieldError::Invalid`] with the problem.
    fn parsed<T: FromStr<Err = String>>(&self) -> Result<T, FieldError> {
        self.value.parse().map_err(|problem| {
            let value = excerpt(self.value);
            FieldError::Invalid(format!("field {} is {value:?}: {problem}", self.name))
        })
    }

    fn invalid(&self, expected: &str) -> FieldError {
        let value = excerpt(self.value);
        FieldError::Invalid(format!("field {} is {value:?}, expected {expected}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Strategy;
    use crate::mask::MaskChannel;
    use crate::refine::Pyramid;

    fn read(fields: &[(&str, &str)]) -> Result<Settings, FieldError> {
        let fields: Vec<_> =
            fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Settings::from_fields(&fields)
    }

    #[test]
    fn every_field_has_its_place() {
        assert_eq!(read(&[]).unwrap(), Settings::default());
        let all = read(&[
            ("method", "network"),
            ("model", "a"),
            ("refine", "20"),
            ("refine_side", "256"),
            ("strategy", "resize"),
            ("long_side", "640"),
            ("seed", "18446744073709551615"),
            ("samples", "4"),
            ("hint_strength", "0.5"),
            ("expand", "3"),
            ("feather", "2"),
            ("threshold", "254"),
            ("invert", "true"),
            ("mask_channel", "alpha"),
            ("mask_from", "alpha"),
            ("anchor", "bottom-right"),
            ("anchor_scale", "width"),
            ("format", "webp"),
            ("quality", "100"),
        ]);
        let expected = Settings {
            method: Some(Method::NETWORK),
            model: Some("a".into()),
            refine: Some(Refinement { passes: 20, pyramid: Some(Pyramid::new(256)) }),
            sizing: Sizing::Always(Strategy::Resize { long_side: 640 }),
            seed: u64::MAX,
            further_answers: 3,
            hint_strength: HintStrength::new(0.5).unwrap(),
            mask: MaskOptions { threshold: Some(254), invert: true, channel: MaskChannel::Alpha },
            mask_from: MaskFrom::Alpha,
            fit: MaskFit::At(Anchor::BottomRight, AnchorScale::Width),
            expand: Expand::Pixels(3),
            feather: 2,
            format: Some(Format::WebP),
            quality: Some(100),
        };
        assert_eq!(all.unwrap(), expected);
        assert_eq!(read(&[("expand", "auto")]).unwrap().expand, Expand::Auto);
        assert_eq!(read(&[("fit_mask", "true")]).unwrap().fit, MaskFit::Same);
    }

    #[test]
    fn known_fields_are_listed() {
        for name in Settings::FIELDS {
            assert!(!matches!(read(&[(name, "\u{1}")]), Err(FieldError::Unknown(_))), "{name}");
        }
    }

    #[test]
    fn invalid_values_are_reported_with_the_valid_ones() {
        for (fields, words) in [
            (&[("sed", "1")][..], "field \"sed\" is unknown"),
            (&[("seed", "-1")], "field seed is \"-1\", expected an integer from 0 to"),
            (&[("seed", "+1")], "field seed is \"+1\""),
            (&[("seed", "")], "field seed is \"\""),
            (&[("samples", "0")], "an integer from 1 to 9"),
            (&[("hint_strength", "3")], "field hint_strength is \"3\": a strength of 3, possible are 0 to 2"),
            (&[("samples", "10")], "an integer from 1 to 9"),
            (&[("expand", "1025")], "an integer from 0 to 1024"),
            (&[("expand", "wide")], "an integer from 0 to 1024"),
            (&[("anchor", "corner")], "one of top-left, top"),
            (&[("anchor", "top"), ("fit_mask", "true")], "fit_mask and anchor exclude each other"),
            (&[("anchor_scale", "fit")], "anchor_scale is for masks at an anchor"),
            (&[("mask_from", "beta")], "one of file, alpha"),
            (&[("threshold", "255")], "from 0 to 254"),
            (&[("quality", "0")], "from 1 to 100"),
            (&[("invert", "yes")], "one of true, false"),
            (&[("method", "magic")], "one of guided, patchmatch, network"),
            (&[("format", "gif")], "one of same, png, jpeg"),
            (&[("refine", "201")], "field refine is \"201\", expected an integer from 0 to 200"),
            (&[("refine_side", "256")], "refine_side 256 needs refine, but refine is 0"),
            (&[("long_side", "640")], "needs strategy resize, but strategy is auto"),
        ] {
            let detail = read(fields).unwrap_err().to_string();
            assert!(detail.contains(words), "{detail}");
        }
    }

    #[test]
    fn outputs_are_named_after_their_photos() {
        for (input, format, expected) in [
            ("photo.JPG", Format::Jpeg, "photo-inpainted.JPG"),
            ("photo.jpeg", Format::Png, "photo-inpainted.png"),
            ("a.b.tif", Format::Tiff, "a.b-inpainted.tif"),
            ("photo", Format::WebP, "photo-inpainted.webp"),
            (".png", Format::Png, ".png-inpainted.png"),
        ] {
            assert_eq!(output_name(input, format, None), expected);
        }
        assert_eq!(output_name("a.png", Format::Png, Some(2)), "a-inpainted-2.png");
    }
}
