//! `lacuna model convert`: weights in Lacuna's own format, or an ONNX model.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use lacuna::atomic::write_bytes_atomically;
use lacuna::checkpoint::{self, Checkpoint, Storage};
use lacuna_onnx::{Interface, Options};

use crate::models::{MODEL_SYNTAX, ModelArg};
use crate::units::Size;
use crate::usage::{bail_usage, ensure_usage};
use crate::words::word;

/// Arguments of `lacuna model convert`.
#[derive(Args)]
pub struct ConvertArgs {
    /// Weights file, or the name of an installed model
    #[arg(value_name = MODEL_SYNTAX)]
    input: ModelArg,
    /// File to write, ending in .safetensors or .onnx
    output: PathBuf,
    /// Type of the stored values, for .safetensors [default: f32]
    #[arg(long, value_name = "DTYPE", alias = "storage", value_parser = word::<Storage>())]
    dtype: Option<Storage>,
    /// Description of the weights' origin, for .safetensors [default: the input's, else its name]
    #[arg(long, value_name = "TEXT")]
    provenance: Option<String>,
    /// The only size that the ONNX model takes, in pixels: for runtimes that need fixed sizes [default: any size]
    #[arg(long, value_name = "WxH")]
    size: Option<Size>,
    /// The ONNX model takes and returns bytes [height, width, 3], and keeps pixels outside the hole
    #[arg(long)]
    pipeline: bool,
    /// Replace an existing output
    #[arg(long)]
    overwrite: bool,
}

/// Runs the command.
///
/// # Errors
/// If an option does not fit the output's format, or a file cannot be read or written.
pub fn run(args: &ConvertArgs) -> Result<()> {
    let output = &args.output;
    let extension = output.extension().and_then(|extension| extension.to_str());
    let is_onnx = match extension {
        Some("onnx") => true,
        Some("safetensors") => false,
        _ => bail_usage!("{}: the output must end in .safetensors or .onnx", output.display()),
    };
    let of_onnx = [("--size", args.size.is_some()), ("--pipeline", args.pipeline)];
    let of_safetensors = [("--dtype", args.dtype.is_some()), ("--provenance", args.provenance.is_some())];
    for (option, is_given) in if is_onnx { of_safetensors } else { of_onnx } {
        ensure_usage!(!is_given, "{option} does not apply to {}", output.display());
    }
    if !args.overwrite && output.exists() {
        bail!("{} exists (--overwrite replaces it)", output.display());
    }
    let checkpoint = args.input.open()?;
    if is_onnx {
        let interface = if args.pipeline { Interface::Pipeline } else { Interface::Network };
        let size = args.size.map(|size| (size.width, size.height));
        write_bytes_atomically(output, &lacuna_onnx::export(&checkpoint, Options { interface, size })?)?;
    } else {
        let dtype = args.dtype.unwrap_or_default();
        save(&checkpoint, output, dtype, args.provenance.as_deref())?;
    }
    eprintln!("{}: {} parameters written", output.display(), checkpoint.parameters());
    for line in super::skipped(checkpoint.skipped()) {
        eprintln!("skipped: {line}");
    }
    Ok(())
}

fn save(checkpoint: &Checkpoint, output: &Path, dtype: Storage, provenance: Option<&str>) -> Result<()> {
    let own =
        format!("converted from {}", checkpoint.source().path.file_name().unwrap_or_default().display());
    let provenance = provenance.or(checkpoint.provenance()).unwrap_or(&own);
    Ok(checkpoint::save(output, checkpoint.config(), provenance, checkpoint.tensors(), dtype)?)
}
