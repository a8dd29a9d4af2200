//! `lacuna bench`: measures speed and memory of a network on this machine.

mod compare;

use std::fs;
use std::sync::Arc;
use std::time::Instant;

#[cfg(feature = "burn")]
use anyhow::Context;
use anyhow::Result;
use clap::Args;
use lacuna::budget::peak_bytes;
use lacuna::checkpoint::Checkpoint;
use lacuna::{EnginePredictor, Mask, Planes, Predictor, Refinement, Watch};
use lacuna_cpu::engine::{Plan, Wanted};
use lacuna_network::geometry::{IMAGE_CHANNELS, MASKED_CHANNELS};
use lacuna_network::{Architecture, Delta, Family, Shape};
use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::method::{EngineName, PlaceArgs};
use crate::models::{MODEL_SYNTAX, ModelArg};
use crate::output::print;
use crate::refine::RefineArgs;
use crate::units::{Size, Threads, start_threads};
use crate::usage::ensure_usage;
use crate::words::word;

const EXAMPLES: &str = "\
Examples:
  A network of big-lama's size with random weights:
    lacuna bench --width 64 --blocks 18 --size 512
  A model, two sizes, one line of JSON for each:
    lacuna bench --model big-lama --size 512,1024 --threads 2 --json
  As in a real fill: only what a hole of 5 % of the image needs:
    lacuna bench --model big-lama --size 1024 --hole 0.05
  The instruction sets of this processor, as a table for a report:
    lacuna bench --model big-lama --size 512 --compare
  Refined, with four passes forward and three backward:
    lacuna bench --width 64 --blocks 18 --size 1024 --refine=4";

/// Arguments of `lacuna bench`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Weights file, or the name of an installed model [default: random weights for a network of --width and --blocks]
    #[arg(long, value_name = MODEL_SYNTAX, conflicts_with_all = ["family", "width", "blocks", "control", "seed"])]
    pub model: Option<ModelArg>,
    /// Family of the network with random weights
    #[arg(long, value_name = "FAMILY", value_parser = word::<Family>(), default_value_t = Family::Fourier)]
    pub family: Family,
    /// Width of the network with random weights (big-lama: 64)
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub width: usize,
    /// Refiner blocks of the network with random weights (big-lama: 18)
    #[arg(long, value_name = "N", default_value_t = 18)]
    pub blocks: usize,
    /// Give the network with random weights mask control
    #[arg(long)]
    pub control: bool,
    /// Seed of random weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Image sizes, such as 512 or 640x480; separate several with commas or repeat the option
    #[arg(long, value_name = "SIZE", value_delimiter = ',', default_value = "512")]
    pub size: Vec<Size>,
    /// Predict only what a centred hole needs, given as a fraction of the image, 0 to 1 [default: predict everything]
    #[arg(long, value_name = "FRACTION")]
    pub hole: Option<f64>,
    /// Measured passes per size
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub passes: u16,
    /// Warm-up passes per size
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub warm_up: u16,
    /// Number of computing threads [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<Threads>,
    #[command(flatten)]
    pub refine: RefineArgs,
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Compare the instruction sets of this processor, in processes that take turns, and print a Markdown table
    #[arg(long, conflicts_with = "json")]
    pub compare: bool,
    /// Print one line of JSON per size on standard output
    #[arg(long)]
    pub json: bool,
}

/// The measurements of one size; a line of `--json`.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    /// The network and the engine that runs it.
    model: String,
    engine: EngineName,
    /// Columns of the image.
    width: usize,
    /// Rows of the image.
    height: usize,
    /// Fraction of the image that is hole and predicted; none if everything is predicted.
    hole: Option<f64>,
    threads: usize,
    /// The instruction set; none with Burn.
    isa: Option<String>,
    passes: usize,
    /// Median of the passes, in seconds.
    p50_s: f64,
    /// 95th percentile of the passes, in seconds.
    p95_s: f64,
    /// Billions of operations per second, counted as direct convolution whatever the kernels save.
    gflop_per_s: f64,
    /// Peak memory of the process so far in bytes, loading included; none where the system does not report it.
    peak_bytes: Option<u64>,
    /// Forecast of the peak memory, in bytes.
    forecast_bytes: u64,
    /// Forecast of the time of a pass, in seconds.
    forecast_s: f64,
    /// Time from the start of the process to the first prediction, in seconds; only for the first size.
    start_s: Option<f64>,
}

/// Runs the command; `start` is when the process started.
///
/// # Errors
/// If the model cannot be read, a size cannot be predicted, or arguments contradict each other.
pub fn run(args: &BenchArgs, start: Instant) -> Result<Outcome> {
    if let Some(fraction) = args.hole {
        ensure_usage!(fraction > 0.0 && fraction < 1.0, "--hole must be between 0 and 1, not {fraction}");
    }
    if args.compare {
        ensure_usage!(args.place.engine()? == EngineName::Cpu, "--compare needs --engine cpu");
        compare::compare()?;
        return Ok(Outcome::Done);
    }
    start_threads(args.threads)?;
    let subject = Subject::load(args)?;
    // Check all sizes before spending minutes on the first.
    args.size.iter().try_for_each(|&size| subject.plan(size).map(drop))?;
    if !args.json {
        eprintln!("{}", subject.predictor().name());
        print(&HEADINGS.map(|(heading, width)| format!("{heading:>width$}")).join(" "))?;
    }
    for (index, &size) in args.size.iter().enumerate() {
        let row = measure(args, &subject, size, (index == 0).then_some(start))?;
        print(&if args.json { serde_json::to_string(&row)? } else { text(&row) })?;
    }
    Ok(Outcome::Done)
}

