//! The routes and the layers around them.

use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Router, middleware};

use crate::app::App;
use crate::drain::drain;
use crate::problem::{Code, Problem};
use crate::{guard, iopaint, openapi, page, routes};

/// All routes, below the base path of the configuration.
pub fn router(app: &App) -> Router {
    let served = Router::new()
        .route("/v1/inpaint", post(routes::inpaint))
        .route("/v1/jobs/{id}", get(routes::job).delete(routes::cancel))
        .route("/v1/jobs/{id}/events", get(routes::events))
        .route("/v1/jobs/{id}/result", get(routes::result))
        .route("/v1/preview", post(routes::preview))
        .route("/v1/latent", post(routes::latent))
        .route("/v1/models", get(routes::models))
        .route("/v1/health", get(routes::health))
        .route("/v1/metrics", get(routes::metrics))
        .route("/api/v1/inpaint", post(iopaint::inpaint))
        .route("/api/v1/adjust_mask", post(iopaint::adjust_mask))
        .route("/api/v1/server-config", get(iopaint::server_config))
        .route("/api/v1/model", get(iopaint::model).post(iopaint::switch_model))
        .route("/inpaint", post(iopaint::inpaint_form))
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(page::docs))
        .route("/assets/{name}", get(page::asset))
        .route("/example/{name}", get(page::example))
        .route("/", get(page::index))
        .fallback(nothing_here)
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "this address does not accept this method")
        })
        .layer(middleware::from_fn_with_state(app.clone(), guard::access));
    let served = match guard::cors(&app.config) {
        Some(cors) => served.layer(cors),
        None => served,
    };
    below(&app.config.base_path, served)
        .layer(middleware::from_fn_with_state(app.clone(), guard::host))
        .layer(middleware::from_fn_with_state(app.clone(), guard::account))
        // `body.rs` enforces our own body limit; axum's would be 2 MiB.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(app.clone(), drain))
        .with_state(app.clone())
}

/// Mounts routes below a base path, which is empty or begins with a slash. The page's links are relative, so the base
/// itself redirects to the address with the slash.
fn below(base: &str, routes: Router<App>) -> Router<App> {
    if base.is_empty() {
        return routes;
    }
    let page = format!("{base}/");
    Router::new()
        .nest(&page.clone(), routes)
        .route(base, get(|| async move { Redirect::permanent(&page) }))
        .fallback(nothing_here)
}

async fn nothing_here() -> Problem {
    Problem::new(Code::NotFound, "there is nothing at this address")
}
