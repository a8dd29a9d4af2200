//! The methods to run: their predictors, and their fills as files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lacuna::atomic::write_bytes_atomically;
use lacuna::job::Source;
use lacuna::method::Build;
use lacuna::picture::{Format, SaveOptions};
use lacuna::{FillJob, Inputs, Method, Predictor, Watch};
use lacuna_eval::case::Case;

use super::args::answer_name;
use super::{EvalArgs, bar};
use crate::flow::FlowArgs;
use crate::hints::message;
use crate::method::{Identity, MethodArgs};
use crate::method_arg::MethodArg;
use crate::models::ModelArg;

/// A method to run.
pub struct Runnable {
    /// Its name in reports.
    pub name: String,
    /// Its predictor.
    pub predictor: Arc<dyn Predictor>,
    /// The identity of its fills but for their seed.
    identity: Identity,
    /// Whether its model is a flow file.
    pub is_flow: bool,
    /// Whether the identity names the seed.
    names_seed: bool,
}

impl Runnable {
    /// Loads a method.
    ///
    /// # Errors
    /// As [`MethodArgs::load`].
    pub fn new(arg: MethodArg, args: &EvalArgs) -> Result<Self> {
        let name = arg.label();
        let MethodArg { method, model, refine, .. } = arg;
        let is_flow = model.as_ref().map_or(Ok(false), ModelArg::is_flow)?;
        let (predictor, identity) = match method.build {
            Build::Alone(build) => {
                let predictor = build();
                let identity = Identity { method: predictor.name(), version: predictor.version() };
                (predictor, identity)
            }
            Build::WithNetwork(_) => {
                // Other methods beside a flow do not take its arguments.
                let flow = if is_flow { args.flow.clone() } else { FlowArgs::default() };
                let place = args.place.clone();
                let method = MethodArgs { method: Some(method), model, flow, refine, place };
                let predictor = method.load(None)?;
                let identity = method.identity(predictor.as_ref())?;
                (predictor, identity)
            }
        };
        // A network with one answer uses no randomness.
        let names_seed = method != Method::NETWORK || predictor.uses_seed();
        Ok(Self { name, predictor, identity, is_flow, names_seed })
    }

    /// Number of its answers, of `wanted`: one if it has no randomness.
    pub fn answers(&self, wanted: u16) -> u16 {
        if self.predictor.uses_seed() { wanted } else { 1 }
    }

    /// The identity of the fills with a seed.
    pub fn identity(&self, seed: u64) -> Identity {
        let mut identity = self.identity.clone();
        if self.names_seed {
            identity.method = format!("{}, seed {seed}", identity.method);
        }
        identity
    }
}

/// Fills all cases with one method.
pub struct Filler<'a> {
    /// The program's arguments.
    pub args: &'a EvalArgs,
    /// The method.
    pub method: &'a Runnable,
    /// The number of the answer, from 0. Its seed is as much above that of the program's arguments.
    pub answer: u16,
    /// The cases to fill.
    pub cases: &'a [Case],
}

/// File with the identity of the method of a folder of fills.
const IDENTITY: &str = "made-by.txt";
/// File of the fill times, in seconds.
const SECONDS: &str = "seconds.txt";

impl Filler<'_> {
    /// Fills the cases that have no fill yet. Returns the folder of the fills, and the mean time per fill in seconds.
    ///
    /// # Errors
    /// If the folder contains fills of another method, or cannot be written.
    pub fn run(&self) -> Result<(PathBuf, Option<f64>)> {
        let folder = self.args.output.join("fills").join(self.name());
        self.prepare(&folder)?;
        let save = SaveOptions { format: Some(Format::Png), quality: None };
        let (limits, seed) = (self.args.limits.limits(), self.seed());
        let job = FillJob { limits, seed, save, ..FillJob::new(self.method.predictor.clone()) };
        let path = folder.join(SECONDS);
        let seconds = OpenOptions::new().create(true).append(true).open(&path);
        let mut seconds = seconds.with_context(|| format!("cannot write {}", path.display()))?;
        let bar = bar(self.cases.len(), self.args.json, "filling");
        // One after the other: methods use all cores themselves, and parallel runs would distort their times.
        for case in self.cases {
            let output = folder.join(format!("{}.png", case.name));
            if !output.exists() {
                let start = Instant::now();
                match fill(&job, case, &output) {
                    Ok(()) => {
                        writeln!(seconds, "{:.6}", start.elapsed().as_secs_f64())
                            .with_context(|| format!("cannot write {}", path.display()))?;
                    }
                    Err(error) => {
                        bar.suspend(|| eprintln!("not filled: {}: {}", case.name, message(&error)));
                    }
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let times: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        let mean = (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64);
        Ok((folder, mean))
    }

    /// The answer's name in reports.
    pub fn name(&self) -> String {
        answer_name(&self.method.name, self.answer)
    }

    /// The identity of its fills.
    pub fn identity(&self) -> Identity {
        self.method.identity(self.seed())
    }

    fn seed(&self) -> u64 {
        self.args.seed.wrapping_add(self.answer.into())
    }

    /// Prepares a folder for this method's fills. Fills of an earlier version of the same method are removed.
    fn prepare(&self, folder: &Path) -> Result<()> {
        let (name, identity) = (self.name(), self.identity());
        let path = folder.join(IDENTITY);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let Ok(stored) = text.parse::<Identity>();
                if stored == identity {
                    return Ok(());
                }
                ensure!(
                    stored.method == identity.method,
                    "{} holds fills of {stored}, not of {identity}: choose another --output",
                    folder.display()
                );
                eprintln!("note: {name} has changed since its fills were stored; they are computed again");
                fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(write_bytes_atomically(&path, identity.to_string().as_bytes())?)
    }
}

fn fill(job: &FillJob, case: &Case, output: &Path) -> Result<()> {
    let filled = job
        .prepare(Inputs::new(Source::File(&case.truth), Source::File(&case.mask)))?
        .run(&Watch::default())?;
    if let Some(parent) = output.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    Ok(write_bytes_atomically(output, &filled.bytes)?)
}
