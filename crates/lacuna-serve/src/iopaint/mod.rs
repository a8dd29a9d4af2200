//! The routes that IOPaint's clients use (<https://github.com/Sanster/IOPaint>, versions 1.0 to 1.6), and the older
//! `/inpaint` form of lama-cleaner, so that those clients work unchanged.
//!
//! Lacuna only erases. Like IOPaint's own erasing models it ignores prompts, samplers, croppers, extenders and unknown
//! fields. Ignored fields that asked for something are listed in the header `X-Lacuna-Ignored`.

mod adjust;
mod base64;
mod fields;
mod request;
mod server;

use axum::Extension;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::body::{Form, LONGEST_BODY, in_time, read_json};
use crate::client::Client;
use crate::problem::Problem;
use crate::routes::{answer, read_form, submit_fill};

pub use adjust::AdjustMaskRequest;
pub use request::IopaintRequest;
pub use server::{ModelInfo, ServerConfig, SwitchModel};

/// The response header with the names of ignored fields.
pub const IGNORED: HeaderName = HeaderName::from_static("x-lacuna-ignored");

/// Fill a hole (IOPaint)
///
/// Base64 image and mask, `hd_strategy` and its sizes, `sd_seed`. All other fields are ignored; X-Lacuna-Ignored lists those
/// that asked for something.
#[utoipa::path(
    post,
    path = "/api/v1/inpaint",
    request_body = IopaintRequest,
    responses(
        (status = 200, description = "The picture; X-Seed has the seed", content_type = "image/*"),
        (status = 422, description = "A field or file that cannot be used", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn inpaint(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = IopaintRequest::from_json(&read(&app, client, request).await?)?;
    fill(&app, client, asked).await
}

/// Fill a hole (lama-cleaner)
///
/// The form of lama-cleaner's `/inpaint`: files `image` and `mask`, camelCase fields with IOPaint's meanings.
#[utoipa::path(
    post,
    path = "/inpaint",
    request_body(content = String, content_type = "multipart/form-data", description = "image, mask, hdStrategy, hdStrategyCropMargin, …"),
    responses(
        (status = 200, description = "The picture; X-Seed has the seed", content_type = "image/*"),
        (status = 422, description = "A field or file that cannot be used", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn inpaint_form(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    let form: Form = read_form(&app, client, request).await?;
    fill(&app, client, IopaintRequest::from_form(form)?).await
}

async fn fill(app: &App, client: Client, asked: IopaintRequest) -> Result<Response, Problem> {
    let ignored = asked.ignored();
    let mut response = answer(&submit_fill(app, client, asked.into_fill()?)?).await?;
    if !ignored.is_empty()
        && let Ok(value) = HeaderValue::from_str(&ignored.join(", "))
    {
        response.headers_mut().insert(IGNORED, value);
    }
    Ok(response)
}

/// Grow, shrink or invert a mask (IOPaint)
#[utoipa::path(
    post,
    path = "/api/v1/adjust_mask",
    request_body = AdjustMaskRequest,
    responses(
        (status = 200, description = "The mask, drawn in IOPaint's brush colour on transparent", content_type = "image/png"),
        (status = 422, description = "A field or file that cannot be used", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn adjust_mask(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = AdjustMaskRequest::from_json(&read(&app, client, request).await?)?;
    let bounds = app.config.bounds;
    let ticket = app.submit(crate::models::CPU, client, asked.key(), move |_| asked.run(&bounds))?;
    answer(&ticket).await
}

/// The server's capabilities (IOPaint)
#[utoipa::path(get, path = "/api/v1/server-config", responses((status = 200, description = "IOPaint's server configuration", body = ServerConfig)))]
pub async fn server_config(State(app): State<App>) -> Json<ServerConfig> {
    Json(ServerConfig::new(&app.models))
}

/// The model in use (IOPaint)
#[utoipa::path(get, path = "/api/v1/model", responses((status = 200, description = "The default model", body = ModelInfo)))]
pub async fn model(State(app): State<App>) -> Json<ModelInfo> {
    Json(ModelInfo::current(&app.models))
}

/// Select another model (IOPaint)
///
/// Lacuna's models are chosen per request, so the response is always the default model.
#[utoipa::path(
    post,
    path = "/api/v1/model",
    request_body = SwitchModel,
    responses((status = 200, description = "The default model", body = ModelInfo))
)]
pub async fn switch_model(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    SwitchModel::from_json(&read(&app, client, request).await?)?;
    Ok(Json(ModelInfo::current(&app.models)).into_response())
}

async fn read(app: &App, client: Client, request: Request) -> Result<bytes::Bytes, Problem> {
    let _place = app.uploads.place(client).await?;
    in_time(LONGEST_BODY, read_json(request, &app.config.bounds)).await?
}
