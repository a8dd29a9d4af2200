//! `lacuna eval`: judging fills.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lacuna::atomic::write_bytes_atomically;
use lacuna::hash::sha256_of_file;
use lacuna::job::Source;
use lacuna::method::Build;
use lacuna::models::ModelStore;
use lacuna::picture::{Format, SaveOptions};
use lacuna::{FillJob, Inputs, Method, Predictor, Watch};
use lacuna_eval::case::{Case, Cases, Fills};
use lacuna_eval::evaluation::{Candidate, Evaluation};
use lacuna_eval::judge::{INCEPTION, Judge, LPIPS_ALEX, LPIPS_VGG};
use lacuna_eval::report::gallery::{self, Card};
use lacuna_eval::report::page::{self, Section};
use lacuna_eval::report::{tables, text};
use lacuna_eval::summary::Summary;

use crate::Outcome;
use crate::hints::message;
use crate::inpaint::LimitArgs;
#[cfg(feature = "train")]
use crate::latent::{LONG_SIDE, Viewer};
use crate::method::{MethodArgs, PlaceArgs};
use crate::method_arg::{METHOD_SYNTAX, MethodArg};
use crate::models::{MODEL_SYNTAX, ModelArg, is_label};
use crate::output::print;
use crate::units::{Threads, start_threads};
use crate::usage::{bail_usage, ensure_usage};

const EXAMPLES: &str = "\
Examples:
  Fill a set of lacuna masks --images with two methods and judge them:
    lacuna eval --masks thick-256 --method mean-colour --method patchmatch -o report
  A network beside fills that another program made, with LPIPS and FID:
    lacuna model fetch metrics
    lacuna eval --masks thick-256 --model ours=best.safetensors --predictions lama=lama-out -o report
  An installed model alone, and as PatchMatch's guide:
    lacuna eval --masks thick-256 --method network:big-lama --method guided:big-lama -o report
  Folders of true pictures, masks and fills of the same names:
    lacuna eval --truth photos --masks masks --predictions mine=fills -o report

Masks are named NAME_mask….png for the picture NAME, or NAME.png; fills as their masks, or as their pictures. The folder of the
report has report.html, results.json, results.csv, a table a method as LaMa writes it, and what was found so far: the same
command goes on where it was stopped.

Exit code: 0 done, 1 failed, 2 wrong arguments, 3 some photos could not be evaluated.";

/// Arguments of `lacuna eval`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct EvalArgs {
    /// Folder of masks
    #[arg(long, value_name = "FOLDER")]
    masks: PathBuf,
    /// Folder of true pictures [default: that of the masks]
    #[arg(long, value_name = "FOLDER")]
    truth: Option<PathBuf>,
    /// A method by the folder of its fills; may be given several times
    #[arg(long, value_name = "NAME=FOLDER", value_parser = named)]
    predictions: Vec<Named>,
    /// A method to fill with: mean-colour, patchmatch, network or guided; the latter two use Lacuna's own network, or that
    /// behind the colon; may be given several times
    #[arg(long, value_name = METHOD_SYNTAX)]
    method: Vec<MethodArg>,
    /// A network to fill with, as --method network:MODEL; may be given several times
    #[arg(long, value_name = MODEL_SYNTAX)]
    model: Vec<ModelArg>,
    /// The older form of --method guided:MODEL
    #[arg(long, value_name = MODEL_SYNTAX, hide = true)]
    guided: Vec<ModelArg>,
    #[command(flatten)]
    place: PlaceArgs,
    /// Judge so many pictures, evenly spread [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Seed of the methods that are run
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Folder of the metrics' weights [default: $LACUNA_METRIC_WEIGHTS, else where `lacuna model fetch metrics` puts them]
    #[arg(long, value_name = "FOLDER")]
    weights: Option<PathBuf>,
    /// Pictures in the page
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(0..=1000))]
    gallery: u16,
    /// Pictures of which the page shows the latent space of each --model, the first of the gallery
    #[cfg(feature = "train")]
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=100))]
    latent: u16,
    /// The page's title
    #[arg(long, value_name = "TEXT", default_value = "Inpainting, judged")]
    title: String,
    /// Folder of the report
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Threads that compute [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<Threads>,
    /// Say nothing but the results as JSON on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// What reports call the ground truth; no method can be called so.
const TRUTH: &str = "truth";

/// NAME=PATH.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    name: String,
    path: PathBuf,
}

