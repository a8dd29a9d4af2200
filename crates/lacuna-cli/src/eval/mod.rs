//! `lacuna eval`: evaluates fills.

mod args;
mod diversity;
mod filler;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lacuna::atomic::write_bytes_atomically;
use lacuna::hash::sha256_of_file;
use lacuna_eval::case::{Case, Cases, Fills};
use lacuna_eval::evaluation::{Candidate, Evaluation};
use lacuna_eval::judge::Judge;
use lacuna_eval::published::{INCEPTION, LPIPS_ALEX, LPIPS_VGG};
use lacuna_eval::report::gallery::{self, Card};
use lacuna_eval::report::page::{self, Section};
use lacuna_eval::report::{tables, text};
use lacuna_eval::summary::Summary;

pub use args::EvalArgs;
use args::{Named, TRUTH};
use filler::{Filler, Runnable};

use crate::Outcome;
#[cfg(feature = "burn")]
use crate::latent::{LONG_SIDE, Viewer};
use crate::models::metric_weights_folder;
use crate::output::print;
use crate::units::start_threads;
use crate::usage::{bail_usage, ensure_usage};

/// Runs the command.
///
/// # Errors
/// Whatever prevents the whole evaluation; a photo that cannot be evaluated is counted instead.
pub fn run(args: &EvalArgs) -> Result<Outcome> {
    start_threads(args.threads)?;
    let names = args.names();
    ensure_usage!(!names.is_empty(), "nothing to evaluate: give --method, --model or --predictions");
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        bail_usage!("two methods are called {}: rename one with NAME=PATH", twice.1);
    }
    ensure_usage!(!names.contains(&TRUTH.to_owned()), "a method cannot be called {TRUTH}");
    let weights = metric_weights_folder(args.metric_weights.as_deref())?;
    let judge = Judge::open(&weights)?;
    let missing = judge.missing();
    if !missing.is_empty() {
        eprintln!(
            "note: {} missing in {}: {} are not computed (`lacuna model fetch metrics` downloads the weights)",
            missing.join(", "),
            weights.display(),
            metrics_of(&missing)
        );
    }
    let found = Cases::find(args.reference(), &args.masks)?;
    for mask in &found.unmatched {
        eprintln!("skipped: {} has no original photo", mask.display());
    }
    let mut cases = found.cases;
    if let Some(count) = args.count.map(|count| count as usize).filter(|&count| count < cases.len()) {
        cases = (0..count).map(|at| cases[at * cases.len() / count].clone()).collect();
    }
    fs::create_dir_all(&args.output).with_context(|| format!("cannot create {}", args.output.display()))?;
    let mut settings = settings(args, &weights, &cases)?;
    let mut candidates = Vec::new();
    for Named { name, path } in &args.predictions {
        candidates.push(Candidate { name: name.clone(), fills: Fills::find(path)? });
    }
    // All methods are loaded before the first one fills.
    let runnables: Vec<Runnable> =
        args.methods().map(|method| Runnable::new(method, args)).collect::<Result<_>>()?;
    if !runnables.iter().any(|method| method.is_flow) {
        args.flow.ensure_absent()?;
    }
    let mut several = Vec::new();
    for method in runnables {
        let mut answers = Vec::new();
        for answer in 0..method.answers(args.samples) {
            let filler = Filler { args, method: &method, answer, cases: &cases };
            let (name, (folder, seconds)) = (filler.name(), filler.run()?);
            settings.push((format!("{name}, fills"), filler.identity().to_string()));
            if let Some(seconds) = seconds {
                settings.push((format!("{name}, seconds per image"), format!("{seconds:.3}")));
            }
            let fills = Fills::find(&folder)?;
            answers.push(fills.clone());
            candidates.push(Candidate { name, fills });
        }
        if args.samples > 1 && answers.len() == 1 {
            eprintln!("note: {} has one answer, whatever the seed", method.name);
        }
        several.push((method.name, answers));
    }
    let bar = bar(cases.len(), args.json, "evaluating");
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
    let html = page::page(&args.title, &summary, ranked_by, &cards, &latents(args, &cases, &cards)?)?;
    let json = serde_json::to_string_pretty(&summary)?;
    let write = |name: &str, bytes: &[u8]| write_bytes_atomically(&args.output.join(name), bytes);
    write("report.html", html.as_bytes())?;
    write("results.json", json.as_bytes())?;
    write("results.csv", &tables::csv(&summary)?)?;
    for method in &summary.methods {
        write(&format!("{}.tsv", method.name), tables::lama(method).as_bytes())?;
    }
    let diversity = diversity::measure(&several, &cases, &judge, args)?;
    if let Some(diversity) = &diversity {
        write("diversity.json", serde_json::to_string_pretty(diversity)?.as_bytes())?;
    }
    if args.json {
        print(&json)?;
    } else {
        print(text::table(&summary).trim_end())?;
        if let Some(diversity) = &diversity {
            print(&diversity::table(diversity))?;
        }
        eprintln!("{}", args.output.join("report.html").display());
    }
    summary.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let failed: usize = summary.methods.iter().map(|method| method.failed.len()).sum();
    if failed == 0 && found.unmatched.is_empty() {
        return Ok(Outcome::Done);
    }
    for method in &summary.methods {
        method
            .failed
            .iter()
            .for_each(|failure| eprintln!("not evaluated: {}: {}", failure.case, failure.error));
    }
    Ok(Outcome::SomeFailed)
}

