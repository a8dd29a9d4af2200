//! `lacuna model`: inspects, verifies, converts and fetches weights files.

mod convert;
mod flow;
mod list;
mod plan;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use lacuna::checkpoint::{self, Architecture, Info, Shape, Suspect, Verification};
use lacuna_network::{ContextHole, Middle};
use serde::Serialize;

use convert::ConvertArgs;
pub use list::ListArgs;
use plan::PlanArgs;

use crate::Outcome;
use crate::models::{MODEL_SYNTAX, ModelArg};
use crate::output::print;
use crate::units::{Size, Threads};

/// Suffix of BatchNorm's counters, which only training needs.
const COUNTER: &str = "num_batches_tracked";

/// Commands of `lacuna model`.
#[derive(Subcommand)]
pub enum ModelCommand {
    /// Show the contents of a weights file: family, width, blocks, parameters, source
    Info(InfoArgs),
    /// Show how the engine computes an image: step, shape, GFLOP, MiB, kernel
    Plan(PlanArgs),
    /// Convert a weights file to Lacuna's .safetensors, or to an ONNX model for other runtimes
    Convert(ConvertArgs),
    /// Verify every value of a weights file: hash, shapes, NaN
    Verify {
        /// Weights file, or the name of an installed model
        #[arg(value_name = MODEL_SYNTAX)]
        model: ModelArg,
        /// Print JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// List installed and available models
    List(ListArgs),
    /// Download and install a published model, or the weights of metrics
    #[cfg(feature = "fetch")]
    Fetch(crate::fetch::FetchArgs),
}

/// Arguments of `lacuna model info`.
#[derive(Args)]
pub struct InfoArgs {
    /// Weights file (Lacuna's .safetensors or a LaMa checkpoint: .ckpt, .pt, .pth), or the name of an installed model
    #[arg(value_name = MODEL_SYNTAX)]
    model: ModelArg,
    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
    /// The older form of `lacuna model plan`
    #[arg(long, hide = true)]
    plan: bool,
    #[arg(long, hide = true, default_value = "512", requires = "plan")]
    size: Size,
    #[arg(long, hide = true, requires = "plan")]
    threads: Option<Threads>,
}

/// Runs the command.
///
/// # Errors
/// If a file cannot be read, downloaded or written, or is damaged.
pub fn run(command: &ModelCommand) -> Result<Outcome> {
    match command {
        #[cfg(feature = "fetch")]
        ModelCommand::Fetch(args) => return crate::fetch::run(args),
        ModelCommand::List(args) => list::run(args)?,
        ModelCommand::Plan(args) => plan::run(args)?,
        ModelCommand::Info(args) => info(args)?,
        ModelCommand::Convert(args) => convert::run(args)?,
        ModelCommand::Verify { model, json } if model.is_flow()? => flow::describe(model, *json, true)?,
        ModelCommand::Verify { model, json } => {
            let verification = checkpoint::verify(&model.path()?)?;
            print(&if *json {
                serde_json::to_string_pretty(&verification)?
            } else {
                verification_text(&verification)
            })?;
            ensure!(verification.is_sound(), "{} is not sound", model.path()?.display());
        }
    }
    Ok(Outcome::Done)
}

/// Runs `lacuna models`.
///
/// # Errors
/// If the folder of models cannot be read.
pub fn list(args: &ListArgs) -> Result<Outcome> {
    list::run(args)?;
    Ok(Outcome::Done)
}

fn info(args: &InfoArgs) -> Result<()> {
    let InfoArgs { model, json, size, threads, .. } = args;
    if args.plan {
        return plan::run(&PlanArgs { model: model.clone(), size: *size, threads: *threads, json: *json });
    }
    if model.is_flow()? {
        return flow::describe(model, *json, false);
    }
    let info = checkpoint::info(&model.path()?)?;
    print(&if *json { serde_json::to_string_pretty(&info)? } else { info_text(&info) })
}

fn info_text(info: &Info) -> String {
    let elements: Vec<String> = info.elements.iter().map(kind_name).collect();
    let mut lines = vec![
        format!("file        {}", info.source.path.display()),
        format!("container   {}", kind_name(&info.source.container)),
        format!("family      {}", info.config.family_name()),
    ];
    lines.extend(options(&info.config));
    lines.extend([
        format!("parameters  {}", info.parameters),
        format!("values      {}", elements.join(", ")),
        format!("prefix      {:?}", info.source.prefix),
    ]);
    lines.extend(info.provenance.iter().map(|provenance| format!("provenance  {provenance}")));
    let others = info.source.other_generators.iter();
    lines.extend(others.map(|other| format!("unused      another generator under {other:?}")));
    lines.extend(skipped(&info.skipped).into_iter().map(|line| format!("skipped     {line}")));
    lines.join("\n")
}

/// The options of a network, one a line.
fn options(config: &Architecture) -> Vec<String> {
    if let Some(network) = config.context_encoder() {
        return vec![
            format!("side        {}", network.side),
            format!("width       {}", network.width),
            match network.hole {
                ContextHole::Region => "hole        region".into(),
                ContextHole::Centre { overlap } => format!("hole        centre, overlap {overlap}"),
            },
            match network.middle {
                Middle::ChannelWise => "middle      channel-wise".into(),
                Middle::Bottleneck { channels } => format!("middle      bottleneck of {channels} channels"),
            },
        ];
    }
    let Shape { channels_in, width, blocks, control, delta } = config.shape();
    vec![
        format!("width       {width}"),
        format!("blocks      {blocks}"),
        format!("inputs      {channels_in}"),
        format!("control     {}", if *control { "yes" } else { "no" }),
        format!("delta       {}", kind_name(delta)),
    ]
}

/// The tensors that were not read. BatchNorm's counters are summarised in one entry.
fn skipped(names: &[String]) -> Vec<String> {
    let (counters, others): (Vec<_>, Vec<_>) =
        names.iter().cloned().partition(|name| name.ends_with(COUNTER));
    let counted = (!counters.is_empty()).then(|| format!("{} counters of BatchNorm", counters.len()));
    others.into_iter().chain(counted).collect()
}

fn verification_text(verification: &Verification) -> String {
    let mut lines = vec![info_text(&verification.info), format!("sha256      {}", verification.sha256)];
    let mut list = |what: &str, suspects: &[Suspect]| {
        lines.extend(suspects.iter().map(|suspect| format!("{what}  {} in {}", suspect.count, suspect.name)));
    };
    list("not finite", &verification.not_finite);
    list("negative variance", &verification.negative_variances);
    lines.extend(verification.damaged_entries.iter().map(|entry| format!("damaged     {entry}")));
    if verification.is_sound() {
        lines.push(format!("sound       all {} tensors", verification.info.tensors));
    }
    lines.join("\n")
}

/// The name of a kind in JSON.
fn kind_name(kind: &impl Serialize) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}