fn named(text: &str) -> Result<Named, String> {
    let (name, path) = match text.split_once('=') {
        Some((name, path)) => (name.to_owned(), PathBuf::from(path)),
        None => {
            let path = PathBuf::from(text);
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (stem, path)
        }
    };
    if !is_label(&name) {
        return Err(format!(
            "{name:?} is no name for a method: letters, digits, - _ . and spaces, no dot first"
        ));
    }
    Ok(Named { name, path })
}

/// The folder that metric weights are in.
pub fn weights_folder(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = given {
        ensure!(folder.is_dir(), "{} is not a folder", folder.display());
        return Ok(folder.to_owned());
    }
    if let Some(folder) = std::env::var_os("LACUNA_METRIC_WEIGHTS") {
        return Ok(folder.into());
    }
    Ok(ModelStore::of_user()?.metrics())
}

/// Runs the command.
///
/// # Errors
/// What keeps all of it from being done; a picture that cannot be judged is counted instead.
pub fn run(args: &EvalArgs) -> Result<Outcome> {
    start_threads(args.threads)?;
    let names: Vec<String> = args.names();
    ensure_usage!(!names.is_empty(), "nothing to judge: give --method, --model or --predictions");
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        bail_usage!("two methods are called {}: name them apart, as NAME=PATH", twice.1);
    }
    ensure_usage!(!names.contains(&TRUTH.to_owned()), "no method can be called {TRUTH}");
    let weights = weights_folder(args.weights.as_deref())?;
    let judge = Judge::open(&weights)?;
    let missing = judge.missing();
    if !missing.is_empty() {
        eprintln!(
            "note: {} not in {}: no {}; `lacuna model fetch metrics` gets them",
            missing.join(", "),
            weights.display(),
            metrics_of(&missing)
        );
    }
    let found = Cases::find(args.truth.as_ref().unwrap_or(&args.masks), &args.masks)?;
    for mask in &found.unmatched {
        eprintln!("left out: {} has no true picture", mask.display());
    }
    let mut cases = found.cases;
    if let Some(count) = args.count.map(|count| count as usize).filter(|&count| count < cases.len()) {
        cases = (0..count).map(|at| cases[at * cases.len() / count].clone()).collect();
    }
    fs::create_dir_all(&args.output).with_context(|| format!("cannot create {}", args.output.display()))?;
    let mut settings = args.settings(&weights, &cases)?;
    let mut candidates = Vec::new();
    for Named { name, path } in &args.predictions {
        candidates.push(Candidate { name: name.clone(), fills: Fills::find(path)? });
    }
    for (name, predictor, identity) in args.predictors()? {
        let filler = Filler { args, name: &name, predictor, cases: &cases };
        let (folder, seconds) = filler.run(&identity)?;
        settings.push((format!("{name}, fills"), identity));
        if let Some(seconds) = seconds {
            settings.push((format!("{name}, seconds a picture"), format!("{seconds:.3}")));
        }
        candidates.push(Candidate { name, fills: Fills::find(&folder)? });
    }
    let bar = bar(cases.len(), args.json, "judging");
    let evaluation = Evaluation {
        cases: &cases,
        candidates: &candidates,
        judge: &judge,
        folder: &args.output,
        limits: args.limits.limits(),
    };
    let judged = evaluation.run(&|_| bar.inc(1))?;
    bar.finish_and_clear();
    let cards = gallery::cards(&cases, &candidates, &judged.candidates, args.gallery.into())?;
    let ranked_by = gallery::ranked_by(&judged.candidates, &cases);
    let names: Vec<String> = candidates.iter().map(|candidate| candidate.name.clone()).collect();
    let summary = Summary::new(settings, &cases, &names, judged)?;
    let html = page::page(&args.title, &summary, ranked_by, &cards, &args.latents(&cases, &cards)?)?;
    let json = serde_json::to_string_pretty(&summary)?;
    let write = |name: &str, bytes: &[u8]| write_bytes_atomically(&args.output.join(name), bytes);
    write("report.html", html.as_bytes())?;
    write("results.json", json.as_bytes())?;
    write("results.csv", &tables::csv(&summary)?)?;
    for method in &summary.methods {
        write(&format!("{}.tsv", method.name), tables::lama(method).as_bytes())?;
    }
    if args.json {
        print(&json)?;
    } else {
        print(text::table(&summary).trim_end())?;
        eprintln!("{}", args.output.join("report.html").display());
    }
    summary.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let failed: usize = summary.methods.iter().map(|method| method.failed.len()).sum();
    if failed == 0 && found.unmatched.is_empty() {
        return Ok(Outcome::Done);
    }
    for method in &summary.methods {
        method.failed.iter().for_each(|failure| eprintln!("not judged: {}: {}", failure.case, failure.error));
    }
    Ok(Outcome::SomeFailed)
}

