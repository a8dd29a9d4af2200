//! IOPaint's inpaint request, and the fields of it that Lacuna uses.

use lacuna::{MaskOptions, Sizing, Strategy};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::base64::decode;
use super::fields::Fields;
use crate::body::Form;
use crate::fill::{FillRequest, MaskUpload, Upload};
use crate::id::Id;
use crate::problem::{Code, Problem};
use lacuna::form::Settings;
use lacuna::form::excerpt;

/// Mask pixels above this value are hole, as in IOPaint.
const THRESHOLD: u8 = 127;

/// Largest accepted side; larger values are clamped.
const MOST_SIDE: i64 = u16::MAX as i64;

/// Shortest side for resizing.
const LEAST_SIDE: i64 = 16;

/// IOPaint's own defaults.
const TRIGGER: i64 = 800;
const LIMIT: i64 = 1280;
const SEED: i64 = 42;

/// Limits of the list of ignored fields, in names and characters per name, as it is sent in a header.
const MOST_LISTED: usize = 16;

/// A request in IOPaint's format.
#[derive(Debug, ToSchema)]
pub struct IopaintRequest {
    /// The image, base64, with or without `data:…;base64,` before it.
    #[schema(value_type = String)]
    image: Result<Upload, Problem>,
    /// The mask, likewise; brighter than 127 is hole.
    #[schema(value_type = String)]
    mask: Result<Upload, Problem>,
    /// `Original`, `Resize` or `Crop` in any case; any other value means `Original`, as in IOPaint.
    #[schema(required = false)]
    hd_strategy: String,
    /// `Crop` applies to images with a longer side above this.
    #[schema(required = false)]
    hd_strategy_crop_trigger_size: i64,
    /// `Resize` scales the longer side to this many pixels.
    #[schema(required = false)]
    hd_strategy_resize_limit: i64,
    /// Random seed; -1 chooses one.
    #[schema(required = false)]
    sd_seed: i64,
    /// All other fields, which are ignored.
    #[schema(ignore)]
    others: Map<String, Value>,
}

/// Fields for models that Lacuna does not have. IOPaint's erasing models ignore them too.
const TUNING: [&str; 32] = [
    "ldm_steps",
    "ldm_sampler",
    "zits_wireframe",
    "hd_strategy_crop_margin",
    "croper_x",
    "croper_y",
    "croper_height",
    "croper_width",
    "extender_x",
    "extender_y",
    "extender_height",
    "extender_width",
    "sd_scale",
    "sd_mask_blur",
    "sd_strength",
    "sd_steps",
    "sd_guidance_scale",
    "sd_sampler",
    "sd_outpainting_softness",
    "sd_outpainting_space",
    "sd_match_histograms",
    "sd_lcm_lora",
    "sd_keep_unmasked_area",
    "cv2_flag",
    "cv2_radius",
    "p2p_image_guidance_scale",
    "controlnet_conditioning_scale",
    "controlnet_method",
    "brushnet_method",
    "brushnet_conditioning_scale",
    "powerpaint_task",
    "fitting_degree",
];

