//! The report of a study: text, page, JSON, CSV, LaTeX and a sheet of examples.

mod curves;
mod page;
mod table;
mod text;

use std::io::Cursor;
use std::path::Path;

use image::RgbImage;
use lacuna::atomic::write_bytes_atomically;
use lacuna::{Mask, Planes, Predictor as _};
use lacuna_eval::report::sheet::{arrange, masked};
use lacuna_nets::Network;
use serde_json::json;

use super::arm::{Job, Runs};
use super::effects::{self, Judged};
use super::plan::{Arm, Claim, Plan};
use super::scores::{Panel, composite};
use super::time::Times;
use super::{Results, time};
use crate::config::Task;
use crate::validate::fill;
use crate::{Error, Result};
use table::Table;

/// Photos on the example sheet.
const EXAMPLES: usize = 6;

/// A claim and what it is judged by.
struct JudgedClaim<'a> {
    claim: &'a Claim,
    /// Titles of its arms.
    from: &'a str,
    to: &'a str,
    judged: Vec<Judged>,
}

impl<'a> JudgedClaim<'a> {
    fn new(claim: &'a Claim, plan: &'a Plan, results: &[Results], times: &Times) -> Self {
        let [from, to] = [&claim.from, &claim.to].map(|name| plan.arm(name).map_or("", |arm| &arm.title));
        Self { claim, from, to, judged: effects::judge(claim, plan, results, times) }
    }
}

/// Writes all files of the report. Returns its text.
pub(super) fn write(runs: &Runs, results: &[Results], panel: &Panel) -> Result<String> {
    let options = runs.options;
    let plan = &options.plan;
    let times = time::read(runs)?;
    let claims: Vec<JudgedClaim> =
        plan.claims.iter().map(|claim| JudgedClaim::new(claim, plan, results, &times)).collect();
    let table = Table::new(plan, results, &times);
    let examples = png(&examples(runs, panel)?)?;
    let text = text::markdown(options, &table, &claims);
    let page = page::page(options, &table, &claims, &curves::charts(runs, results)?, &examples)?;
    let json = json!({
        "arms": plan.arms.iter().zip(results).map(|(arm, results)| json!({ "arm": arm.name, "seeds": results })).collect::<Vec<_>>(),
        "claims": claims.iter().map(|JudgedClaim { claim, judged, .. }| json!({
            "claim": claim.text, "from": claim.from, "to": claim.to,
            "verdict": effects::together(judged), "judged": judged,
        })).collect::<Vec<_>>(),
        "times": times,
    });
    let json = serde_json::to_string_pretty(&json).expect("plain data");
    let write = |name: &str, bytes: &[u8]| write_bytes_atomically(&options.folder.join(name), bytes);
    write("report.md", text.as_bytes())?;
    write("report.html", page.as_bytes())?;
    write("report.json", json.as_bytes())?;
    write("table.csv", &table.csv()?)?;
    write("table.tex", table.latex().as_bytes())?;
    write("examples.png", &examples)?;
    Ok(text)
}

/// Photos, masked photos and the fills of all trained arms, for the first seed.
fn examples(runs: &Runs, panel: &Panel) -> Result<RgbImage> {
    let mut networks: Vec<Filler> = Vec::new();
    for arm in &runs.options.plan.arms {
        networks.extend(filler(runs, arm)?);
    }
    let count = EXAMPLES.min(panel.pairs().len());
    let mut rows = Vec::new();
    for (photo, mask) in &panel.pairs()[..count] {
        let mut row = vec![photo.clone(), masked(photo, mask)];
        for network in &networks {
            row.push(network(photo, mask)?);
        }
        rows.push(row);
    }
    Ok(arrange(&rows))
}

/// Fills a photo.
type Filler = Box<dyn Fn(&Planes, &Mask) -> Result<Planes>>;

/// What fills photos in an arm with training, with the first seed; none if it was not trained.
fn filler(runs: &Runs, arm: &Arm) -> Result<Option<Filler>> {
    let is_there = |folder: &Path| folder.join("last.safetensors").exists();
    Ok(match runs.job(arm, 1)? {
        Job::Train(_) if is_there(&runs.folder(arm, 1)) => {
            let network: Network = runs.network(&runs.folder(arm, 1))?;
            Some(Box::new(move |photo, mask| fill(Task::Inpainting, &network, 0, photo, mask)))
        }
        Job::Flow(job) if is_there(&job.folder) => {
            let flow = job.predictor()?;
            Some(Box::new(move |photo, mask| {
                let predicted = flow.predict(&masked(photo, mask), mask, 0)?;
                Ok(composite(&predicted, photo, mask))
            }))
        }
        _ => None,
    })
}

fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).map_err(|error| Error::Write {
        path: "examples.png".into(),
        source: std::io::Error::other(error),
    })?;
    Ok(bytes.into_inner())
}