/// What weights files are for.
fn metrics_of(missing: &[&str]) -> String {
    let metric = |name: &&str| match *name {
        LPIPS_ALEX => "LPIPS (Alex)",
        LPIPS_VGG => "LPIPS (VGG)",
        INCEPTION => "FID, KID and IDS",
        other => unreachable!("{other} is no weights file"),
    };
    missing.iter().map(metric).collect::<Vec<_>>().join(", ")
}

fn bar(count: usize, quiet: bool, what: &'static str) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {per_sec}  {eta} left  {msg}");
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    bar.with_style(style.expect("a valid template")).with_message(what)
}

/// A method that is run: its name, what fills, and the text that is the same only for the same fills.
type Runnable = (String, Arc<dyn Predictor>, String);

impl EvalArgs {
    fn names(&self) -> Vec<String> {
        let folders = self.predictions.iter().map(|named| named.name.clone());
        folders.chain(self.methods().map(|method| method.label())).collect()
    }

    fn predictors(&self) -> Result<Vec<Runnable>> {
        let runs = self.methods().map(|method| {
            let name = method.label();
            let (predictor, identity) = self.predictor(method.method, method.model)?;
            Ok((name, predictor, identity))
        });
        runs.collect()
    }

    /// All methods that are run, however they were given.
    fn methods(&self) -> impl Iterator<Item = MethodArg> {
        let networks = self.model.iter().map(MethodArg::network);
        self.method.iter().cloned().chain(networks).chain(self.guided.iter().map(MethodArg::guided))
    }

    /// The predictor of a method, and the text that identifies its fills.
    fn predictor(&self, method: Method, model: Option<ModelArg>) -> Result<(Arc<dyn Predictor>, String)> {
        let (predictor, identity) = match method.build {
            Build::Alone(build) => {
                let predictor = build();
                let identity = predictor.name();
                (predictor, identity)
            }
            Build::WithNetwork(_) => {
                let method = MethodArgs { method: Some(method), model, place: self.place.clone() };
                let predictor = method.load(None)?;
                let identity = method.identity(predictor.as_ref())?;
                (predictor, identity)
            }
        };
        // A network alone draws nothing at random.
        let is_seeded = method != Method::NETWORK;
        Ok((predictor, if is_seeded { format!("{identity}, seed {}", self.seed) } else { identity }))
    }

