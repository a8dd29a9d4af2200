//! `lacuna serve`: the page and the API.

#[cfg(feature = "burn")]
mod latent;

use std::fs;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lacuna::checkpoint::Checkpoint;
use lacuna::default_network::{DEFAULT_NETWORK, default_network};
use lacuna::models::{ModelStore, PUBLISHED_MODELS};
use lacuna::patchmatch::PatchMatch;
use lacuna_serve::{Access, Bounds, Config, LatentView, Method, Model, Models, Server, Token};
use sysinfo::System;
use tokio::sync::Notify;
use tracing_subscriber::filter::LevelFilter;

use crate::Outcome;
use crate::interrupt::on_interrupt;
use crate::method::PlaceArgs;
use crate::models::{MODEL_SYNTAX, ModelArg};
use crate::units::{Bytes, Threads, start_threads};
use crate::usage::{bail_usage, ensure_usage};

/// Threads that read and write; those that compute are others.
const NETWORK_THREADS: usize = 2;

/// What people are shown instead of the name of a published model.
const BEST: &str = "Best";

const EXAMPLES: &str = "\
Examples:
  The page on this machine, at http://127.0.0.1:8080:
    lacuna serve
  With LaMa's largest network beside Lacuna's own:
    lacuna model fetch big-lama
    lacuna serve
  With other networks instead:
    lacuna serve --model mine=last.safetensors --model big-lama
  For the house, with a token (it stands in the environment, so that no list of processes shows it):
    LACUNA_TOKEN=secret lacuna serve --address 0.0.0.0:8080
  Behind a reverse proxy:
    lacuna serve --behind-proxy --allow-host photos.example.org

The address is printed on standard output; docs/serve.md tells the rest. Ctrl+C finishes running jobs; twice ends at once.";

/// Arguments of `lacuna serve`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// A network to offer instead of Lacuna's own: a weights file, or the name of an installed model; may be given several
    /// times, the first is the default
    #[arg(long = "model", value_name = MODEL_SYNTAX)]
    models: Vec<ModelArg>,
    #[command(flatten)]
    place: PlaceArgs,

    /// Answer only those who send this token
    #[arg(long, value_name = "TOKEN", env = "LACUNA_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Read the token from a file
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Let whoever reaches an address beyond this machine use it
    #[arg(long)]
    insecure_no_token: bool,
    /// An origin (https://example.org) whose pages may use the API; may be given several times
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// A name under which it may be asked for, besides localhost and addresses; may be given several times
    #[arg(long = "allow-host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Believe the last address in X-Forwarded-For: only behind a proxy that writes it
    #[arg(long)]
    behind_proxy: bool,

    /// Most bytes of a request (413)
    #[arg(long, value_name = "BYTES", default_value = "64M")]
    max_body: Bytes,
    /// Most pixels of a picture (422)
    #[arg(long, value_name = "N", default_value_t = Bounds::default().pixels)]
    max_pixels: u64,
    /// Longest side of a picture in pixels (422)
    #[arg(long, value_name = "PX", default_value_t = Bounds::default().side)]
    max_side: u32,
    /// Memory limit of the program with a job, such as 2G (422) [default: half of the machine's memory]
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<Bytes>,
    /// Jobs that may wait (429)
    #[arg(long, value_name = "N", default_value_t = Bounds::default().queue)]
    queue: usize,
    /// Jobs of one client at a time (429)
    #[arg(long, value_name = "N", default_value_t = Bounds::default().per_client)]
    per_client: usize,
    /// Connections at a time; more wait
    #[arg(long, value_name = "N", default_value_t = Bounds::default().connections)]
    connections: usize,
    /// Seconds that a job may run (504)
    #[arg(long, value_name = "S", default_value_t = Bounds::default().job.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    job_timeout: u64,
    /// Timeout in seconds of a request's head (408)
    #[arg(long, value_name = "S", default_value_t = Bounds::default().head.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    head_timeout: u64,
    /// Timeout in seconds of a body that stalls: a request's (408), or an answer that its client does not read (closed)
    #[arg(long, value_name = "S", default_value_t = Bounds::default().stall.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    body_timeout: u64,

    /// Seconds after the last job in which clients may still fetch results when the server is told to stop
    #[arg(long, value_name = "S", default_value_t = Bounds::default().grace.as_secs())]
    grace: u64,

    /// Threads that compute [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<Threads>,
    /// What is told on standard error; info has a line for each request
    #[arg(long, value_enum, default_value_t = Log::Warn)]
    log: Log,
}

/// `--log`.
#[derive(Clone, Copy, ValueEnum)]
enum Log {
    /// Faults
    Error,
    /// And what is odd
    Warn,
    /// And requests
    Info,
    /// And broken connections
    Debug,
}

