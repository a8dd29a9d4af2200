//! Requests and replies.

use std::io::Cursor;
use std::sync::{Arc, OnceLock};

use image::ImageFormat;
use lacuna::form::{FieldError, Settings, output_name};
use lacuna::job::{Inputs, MaskSource, Source};
use lacuna::mask::MaskFrom;
use lacuna::method::Build;
use lacuna::picture::Limits;
use lacuna::{Budget, EnginePredictor, Error, FillJob, Method, Picture, Predictor, Watch, default_network};
use serde::Deserialize;
use serde_json::{Value, json};

/// The name of the only network.
const MODEL: &str = "lacuna";

/// Bytes that a module can use: 32-bit addresses, without what the program itself takes and the gaps that the allocator leaves.
const MEMORY: u64 = (4 << 30) - (256 << 20);

/// A request. Files follow its document, in the order of their lengths.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Request {
    /// What the module can do, as the server's `GET /v1/models` says it.
    Models,
    /// A preview as PNG, and the photo's size.
    Preview { name: String, long_side: u32, files: [usize; 1] },
    /// A fill: photo, mask (0 bytes for the photo's transparent parts), and what must not be copied (0 bytes for nothing).
    Fill { name: String, fields: Vec<(String, String)>, files: [usize; 3] },
}

/// A reply.
#[derive(Debug)]
pub struct Reply {
    /// JSON: `{ "problem": { "code", "detail" } }`, or what the request asked for.
    pub document: String,
    /// The bytes of a file; empty if there is none.
    pub file: Vec<u8>,
}

/// A problem with a code, as the server has them.
struct Problem {
    code: &'static str,
    detail: String,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { code: code(&error), detail: error.to_string() }
    }
}

fn code(error: &Error) -> &'static str {
    match error {
        Error::Argument(_) => "field-invalid",
        Error::Picture { .. } => "image-invalid",
        Error::Mask(inner) => match **inner {
            Error::Picture { .. } => "mask-invalid",
            ref other => code(other),
        },
        Error::MaskSize { .. } | Error::MaskShape { .. } => "mask-size",
        Error::NoKnownPixels { .. } => "no-known-pixels",
        Error::Unfit { .. } => "format-unfit",
        Error::TooLarge { .. } => "image-too-large",
        Error::Memory { .. } => "memory",
        _ => "internal",
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        let code = match error {
            FieldError::Unknown(_) => "field-unknown",
            FieldError::Invalid(_) => "field-invalid",
        };
        Self { code, detail: error.to_string() }
    }
}

/// Answers a request: a document of `document` bytes, then its files. `watch` hears of the progress of fills.
pub fn answer(request: &[u8], document: usize, watch: &Watch) -> Reply {
    let (document, files) = request.split_at(document.min(request.len()));
    let reply = match serde_json::from_slice(document) {
        Ok(request) => reply(request, files, watch),
        Err(error) => Err(Problem { code: "malformed", detail: error.to_string() }),
    };
    let (document, file) = reply.unwrap_or_else(|Problem { code, detail }| {
        (json!({ "problem": { "code": code, "detail": detail } }), Vec::new())
    });
    Reply { document: document.to_string(), file }
}

fn reply(request: Request, files: &[u8], watch: &Watch) -> Result<(Value, Vec<u8>), Problem> {
    match request {
        Request::Models => Ok((models()?, Vec::new())),
        Request::Preview { name, long_side, files: lengths } => {
            let [photo] = split(files, lengths)?;
            let picture = Picture::decode(photo, &name, &limits(photo.len()))?;
            let mut bytes = Cursor::new(Vec::new());
            let written = picture.preview(long_side).write_to(&mut bytes, ImageFormat::Png);
            written.map_err(|error| Problem { code: "internal", detail: error.to_string() })?;
            let document = json!({ "width": picture.width(), "height": picture.height() });
            Ok((document, bytes.into_inner()))
        }
        Request::Fill { name, fields, files: lengths } => {
            let [photo, mask, avoid] = split(files, lengths)?;
            fill(&name, &Settings::from_fields(&fields)?, [photo, mask, avoid], watch)
        }
    }
}

