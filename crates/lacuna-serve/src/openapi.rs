//! The OpenAPI document (<https://spec.openapis.org/oas/latest.html>), generated from the routes.

use axum::Json;
use axum::extract::State;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder, Server};
use utoipa::{Modify, OpenApi};

use crate::app::App;
use crate::problem::{Code, Document, MEDIA_TYPE};
use crate::{iopaint, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lacuna",
        description = "Fills holes in photos. Errors are problem documents (RFC 9457) with a stable code.",
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
    ),
    components(schemas(Document)),
    modifiers(&Common)
)]
struct Api;

/// Common parts of all operations: the token, and the problems that any request can cause.
struct Common;

/// The name of the security scheme.
const TOKEN: &str = "token";

/// Problems of every request.
const ANY: [Code; 6] = [
    Code::Malformed,
    Code::OriginNotAllowed,
    Code::MethodNotAllowed,
    Code::RequestTimeout,
    Code::HostNotAllowed,
    Code::Internal,
];

/// Problems of requests with a body.
const WITH_BODY: [Code; 7] = [
    Code::BodyTooLarge,
    Code::MediaType,
    Code::FieldInvalid,
    Code::JobCancelled,
    Code::ClientBusy,
    Code::Stopping,
    Code::JobTimeout,
];

impl Modify for Common {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        if let Some(components) = &mut api.components {
            let scheme = Http::builder()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("Required if the server was started with a token"));
            components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme.build()));
        }
        for (path, item) in &mut api.paths.paths {
            let public = path == "/v1/health";
            for operation in operations(item) {
                let mut codes = ANY.to_vec();
                if operation.request_body.is_some() {
                    codes.extend(WITH_BODY);
                }
                if !public {
                    codes.push(Code::Unauthorized);
                    // The empty alternative: a server without a token.
                    operation.security = Some(vec![
                        SecurityRequirement::new::<&str, [&str; 0], &str>(TOKEN, []),
                        SecurityRequirement::default(),
                    ]);
                }
                for code in codes {
                    add_problem(operation, code);
                }
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten()
}

/// Documents the status of a problem, unless the operation describes that status itself.
fn add_problem(operation: &mut Operation, code: Code) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(code.title()).content(MEDIA_TYPE, content).build();
    operation.responses.responses.entry(code.status().as_str().to_owned()).or_insert_with(|| response.into());
}

/// `GET /openapi.json`
pub async fn document(State(app): State<App>) -> Json<utoipa::openapi::OpenApi> {
    let mut api = Api::openapi();
    // Relative to the address of this document.
    let server = if app.config.base_path.is_empty() { "/" } else { &app.config.base_path };
    api.servers = Some(vec![Server::new(server)]);
    Json(api)
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
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().unwrap() {
                let public = path == "/v1/health";
                assert_eq!(operation["security"].is_array(), !public, "{method} {path}");
                let statuses = operation["responses"].as_object().unwrap();
                assert!(statuses.contains_key("400") && statuses.contains_key("421"), "{method} {path}");
                assert_eq!(statuses.contains_key("401"), !public, "{method} {path}");
                let body = operation["requestBody"].is_object();
                assert_eq!(statuses.contains_key("415"), body, "{method} {path}");
            }
        }
        assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
        let inpaint = &document["paths"]["/v1/inpaint"]["post"];
        assert!(inpaint["responses"]["200"]["headers"]["X-Lacuna-Notes"].is_object());
        assert!(inpaint["requestBody"]["content"]["multipart/form-data"]["schema"].is_object());
        assert!(document["components"]["schemas"]["Problem"]["properties"]["code"].is_object());
    }
}