impl ServeArgs {
    fn config(&self) -> Result<Config> {
        let bounds = Bounds {
            body_bytes: usize::try_from(self.max_body.0)
                .context("--max-body is too large for this machine")?,
            pixels: self.max_pixels,
            side: self.max_side,
            queue: self.queue,
            per_client: self.per_client,
            connections: self.connections,
            job: Duration::from_secs(self.job_timeout),
            head: Duration::from_secs(self.head_timeout),
            stall: Duration::from_secs(self.body_timeout),
            grace: Duration::from_secs(self.grace),
            memory: Some(self.max_memory()),
        };
        let access = self.token()?.map_or(Access::Open, |token| Access::Token(Token::new(&token)));
        let config = Config {
            address: self.address,
            access,
            hosts: self.hosts.clone(),
            origins: self.origins.clone(),
            behind_proxy: self.behind_proxy,
            bounds,
        };
        config.check(self.insecure_no_token)?;
        Ok(config)
    }

    /// `--max-memory`, or half of what the machine or its container has.
    fn max_memory(&self) -> u64 {
        self.max_memory.map_or_else(|| machine_memory() / 2, |bytes| bytes.0)
    }

    fn token(&self) -> Result<Option<String>> {
        let token = match &self.token_file {
            Some(file) => {
                let text =
                    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Some(text.trim().to_owned())
            }
            None => self.token.clone(),
        };
        // A browser can send no others in a header.
        let sendable =
            |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        ensure_usage!(
            token.as_ref().is_none_or(sendable),
            "a token is of letters, digits and signs, without spaces"
        );
        Ok(token)
    }

    fn load(&self) -> Result<Models> {
        let mut networks: Vec<Model> = Vec::new();
        for given in &self.models {
            let id = given.label();
            if networks.iter().any(|model| model.id == id) {
                bail_usage!("two models are called {id}: give one another name (--model NAME=FILE)");
            }
            networks.push(self.model(id, &given.open()?, Method::NETWORK)?);
        }
        if networks.is_empty() {
            networks.push(self.model(DEFAULT_NETWORK.into(), &default_network()?, Method::GUIDED)?);
            networks.extend(self.fetched()?);
        }
        Ok(Models::new(Arc::new(PatchMatch::default()), networks))
    }

    /// Published models that are installed, the better ones. One that cannot be loaded is reported and left out: nobody asked
    /// for it.
    fn fetched(&self) -> Result<Vec<Model>> {
        let store = ModelStore::of_user()?;
        let installed =
            PUBLISHED_MODELS.iter().filter_map(|model| Some((model.name, store.find(model.name)?)));
        let loaded = installed.filter_map(|(name, path)| {
            let model = Checkpoint::open(&path).map_err(anyhow::Error::from);
            let model = model.and_then(|checkpoint| self.model(name.into(), &checkpoint, Method::NETWORK));
            match model {
                Ok(model) => Some(Model { label: Some(BEST), ..model }),
                Err(problem) => {
                    tracing::warn!("the installed model {name} is left out: {problem:#}");
                    None
                }
            }
        });
        Ok(loaded.collect())
    }

    fn model(&self, id: String, checkpoint: &Checkpoint, method: Method) -> Result<Model> {
        Ok(Model {
            id,
            label: None,
            method,
            device: self.place.device.clone(),
            parameters: checkpoint.parameters() as u64,
            network: self.place.load_network(checkpoint, Some(self.max_memory()))?,
            latent: latent_view(checkpoint, &self.place.device)?,
        })
    }
}

/// Bytes of memory that this machine has, or that the control group of this process may take.
fn machine_memory() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    let group = system.cgroup_limits().map(|limits| limits.total_memory);
    group.unwrap_or(u64::MAX).min(system.total_memory())
}

/// What draws a network's latent view; nothing in a program without Burn.
#[cfg(feature = "burn")]
fn latent_view(checkpoint: &Checkpoint, device: &str) -> Result<Option<Arc<dyn LatentView>>> {
    Ok(Some(Arc::new(latent::Viewer::new(checkpoint, device)?)))
}

#[cfg(not(feature = "burn"))]
fn latent_view(_: &Checkpoint, _: &str) -> Result<Option<Arc<dyn LatentView>>> {
    Ok(None)
}

/// Serves until it is told to stop.
///
/// # Errors
/// If the arguments contradict each other, a model cannot be read, or the address not be opened.
pub fn run(args: ServeArgs) -> Result<Outcome> {
    let level = match args.log {
        Log::Error => LevelFilter::ERROR,
        Log::Warn => LevelFilter::WARN,
        Log::Info => LevelFilter::INFO,
        Log::Debug => LevelFilter::DEBUG,
    };
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .init();
    start_threads(args.threads)?;
    let config = args.config()?;
    tracing::info!(memory = lacuna::units::at_most(args.max_memory()), "memory limit (--max-memory)");
    let models = args.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(NETWORK_THREADS)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(async {
        let server = Server::bind(config, models)
            .await
            .with_context(|| format!("cannot listen on {}", args.address))?;
        println!("http://{}", server.address());
        server.run(asked_to_stop()?).await;
        Ok(Outcome::Done)
    })
}

/// Ready at the first Ctrl+C or SIGTERM.
///
/// # Errors
/// If the system does not let the program listen to signals.
fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    let asked = Arc::new(Notify::new());
    let listener = Arc::clone(&asked);
    on_interrupt("finishing running jobs", move || listener.notify_one())?;
    Ok(async move { asked.notified().await })
}
