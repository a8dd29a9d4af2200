//! What requests and answers look like, for the OpenAPI document.

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Bounds;
use crate::models::{DefaultDocument, ModelDocument, Models};
use crate::name::{MaskChannelName, MethodName, Name, StrategyName};

/// A form of `POST /v1/inpaint`. Only `image` and `mask` are needed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the form that settings.rs reads field by field")]
pub struct InpaintForm {
    /// PNG, JPEG, WebP, TIFF or BMP, 8 or 16 bits a channel, with its file name.
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
    /// A picture as large as the first, upright as a person sees it; whatever is not black is filled.
    #[schema(value_type = String, format = Binary)]
    mask: Vec<u8>,
    /// What fills: one of `GET /v1/models`.
    method: Option<MethodName>,
    /// A network of `GET /v1/models`.
    model: Option<String>,
    /// How large photos are handled. Default auto.
    strategy: Option<StrategyName>,
    /// Pixels on the longer side for `resize`. Default 1024.
    long_side: Option<u32>,
    /// Seed of everything random: the same gives the same picture. Default 0.
    seed: Option<u64>,
    /// Pixels by which the hole grows, 0 to 1024.
    expand: Option<u32>,
    /// Pixels of a soft seam inside the grown ring, 0 to 1024.
    feather: Option<u32>,
    /// Mask values above this are hole, 0 to 254.
    threshold: Option<u8>,
    /// The mask shows what to keep.
    invert: Option<bool>,
    /// The channel of the mask that is read. Default auto.
    mask_channel: Option<MaskChannelName>,
    /// same, png, jpeg, webp, tiff or bmp. Default same.
    format: Option<String>,
    /// JPEG quality, 1 to 100. Default: the picture's own tables.
    quality: Option<u8>,
}

/// A form of `POST /v1/preview`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form")]
pub struct PreviewForm {
    /// The picture.
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
    /// Pixels on the longer side, at most. Default 2048.
    long_side: Option<u32>,
}

/// A form of `POST /v1/latent`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form")]
pub struct LatentForm {
    /// The picture.
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
    /// Its mask.
    #[schema(value_type = String, format = Binary)]
    mask: Vec<u8>,
    /// A network of `GET /v1/models`; the first without one.
    model: Option<String>,
}

/// What the server can do.
#[derive(Serialize, ToSchema)]
pub struct ModelsDocument {
    /// What fills a request that does not choose.
    default: DefaultDocument,
    /// Ways to fill.
    methods: Vec<MethodName>,
    /// Networks.
    models: Vec<ModelDocument>,
    /// What is taken.
    limits: LimitsDocument,
    /// Lacuna's version.
    version: &'static str,
}

/// What a server takes.
#[derive(Serialize, ToSchema)]
pub struct LimitsDocument {
    /// Bytes of a body.
    body_bytes: usize,
    /// Pixels of a picture.
    pixels: u64,
    /// Pixels a side.
    side: u32,
    /// Jobs that wait.
    queue: usize,
    /// Jobs of one client.
    per_client: usize,
    /// Seconds of a job.
    job_seconds: u64,
    /// Bytes of memory of a job.
    memory_bytes: Option<u64>,
}

impl ModelsDocument {
    /// Of a server with these models and bounds.
    pub fn new(models: &Models, bounds: &Bounds) -> Self {
        let limits = LimitsDocument {
            body_bytes: bounds.body_bytes,
            pixels: bounds.pixels,
            side: bounds.side,
            queue: bounds.queue,
            per_client: bounds.per_client,
            job_seconds: bounds.job.as_secs(),
            memory_bytes: bounds.memory,
        };
        Self {
            default: models.default_document(),
            methods: models.methods().into_iter().map(Name).collect(),
            models: models.documents(),
            limits,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Whether the server lives.
#[derive(Serialize, ToSchema)]
pub struct HealthDocument {
    /// ok or stopping.
    pub status: &'static str,
    /// Jobs that wait.
    pub queued: usize,
    /// Jobs that run.
    pub running: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    #[test]
    fn the_form_is_described_as_it_is_read() {
        let schema = serde_json::to_value(InpaintForm::schema()).unwrap();
        let described: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let read = Settings::FIELDS.into_iter().chain(["image", "mask"]).collect();
        assert_eq!(described, read);
    }
}