impl BenchArgs {
    /// The configuration of the network with random weights. With mask control the encoder sees the image alone, as in
    /// the thesis.
    fn config(&self) -> Architecture {
        self.family.network(Shape {
            channels_in: if self.control { IMAGE_CHANNELS } else { MASKED_CHANNELS },
            width: self.width,
            blocks: self.blocks,
            control: self.control,
            delta: Delta::None,
        })
    }
}

/// The network that is measured.
enum Subject {
    Engine(Box<EnginePredictor>),
    Other { predictor: Arc<dyn Predictor>, operations: Box<dyn Fn(Size) -> f64> },
}

impl Subject {
    fn load(args: &BenchArgs) -> Result<Self> {
        let checkpoint = args.model.as_ref().map(ModelArg::open).transpose()?;
        let refinement = args.refine.refinement();
        let engine = |network: EnginePredictor| match refinement {
            None => Ok(Self::Engine(Box::new(network))),
            Some(refinement) => Self::refined(args, Arc::new(network), refinement),
        };
        match (args.place.engine()?, &checkpoint) {
            (EngineName::Cpu, Some(checkpoint)) => engine(EnginePredictor::new(checkpoint)?),
            (EngineName::Cpu, None) => engine(EnginePredictor::random(&args.config(), args.seed)?),
            (EngineName::Burn, checkpoint) => {
                ensure_usage!(
                    args.hole.is_none(),
                    "--hole needs --engine cpu: Burn always predicts everything"
                );
                burn_subject(args, checkpoint.as_ref())
            }
        }
    }

    /// A refined network. Its passes end when the loss no longer falls, so that its operations are unknown.
    fn refined(args: &BenchArgs, network: Arc<dyn Predictor>, refinement: Refinement) -> Result<Self> {
        ensure_usage!(args.hole.is_none(), "--hole is for networks alone: --refine predicts everything");
        Ok(Self::Other { predictor: network.refined(refinement)?, operations: Box::new(|_| 0.0) })
    }

    /// The engine's plan for a size; none for another engine.
    fn plan(&self, size: Size) -> Result<Option<Plan>> {
        match self {
            Self::Engine(predictor) => Ok(Some(predictor.plan(size.width, size.height)?)),
            Self::Other { .. } => Ok(None),
        }
    }

    fn predictor(&self) -> &dyn Predictor {
        match self {
            Self::Engine(predictor) => predictor.as_ref(),
            Self::Other { predictor, .. } => predictor.as_ref(),
        }
    }
}

/// Measures one size.
fn measure(args: &BenchArgs, subject: &Subject, size: Size, start: Option<Instant>) -> Result<Row> {
    let Size { width, height } = size;
    let (image, mask) = scene(size, args.hole.unwrap_or(DEFAULT_HOLE));
    let wanted = if args.hole.is_some() { Wanted::Hole } else { Wanted::Everything };
    let predictor = subject.predictor();
    let predict = || match subject {
        Subject::Engine(predictor) => predictor.run(&image, &mask, wanted, &Watch::default()),
        Subject::Other { predictor, .. } => predictor.predict(&image, &mask, 0),
    };
    let plan = subject.plan(size)?;
    if start.is_none() {
        // Memory of earlier sizes must not count for this one.
        predictor.release();
        forget_peak();
    }
    let mut start_s = None;
    let mut times: Vec<f64> = Vec::new();
    for pass in 0..usize::from(args.warm_up) + usize::from(args.passes) {
        let begin = Instant::now();
        predict()?;
        let seconds = begin.elapsed().as_secs_f64();
        start_s = start_s.or(start.map(|start| start.elapsed().as_secs_f64()));
        if pass >= usize::from(args.warm_up) {
            times.push(seconds);
        }
    }
    // Before the forecasts, which run their own measurements and need memory for them.
    let peak_bytes = peak_bytes();
    times.sort_by(f64::total_cmp);
    let p50_s = nearest_rank(&times, 0.5);
    let operations = match (subject, &plan) {
        (Subject::Other { operations, .. }, _) => operations(size),
        (_, plan) => plan.as_ref().map_or(0.0, Plan::operations),
    };
    Ok(Row {
        model: predictor.name(),
        engine: args.place.engine()?,
        width,
        height,
        hole: args.hole,
        threads: rayon::current_num_threads(),
        isa: match subject {
            Subject::Engine(predictor) => Some(predictor.engine().isa().to_string()),
            Subject::Other { .. } => None,
        },
        passes: times.len(),
        p50_s,
        p95_s: nearest_rank(&times, 0.95),
        gflop_per_s: operations / p50_s / 1e9,
        peak_bytes,
        forecast_bytes: match &plan {
            Some(plan) => plan.forecast_bytes(),
            None => {
                let picture = (width * height * PICTURE_BYTES) as u64;
                predictor.forecast_bytes(width, height) + predictor.resident_bytes() + picture
            }
        },
        forecast_s: predictor.forecast_seconds(width, height, mask.count()),
        start_s,
    })
}

