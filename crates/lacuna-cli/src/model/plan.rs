//! `lacuna model plan`: how the engine computes an image, step by step.

use anyhow::Result;
use clap::Args;
use lacuna::EnginePredictor;
use lacuna_cpu::engine::{Plan, Step, Strips};
use serde::Serialize;

use crate::models::{MODEL_SYNTAX, ModelArg};
use crate::output::print;
use crate::units::{Size, Threads, start_threads};

/// Arguments of `lacuna model plan`.
#[derive(Args)]
pub struct PlanArgs {
    /// Weights file, or the name of an installed model
    #[arg(value_name = MODEL_SYNTAX)]
    pub model: ModelArg,
    /// Size of the image, such as 512 or 640x480
    #[arg(long, value_name = "SIZE", default_value = "512")]
    pub size: Size,
    /// Number of computing threads [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<Threads>,
    /// Print JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Prints the plan.
///
/// # Errors
/// If the model cannot be read, or the engine cannot run images of that size.
pub fn run(args: &PlanArgs) -> Result<()> {
    start_threads(args.threads)?;
    let predictor = EnginePredictor::new(&args.model.open()?)?;
    let plan = predictor.plan(args.size.width, args.size.height)?;
    print(&if args.json {
        serde_json::to_string_pretty(&PlanDocument::of(&predictor, &plan))?
    } else {
        plan.to_string().trim_end().to_owned()
    })
}

/// A plan as JSON.
#[derive(Serialize)]
struct PlanDocument<'a> {
    /// Columns of the image.
    width: usize,
    /// Rows of the image.
    height: usize,
    threads: usize,
    isa: String,
    /// Multiplications and additions, counted as direct convolution.
    operations: f64,
    weight_bytes: u64,
    arena_bytes: u64,
    /// Memory of the whole process.
    forecast_bytes: u64,
    forecast_s: f64,
    /// Latent rows per strip of the encoder and of the decoder.
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
