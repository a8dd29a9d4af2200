//! `lacuna web`: the page as a folder of files, which any web server can offer.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use lacuna::atomic::write_bytes_atomically;
use lacuna_serve::static_page::{StaticFile, files};

use crate::Outcome;
use crate::usage::bail_usage;

const EXAMPLES: &str = "\
Build the module once, from Lacuna's sources, and write the folder:
    rustup target add wasm32-unknown-unknown
    cargo build --release --target wasm32-unknown-unknown -p lacuna-web
    lacuna web -o page --module target/wasm32-unknown-unknown/release/lacuna_web.wasm
Try it:
    python3 -m http.server --directory page

Photos are filled in the browser and not uploaded: docs/web.md.";

/// The module that was built into the program (feature `web`).
#[cfg(feature = "web")]
const BUILT_IN: Option<&[u8]> = Some(include_bytes!(env!("LACUNA_WEB_MODULE")).as_slice());
#[cfg(not(feature = "web"))]
const BUILT_IN: Option<&[u8]> = None;

/// Arguments of `lacuna web`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct WebArgs {
    /// Folder to write: new, empty, or one that this command wrote
    #[arg(short, long)]
    pub output: PathBuf,
    /// The WebAssembly module [default: the one built into the program, if it was built with the feature `web`]
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If there is no module, the folder holds other files, or a file cannot be written.
pub fn run(args: &WebArgs) -> Result<Outcome> {
    let (module, name) = match (&args.module, BUILT_IN) {
        (Some(path), _) => {
            let module = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            (module, path.display().to_string())
        }
        (None, Some(module)) => (module.to_vec(), "the built-in module".into()),
        (None, None) => bail_usage!("this program was built without the feature web: give --module FILE"),
    };
    let files = files(module).map_err(|problem| anyhow!("{name}: {problem}"))?;
    check_folder(&args.output, &files)?;
    let mut bytes = 0;
    for (path, data) in &files {
        let to = args.output.join(path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        write_bytes_atomically(&to, data)?;
        bytes += data.len();
    }
    let megabytes = bytes as f64 / 1e6;
    eprintln!("{}: {} files, {megabytes:.1} MB", args.output.display(), files.len());
    Ok(Outcome::Done)
}

/// Refuses a folder with files that are not the page's: they would be published with it.
fn check_folder(folder: &Path, files: &[StaticFile]) -> Result<()> {
    ensure!(!folder.is_file(), "{} is a file, expected a folder", folder.display());
    if !folder.is_dir() {
        return Ok(());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let name = entry?.file_name();
        let is_ours = files.iter().any(|(path, _)| Path::new(path).iter().next() == Some(&name));
        ensure!(is_ours, "{} holds {}, which is not of the page", folder.display(), name.display());
    }
    Ok(())
}
