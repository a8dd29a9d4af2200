//! Schemas of requests and responses for the OpenAPI document.

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Bounds;
use crate::models::{DefaultDocument, ModelDocument, Models};
use crate::name::{
    AnchorName, AnchorScaleName, MaskChannelName, MaskFromName, MethodName, Name, StrategyName,
};

/// A form of `POST /v1/inpaint`. Only `image` is required, and `mask` unless `mask_from` is `alpha`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the form that settings.rs reads field by field")]
pub struct InpaintForm {
    /// The photo with its file name: PNG, JPEG, WebP, TIFF, BMP, GIF or HEIC.
    #[cfg_attr(feature = "avif", doc = "This server also reads AVIF.")]
    #[cfg_attr(feature = "jxl", doc = "This server also reads JPEG XL.")]
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
    /// An image of the photo's size and upright orientation; nonzero pixels are filled. Required unless `mask_from` is
    /// `alpha`.
    #[schema(value_type = Option<String>, format = Binary, nullable = false)]
    mask: Option<Vec<u8>>,
    /// A second mask: what it marks is not copied into the hole. Networks see it all the same.
    #[schema(value_type = Option<String>, format = Binary, nullable = false)]
    avoid: Option<Vec<u8>>,
    /// What you want in the hole, for a model whose `hint` says what it takes: `lines`, a mask of lines to continue through the hole; or `guide`, a
    /// picture as large as the photo.
    #[schema(value_type = Option<String>, format = Binary, nullable = false)]
    hint: Option<Vec<u8>>,
    /// How much the hint counts, 0 to 2: 1 as trained. Default 1.
    #[schema(nullable = false, minimum = 0, maximum = 2)]
    hint_strength: Option<f32>,
    /// The method; see `GET /v1/models`.
    #[schema(nullable = false)]
    method: Option<MethodName>,
    /// The network; see `GET /v1/models`.
    #[schema(nullable = false, max_length = 1024)]
    model: Option<String>,
    /// Forward passes in which the network's latent is refined for this photo, 0 to 200; 0 does not refine. A fill with 15
    /// takes about 30 times as long as the network alone. Default 0.
    #[schema(nullable = false, minimum = 0, maximum = 200)]
    refine: Option<u16>,
    /// Refines from a smaller copy upwards, whose shorter side is about this many pixels. Default: at one size.
    #[schema(nullable = false, minimum = 16, maximum = 65535)]
    refine_side: Option<u32>,
    /// How large photos are handled. Default `auto`.
    #[schema(nullable = false)]
    strategy: Option<StrategyName>,
    /// Longer side in pixels for `resize`. Default 1024.
    #[schema(nullable = false, minimum = 16, maximum = 65535)]
    long_side: Option<u32>,
    /// Random seed; equal requests with equal seeds give equal results. Default 0.
    #[schema(nullable = false, minimum = 0)]
    seed: Option<u64>,
    /// Answers, 1 to 9, each with the next seed. Several come as a ZIP file with one photo each. Default 1.
    #[schema(nullable = false, minimum = 1, maximum = 9)]
    samples: Option<u16>,
    /// Pixels by which the hole grows, 0 to 1024, or `auto`: to the soft edge of what it holds, by at most 16. Default 0.
    #[schema(nullable = false, pattern = "^([0-9]{1,4}|auto)$")]
    expand: Option<String>,
    /// Width in pixels of the soft edge inside the expanded ring. Default 0.
    #[schema(nullable = false, minimum = 0, maximum = 1024)]
    feather: Option<u32>,
    /// Mask values above this are hole. Default 0.
    #[schema(nullable = false, minimum = 0, maximum = 254)]
    threshold: Option<u8>,
    /// The mask marks what to keep. Default false.
    #[schema(nullable = false)]
    invert: Option<bool>,
    /// The channel of the mask that is read. Default `auto`.
    #[schema(nullable = false)]
    mask_channel: Option<MaskChannelName>,
    /// What says where the hole is. With `alpha` what is transparent in the photo is filled. Default `file`.
    #[schema(nullable = false)]
    mask_from: Option<MaskFromName>,
    /// A mask of the photo's shape but of another size is scaled; one with swapped sides is turned. Default false.
    #[schema(nullable = false)]
    fit_mask: Option<bool>,
    /// The mask is placed here, whatever its size.
    #[schema(nullable = false)]
    anchor: Option<AnchorName>,
    /// The size of a mask at an anchor. Default `none`.
    #[schema(nullable = false)]
    anchor_scale: Option<AnchorScaleName>,
    /// The format of the response. Default `same`.
    #[schema(nullable = false)]
    format: Option<FormatName>,
    /// JPEG quality. Default: the photo's own quantisation tables.
    #[schema(nullable = false, minimum = 1, maximum = 100)]
    quality: Option<u8>,
}

/// The format of a response.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes a field")]
enum FormatName {
    Same,
    Png,
    Jpeg,
    Webp,
    Tiff,
    Bmp,
}

/// A form of `POST /v1/preview`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form")]
pub struct PreviewForm {
    /// The photo.
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
    /// Limit of the longer side in pixels. Default 2048.
    #[schema(nullable = false, minimum = 1, maximum = 8192)]
    long_side: Option<u32>,
}

/// A form of `POST /v1/latent`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a form")]
pub struct LatentForm {
    /// The photo.
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
    /// Its mask.
    #[schema(value_type = String, format = Binary)]
    mask: Vec<u8>,
    /// The network; see `GET /v1/models`. Default: the first.
    #[schema(nullable = false, max_length = 1024)]
    model: Option<String>,
}

/// What the server can do.
#[derive(Serialize, ToSchema)]
pub struct ModelsDocument {
    /// The method and model of requests that name none.
    default: DefaultDocument,
    /// The methods.
    methods: Vec<MethodName>,
    /// Networks.
    models: Vec<ModelDocument>,
    /// The limits.
    limits: LimitsDocument,
    /// Lacuna's version.
    version: &'static str,
}

/// The limits of a server.
#[derive(Serialize, ToSchema)]
pub struct LimitsDocument {
    /// Bytes of a request body.
    body_bytes: usize,
    /// Pixels of a photo.
    pixels: u64,
    /// Width and height of a photo, in pixels.
    side: u32,
    /// Waiting jobs.
    queue: usize,
    /// Waiting and running jobs of one client.
    per_client: usize,
    /// Time limit of a job, in seconds.
    job_seconds: u64,
    /// Memory limit in bytes.
    memory_bytes: Option<u64>,
}

impl ModelsDocument {
    /// The document of a server with these models and limits.
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

/// The state of the server.
#[derive(Serialize, ToSchema)]
pub struct HealthDocument {
    /// `ok` or `stopping`.
    pub status: &'static str,
    /// Waiting jobs.
    pub queued: usize,
    /// Running jobs.
    pub running: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna::form::Settings;
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    #[test]
    fn the_form_is_described_as_it_is_read() {
        let schema = serde_json::to_value(InpaintForm::schema()).unwrap();
        let described: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let read = Settings::FIELDS.into_iter().chain(["image", "mask", "avoid", "hint"]).collect();
        assert_eq!(described, read);
    }
}