/// The files of a request.
fn split<const N: usize>(mut files: &[u8], lengths: [usize; N]) -> Result<[&[u8]; N], Problem> {
    let mut parts = [&files[..0]; N];
    for (part, length) in parts.iter_mut().zip(lengths) {
        let Some((file, rest)) = files.split_at_checked(length) else {
            let detail = format!("a file of {length} bytes was named, {} are there", files.len());
            return Err(Problem { code: "malformed", detail });
        };
        (*part, files) = (file, rest);
    }
    Ok(parts)
}

/// Limits for a request with files of `bytes` in memory.
fn limits(bytes: usize) -> Limits {
    Limits { memory: Some(Budget::new(MEMORY, bytes as u64)), ..Limits::default() }
}

/// The network that is part of the program.
fn network() -> Result<Arc<EnginePredictor>, Problem> {
    static NETWORK: OnceLock<Arc<EnginePredictor>> = OnceLock::new();
    if let Some(network) = NETWORK.get() {
        return Ok(Arc::clone(network));
    }
    let network = Arc::new(EnginePredictor::new(&default_network()?)?);
    Ok(Arc::clone(NETWORK.get_or_init(|| network)))
}

fn models() -> Result<Value, Problem> {
    let network: Arc<dyn Predictor> = network()?;
    let methods = <Method as lacuna::words::Word>::ALL.iter().filter(|method| method.builds_with(&network));
    let methods: Vec<String> = methods.map(ToString::to_string).collect();
    let limits = limits(0);
    Ok(json!({
        "default": { "method": Method::GUIDED.to_string(), "model": MODEL },
        "methods": methods,
        "models": [{
            "id": MODEL, "label": null, "name": network.name(), "device": "browser", "latent": false,
            "refines": network.can_refine(), "answers": network.uses_seed(), "flow": network.is_flow(),
        }],
        "limits": { "body_bytes": limits.bytes, "pixels": limits.pixels, "side": limits.side },
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// What fills holes as a request says.
fn predictor(settings: &Settings) -> Result<Arc<dyn Predictor>, Problem> {
    let invalid = |detail: String| Problem { code: "field-invalid", detail };
    if let Some(model) = settings.model.as_deref().filter(|model| *model != MODEL) {
        return Err(invalid(format!("model {model:?} was requested, loaded: {MODEL}")));
    }
    let method = settings.method.unwrap_or(Method::GUIDED);
    match (method.build, settings.refine) {
        (Build::Alone(build), None) => Ok(build()),
        (Build::Alone(_), Some(_)) => {
            Err(invalid(format!("method {method} has no network that could be refined")))
        }
        (Build::WithNetwork(build), None) => Ok(build(network()?)?),
        (Build::WithNetwork(build), Some(refinement)) => Ok(build(network()?.refined(refinement)?)?),
    }
}

fn fill(
    name: &str,
    settings: &Settings,
    [photo, mask, avoid]: [&[u8]; 3],
    watch: &Watch,
) -> Result<(Value, Vec<u8>), Problem> {
    let predictor = predictor(settings)?;
    let files = (photo.len() + mask.len() + avoid.len()) as u64;
    let job = FillJob { memory: Some(MEMORY.saturating_sub(files)), ..settings.job(Arc::clone(&predictor)) };
    let mask = match settings.mask_from {
        MaskFrom::File => MaskSource::File(Source::Bytes { name: "mask", bytes: mask }),
        MaskFrom::Alpha => MaskSource::Alpha,
    };
    // No model of the page takes a hint.
    let avoid = (!avoid.is_empty()).then_some(Source::Bytes { name: "avoid", bytes: avoid });
    let prepared =
        job.prepare(Inputs { image: Source::Bytes { name, bytes: photo }, mask, avoid, hint: None })?;
    let format = prepared.format();
    let strategy = prepared.plan().map_or("none", |plan| &plan.strategy).to_owned();
    let mut notes = prepared.notes().to_vec();
    let filled = prepared.run(watch)?;
    notes.extend(filled.notes);
    let document = json!({
        "name": output_name(name, format, None), "type": format.media_type(), "notes": notes,
        "method": predictor.name(), "strategy": strategy,
    });
    // What one fill needed must not keep the next one from its memory.
    predictor.release();
    Ok((document, filled.bytes.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document and its files as one request.
    fn ask(document: &Value, files: &[&[u8]]) -> (Value, Vec<u8>) {
        let document = document.to_string();
        let request = [&[document.as_bytes()], files].concat().concat();
        let Reply { document, file } = answer(&request, document.len(), &Watch::default());
        (serde_json::from_str(&document).unwrap(), file)
    }

    fn png(pixels: image::DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        pixels.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn scene() -> [Vec<u8>; 2] {
        let photo = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(4 * x) as u8, (5 * y) as u8, 9]));
        let mask = image::GrayImage::from_fn(64, 48, |x, y| {
            image::Luma([if x > 20 && x < 40 && y > 10 && y < 30 { 255 } else { 0 }])
        });
        [png(photo.into()), png(mask.into())]
    }

    #[test]
    fn every_method_fills_and_keeps_what_is_known() {
        let [photo, mask] = scene();
        let before = image::load_from_memory(&photo).unwrap().to_rgb8();
        for method in ["guided", "patchmatch", "network"] {
            let document = json!({
                "kind": "fill", "name": "a.png", "fields": [["method", method], ["seed", "3"]],
                "files": [photo.len(), mask.len(), 0],
            });
            let (document, file) = ask(&document, &[&photo, &mask]);
            assert_eq!(
                (&document["name"], &document["type"]),
                (&json!("a-inpainted.png"), &json!("image/png"))
            );
            let after = image::load_from_memory(&file).unwrap().to_rgb8();
            let hole = |x: u32, y: u32| x > 20 && x < 40 && y > 10 && y < 30;
            let changed = after.enumerate_pixels().filter(|&(x, y, pixel)| pixel != before.get_pixel(x, y));
            let changed: Vec<_> = changed.map(|(x, y, _)| (x, y)).collect();
            assert!(changed.len() > 50 && changed.iter().all(|&(x, y)| hole(x, y)), "{method}");
        }
    }

    #[test]
    fn previews_and_models_are_described() {
        let [photo, _] = scene();
        let preview = json!({ "kind": "preview", "name": "a", "long_side": 16, "files": [photo.len()] });
        let (document, file) = ask(&preview, &[&photo]);
        assert_eq!(document, json!({ "width": 64, "height": 48 }));
        assert_eq!(image::load_from_memory(&file).unwrap().width(), 16);
        let (document, _) = ask(&json!({ "kind": "models" }), &[]);
        assert_eq!(document["methods"], json!(["guided", "patchmatch", "network"]));
        assert_eq!(document["models"][0]["refines"], true);
        assert_eq!(document["models"][0]["answers"], false);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let [photo, mask] = scene();
        let fill = |fields: Value, files: [usize; 3]| json!({ "kind": "fill", "name": "a.png", "fields": fields, "files": files });
        let sizes = [photo.len(), mask.len(), 0];
        for (document, code, words) in [
            (json!({ "kind": "dance" }), "malformed", "dance"),
            (fill(json!([]), [photo.len(), mask.len(), 9]), "malformed", "9 bytes was named, 0 are there"),
            (fill(json!([["seed", "x"]]), sizes), "field-invalid", "seed"),
            (fill(json!([["sed", "1"]]), sizes), "field-unknown", "sed"),
            (fill(json!([["model", "big"]]), sizes), "field-invalid", "loaded: lacuna"),
            (fill(json!([["method", "patchmatch"], ["refine", "3"]]), sizes), "field-invalid", "no network"),
            (fill(json!([]), [9, mask.len(), 0]), "image-invalid", "a.png"),
            (fill(json!([]), [photo.len(), 9, 0]), "mask-invalid", "mask"),
        ] {
            let (reply, file) = ask(&document, &[&photo, &mask]);
            let problem = &reply["problem"];
            assert_eq!(problem["code"], code, "{reply}");
            assert!(problem["detail"].as_str().unwrap().contains(words) && file.is_empty(), "{reply}");
        }
    }
}
