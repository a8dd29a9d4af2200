//! Reads and discards the rest of a refused request, so that a client that sends its whole body before it reads gets
//! the response instead of a reset connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

use crate::app::App;
use crate::lock::lock;

/// Limit of discarded bytes: four times the default body limit.
const MOST_DISCARDED: usize = 256 << 20;

/// Time limit of discarding.
const LONGEST_DISCARD: Duration = Duration::from_secs(60);

/// A body that the handler and the drain share: the drain reads what the handler left.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    /// Whether the handler read any of it.
    polled: bool,
}

impl SharedBody {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut lock(&self.0))
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|inner| {
            inner.polled = true;
            Pin::new(&mut inner.body).poll_frame(context)
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|inner| inner.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|inner| inner.body.size_hint())
    }
}

/// Middleware: responds after the rest of the request's body was discarded, within [`MOST_DISCARDED`] and
/// [`LONGEST_DISCARD`].
pub async fn drain(State(app): State<App>, request: Request, next: Next) -> Response {
    let waits_for_continue = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let shared = SharedBody(Arc::new(Mutex::new(Inner { body, polled: false })));
    let response = next.run(Request::from_parts(parts, Body::new(shared.clone()))).await;
    // A client that waits for "100 Continue" sends nothing before its body is requested. One that stopped sending would
    // only time out again.
    let sends_nothing = waits_for_continue && !shared.with(|inner| inner.polled);
    if !sends_nothing && response.status() != StatusCode::REQUEST_TIMEOUT {
        let discarding = discard(shared, app.config.bounds.stall);
        // On timeout the connection is closed as it is.
        let _ = tokio::time::timeout(LONGEST_DISCARD, discarding).await;
    }
    response
}

async fn discard(mut body: SharedBody, stall: Duration) {
    let mut discarded = 0;
    while discarded < MOST_DISCARDED && !body.is_end_stream() {
        match tokio::time::timeout(stall, body.frame()).await {
            Ok(Some(Ok(frame))) => discarded += frame.data_ref().map_or(0, Bytes::len),
            Ok(Some(Err(_)) | None) | Err(_) => return,
        }
    }
}
