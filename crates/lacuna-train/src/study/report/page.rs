//! The report as a page: claims first, then the table. One self-contained file that makes no requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lacuna_eval::interval::Interval;
use lacuna_eval::report::page::{STYLE, render};
use serde_json::{Value, json};

use super::super::StudyOptions;
use super::super::effects::{Verdict, together};
use super::JudgedClaim;
use super::curves::Chart;
use super::table::{Table, mean, range};
use super::text::command;
use crate::Result;

const PAGE: &str = include_str!("page.html");
/// Half the width of an effect's bar in the page's units.
const HALF_WIDTH: f64 = 100.0;

/// The page.
///
/// # Errors
/// [`crate::Error::Eval`] if the template fails, which would be a bug.
pub fn page(
    options: &StudyOptions,
    table: &Table,
    claims: &[JudgedClaim],
    charts: &[Chart],
    examples: &[u8],
) -> Result<String> {
    let charts: Vec<Value> =
        charts.iter().map(|chart| json!({ "caption": chart.caption, "svg": chart.svg })).collect();
    let values = json!({
        "title": options.plan.title, "style": STYLE, "command": command(options), "photos": table.photos, "seeds": options.seeds,
        "claims": claims.iter().map(claim).collect::<Vec<_>>(),
        "columns": table.columns, "timed": table.has_times(), "timed_what": options.plan.timed(),
        "measures": table.measures.iter().map(|measure| json!({
            "title": measure.title(), "arrow": if measure.less_is_better() { "↓" } else { "↑" },
        })).collect::<Vec<_>>(),
        "rows": table.rows.iter().map(|row| json!({
            "title": row.title, "about": row.about, "learning": row.learning, "seeds": row.seeds, "to": row.to,
            "seconds": row.seconds.map(|seconds| format!("{seconds:.3}")),
            "thesis": row.thesis.map(|thesis| format!("{} / {} / {}", thesis.fid, thesis.lpips, thesis.ssim)),
            "cells": row.cells.iter().zip(&table.measures).map(|(cell, measure)| json!({
                "mean": mean(cell.mean, measure.decimals()),
                "difference": cell.difference.map(|interval| range(Some(interval), measure.decimals())),
                "verdict": class(cell.verdict),
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "printed": table.rows.iter().any(|row| row.thesis.is_some()),
        "charts": charts, "examples": format!("data:image/png;base64,{}", STANDARD.encode(examples)),
    });
    Ok(render(PAGE, values)?)
}

fn claim(JudgedClaim { claim, from, to, judged }: &JudgedClaim) -> Value {
    json!({
        "text": claim.text, "from": from, "to": to, "verdict": together(judged),
        "rows": judged.iter().map(|one| json!({
            "measure": one.measure,
            "here": range(one.difference, one.decimals),
            "thesis": one.thesis.map(|value| format!("{value:+.3}")),
            "verdict": one.verdict.words(),
            "class": class(one.verdict),
            "bar": one.difference.map(bar),
        })).collect::<Vec<_>>(),
    })
}

/// An interval as a bar around 0: its ends and its middle, -100 to 100, and whether it has ends.
fn bar(Interval { mean, low, high }: Interval) -> Value {
    let ends = if low.is_finite() { [low, high] } else { [mean; 2] };
    let largest = ends.iter().map(|end| end.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let [low, mean, high] = [ends[0], mean, ends[1]].map(|value| HALF_WIDTH * value / largest);
    let round = |value: f64| format!("{value:.1}");
    json!({ "low": round(low), "width": round(high - low), "mean": round(mean) })
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Agrees => "agrees",
        Verdict::Disagrees => "disagrees",
        Verdict::NotSettled => "open",
        Verdict::NotRun => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::plan::{By, Claim, Plan};
    use super::super::super::time::Times;
    use super::super::super::{Scale, StudyOptions};
    use super::super::table::tests::results;
    use super::super::text::markdown;
    use super::*;

    #[test]
    fn claims_are_headings_with_verdicts() {
        let mut plan = Plan::open("table-5.1").unwrap();
        let claim = |text: &str, to: &str| Claim {
            text: text.into(),
            from: "pixel".into(),
            to: to.into(),
            by: By::Metrics,
        };
        plan.claims = vec![
            claim("The latent loss is <better>", "latent"),
            claim("Control is better", "pixel-control"),
            claim("Both are better", "latent-control"),
        ];
        let options = StudyOptions {
            plan: plan.clone(),
            scale: Scale::Tiny,
            set: vec!["run.steps=9".into()],
            seeds: 3,
            only: Vec::new(),
            time_rounds: 0,
            photos: "photos".into(),
            validation: "validation".into(),
            metric_weights: "weights".into(),
            folder: "out".into(),
            devices: Vec::new(),
        };
        let times = Times::from([("pixel".into(), 0.25)]);
        let table = Table::new(&plan, &results(), &times);
        let claims: Vec<JudgedClaim> =
            plan.claims.iter().map(|claim| JudgedClaim::new(claim, &plan, &results(), &times)).collect();
        let charts = [Chart { caption: "curve".into(), svg: "<svg></svg>".into() }];
        let page = page(&options, &table, &claims, &charts, b"png").unwrap().replace("&#x2f;", "/");
        for part in [
            "The latent loss is &lt;better&gt;",
            "lacuna study table-5.1 --scale tiny --seeds 3 --set run.steps=9",
            "0.3060 ± 0.0075",
            "<svg></svg>",
            "16.6 / 0.155 / 0.865",
            "data:image/png;base64,cG5n",
            "0.250",
        ] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
        assert!(!page.contains("http://") && !page.contains("https://"));
        let verdicts = ["agrees", "disagrees", "not run"];
        let text = markdown(&options, &table, &claims);
        for ((claim, verdict), line) in
            plan.claims.iter().zip(verdicts).zip(text.lines().filter(|line| line.starts_with("### ")))
        {
            assert_eq!(line, format!("### {}: {verdict}", claim.text));
        }
        assert!(
            text.contains(
                "| Baseline + control | pixel L1 | frozen | control | 408144 | 3 | 0.3060 ± 0.0075 |"
            ),
            "{text}"
        );
        assert!(
            text.contains("| Baseline + control | Baseline | **+0.1020 (+0.0995 to +0.1045)** | +0.00 |"),
            "{text}"
        );
    }

    #[test]
    fn bars_end_at_the_larger_end() {
        let found = bar(Interval { mean: -1.0, low: -4.0, high: 2.0 });
        assert_eq!(found, json!({ "low": "-100.0", "width": "150.0", "mean": "-25.0" }));
    }
}
