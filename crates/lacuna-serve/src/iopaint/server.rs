//! Documents that IOPaint's page requests from its server.

use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Fields;
use crate::models::Models;
use crate::problem::{Code, Problem};

/// IOPaint's `ServerConfigResponse`: no plug-ins, no file manager, one model.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerConfig {
    plugins: Vec<String>,
    model_infos: Vec<ModelInfo>,
    #[serde(rename = "removeBGModel")]
    remove_bg_model: &'static str,
    #[serde(rename = "removeBGModels")]
    remove_bg_models: Vec<String>,
    realesrgan_model: &'static str,
    realesrgan_models: Vec<String>,
    interactive_seg_model: &'static str,
    interactive_seg_models: Vec<String>,
    enable_file_manager: bool,
    enable_auto_saving: bool,
    enable_controlnet: bool,
    controlnet_method: Option<String>,
    disable_model_switch: bool,
    is_desktop: bool,
    samplers: Vec<String>,
}

/// IOPaint's `ModelInfo` for an erasing model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelInfo {
    name: String,
    path: String,
    model_type: &'static str,
    is_single_file_diffusers: bool,
    need_prompt: bool,
    controlnets: Vec<String>,
    brushnets: Vec<String>,
    support_strength: bool,
    support_outpainting: bool,
    support_lcm_lora: bool,
    support_controlnet: bool,
    support_brushnet: bool,
    support_powerpaint_v2: bool,
}

/// IOPaint's `SwitchModelRequest`.
#[derive(Debug, ToSchema)]
pub struct SwitchModel {
    /// The model's name.
    #[expect(dead_code, reason = "models are chosen per request")]
    name: String,
}

impl ServerConfig {
    /// The configuration for these models.
    pub fn new(models: &Models) -> Self {
        Self {
            plugins: Vec::new(),
            model_infos: vec![ModelInfo::current(models)],
            // Names that IOPaint's page knows; without plug-ins they have no effect.
            remove_bg_model: "briaai/RMBG-1.4",
            remove_bg_models: Vec::new(),
            realesrgan_model: "realesr-general-x4v3",
            realesrgan_models: Vec::new(),
            interactive_seg_model: "vit_b",
            interactive_seg_models: Vec::new(),
            enable_file_manager: false,
            enable_auto_saving: false,
            enable_controlnet: false,
            controlnet_method: None,
            disable_model_switch: true,
            is_desktop: false,
            samplers: Vec::new(),
        }
    }
}

impl ModelInfo {
    /// The default model.
    pub fn current(models: &Models) -> Self {
        let name = models.default_name();
        Self {
            path: name.clone(),
            name,
            model_type: "inpaint",
            is_single_file_diffusers: false,
            need_prompt: false,
            controlnets: Vec::new(),
            brushnets: Vec::new(),
            support_strength: false,
            support_outpainting: false,
            support_lcm_lora: false,
            support_controlnet: false,
            support_brushnet: false,
            support_powerpaint_v2: false,
        }
    }
}

impl SwitchModel {
    /// Parses `POST /api/v1/model`.
    ///
    /// # Errors
    /// [`Code::Malformed`] or [`Code::FieldMissing`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Problem> {
        let name = Fields::from_json(bytes)?.take_text("name")?;
        let name = name.ok_or_else(|| Problem::new(Code::FieldMissing, "the field name is missing"))?;
        Ok(Self { name })
    }
}
