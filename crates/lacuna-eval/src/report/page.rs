//! The report page: one self-contained file that makes no requests.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use serde_json::json;

use super::Column;
use super::gallery::Card;
use crate::judge::Metric;
use crate::metric::Region;
use crate::summary::{Summary, find};
use crate::{Error, Result};

const PAGE: &str = include_str!("page.html");
/// The style of report pages.
pub const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A section of the page that others fill, such as latent views.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// Its text.
    pub text: String,
    /// Images as data URLs, with captions.
    pub figures: Vec<Figure>,
}

/// An image of a section.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The image as a data URL.
    pub picture: String,
    /// What it shows.
    pub caption: String,
}

/// A cell of the table.
#[derive(Serialize)]
struct Cell {
    /// The value to sort by; none sorts last.
    value: Option<f64>,
    text: String,
    range: String,
    best: bool,
}

/// A chart by tenths of hole fraction.
#[derive(Serialize)]
struct Chart {
    title: String,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    method: String,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    bin: String,
    mean: f64,
    low: f64,
    high: f64,
}

/// The page of an evaluation.
///
/// # Errors
/// [`Error::Pictures`] if the template fails, which would be a bug.
pub fn page(
    title: &str,
    summary: &Summary,
    ranked_by: Metric,
    cards: &[Card],
    sections: &[Section],
) -> Result<String> {
    let columns = Column::of(summary);
    let headings: Vec<String> = columns.iter().map(|column| column.title()).collect();
    let rows: Vec<(&str, usize, Vec<Cell>)> = summary
        .methods
        .iter()
        .map(|method| {
            let cells = columns.iter().map(|&column| cell(summary, method, column)).collect();
            (method.name.as_str(), method.judged, cells)
        })
        .collect();
    let directions: Vec<&str> =
        columns.iter().map(|column| if column.less_is_better() { "↓" } else { "↑" }).collect();
    let failed: Vec<_> = summary.methods.iter().filter(|method| !method.failed.is_empty()).collect();
    let charts = charts(summary);
    let differences: Vec<_> = summary
        .differences
        .iter()
        .filter(|difference| difference.metric != Metric::KnownError && difference.region != Region::Band)
        .map(|difference| {
            let column = Column::Mean(difference.metric, difference.region);
            let (digits, interval) = (column.decimals(), difference.interval);
            let certain = interval.low > 0.0 || interval.high < 0.0;
            let better = (interval.mean < 0.0) == column.less_is_better();
            json!({
                "method": difference.method, "to": difference.to, "metric": column.title(), "count": difference.count,
                "mean": format!("{:+.digits$}", interval.mean),
                "range": format!("{:+.digits$} to {:+.digits$}", interval.low, interval.high),
                "verdict": if !certain { "open" } else if better { "better" } else { "worse" },
            })
        })
        .collect();
    // No string may end the script that contains it.
    let data = serde_json::to_string(&charts).expect("numbers are JSON").replace('<', "\\u003c");
    let methods: Vec<&str> = summary.methods.iter().map(|method| method.name.as_str()).collect();
    let values = json!({
        "title": title, "style": STYLE, "script": SCRIPT, "notes": summary.notes, "settings": summary.settings,
        "cases": summary.cases, "headings": headings, "directions": directions, "rows": rows, "failed": failed,
        "differences": differences, "cards": cards, "sections": sections, "data": data,
        "ranked_by": ranked_by.title(), "methods": methods,
    });
    render(PAGE, values)
}

/// An HTML template with these values, which are escaped.
///
/// # Errors
/// [`Error::Pictures`] if the template fails, which would be a bug.
pub fn render(template: &str, values: serde_json::Value) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
        .render_str(template, Serde(values))
        .map_err(|error| Error::Pictures(format!("the page cannot be generated: {error}")))
}

/// A page of sections alone.
///
/// # Errors
/// As [`page`].
pub fn sections(title: &str, notes: Vec<String>, sections: &[Section]) -> Result<String> {
    let nothing =
        Summary { settings: Vec::new(), cases: 0, methods: Vec::new(), differences: Vec::new(), notes };
    page(title, &nothing, Metric::L1, &[], sections)
}

fn cell(summary: &Summary, method: &crate::summary::Method, column: Column) -> Cell {
    let Some(value) = column.value(method) else {
        return Cell { value: None, text: "–".to_owned(), range: String::new(), best: false };
    };
    let others = summary.methods.iter().filter_map(|other| column.value(other)).map(|other| other.mean);
    let best = if column.less_is_better() {
        others.fold(f64::INFINITY, f64::min)
    } else {
        others.fold(f64::NEG_INFINITY, f64::max)
    };
    let digits = column.decimals();
    let range = if value.low < value.high {
        format!("{:.digits$} to {:.digits$}", value.low, value.high)
    } else {
        String::new()
    };
    let best = summary.methods.len() > 1 && value.mean == best;
    Cell { value: Some(value.mean), text: format!("{:.digits$}", value.mean), range, best }
}

fn charts(summary: &Summary) -> Vec<Chart> {
    let columns = [
        (Metric::LpipsVgg, Region::Whole),
        (Metric::LpipsVgg, Region::Hole),
        (Metric::LpipsAlex, Region::Whole),
        (Metric::Ssim, Region::Whole),
        (Metric::L1, Region::Hole),
        (Metric::Psnr, Region::Whole),
    ];
    let chart = |(metric, region)| {
        let lines: Vec<Line> = summary
            .methods
            .iter()
            .map(|method| {
                let points = method.by_area.iter().filter_map(|bin| {
                    let interval = find(&bin.means, metric, region)?.interval;
                    Some(Point {
                        bin: bin.name.clone(),
                        mean: interval.mean,
                        low: interval.low,
                        high: interval.high,
                    })
                });
                Line { method: method.name.clone(), points: points.collect() }
            })
            .filter(|line| !line.points.is_empty())
            .collect();
        (!lines.is_empty()).then(|| Chart { title: Column::Mean(metric, region).title(), lines })
    };
    columns.into_iter().filter_map(chart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::gallery::Fill;
    use crate::summary::tests::example;

    #[test]
    fn the_page_holds_everything_and_asks_for_nothing() {
        let picture = || "data:image/jpeg;base64,AAAA".to_owned();
        let card = Card {
            name: "a<b>".into(),
            hole: 12.5,
            labels: vec!["best of one".into()],
            truth: picture(),
            masked: picture(),
            fills: vec![Fill { method: "one".into(), picture: Some(picture()), score: Some(0.25) }],
        };
        let section = Section {
            title: "Latents".into(),
            text: "damage".into(),
            figures: vec![Figure { picture: picture(), caption: "level 1".into() }],
        };
        let text = page("A & B", &example(), Metric::L1, &[card], std::slice::from_ref(&section)).unwrap();
        for part in
            ["A &amp; B", "a&lt;b&gt;", "best of one", "Latents", "level 1", "torn", "+0.5000", "FID of 6"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let alone = sections("Alone", vec!["know".into()], &[section]).unwrap();
        assert!(alone.contains("level 1") && alone.contains("know") && !alone.contains("<h2 id=\"summary\""));
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("a<b>"));
    }
}
