//! A web page that erases objects from photos, and its HTTP API.
//!
//! [`Server::bind`] opens the address and starts one worker per device; [`Server::run`] serves until shutdown is
//! requested. A request passes `guard.rs` (host, origin, token) to a handler (`router.rs`, `routes.rs`, `iopaint/`), is
//! read by `body.rs`, waits in `queue/` and is done by `fill.rs`.

mod answer;
mod app;
mod body;
mod client;
mod config;
mod connection;
mod documents;
mod drain;
mod fill;
mod guard;
mod id;
mod iopaint;
mod jobs;
mod lock;
mod metrics;
mod models;
mod name;
mod openapi;
mod page;
mod problem;
mod queue;
mod router;
mod routes;
mod segment;
pub mod static_page;
mod token;
mod turns;
mod uploads;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;

pub use config::{Access, Bounds, Config, ConfigError};
pub use lacuna::Method;
pub use models::{LatentView, Model, Models};
pub use token::Token;

use app::App;

/// Interval of removing old results.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// A listening server.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: App,
}

impl Server {
    /// Opens the address and starts the workers.
    ///
    /// # Errors
    /// If the address cannot be opened.
    pub async fn bind(config: Config, models: Models) -> io::Result<Self> {
        let listener = TcpListener::bind(config.address).await?;
        let address = listener.local_addr()?;
        let app = App::start(config, models, &Handle::current());
        Ok(Self { listener, address, app })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` completes. Then it refuses new jobs, finishes the running ones, and waits until their
    /// results are fetched, at most [`Bounds::grace`].
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, app, .. } = self;
        let sweeper = tokio::spawn({
            let app = app.clone();
            async move {
                loop {
                    tokio::time::sleep(SWEEP_EVERY).await;
                    app.jobs.sweep();
                }
            }
        });
        let stopped = async {
            stop.await;
            // New work is refused, but accepted jobs can still be followed and fetched.
            app.stop().await;
            let _ = tokio::time::timeout(app.config.bounds.grace, app.results_fetched()).await;
        };
        connection::accept(listener, router::router(&app), app.config.bounds, stopped).await;
        sweeper.abort();
    }
}

/// Entry points for fuzzing: the parsers of untrusted input.
#[doc(hidden)]
pub mod fuzzing {
    use axum::body::Body;
    use axum::extract::Request;

    use crate::body::Form;
    use crate::config::Bounds;
    use crate::iopaint::IopaintRequest;
    use lacuna::form::Settings;

    /// Parses a form body with the boundary `X`, and its settings.
    pub async fn form(bytes: &[u8]) {
        let bounds = Bounds { body_bytes: 1 << 16, ..Bounds::default() };
        let request = Request::builder()
            .header("content-type", "multipart/form-data; boundary=X")
            .body(Body::from(bytes.to_vec()));
        let Ok(request) = request else { return };
        if let Ok(form) = Form::read(request, &bounds).await {
            let _ = Settings::from_fields(&form.fields);
        }
    }

    /// Parses IOPaint's JSON.
    pub fn iopaint(bytes: &[u8]) {
        let _ = IopaintRequest::from_json(bytes).and_then(IopaintRequest::into_fill);
    }
}