    /// Views into the latent space of each network.
    #[cfg(feature = "train")]
    fn latents(&self, cases: &[Case], cards: &[Card]) -> Result<Vec<Section>> {
        let mut sections = Vec::new();
        let chosen = || cards.iter().filter_map(|card| cases.iter().find(|case| case.name == card.name));
        for model in self.model.iter().filter(|_| self.latent > 0) {
            let (name, path) = (model.label(), model.path()?);
            let viewer = Viewer::open(&path, &self.place.device, LONG_SIDE as usize, self.limits.limits())?;
            for case in chosen().take(self.latent.into()) {
                let (section, _) = viewer.look(case)?;
                let note = viewer.note().map_or(String::new(), |note| format!(" Note: {note}."));
                let (title, text) = (format!("{name}: {}", section.title), format!("{}{note}", section.text));
                sections.push(Section { title, text, ..section });
            }
        }
        Ok(sections)
    }

    #[cfg(not(feature = "train"))]
    fn latents(&self, _: &[Case], _: &[Card]) -> Result<Vec<Section>> {
        Ok(Vec::new())
    }

    fn settings(&self, weights: &Path, cases: &[Case]) -> Result<Vec<(String, String)>> {
        let mut settings = vec![
            ("lacuna".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("commit".to_owned(), commit()),
            ("masks".to_owned(), self.masks.display().to_string()),
            ("true pictures".to_owned(), self.truth.as_ref().unwrap_or(&self.masks).display().to_string()),
        ];
        let mut files = BTreeMap::new();
        for case in cases {
            files.insert(format!("{}.png", case.name), sha256_of_file(&case.mask)?);
        }
        settings.push(("masks' SHA-256".to_owned(), lacuna_eval::maskset::hash(&files)));
        settings.push(("weights".to_owned(), weights.display().to_string()));
        for Named { name, path } in &self.predictions {
            settings.push((format!("{name}, fills"), path.display().to_string()));
        }
        Ok(settings)
    }
}

/// The commit that the program was built from, where it knows.
fn commit() -> String {
    option_env!("LACUNA_COMMIT").unwrap_or("unknown").to_owned()
}

/// Fills all cases with one method, once each.
struct Filler<'a> {
    args: &'a EvalArgs,
    name: &'a str,
    predictor: Arc<dyn Predictor>,
    cases: &'a [Case],
}

/// What a folder of fills was made by.
const IDENTITY: &str = "made-by.txt";
/// How long each took, in seconds.
const SECONDS: &str = "seconds.txt";

impl Filler<'_> {
    /// The folder of the fills, and the mean time of one.
    fn run(&self, identity: &str) -> Result<(PathBuf, Option<f64>)> {
        let folder = self.args.output.join("fills").join(self.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        match fs::read_to_string(folder.join(IDENTITY)) {
            Ok(made_by) => ensure!(
                made_by == identity,
                "{} holds fills of {made_by}, not of {identity}: choose another --output",
                folder.display()
            ),
            Err(_) => write_bytes_atomically(&folder.join(IDENTITY), identity.as_bytes())?,
        }
        let save = SaveOptions { format: Some(Format::Png), quality: None };
        let (limits, seed) = (self.args.limits.limits(), self.args.seed);
        let job = FillJob { limits, seed, save, ..FillJob::new(self.predictor.clone()) };
        let path = folder.join(SECONDS);
        let seconds = OpenOptions::new().create(true).append(true).open(&path);
        let mut seconds = seconds.with_context(|| format!("cannot write {}", path.display()))?;
        let bar = bar(self.cases.len(), self.args.json, "filling");
        // One after the other: methods use all cores by themselves, and their times mean something.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_named_or_take_their_files_name() {
        let of = |name: &str, path: &str| Ok(Named { name: name.into(), path: path.into() });
        assert_eq!(named("a b=x/y.pt"), of("a b", "x/y.pt"));
        assert_eq!(named("x/best.safetensors"), of("best", "x/best.safetensors"));
        for text in ["=x", "../a=x", "a/b=x", "..=x"] {
            assert!(named(text).unwrap_err().contains("is no name"), "{text}");
        }
    }
}
