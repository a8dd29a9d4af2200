//! The lacuna program: fills holes in images.

mod bench;
mod eval;
#[cfg(feature = "fetch")]
mod fetch;
mod flow;
mod hints;
mod inpaint;
mod interrupt;
#[cfg(feature = "burn")]
mod latent;
mod limits;
mod masks;
mod method;
mod method_arg;
mod model;
mod models;
mod output;
mod refine;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "train")]
mod train;
mod units;
mod usage;
#[cfg(feature = "serve")]
mod web;
mod words;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

/// Removes objects from photos by filling holes in images
#[derive(Parser)]
#[command(name = "lacuna", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fill the hole in a photo, or in many photos
    Inpaint(inpaint::InpaintArgs),
    /// Serve a web page that erases objects from photos, and an HTTP API
    #[cfg(feature = "serve")]
    Serve(serve::ServeArgs),
    /// Write the page as a folder of files that needs no server: photos are filled in the browser
    #[cfg(feature = "serve")]
    Web(web::WebArgs),
    /// Inspect, convert, check and fetch model files
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// List installed and available models
    Models(model::ListArgs),
    /// Measure speed and memory of a network on this machine
    Bench(bench::BenchArgs),
    /// Generate a fixed, seeded set of masks, blank or with crops of photos
    Masks(masks::MasksArgs),
    /// Evaluate fills: LPIPS, FID, SSIM and more, with a report
    Eval(eval::EvalArgs),
    /// Show how a hole changes a network's latent space, before and after refinement
    #[cfg(feature = "burn")]
    Latent(latent::LatentArgs),
    /// Train a network from a run file
    #[cfg(feature = "train")]
    Train(train::TrainArgs),
    /// Train a whole table of the thesis with several seeds, and compare its rows
    #[cfg(feature = "train")]
    Study(train::StudyArgs),
}

/// The result of a command that did not fail as a whole.
enum Outcome {
    /// Everything is done.
    Done,
    /// A batch is finished, and some of its files failed.
    SomeFailed,
}

/// Exit code of a command that fails as a whole.
const FAILURE: u8 = 1;
/// Exit code for wrong arguments, the same as clap's.
const USAGE: u8 = 2;
/// Exit code of a batch in which some files failed.
const SOME_FAILED: u8 = 3;

fn main() -> ExitCode {
    let start = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // The message cannot be shown if the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    // A panic (a bug here or in a decoder) is caught per image and reported like any failure. RUST_BACKTRACE=1 shows
    // where it happened.
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let outcome = match cli.command {
        Command::Inpaint(args) => inpaint::run(&args),
        #[cfg(feature = "serve")]
        Command::Web(args) => web::run(&args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(args),
        Command::Model(command) => model::run(&command),
        Command::Models(args) => model::list(&args),
        Command::Bench(args) => bench::run(&args, start),
        Command::Masks(args) => masks::run(&args),
        Command::Eval(args) => eval::run(&args),
        #[cfg(feature = "burn")]
        Command::Latent(args) => latent::run(&args),
        #[cfg(feature = "train")]
        Command::Train(args) => train::run(&args),
        #[cfg(feature = "train")]
        Command::Study(args) => train::study(&args),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::SomeFailed) => ExitCode::from(SOME_FAILED),
        Err(error) => {
            eprintln!("lacuna: {}", hints::message(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The exit code of a command that failed as a whole.
fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<usage::UsageError>() { USAGE } else { FAILURE }
}
