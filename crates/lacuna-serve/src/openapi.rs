//! The OpenAPI document (<https://spec.openapis.org/oas/latest.html>), made from the routes.

use axum::Json;
use utoipa::OpenApi;

use crate::{iopaint, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lacuna",
        description = "Fills holes in pictures. Errors are problem documents (RFC 9457) with a stable code.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        routes::inpaint,
        routes::job,
        routes::events,
        routes::result,
        routes::cancel,
        routes::preview,
        routes::latent,
        routes::models,
        routes::health,
        routes::metrics,
        iopaint::inpaint,
        iopaint::inpaint_form,
        iopaint::adjust_mask,
        iopaint::server_config,
        iopaint::model,
        iopaint::switch_model
    )
)]
struct Api;

/// `GET /openapi.json`
pub async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Api::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_described() {
        let document = serde_json::to_value(Api::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 14);
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path}");
            }
        }
        let inpaint = &document["paths"]["/v1/inpaint"]["post"];
        assert!(inpaint["requestBody"]["content"]["multipart/form-data"]["schema"].is_object());
        assert!(document["components"]["schemas"]["Problem"]["properties"]["code"].is_object());
    }
}
