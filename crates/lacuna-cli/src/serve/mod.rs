//! `lacuna serve`: the page and the API.

mod amounts;
#[cfg(feature = "burn")]
mod latent;
mod memory;

use std::fs;
use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lacuna::checkpoint::Checkpoint;
use lacuna::default_network::{DEFAULT_NETWORK, default_network};
use lacuna::flow::FlowFile;
use lacuna::models::{ModelStore, PUBLISHED_MODELS};
use lacuna::patchmatch::PatchMatch;
use lacuna_serve::{Access, Bounds, Config, LatentView, Method, Model, Models, Server, Token};
use tokio::sync::Notify;
use tracing_subscriber::filter::LevelFilter;

use crate::Outcome;
use crate::flow::FlowArgs;
use crate::interrupt::on_interrupt;
use crate::method::PlaceArgs;
use crate::models::{MODEL_SYNTAX, ModelArg, Weights};
use crate::units::{Bytes, Threads, start_threads};
use crate::usage::{UsageError, bail_usage, ensure_usage};
use amounts::{Pixels, Seconds};

/// Threads for network I/O; computing threads are separate.
const NETWORK_THREADS: usize = 2;

/// Label shown instead of the name of a published model.
const BEST: &str = "Best";

const EXAMPLES: &str = "\
Examples:
  Serve the page to this machine and open it in the browser:
    lacuna serve --open
  Offer LaMa's largest network beside the one that ships with Lacuna:
    lacuna model fetch big-lama
    lacuna serve
  Offer other networks instead:
    lacuna serve --model mine=last.safetensors --model big-lama
  Serve other machines, with a token (in the environment, where process lists do not show it):
    LACUNA_TOKEN=secret lacuna serve --host 0.0.0.0
  Run behind a reverse proxy:
    lacuna serve --trust-forwarded-for --allow-host photos.example.org

The address is printed to standard output. See docs/serve.md for the rest. Ctrl+C finishes accepted jobs and exits; a second Ctrl+C
exits at once.";

/// Arguments of `lacuna serve`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// IP address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on; 0 selects a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// Address and port in one, instead of --host and --port
    #[arg(long, value_name = "IP:PORT", conflicts_with_all = ["host", "port"])]
    address: Option<SocketAddr>,
    /// Serve everything below this path, such as /lacuna
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    base_path: String,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// A network to offer instead of Lacuna's own: a weights file, or the name of an installed model. Repeatable; the
    /// first is the default
    #[arg(long = "model", value_name = MODEL_SYNTAX)]
    models: Vec<ModelArg>,
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    place: PlaceArgs,

    /// Require this token
    #[arg(long, value_name = "TOKEN", env = "LACUNA_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Read the token from a file
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Allow access from other machines without a token
    #[arg(long)]
    insecure_no_token: bool,
    /// An origin (https://example.org) whose pages may use the API; repeatable
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// A host name to answer for, besides localhost and IP addresses; repeatable
    #[arg(long = "allow-host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Identify clients by the last address in X-Forwarded-For; use only behind a proxy that sets it
    #[arg(long, alias = "behind-proxy")]
    trust_forwarded_for: bool,

    /// Size limit of a request body (413)
    #[arg(long, value_name = "BYTES", default_value = "64M")]
    max_body: Bytes,
    /// Pixel limit of a photo, such as 50M (422)
    #[arg(long, value_name = "PIXELS", default_value = "50M")]
    max_pixels: Pixels,
    /// Limit of a photo's width and height, in pixels (422)
    #[arg(long, value_name = "PIXELS", default_value_t = Bounds::default().side)]
    max_side: u32,
    /// Memory limit of the whole program, such as 2G (422) [default: half of the machine's or the container's memory]
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<Bytes>,
    /// Limit of waiting jobs (429)
    #[arg(long, value_name = "JOBS", default_value_t = Bounds::default().queue)]
    queue: usize,
    /// Limit of one client's waiting and running jobs (429)
    #[arg(long, value_name = "JOBS", default_value_t = Bounds::default().per_client)]
    per_client: usize,
    /// Limit of open connections; further ones wait
    #[arg(long, value_name = "N", default_value_t = Bounds::default().connections)]
    connections: usize,
    /// Time limit of a job, such as 90s or 2m (504)
    #[arg(long, value_name = "TIME", default_value_t = Seconds(Bounds::default().job), value_parser = Seconds::positive)]
    job_timeout: Seconds,
    /// Time limit of a request's headers (408)
    #[arg(long, value_name = "TIME", default_value_t = Seconds(Bounds::default().head), value_parser = Seconds::positive)]
    head_timeout: Seconds,
    /// Time limit of a stalled body: a request's (408), or a response that the client does not read (closed)
    #[arg(long, value_name = "TIME", default_value_t = Seconds(Bounds::default().stall), value_parser = Seconds::positive)]
    body_timeout: Seconds,
    /// How long results can still be fetched after the last job during shutdown
    #[arg(long, value_name = "TIME", default_value_t = Seconds(Bounds::default().grace))]
    grace: Seconds,

    /// Number of computing threads [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<Threads>,
    /// What to log to standard error; info has a line per request
    #[arg(long, value_enum, default_value_t = Log::Warn)]
    log: Log,
}

/// `--log`.
#[derive(Clone, Copy, ValueEnum)]
enum Log {
    /// Errors of the server
    Error,
    /// Also warnings
    Warn,
    /// Also requests
    Info,
    /// Also broken connections
    Debug,
}

