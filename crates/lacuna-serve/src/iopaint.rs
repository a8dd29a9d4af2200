//! The JSON of IOPaint's `POST /api/v1/inpaint` (<https://github.com/Sanster/IOPaint>), so that its clients keep working.
//!
//! Lacuna erases. What IOPaint's erasing models do not look at either (steps, samplers, scales of models that paint by
//! words) is taken and changes nothing, as there; what switches something on that Lacuna does not have is an error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lacuna::{HoleOptions, MaskOptions, Strategy};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::fill::{FillRequest, Upload};
use crate::id::Id;
use crate::problem::{Code, Problem};
use crate::settings::{Settings, Sizing};

/// A pixel of the mask is hole above this, as in IOPaint.
const THRESHOLD: u8 = 127;

/// The context that windows have at least; more cannot be asked for.
const MOST_MARGIN: u32 = 128;

/// Sides that IOPaint's numbers may name.
const MOST_SIDE: u32 = u16::MAX as u32;

/// The shortest side to resize to.
const LEAST_SIDE: u32 = 16;

/// IOPaint's own defaults.
const CROP: &str = "Crop";
const TRIGGER: u32 = 800;
const MARGIN: u32 = 128;
const LIMIT: u32 = 1280;
const SEED: i64 = 42;

/// A request as IOPaint takes it.
#[derive(Debug, ToSchema)]
pub struct IopaintRequest {
    /// The picture, base64, with or without `data:…;base64,` before it.
    image: Option<String>,
    /// The mask, likewise; brighter than 127 is hole.
    mask: Option<String>,
    /// `Original`, `Resize` or `Crop`.
    #[schema(required = false)]
    hd_strategy: String,
    /// `Crop` is for pictures with a longer side than this.
    #[schema(required = false)]
    hd_strategy_crop_trigger_size: u32,
    /// Context around the hole; Lacuna's windows have 128 pixels and more.
    #[schema(required = false)]
    hd_strategy_crop_margin: u32,
    /// `Resize` scales to so many pixels on the longer side.
    #[schema(required = false)]
    hd_strategy_resize_limit: u32,
    /// Seed of everything random; -1 takes a random one.
    #[schema(required = false)]
    sd_seed: i64,
    /// All others.
    #[schema(ignore)]
    others: Map<String, Value>,
}

/// What a field that Lacuna has no use for may be.
enum Other {
    /// Anything: nothing that erases looks at it.
    Idle,
    /// Only this (or null), because anything else asks for something.
    Only(Value),
}

/// The meaning of IOPaint's other fields; none for one that IOPaint does not know either.
fn other(name: &str) -> Option<Other> {
    Some(match name {
        "ldm_steps"
        | "ldm_sampler"
        | "zits_wireframe"
        | "croper_x"
        | "croper_y"
        | "croper_height"
        | "croper_width"
        | "extender_x"
        | "extender_y"
        | "extender_height"
        | "extender_width"
        | "sd_scale"
        | "sd_mask_blur"
        | "sd_strength"
        | "sd_steps"
        | "sd_guidance_scale"
        | "sd_sampler"
        | "sd_outpainting_softness"
        | "sd_outpainting_space"
        | "sd_match_histograms"
        | "sd_lcm_lora"
        | "sd_keep_unmasked_area"
        | "cv2_flag"
        | "cv2_radius"
        | "p2p_image_guidance_scale"
        | "controlnet_conditioning_scale"
        | "controlnet_method"
        | "brushnet_method"
        | "brushnet_conditioning_scale"
        | "powerpaint_task"
        | "fitting_degree" => Other::Idle,
        "prompt" | "negative_prompt" => Other::Only("".into()),
        "use_croper" | "use_extender" | "enable_controlnet" | "enable_brushnet" | "enable_powerpaint_v2" => {
            Other::Only(false.into())
        }
        "paint_by_example_example_image" => Other::Only(Value::Null),
        _ => return None,
    })
}