/// Bytes per pixel of image, mask and prediction.
const PICTURE_BYTES: usize = 2 * 3 * size_of::<f32>() + 1;

/// Hole fraction used where it makes no difference.
const DEFAULT_HOLE: f64 = 0.1;

/// An image of soft stripes and a mask with a hole in its middle.
fn scene(size: Size, fraction: f64) -> (Planes, Mask) {
    let Size { width, height } = size;
    let stripe = |i: usize| 0.5 + 0.4 * ((i % width) as f32 * 0.1 + (i / width) as f32 * 0.07).sin();
    let image = Planes::new(width, height, (0..3 * width * height).map(stripe).collect());
    // A hole with the image's aspect ratio, of at least one pixel.
    let inside = |at: usize, side: usize| {
        let hole = (side as f64 * fraction.sqrt()).round().max(1.0) as usize;
        (at + hole / 2).wrapping_sub(side / 2) < hole
    };
    let hole = (0..width * height).map(|i| inside(i % width, width) && inside(i / width, height)).collect();
    (image, Mask::new(width, height, hole))
}

/// The smallest of the sorted values that at least this fraction of them does not exceed.
fn nearest_rank(sorted: &[f64], fraction: f64) -> f64 {
    let rank = (fraction * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Resets [`peak_bytes`] where the system can: on Linux.
fn forget_peak() {
    const PEAK: &str = "5";
    let _ = fs::write("/proc/self/clear_refs", PEAK);
}

/// Columns of the table and their widths.
const HEADINGS: [(&str, usize); 9] = [
    ("size", 11),
    ("threads", 7),
    ("isa", 8),
    ("p50 s", 8),
    ("p95 s", 8),
    ("GFLOP/s", 8),
    ("peak MiB", 8),
    ("forecast MiB", 12),
    ("forecast s", 10),
];

fn mebibytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / (1u64 << 20) as f64)
}

fn text(row: &Row) -> String {
    let cells = [
        Size { width: row.width, height: row.height }.to_string(),
        row.threads.to_string(),
        row.isa.clone().unwrap_or_else(|| "-".into()),
        format!("{:.4}", row.p50_s),
        format!("{:.4}", row.p95_s),
        format!("{:.1}", row.gflop_per_s),
        row.peak_bytes.map_or_else(|| "unknown".into(), mebibytes),
        mebibytes(row.forecast_bytes),
        format!("{:.4}", row.forecast_s),
    ];
    let columns = cells.iter().zip(HEADINGS);
    columns.map(|(cell, (_, width))| format!("{cell:>width$}")).collect::<Vec<_>>().join(" ")
}

#[cfg(feature = "burn")]
fn burn_subject(args: &BenchArgs, checkpoint: Option<&Checkpoint>) -> Result<Subject> {
    use lacuna_nets::{DeviceName, Generator, NetworkPredictor};
    use lacuna_network::Cost;

    let device: DeviceName = args.place.device.parse()?;
    let checkpoint = checkpoint.context("--engine burn measures a --model FILE, not random weights")?;
    let layers = checkpoint.config().layers();
    let generator = Generator::from_checkpoint(checkpoint, &device.open()?)?;
    let predictor = Arc::new(NetworkPredictor::new(generator, device)?);
    if let Some(refinement) = args.refine.refinement() {
        return Subject::refined(args, predictor, refinement);
    }
    let operations = move |size: Size| Cost::of(&layers, size.width, size.height).operations;
    Ok(Subject::Other { predictor, operations: Box::new(operations) })
}

#[cfg(not(feature = "burn"))]
fn burn_subject(_: &BenchArgs, _: Option<&Checkpoint>) -> Result<Subject> {
    unreachable!("PlaceArgs::engine refuses Burn in this build")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_by_hand() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(nearest_rank(&values, 0.5), 10.0);
        assert_eq!(nearest_rank(&values, 0.95), 19.0);
        assert_eq!(nearest_rank(&values[..5], 0.5), 3.0);
        assert_eq!(nearest_rank(&values[..5], 0.95), 5.0);
        assert_eq!(nearest_rank(&values[..1], 0.95), 1.0);
    }

    #[test]
    fn the_hole_has_its_share() {
        let (image, mask) = scene(Size { width: 80, height: 40 }, 0.25);
        assert_eq!(mask.count(), 40 * 20);
        let bounds = mask.bounds().unwrap();
        assert_eq!((bounds.x, bounds.y), (20, 10));
        assert!(image.values().iter().all(|value| (0.0..=1.0).contains(value)));
        assert_eq!(scene(Size { width: 16, height: 16 }, 1e-9).1.count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_is_known() {
        assert!(peak_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
