//! The handlers of Lacuna's own API.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream::{self, Stream};

use crate::app::App;
use crate::body::{Form, LONGEST_BODY, in_time};
use crate::client::Client;
use crate::documents::{HealthDocument, InpaintForm, LatentForm, ModelsDocument, PreviewForm};
use crate::fill::{FillRequest, LatentRequest, PreviewRequest};
use crate::id::Id;
use crate::jobs::JobDocument;
use crate::problem::{Code, Problem};
use crate::queue::{Stage, Ticket};
use crate::segment::Segment;
use lacuna::form::excerpt;
use lacuna::form::{Field, Settings};

/// Shortest time between two events of a job.
const EVENT_INTERVAL: Duration = Duration::from_millis(150);

/// Default and largest longer side of a preview.
const PREVIEW_SIDE: u32 = 2048;
const LONGEST_PREVIEW: u32 = 8192;

/// Fill a hole
///
/// Responds with the filled photo in its own format. A client that disconnects cancels its job. With `?async` the response is
/// a job to follow at `/v1/jobs`.
#[utoipa::path(
    post,
    path = "/v1/inpaint",
    params(("async" = Option<bool>, Query, description = "Respond at once, with a job")),
    request_body(content = InpaintForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The filled photo; X-Lacuna-Method, -Strategy, -Hole (pixels) and -Seconds describe the fill", content_type = "image/*",
            headers(("X-Lacuna-Notes" = String, description = "A note on the files, one header for each; commas, percent signs and all but printable ASCII are percent-encoded"))),
        (status = 202, description = "A job", body = JobDocument),
        (status = 413, description = "body-too-large", body = crate::problem::Document, content_type = "application/problem+json"),
        (status = 422, description = "A file or field cannot be used", body = crate::problem::Document, content_type = "application/problem+json"),
        (status = 429, description = "queue-full or client-busy, with Retry-After", body = crate::problem::Document, content_type = "application/problem+json"),
        (status = 504, description = "job-timeout", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn inpaint(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let asynchronous = is_asynchronous(query.as_deref())?;
    let mut form = read_form(&app, client, request).await?;
    let settings = Settings::from_fields(&form.fields)?;
    let image = form.take_image()?;
    let mask = form.take_mask_from(settings.mask_from)?;
    let (avoid, hint) = (form.avoid.take(), form.hint.take());
    let fill = FillRequest { image, mask, avoid, hint, settings };
    let ticket = submit_fill(&app, client, fill)?;
    if asynchronous {
        let (id, ticket) = app.jobs.add(ticket);
        let location = HeaderValue::from_str(&format!("{}/v1/jobs/{id}", app.config.base_path));
        let mut response = (StatusCode::ACCEPTED, Json(JobDocument::new(id, &ticket))).into_response();
        response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
        return Ok(response);
    }
    answer(&ticket).await
}

/// `?async`, `?async=true` or `?async=false`.
fn is_asynchronous(query: Option<&str>) -> Result<bool, Problem> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(false) };
    match query {
        "async" | "async=" | "async=true" | "async=1" => Ok(true),
        "async=false" | "async=0" => Ok(false),
        other => {
            let other = excerpt(other);
            Err(Problem::new(Code::FieldUnknown, format!("query {other:?} is unknown, expected async")))
        }
    }
}

pub(crate) async fn read_form(app: &App, client: Client, request: Request) -> Result<Form, Problem> {
    let _place = app.uploads.place(client).await?;
    in_time(LONGEST_BODY, Form::read(request, &app.config.bounds)).await?
}

pub(crate) fn submit_fill(app: &App, client: Client, fill: FillRequest) -> Result<Ticket, Problem> {
    let chosen =
        app.models.choose(fill.settings.method, fill.settings.model.as_deref(), fill.settings.refine)?;
    let bounds = app.config.bounds;
    app.submit(&chosen.device, client, fill.key(), move |watch| fill.run(chosen.predictor, &bounds, watch))
}

/// Waits for the outcome of a job.
pub(crate) async fn answer(ticket: &Ticket) -> Result<Response, Problem> {
    match ticket.outcome().await.as_ref() {
        Ok(answer) => Ok(answer.clone().into_response()),
        Err(problem) => Err(problem.clone()),
    }
}

/// The state of a job
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    params(("id" = String, Path, description = "The job's identifier")),
    responses(
        (status = 200, description = "The job", body = JobDocument),
        (status = 404, description = "job-unknown: results are kept for ten minutes", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn job(State(app): State<App>, Segment(id): Segment) -> Result<Json<JobDocument>, Problem> {
    let (id, ticket) = app.jobs.get(&id)?;
    Ok(Json(JobDocument::new(id, &ticket)))
}

/// Follow a job
///
/// Server-sent events named `job`, each with the job's document as data, whenever it changes; the last one is final.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/events",
    params(("id" = String, Path, description = "The job's identifier")),
    responses(
        (status = 200, description = "Events", body = JobDocument, content_type = "text/event-stream"),
        (status = 404, description = "job-unknown", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn events(State(app): State<App>, Segment(id): Segment) -> Result<Response, Problem> {
    let (id, ticket) = app.jobs.get(&id)?;
    Ok(Sse::new(follow(id, ticket)).keep_alive(KeepAlive::default()).into_response())
}

/// A job's documents as events, up to the final one; consecutive events differ.
fn follow(id: Id, ticket: Arc<Ticket>) -> impl Stream<Item = Result<Event, Infallible>> {
    let stages = ticket.changes();
    stream::unfold(Some((ticket, stages, String::new())), move |state| async move {
        let (ticket, mut stages, last) = state?;
        loop {
            stages.mark_unchanged();
            let document = JobDocument::new(id, &ticket);
            let text = serde_json::to_string(&document).unwrap_or_default();
            if text != last {
                let event = Event::default().event("job").data(&text);
                let next = (!document.is_final()).then_some((ticket, stages, text));
                return Some((Ok(event), next));
            }
            // Progress has no signal of its own: check again after the interval.
            let _ = tokio::time::timeout(EVENT_INTERVAL, stages.changed()).await;
        }
    })
}

/// The result of a job
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/result",
    params(("id" = String, Path, description = "The job's identifier")),
    responses(
        (status = 200, description = "The filled photo, with the headers of /v1/inpaint", content_type = "image/*"),
        (status = 404, description = "job-unknown", body = crate::problem::Document, content_type = "application/problem+json"),
        (status = 409, description = "job-unfinished", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn result(State(app): State<App>, Segment(id): Segment) -> Result<Response, Problem> {
    let (id, ticket) = app.jobs.get(&id)?;
    match ticket.stage() {
        Stage::Finished(_) => {
            let response = answer(&ticket).await;
            app.jobs.mark_fetched(id);
            response
        }
        Stage::Waiting | Stage::Running => {
            let done = (100.0 * ticket.done()).round();
            Err(Problem::new(Code::JobUnfinished, format!("the job is {done} % done")))
        }
    }
}

/// Cancel and delete a job
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    params(("id" = String, Path, description = "The job's identifier")),
    responses(
        (status = 204, description = "The job was deleted"),
        (status = 404, description = "job-unknown", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(State(app): State<App>, Segment(id): Segment) -> Result<StatusCode, Problem> {
    app.jobs.remove(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A small version of a photo
///
/// For formats that a browser cannot show. X-Lacuna-Width, -Height, -Depth and -Format describe the original.
#[utoipa::path(
    post,
    path = "/v1/preview",
    request_body(content = PreviewForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The preview, upright, 8 bits per channel", content_type = "image/png"),
        (status = 422, description = "The photo cannot be read", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn preview(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    let mut form = read_form(&app, client, request).await?;
    let mut long_side = PREVIEW_SIDE;
    for (name, value) in &form.fields {
        let field = Field { name, value };
        match name.as_str() {
            "long_side" => long_side = field.number(1, LONGEST_PREVIEW)?,
            _ => return Err(field.unknown(&["image", "long_side"]).into()),
        }
    }
    let preview = PreviewRequest { image: form.take_image()?, long_side };
    let bounds = app.config.bounds;
    let ticket = app.submit(crate::models::CPU, client, preview.key(), move |_| preview.run(&bounds))?;
    answer(&ticket).await
}

/// The effect of the hole on the latent
///
/// Equation 4.1 of the thesis: the decoded difference between the latents with and without the hole. Large photos are
/// scaled down.
#[utoipa::path(
    post,
    path = "/v1/latent",
    request_body(content = LatentForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The view", content_type = "image/png"),
        (status = 422, description = "A file cannot be used", body = crate::problem::Document, content_type = "application/problem+json"),
        (status = 501, description = "latent-unavailable", body = crate::problem::Document, content_type = "application/problem+json"),
    )
)]
pub async fn latent(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    let mut form = read_form(&app, client, request).await?;
    let mut id = None;
    for (name, value) in &form.fields {
        match name.as_str() {
            "model" => id = Some(value.clone()),
            _ => return Err(Field { name, value }.unknown(&["image", "mask", "model"]).into()),
        }
    }
    let unavailable = |why: &str| Problem::new(Code::LatentUnavailable, why);
    let model = match (&id, app.models.documents().is_empty()) {
        (None, true) => return Err(unavailable("no network is loaded")),
        _ => app.models.network(id.as_deref())?,
    };
    let view = model.latent.clone().ok_or_else(|| {
        unavailable("this program was built without the latent view (it needs the default features)")
    })?;
    let request = LatentRequest { image: form.take_image()?, mask: form.take_mask()?, model: id };
    let bounds = app.config.bounds;
    let key = request.key();
    let ticket = app.submit(&model.device, client, key, move |_| request.run(view.as_ref(), &bounds))?;
    answer(&ticket).await
}

/// Methods, models and limits
#[utoipa::path(get, path = "/v1/models", responses((status = 200, description = "Capabilities of the server", body = ModelsDocument)))]
pub async fn models(State(app): State<App>) -> Json<ModelsDocument> {
    Json(ModelsDocument::new(&app.models, &app.config.bounds))
}

/// The state of the server
///
/// Needs no token.
#[utoipa::path(get, path = "/v1/health", responses((status = 200, description = "The server responds", body = HealthDocument)))]
pub async fn health(State(app): State<App>) -> Json<HealthDocument> {
    let status = if app.is_stopping() { "stopping" } else { "ok" };
    Json(HealthDocument { status, queued: app.waiting(), running: app.running() })
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/v1/metrics", responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text")))]
pub async fn metrics(State(app): State<App>) -> Response {
    let text = app.metrics.text(app.waiting(), app.running());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_async_can_be_queried() {
        for (query, expected) in [
            (None, Some(false)),
            (Some(""), Some(false)),
            (Some("async"), Some(true)),
            (Some("async=true"), Some(true)),
            (Some("async=false"), Some(false)),
            (Some("asnyc"), None),
            (Some("file=/etc/passwd"), None),
        ] {
            assert_eq!(is_asynchronous(query).ok(), expected, "{query:?}");
        }
    }
}