impl IopaintRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Code::Malformed`] if it is no JSON object, [`Code::FieldInvalid`] if a field is of another type.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Problem> {
        let fields = serde_json::from_slice(bytes);
        let mut fields: Map<String, Value> =
            fields.map_err(|error| Problem::new(Code::Malformed, error.to_string()))?;
        Ok(Self {
            image: text(&mut fields, "image")?,
            mask: text(&mut fields, "mask")?,
            hd_strategy: text(&mut fields, "hd_strategy")?.unwrap_or_else(|| CROP.into()),
            hd_strategy_crop_trigger_size: number(&mut fields, "hd_strategy_crop_trigger_size", TRIGGER)?,
            hd_strategy_crop_margin: number(&mut fields, "hd_strategy_crop_margin", MARGIN)?,
            hd_strategy_resize_limit: number(&mut fields, "hd_strategy_resize_limit", LIMIT)?,
            sd_seed: number(&mut fields, "sd_seed", SEED)?,
            others: fields,
        })
    }

    /// The fill that it asks for.
    ///
    /// # Errors
    /// [`Code::FieldMissing`], [`Code::FieldInvalid`], [`Code::FieldUnknown`] or [`Code::FieldUnsupported`] with the names
    /// of all such fields.
    pub fn into_fill(self) -> Result<FillRequest, Problem> {
        self.check_others()?;
        let image = upload("image", self.image.as_deref())?;
        let mask = upload("mask", self.mask.as_deref())?;
        let within = |name: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                return Ok(value);
            }
            let detail = format!("{name} is {value}, expected {least} to {most}");
            Err(Problem::new(Code::FieldInvalid, detail))
        };
        let sizing = match self.hd_strategy.as_str() {
            "Original" => Sizing::Always(Strategy::Full),
            "Crop" => {
                if self.hd_strategy_crop_margin > MOST_MARGIN {
                    let margin = self.hd_strategy_crop_margin;
                    let detail =
                        format!("hd_strategy_crop_margin is {margin}, at most {MOST_MARGIN} are supported");
                    return Err(Problem::new(Code::FieldUnsupported, detail));
                }
                let trigger = self.hd_strategy_crop_trigger_size;
                let side = within("hd_strategy_crop_trigger_size", trigger, 0, MOST_SIDE)? as usize;
                Sizing::Above { side, strategy: Strategy::Crop }
            }
            "Resize" => {
                let limit = self.hd_strategy_resize_limit;
                let side = within("hd_strategy_resize_limit", limit, LEAST_SIDE, MOST_SIDE)? as usize;
                Sizing::Above { side, strategy: Strategy::Resize { long_side: side } }
            }
            other => {
                let other: String = other.chars().take(64).collect();
                let detail = format!("hd_strategy is {other:?}, expected one of Original, Resize, Crop");
                return Err(Problem::new(Code::FieldInvalid, detail));
            }
        };
        let seed = match self.sd_seed {
            -1 => random_seed(),
            seed => u64::try_from(seed).map_err(|_| {
                Problem::new(Code::FieldInvalid, format!("sd_seed is {seed}, expected -1 or more"))
            })?,
        };
        let mask_options = MaskOptions { threshold: THRESHOLD, ..MaskOptions::default() };
        let settings = Settings {
            sizing,
            seed,
            mask: mask_options,
            hole: HoleOptions::default(),
            ..Settings::default()
        };
        Ok(FillRequest { image, mask, settings })
    }

    fn check_others(&self) -> Result<(), Problem> {
        let (mut unknown, mut unsupported) = (Vec::new(), Vec::new());
        for (name, value) in &self.others {
            match other(name) {
                None => unknown.push(name.chars().take(64).collect::<String>()),
                Some(Other::Only(only)) if *value != only && !value.is_null() => {
                    unsupported.push(name.clone())
                }
                Some(_) => {}
            }
        }
        if !unknown.is_empty() {
            let detail = format!("unknown fields: {}", unknown.join(", "));
            return Err(Problem::new(Code::FieldUnknown, detail));
        }
        if !unsupported.is_empty() {
            let detail = format!("these fields ask for what Lacuna cannot do: {}", unsupported.join(", "));
            return Err(Problem::new(Code::FieldUnsupported, detail));
        }
        Ok(())
    }
}

/// Takes a field that is text, if it is there.
fn text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::new(Code::FieldInvalid, format!("{name} is not a string"))),
    }
}

/// Takes a field that is a whole number.
fn number<T: TryFrom<i64>>(fields: &mut Map<String, Value>, name: &str, default: T) -> Result<T, Problem> {
    let Some(value) = fields.remove(name) else { return Ok(default) };
    value.as_i64().and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        let value: String = value.to_string().chars().take(64).collect();
        Problem::new(Code::FieldInvalid, format!("{name} is {value}, expected a whole number in range"))
    })
}

/// A seed as IOPaint draws them, of at most eight digits.
fn random_seed() -> u64 {
    let digits = Id::random().to_string();
    u64::from_str_radix(&digits[..6], 16).unwrap_or_default()
}

fn upload(name: &str, text: Option<&str>) -> Result<Upload, Problem> {
    let text = text
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Problem::new(Code::FieldMissing, format!("the field {name} is missing or empty")))?;
    let data = match text.split_once(',') {
        Some((head, data)) if head.starts_with("data:") && head.ends_with(";base64") => data,
        _ => text,
    };
    let bytes = STANDARD
        .decode(data.trim())
        .map_err(|error| Problem::new(Code::FieldInvalid, format!("{name} is no base64: {error}")))?;
    Ok(Upload { name: name.into(), bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(mut fields: Value) -> Result<FillRequest, Problem> {
        let base = json!({"image": "aW1hZ2U=", "mask": "data:image/png;base64,bWFzaw=="});
        for (name, value) in base.as_object().unwrap() {
            fields.as_object_mut().unwrap().entry(name.clone()).or_insert(value.clone());
        }
        IopaintRequest::from_json(fields.to_string().as_bytes())?.into_fill()
    }

    #[test]
    fn defaults_are_iopaints() {
        let request = fill(json!({})).unwrap();
        assert_eq!((&request.image.bytes[..], &request.mask.bytes[..]), (&b"image"[..], &b"mask"[..]));
        assert_eq!(request.settings.sizing, Sizing::Above { side: 800, strategy: Strategy::Crop });
        assert_eq!((request.settings.seed, request.settings.mask.threshold), (42, 127));
    }

    #[test]
    fn sizes_follow_the_strategy() {
        for (fields, expected) in [
            (json!({"hd_strategy": "Original"}), Sizing::Always(Strategy::Full)),
            (
                json!({"hd_strategy": "Resize", "hd_strategy_resize_limit": 640}),
                Sizing::Above { side: 640, strategy: Strategy::Resize { long_side: 640 } },
            ),
            (
                json!({"hd_strategy": "Crop", "hd_strategy_crop_trigger_size": 512, "hd_strategy_crop_margin": 64}),
                Sizing::Above { side: 512, strategy: Strategy::Crop },
            ),
        ] {
            assert_eq!(fill(fields).unwrap().settings.sizing, expected);
        }
    }

    #[test]
    fn what_its_own_page_sends_is_taken() {
        let sent = json!({
            "ldm_steps": 30, "ldm_sampler": "ddim", "zits_wireframe": true, "prompt": "", "negative_prompt": "",
            "use_croper": false, "croper_x": 0, "croper_y": 0, "croper_height": 512, "croper_width": 512,
            "use_extender": false, "extender_x": 0, "extender_y": 0, "extender_height": 640, "extender_width": 640,
            "sd_mask_blur": 12, "sd_strength": 1.0, "sd_steps": 50, "sd_guidance_scale": 7.5, "sd_sampler": "DPM++ 2M",
            "sd_seed": -1, "sd_match_histograms": false, "sd_lcm_lora": false, "paint_by_example_example_image": null,
            "p2p_image_guidance_scale": 1.5, "enable_controlnet": false, "controlnet_conditioning_scale": 0.4,
            "controlnet_method": "", "enable_brushnet": false, "brushnet_method": "random_mask",
            "brushnet_conditioning_scale": 1.0, "enable_powerpaint_v2": false, "powerpaint_task": "text-guided",
            "sd_keep_unmasked_area": true,
        });
        let seed = fill(sent).unwrap().settings.seed;
        assert!(seed < 1 << 24);
    }

    #[test]
    fn what_lacuna_cannot_do_is_named() {
        for (fields, code, words) in [
            (
                json!({"prompt": "a cat", "use_extender": true}),
                Code::FieldUnsupported,
                "prompt, use_extender",
            ),
            (json!({"magic": 1}), Code::FieldUnknown, "magic"),
            (json!({"hd_strategy_crop_margin": 300}), Code::FieldUnsupported, "is 300, at most 128"),
            (json!({"hd_strategy": "Best"}), Code::FieldInvalid, "\"Best\", expected one of Original"),
            (
                json!({"hd_strategy": "Resize", "hd_strategy_resize_limit": 0}),
                Code::FieldInvalid,
                "16 to 65535",
            ),
            (json!({"sd_seed": -2}), Code::FieldInvalid, "sd_seed is -2"),
            (json!({"image": "%%%"}), Code::FieldInvalid, "image is no base64"),
            (json!({"image": null}), Code::FieldMissing, "image"),
            (json!({"mask": ""}), Code::FieldMissing, "mask"),
            (json!({"sd_seed": "x"}), Code::FieldInvalid, "sd_seed is \"x\""),
            (json!({"hd_strategy_crop_margin": -1}), Code::FieldInvalid, "crop_margin is -1"),
            (json!({"image": 7}), Code::FieldInvalid, "image is not a string"),
        ] {
            let problem = fill(fields).unwrap_err();
            assert!(problem.code == code && problem.detail.contains(words), "{problem:?}");
        }
    }
}
