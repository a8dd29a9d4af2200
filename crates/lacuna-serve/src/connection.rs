//! Connections: accepted up to a number, closed when a request's head or the reading of an answer stalls, shut down
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

/// Bytes of a request's head: browsers send about one thousand.
const MOST_HEAD_BYTES: usize = 32 << 10;

/// Fields of a request's head.
const MOST_HEADERS: usize = 64;

/// A pause after the system could not accept a connection (too many files are open).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `stop` is ready, then shuts them down gracefully.
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
    // Every connection holds a place. Clients that are still busy after this time are cut off.
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
    // Answers are written whole: there is nothing to wait for.
    stream.set_nodelay(true)?;
    let mut stream = TimeoutStream::new(stream);
    // Runs only while the client reads nothing.
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
        // The sender changes it once, or is gone.
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

/// The answer to a head that does not come to an end; there is no request that it could go through the router with.
async fn too_slow(limit: Duration) -> Vec<u8> {
    let detail = format!("the request's head did not come within {} seconds", limit.as_secs());
    let response = Problem::new(Code::RequestTimeout, detail).into_response();
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        crate::problem::MEDIA_TYPE,
        body.len()
    );
    [head.as_bytes(), &body].concat()
}
