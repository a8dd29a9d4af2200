//! `lacuna model`: what a weights file is, whether it is sound, and Lacuna's own format of it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::{Subcommand, ValueEnum};
use lacuna::EnginePredictor;
use lacuna::checkpoint::{self, Checkpoint, Info, Storage, Suspect, Verification};
use lacuna_cpu::engine::{Plan, Step, Strips};
use serde::Serialize;

use crate::Outcome;
use crate::output::print;
use crate::units::{Size, Threads, start_threads};

/// Commands of `lacuna model`.
#[derive(Subcommand)]
pub enum ModelCommand {
    /// Say what a weights file is: family, width, blocks, parameters, source
    Info {
        /// Lacuna's .safetensors, or a LaMa checkpoint (.ckpt, .pt, .pth, .safetensors)
        file: PathBuf,
        /// Say instead what the engine does with a picture: step, shape, GFLOP, MiB, kernel
        #[arg(long)]
        plan: bool,
        /// Size of the picture for --plan, such as 512 or 640x480
        #[arg(long, value_name = "SIZE", default_value = "512", requires = "plan")]
        size: Size,
        /// Threads for --plan [default: one for each core]
        #[arg(long, value_name = "N", requires = "plan")]
        threads: Option<Threads>,
        /// JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// Rewrite a weights file as Lacuna's .safetensors
    Convert {
        /// The weights file to read
        input: PathBuf,
        /// The file to write, ending in .safetensors
        output: PathBuf,
        /// How numbers are stored
        #[arg(long, value_enum, default_value_t = StorageName::F32)]
        storage: StorageName,
        /// Where the weights come from, in words [default: the input's name]
        #[arg(long, value_name = "TEXT")]
        provenance: Option<String>,
        /// Replace the output if it exists
        #[arg(long)]
        overwrite: bool,
    },
    /// Get published weights from their official releases
    #[cfg(feature = "fetch")]
    Fetch(crate::fetch::FetchArgs),
    /// Check every number of a weights file: hash, shapes, NaN
    Verify {
        /// The weights file
        file: PathBuf,
        /// JSON on standard output
        #[arg(long)]
        json: bool,
    },
}

/// `--storage`.
#[derive(Clone, Copy, ValueEnum)]
pub enum StorageName {
    /// 32-bit floats, exact
    F32,
    /// 16-bit floats, half the size
    F16,
}

/// Runs the command.
///
/// # Errors
/// If a file cannot be read, written, or is not sound.
pub fn run(command: &ModelCommand) -> Result<Outcome> {
    match command {
        #[cfg(feature = "fetch")]
        ModelCommand::Fetch(args) => return crate::fetch::run(args),
        ModelCommand::Info { file, plan: true, size, threads, json } => {
            start_threads(*threads)?;
            let predictor = EnginePredictor::new(&Checkpoint::open(file)?)?;
            let plan = predictor.plan(size.width, size.height)?;
            print(&if *json {
                serde_json::to_string_pretty(&PlanDocument::of(&predictor, &plan))?
            } else {
                plan.to_string().trim_end().to_owned()
            })?;
        }
        ModelCommand::Info { file, json, .. } => {
            let info = checkpoint::info(file)?;
            print(&if *json { serde_json::to_string_pretty(&info)? } else { info_text(&info) })?;
        }
        ModelCommand::Convert { input, output, storage, provenance, overwrite } => {
            convert(input, output, *storage, provenance.as_deref(), *overwrite)?;
        }
        ModelCommand::Verify { file, json } => {
            let verification = checkpoint::verify(file)?;
            print(&if *json {
                serde_json::to_string_pretty(&verification)?
            } else {
                verification_text(&verification)
            })?;
            ensure!(verification.is_sound(), "{} is not sound", file.display());
        }
    }
    Ok(Outcome::Done)
}

/// A plan as JSON.
#[derive(Serialize)]
struct PlanDocument<'a> {
    /// Columns of the picture.
    width: usize,
    /// Rows of the picture.
    height: usize,
    threads: usize,
    isa: String,
    /// Multiplications and additions by the network's definition.
    operations: f64,
    weight_bytes: u64,
    arena_bytes: u64,
    /// All that the process needs.
    forecast_bytes: u64,
    forecast_s: f64,
    /// Rows of the latent in a strip of the encoder and of the decoder.
    strips: Strips,
    steps: &'a [Step],
}

impl<'a> PlanDocument<'a> {
    fn of(predictor: &EnginePredictor, plan: &'a Plan) -> Self {
        Self {
            width: plan.width,
            height: plan.height,
            threads: plan.threads,
            isa: predictor.engine().isa().to_string(),
            operations: plan.operations(),
            weight_bytes: plan.weight_bytes(),
            arena_bytes: plan.arena_bytes(),
            forecast_bytes: plan.forecast_bytes(),
            forecast_s: predictor.seconds(plan),
            strips: plan.strips,
            steps: plan.steps(),
        }
    }
}

fn convert(
    input: &Path,
    output: &Path,
    storage: StorageName,
    provenance: Option<&str>,
    overwrite: bool,
) -> Result<()> {
    ensure!(
        output.extension().is_some_and(|extension| extension == "safetensors"),
        "{}: Lacuna's weights files end in .safetensors",
        output.display()
    );
    if !overwrite && output.exists() {
        bail!("{} exists (--overwrite replaces it)", output.display());
    }
    let checkpoint = Checkpoint::open(input)?;
    let own = format!("converted from {}", input.file_name().unwrap_or_default().display());
    let provenance = provenance.or(checkpoint.provenance()).unwrap_or(&own);
    let storage = match storage {
        StorageName::F32 => Storage::F32,
        StorageName::F16 => Storage::F16,
    };
    checkpoint::save(output, checkpoint.config(), provenance, checkpoint.tensors(), storage)?;
    eprintln!("{}: {} parameters written", output.display(), checkpoint.parameters());
    for name in checkpoint.skipped() {
        eprintln!("left out: {name}");
    }
    Ok(())
}

fn info_text(info: &Info) -> String {
    let config = &info.config;
    let elements: Vec<String> = info.elements.iter().map(word).collect();
    let mut lines = vec![
        format!("file        {}", info.source.path.display()),
        format!("container   {}", word(&info.source.container)),
        format!("family      {}", word(&config.family)),
        format!("width       {}", config.width),
        format!("blocks      {}", config.blocks),
        format!("inputs      {}", config.channels_in),
        format!("control     {}", if config.control { "yes" } else { "no" }),
        format!("delta       {}", word(&config.delta)),
        format!("parameters  {}", info.parameters),
        format!("numbers     {}", elements.join(", ")),
        format!("prefix      {:?}", info.source.prefix),
    ];
    lines.extend(info.provenance.iter().map(|provenance| format!("provenance  {provenance}")));
    let others = info.source.other_generators.iter();
    lines.extend(others.map(|other| format!("not taken   another generator under {other:?}")));
    if !info.skipped.is_empty() {
        lines.push(format!("skipped     {} tensors that are not the network's:", info.skipped.len()));
        lines.extend(info.skipped.iter().map(|name| format!("            {name}")));
    }
    lines.join("\n")
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

/// The name that a kind has in JSON, also for people.
fn word(kind: &impl Serialize) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}