impl IopaintRequest {
    /// Parses `POST /api/v1/inpaint`.
    ///
    /// # Errors
    /// [`Code::Malformed`] if it is not a JSON object, [`Code::FieldInvalid`] if a field that Lacuna uses has another
    /// type.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::from_json(bytes)?;
        let image = fields.take_text("image")?;
        let mask = fields.take_text("mask")?;
        Self::new(decode("image", image.as_deref()), decode("mask", mask.as_deref()), fields)
    }

    /// Parses lama-cleaner's form, whose fields are IOPaint's in camelCase.
    ///
    /// # Errors
    /// As [`IopaintRequest::from_json`].
    pub fn from_form(mut form: Form) -> Result<Self, Problem> {
        let (image, mask) = (form.take_image(), form.take_mask());
        let named = |(name, value): (String, String)| (snake_case(&name), Value::String(value));
        Self::new(image, mask, Fields(form.fields.into_iter().map(named).collect()))
    }

    fn new(
        image: Result<Upload, Problem>,
        mask: Result<Upload, Problem>,
        mut fields: Fields,
    ) -> Result<Self, Problem> {
        Ok(Self {
            image,
            mask,
            hd_strategy: fields.take_text("hd_strategy")?.unwrap_or_else(|| "Crop".into()),
            // The alternative spellings are those of IOPaint's own page.
            hd_strategy_crop_trigger_size: fields
                .take_number(&["hd_strategy_crop_trigger_size", "hd_strategy_crop_triger_size"], TRIGGER)?,
            hd_strategy_resize_limit: fields
                .take_number(&["hd_strategy_resize_limit", "hd_trategy_resize_imit"], LIMIT)?,
            sd_seed: fields.take_number(&["sd_seed"], SEED)?,
            others: fields.0,
        })
    }

    /// Names of ignored fields that asked for something, at most sixteen.
    pub fn ignored(&self) -> Vec<String> {
        let asks = |(name, value): &(&String, &Value)| {
            let empty = match value {
                Value::Null => true,
                Value::Bool(on) => !on,
                Value::String(text) => text.is_empty() || text.eq_ignore_ascii_case("false"),
                _ => false,
            };
            !empty && !TUNING.contains(&name.as_str())
        };
        self.others.iter().filter(asks).take(MOST_LISTED).map(|(name, _)| excerpt(name)).collect()
    }

    /// The requested fill.
    ///
    /// # Errors
    /// [`Code::FieldMissing`] or [`Code::FieldInvalid`] for a file or the seed.
    pub fn into_fill(self) -> Result<FillRequest, Problem> {
        let clamped = |value: i64, least: i64| value.clamp(least, MOST_SIDE) as usize;
        let sizing = match self.hd_strategy.to_ascii_lowercase().as_str() {
            "crop" => {
                let side = clamped(self.hd_strategy_crop_trigger_size, 0);
                Sizing::Above { side, strategy: Strategy::Crop }
            }
            "resize" => {
                let side = clamped(self.hd_strategy_resize_limit, LEAST_SIDE);
                Sizing::Above { side, strategy: Strategy::Resize { long_side: side } }
            }
            _ => Sizing::Always(Strategy::Full),
        };
        let seed = match self.sd_seed {
            -1 => random_seed(),
            seed => u64::try_from(seed).map_err(|_| {
                Problem::new(Code::FieldInvalid, format!("sd_seed is {seed}, expected -1 or more"))
            })?,
        };
        let mask = MaskOptions { threshold: Some(THRESHOLD), ..MaskOptions::default() };
        let settings = Settings { sizing, seed, mask, ..Settings::default() };
        let (image, mask) = (self.image?, MaskUpload::File(self.mask?));
        Ok(FillRequest { image, mask, avoid: None, hint: None, settings })
    }
}