/// The metrics that need these weights files.
fn metrics_of(missing: &[&str]) -> String {
    let metric = |name: &&str| match *name {
        LPIPS_ALEX => "LPIPS (Alex)",
        LPIPS_VGG => "LPIPS (VGG)",
        INCEPTION => "FID, KID and IDS",
        other => unreachable!("{other} is not a weights file"),
    };
    missing.iter().map(metric).collect::<Vec<_>>().join(", ")
}

fn bar(count: usize, quiet: bool, what: &'static str) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {per_sec}  {eta} left  {msg}");
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    bar.with_style(style.expect("a valid template")).with_message(what)
}

/// Views into the latent space of each network.
#[cfg(feature = "burn")]
fn latents(args: &EvalArgs, cases: &[Case], cards: &[Card]) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let chosen = || cards.iter().filter_map(|card| cases.iter().find(|case| case.name == card.name));
    for model in args.model.iter().filter(|_| args.latent > 0) {
        let (name, path) = (model.label(), model.path()?);
        let viewer = Viewer::open(&path, &args.place.device, LONG_SIDE as usize, args.limits.limits())?;
        for case in chosen().take(args.latent.into()) {
            let (section, _) = viewer.view(case)?;
            let note = viewer.note().map_or(String::new(), |note| format!(" Note: {note}."));
            let (title, text) = (format!("{name}: {}", section.title), format!("{}{note}", section.text));
            sections.push(Section { title, text, ..section });
        }
    }
    Ok(sections)
}

#[cfg(not(feature = "burn"))]
fn latents(_: &EvalArgs, _: &[Case], _: &[Card]) -> Result<Vec<Section>> {
    Ok(Vec::new())
}

/// The arguments and environment that the report lists.
fn settings(args: &EvalArgs, weights: &Path, cases: &[Case]) -> Result<Vec<(String, String)>> {
    let mut settings = vec![
        ("lacuna".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("commit".to_owned(), commit()),
        ("masks".to_owned(), args.masks.display().to_string()),
        ("ground truth".to_owned(), args.reference().display().to_string()),
    ];
    let mut files = BTreeMap::new();
    for case in cases {
        files.insert(format!("{}.png", case.name), sha256_of_file(&case.mask)?);
    }
    settings.push(("masks' SHA-256".to_owned(), lacuna_masks::set::hash(&files)));
    settings.push(("weights".to_owned(), weights.display().to_string()));
    for Named { name, path } in &args.predictions {
        settings.push((format!("{name}, fills"), path.display().to_string()));
    }
    Ok(settings)
}

/// The commit that the program was built from, if known.
fn commit() -> String {
    option_env!("LACUNA_COMMIT").unwrap_or("unknown").to_owned()
}