impl ServeArgs {
    fn config(&self) -> Result<Config> {
        let bounds = Bounds {
            body_bytes: usize::try_from(self.max_body.0)
                .context("--max-body is too large for this machine")?,
            pixels: self.max_pixels.0,
            side: self.max_side,
            queue: self.queue,
            per_client: self.per_client,
            connections: self.connections,
            job: self.job_timeout.0,
            head: self.head_timeout.0,
            stall: self.body_timeout.0,
            grace: self.grace.0,
            memory: Some(self.max_memory()),
        };
        let access = self.token()?.map_or(Access::Open, |token| Access::Token(Token::new(&token)));
        let config = Config {
            address: self.address(),
            access,
            hosts: self.hosts.clone(),
            origins: self.origins.clone(),
            trust_forwarded_for: self.trust_forwarded_for,
            base_path: self.base_path.clone(),
            bounds,
        };
        config.check(self.insecure_no_token).map_err(|problem| UsageError(problem.to_string()))?;
        Ok(config)
    }

    fn address(&self) -> SocketAddr {
        self.address.unwrap_or(SocketAddr::new(self.host, self.port))
    }

    /// `--max-memory`, or half of the memory of the machine or its container.
    fn max_memory(&self) -> u64 {
        self.max_memory.map_or_else(|| memory::available() / 2, |bytes| bytes.0)
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
        // Browsers cannot send other characters in a header.
        let sendable =
            |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        ensure_usage!(
            token.as_ref().is_none_or(sendable),
            "a token must consist of ASCII letters, digits and punctuation, without spaces"
        );
        Ok(token)
    }

    fn load(&self) -> Result<Models> {
        let mut networks: Vec<Model> = Vec::new();
        for given in &self.models {
            let id = given.label();
            if networks.iter().any(|model| model.id == id) {
                bail_usage!("two models are called {id}: rename one with --model NAME=FILE");
            }
            networks.push(match given.open_weights()? {
                Weights::Network(checkpoint) => self.model(id, &checkpoint, Method::NETWORK)?,
                Weights::Flow(file) => self.flow_model(id, &file)?,
            });
        }
        if !networks.iter().any(|model| model.network.is_flow()) {
            self.flow.ensure_absent()?;
        }
        if networks.is_empty() {
            networks.push(self.model(DEFAULT_NETWORK.into(), &default_network()?, Method::GUIDED)?);
            networks.extend(self.fetched()?);
        }
        Ok(Models::new(Arc::new(PatchMatch::default()), networks))
    }

    /// Installed published models. One that cannot be loaded is reported and skipped, because the user did not ask for
    /// it.
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
                    tracing::warn!("the installed model {name} is skipped: {problem:#}");
                    None
                }
            }
        });
        Ok(loaded.collect())
    }

    fn flow_model(&self, id: String, file: &FlowFile) -> Result<Model> {
        let network = self.flow.load(file, Some(self.max_memory()))?;
        let (method, device) = (Method::FLOW, self.place.device.clone());
        Ok(Model {
            id,
            label: None,
            method,
            device,
            parameters: file.parameters() as u64,
            network,
            latent: None,
        })
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

/// The latent view of a network; none in a program without Burn, and none of a network without a latent.
#[cfg(feature = "burn")]
fn latent_view(checkpoint: &Checkpoint, device: &str) -> Result<Option<Arc<dyn LatentView>>> {
    if checkpoint.config().generator().is_none() {
        return Ok(None);
    }
    Ok(Some(Arc::new(latent::Viewer::new(checkpoint, device)?)))
}

#[cfg(not(feature = "burn"))]
fn latent_view(_: &Checkpoint, _: &str) -> Result<Option<Arc<dyn LatentView>>> {
    Ok(None)
}

/// Serves until shutdown is requested.
///
/// # Errors
/// If the arguments contradict each other, a model cannot be read, or the address cannot be opened.
pub fn run(args: ServeArgs) -> Result<Outcome> {
    start_log(args.log);
    start_threads(args.threads)?;
    let config = args.config()?;
    if args.max_memory.is_none() {
        let limit = lacuna::units::at_most(args.max_memory());
        eprintln!("lacuna: memory limit {limit}, half of what is available (--max-memory changes it)");
    }
    let models = args.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(NETWORK_THREADS)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(async {
        let server = Server::bind(config, models)
            .await
            .with_context(|| format!("cannot listen on {}", args.address()))?;
        let url = format!("http://{}{}", server.address(), args.base_path);
        println!("{url}");
        if args.open {
            open_browser(server.address(), &args.base_path);
        }
        server.run(stop_requested()?).await;
        Ok(Outcome::Done)
    })
}

/// Starts the log on standard error, with colours only on a terminal and without `NO_COLOR` (<https://no-color.org>).
fn start_log(log: Log) {
    let level = match log {
        Log::Error => LevelFilter::ERROR,
        Log::Warn => LevelFilter::WARN,
        Log::Info => LevelFilter::INFO,
        Log::Debug => LevelFilter::DEBUG,
    };
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !refused)
        .with_target(false)
        .init();
}

/// Opens the page in the browser. Failure is reported and ignored.
fn open_browser(address: SocketAddr, base_path: &str) {
    // A browser cannot open the unspecified address.
    let host = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let url = format!("http://{host}:{}{base_path}/", address.port());
    if let Err(error) = open::that_detached(&url) {
        eprintln!("lacuna: cannot open a browser at {url}: {error}");
    }
}

/// A future that completes at the first Ctrl+C or SIGTERM.
///
/// # Errors
/// If the system does not let the program handle signals.
fn stop_requested() -> Result<impl Future<Output = ()>> {
    let asked = Arc::new(Notify::new());
    let listener = Arc::clone(&asked);
    on_interrupt("finishing accepted jobs", move || listener.notify_one())?;
    Ok(async move { asked.notified().await })
}
