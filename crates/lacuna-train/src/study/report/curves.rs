//! Validation during training, over steps: a chart for each factor and one for the other arms, with bands over seeds.

use std::collections::BTreeMap;
use std::fs;

use lacuna_eval::interval::{Interval, student};
use plotters::prelude::*;
use serde_json::Value;

use super::super::Results;
use super::super::arm::Runs;
use super::super::plan::Arm;
use crate::{Error, Result};

/// Size of a chart in pixels.
const SIZE: (u32, u32) = (640, 380);
/// Colours of lines, distinct for all kinds of colour vision (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
/// The value of a validation that is drawn, best first: its key in `metrics.jsonl` and its name.
const DRAWN: [(&str, &str); 2] = [("lpips", "LPIPS (Alex)"), ("ssim", "SSIM")];

/// A chart.
pub struct Chart {
    /// Its caption.
    pub caption: String,
    /// SVG.
    pub svg: String,
}

/// The mean over seeds at each step.
type Line = BTreeMap<u64, Interval>;

/// The charts of all arms with validations.
pub fn charts(runs: &Runs, results: &[Results]) -> Result<Vec<Chart>> {
    let arms = &runs.options.plan.arms;
    let with_lines = |(key, name)| {
        let lines: Vec<Line> =
            arms.iter().zip(results).map(|(arm, results)| line(runs, arm, results, key)).collect();
        lines.iter().any(|line| !line.is_empty()).then_some((name, lines))
    };
    let Some((name, lines)) = DRAWN.into_iter().find_map(with_lines) else { return Ok(Vec::new()) };
    let titled = |index: usize| (arms[index].title.as_str(), &lines[index]);
    // By the factor that an arm is a level of; others together.
    let mut groups: Vec<(&str, Vec<(&str, &Line)>)> = Vec::new();
    for (index, arm) in arms.iter().enumerate().filter(|(index, _)| !lines[*index].is_empty()) {
        let like = arm.like.as_ref().and_then(|like| arms.iter().position(|other| other.name == *like));
        let factor = arm.name.split_once(": ").filter(|_| like.is_some()).map_or("", |(factor, _)| factor);
        match groups.iter_mut().find(|(other, _)| *other == factor) {
            Some((_, group)) => group.push(titled(index)),
            // A factor's first level is the base.
            None => {
                let base = like.filter(|&base| !lines[base].is_empty());
                groups.push((factor, base.into_iter().chain([index]).map(titled).collect()));
            }
        }
    }
    let chart = |(factor, lines): (&str, Vec<(&str, &Line)>)| {
        let caption = if factor.is_empty() { "arms".to_owned() } else { format!("factor “{factor}”") };
        Ok(Chart { caption: format!("{name} in validation, {caption}"), svg: draw(&lines, name)? })
    };
    groups.into_iter().map(chart).collect()
}

fn line(runs: &Runs, arm: &Arm, results: &Results, key: &str) -> Line {
    let mut of_steps: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for &seed in results.keys() {
        let text = fs::read_to_string(runs.folder(arm, seed).join("metrics.jsonl")).unwrap_or_default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            if line["kind"] == "validation"
                && let Some((step, value)) = line["step"].as_u64().zip(line[key].as_f64())
            {
                of_steps.entry(step).or_default().push(value);
            }
        }
    }
    of_steps.into_iter().map(|(step, values)| (step, student(&values))).collect()
}

fn draw(lines: &[(&str, &Line)], name: &str) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| Error::Config(format!("the chart cannot be drawn: {error}"));
    let points = || lines.iter().flat_map(|(_, line)| line.iter());
    let end = points().map(|(&step, _)| step).max().unwrap_or(1);
    let low = points().map(|(_, value)| value.mean).fold(f64::INFINITY, f64::min);
    let high = points().map(|(_, value)| value.mean).fold(f64::NEG_INFINITY, f64::max);
    let margin = 0.15 * (high - low).max(1e-3);
    let (low, high) = (low - margin, high + margin);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(|error| failed(&error))?;
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..end as f64, low..high)
            .map_err(|error| failed(&error))?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("step").y_desc(name).light_line_style(BLACK.mix(0.04));
        mesh.draw().map_err(|error| failed(&error))?;
        for (index, (title, line)) in lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let edge = |of: fn(&Interval) -> f64| {
                line.iter().map(move |(&step, value)| (step as f64, of(value).clamp(low, high)))
            };
            if line.values().all(|value| value.high.is_finite()) {
                let band = edge(|value| value.high)
                    .chain(edge(|value| value.low).collect::<Vec<_>>().into_iter().rev());
                chart
                    .draw_series(std::iter::once(Polygon::new(band.collect::<Vec<_>>(), colour.mix(0.12))))
                    .map_err(|error| failed(&error))?;
            }
            let middle = line.iter().map(|(&step, value)| (step as f64, value.mean));
            let series = chart
                .draw_series(LineSeries::new(middle, colour.stroke_width(2)))
                .map_err(|error| failed(&error))?;
            let key = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2));
            series.label(*title).legend(key);
        }
        chart
            .configure_series_labels()
            .border_style(BLACK.mix(0.2))
            .background_style(WHITE.mix(0.8))
            .draw()
            .map_err(|error| failed(&error))?;
        root.present().map_err(|error| failed(&error))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_line_and_a_band_for_each_arm() {
        let line = |value: f64| -> Line {
            (1..=4).map(|step| (100 * step, student(&[value, value + 0.01, value + 0.02]))).collect()
        };
        let svg = draw(&[("one", &line(0.2)), ("two & three", &line(0.3))], "LPIPS").unwrap();
        assert_eq!(svg.matches("<polygon").count(), 2);
        assert!(svg.contains("two &amp; three") && svg.contains("LPIPS"), "{svg}");
    }
}
