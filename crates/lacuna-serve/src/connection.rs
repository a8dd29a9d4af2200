//! Connections: limited in number, closed when a request's headers or the reading of a response stall, shut down
//! gracefully.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

use crate::config::Bounds;
use crate::guard::Peer;
use crate::problem::{Code, Problem};

/// Limit of a request's headers in bytes: browsers send about one thousand.
const MOST_HEAD_BYTES: usize = 32 << 10;

/// Limit of the number of header fields.
const MOST_HEADERS: usize = 64;

/// Pause after the system could not accept a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `stop` completes, then shuts them down gracefully.
pub async fn accept(listener: TcpListener, router: Router, bounds: Bounds, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let (stopping, _) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut stop => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, stopping) = (router.clone(), stopping.subscribe());
        tokio::spawn(async move {
            if let Err(error) = serve(stream, peer, router, bounds, stopping).await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    // Every connection holds a permit. Connections that are still busy after this time are closed.
    let everyone = u32::try_from(bounds.connections).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(bounds.stall, places.acquire_many(everyone)).await;
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    bounds: Bounds,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    // Responses are written completely, so there is nothing to wait for.
    stream.set_nodelay(true)?;
    let mut stream = TimeoutStream::new(stream);
    // The timer runs only while the client reads nothing.
    stream.set_write_timeout(Some(bounds.stall));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        router.clone().oneshot(request.map(Body::new))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(MOST_HEAD_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        // The sender changes it once, or was dropped.
        _ = stopping.changed() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let Err(error) = ended else { return Ok(()) };
    if !error.is_timeout() {
        return Err(io::Error::other(error));
    }
    let parts = connection.into_parts();
    if parts.read_buf.is_empty() {
        // An idle connection.
        return Ok(());
    }
    let mut stream = parts.io.into_inner();
    stream.write_all(&too_slow(bounds.head).await).await?;
    stream.shutdown().await
}

/// The response for headers that arrive too slowly; there is no complete request that could go through the router.
async fn too_slow(limit: Duration) -> Vec<u8> {
    let detail = format!("the request's headers did not arrive within {} seconds", limit.as_secs());
    let response = Problem::new(Code::RequestTimeout, detail).into_response();
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        crate::problem::MEDIA_TYPE,
        body.len()
    );
    [head.as_bytes(), &body].concat()
}