/// A random seed of at most eight digits, as in IOPaint.
fn random_seed() -> u64 {
    let digits = Id::random().to_string();
    u64::from_str_radix(&digits[..6], 16).unwrap_or_default()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(mut fields: Value) -> Result<IopaintRequest, Problem> {
        let base = json!({"image": "aW1hZ2U=", "mask": "data:image/png;base64,bWFzaw=="});
        for (name, value) in base.as_object().unwrap() {
            fields.as_object_mut().unwrap().entry(name.clone()).or_insert(value.clone());
        }
        IopaintRequest::from_json(fields.to_string().as_bytes())
    }

    fn fill(fields: Value) -> Result<FillRequest, Problem> {
        request(fields)?.into_fill()
    }

    #[test]
    fn defaults_are_iopaints() {
        let request = fill(json!({})).unwrap();
        let MaskUpload::File(mask) = &request.mask else { panic!("{request:?}") };
        assert_eq!((&request.image.bytes[..], &mask.bytes[..]), (&b"image"[..], &b"mask"[..]));
        assert_eq!(request.settings.sizing, Sizing::Above { side: 800, strategy: Strategy::Crop });
        assert_eq!((request.settings.seed, request.settings.mask.threshold), (42, Some(127)));
    }

    #[test]
    fn sizes_follow_the_strategy() {
        let crop = |side| Sizing::Above { side, strategy: Strategy::Crop };
        let resize = |side| Sizing::Above { side, strategy: Strategy::Resize { long_side: side } };
        for (fields, expected) in [
            (json!({"hd_strategy": "Original"}), Sizing::Always(Strategy::Full)),
            (json!({"hd_strategy": "whatever"}), Sizing::Always(Strategy::Full)),
            (json!({"hd_strategy": "CROP", "hd_strategy_crop_margin": 196}), crop(800)),
            (json!({"hd_strategy_crop_trigger_size": 512}), crop(512)),
            (json!({"hd_strategy_crop_triger_size": 640}), crop(640)),
            (json!({"hd_strategy_crop_trigger_size": -5}), crop(0)),
            (json!({"hd_strategy_crop_trigger_size": 1_000_000}), crop(65_535)),
            (json!({"hd_strategy": "Resize", "hd_strategy_resize_limit": 640.0}), resize(640)),
            (json!({"hd_strategy": "resize", "hd_trategy_resize_imit": "2048"}), resize(2048)),
            (json!({"hd_strategy": "Resize", "hd_strategy_resize_limit": 0}), resize(16)),
        ] {
            assert_eq!(fill(fields.clone()).unwrap().settings.sizing, expected, "{fields}");
        }
    }

    #[test]
    fn only_ignored_fields_that_ask_for_something_are_listed() {
        let sent = json!({
            "ldm_steps": 30, "zits_wireframe": true, "prompt": "", "negative_prompt": "lowres, error",
            "use_croper": false, "use_extender": true, "sd_strength": 1.0, "sd_seed": 42.0,
            "paint_by_example_example_image": null, "controlnet_method": "canny", "model": "lama",
        });
        let request = request(sent).unwrap();
        assert_eq!(request.ignored(), ["model", "negative_prompt", "use_extender"]);
        assert_eq!(request.into_fill().unwrap().settings.seed, 42);
    }

    #[test]
    fn a_random_seed_is_drawn_for_minus_one() {
        assert!(fill(json!({"sd_seed": -1})).unwrap().settings.seed < 1 << 24);
    }

    #[test]
    fn forms_of_lama_cleaner_mean_the_same() {
        let file = |text: &'static str| Some(Upload { name: text.into(), bytes: text.into() });
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let fields = vec![
            field("hdStrategy", "Resize"),
            field("hdStrategyResizeLimit", "2048"),
            field("hdStrategyCropTrigerSize", "640"),
            field("zitsWireframe", "true"),
            field("useCroper", "false"),
            field("prompt", "a cat"),
            field("sdSeed", "7"),
        ];
        let form = Form { image: file("image"), mask: file("mask"), fields, ..Form::default() };
        let request = IopaintRequest::from_form(form).unwrap();
        assert_eq!(request.ignored(), ["prompt"]);
        let settings = request.into_fill().unwrap().settings;
        assert_eq!(settings.seed, 7);
        assert_eq!(
            settings.sizing,
            Sizing::Above { side: 2048, strategy: Strategy::Resize { long_side: 2048 } }
        );
    }

    #[test]
    fn unusable_values_are_named() {
        for (fields, code, words) in [
            (json!({"sd_seed": -2}), Code::FieldInvalid, "sd_seed is -2"),
            (json!({"sd_seed": "x"}), Code::FieldInvalid, "sd_seed is \"x\""),
            (json!({"sd_seed": 0.5}), Code::FieldInvalid, "sd_seed is 0.5"),
            (json!({"image": 7}), Code::FieldInvalid, "image is not a string"),
            (json!({"image": null}), Code::FieldMissing, "image"),
            (json!({"mask": "%"}), Code::FieldInvalid, "mask is not base64"),
        ] {
            let problem = fill(fields).unwrap_err();
            assert!(problem.code == code && problem.detail.contains(words), "{problem:?}");
        }
    }
}
