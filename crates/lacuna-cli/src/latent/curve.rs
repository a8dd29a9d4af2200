//! Latent error by distance to the hole, as a chart and a table.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lacuna_nets::latent::{CurvePoint, Stage};
use plotters::prelude::*;

use super::sheet::stage_name;

/// Size of the chart in pixels.
const SIZE: (u32, u32) = (560, 360);
/// Colours of the stages, in their order.
const COLOURS: [RGBColor; 3] = [RGBColor(209, 73, 91), RGBColor(184, 134, 11), RGBColor(11, 127, 208)];

/// A stage's curve.
pub type Curve = (Stage, Vec<CurvePoint>);

/// The mean of several images' curves: every cell of every latent has the same weight.
pub fn mean(all: &[Vec<Curve>]) -> Vec<Curve> {
    let mut stages: Vec<(Stage, BTreeMap<u64, CurvePoint>)> = Vec::new();
    for (stage, points) in all.iter().flatten() {
        let at = stages.iter().position(|(other, _)| other == stage).unwrap_or_else(|| {
            stages.push((*stage, BTreeMap::new()));
            stages.len() - 1
        });
        for point in points {
            // Distances are whole pixels.
            let sum =
                stages[at].1.entry(point.to as u64).or_insert(CurvePoint { cells: 0, error: 0.0, ..*point });
            let cells = sum.cells + point.cells;
            sum.error = (sum.error * sum.cells as f64 + point.error * point.cells as f64) / cells as f64;
            sum.cells = cells;
        }
    }
    stages.into_iter().map(|(stage, points)| (stage, points.into_values().collect())).collect()
}

/// Lines of `stage,from,to,cells,error`.
pub fn csv(curves: &[Curve]) -> String {
    let lines = curves.iter().flat_map(|(stage, points)| {
        points.iter().map(|point| {
            let CurvePoint { from, to, cells, error } = point;
            format!("{},{from},{to},{cells},{error}\n", stage_name(*stage))
        })
    });
    std::iter::once("stage,from,to,cells,error\n".to_owned()).chain(lines).collect()
}

/// A chart of the curves.
///
/// # Errors
/// If it cannot be drawn.
pub fn svg(curves: &[Curve]) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("the chart cannot be drawn: {error}");
    let points = || curves.iter().flat_map(|(_, points)| points);
    let far = points().map(|point| point.to).fold(8.0, f64::max);
    let high = points().map(|point| point.error).fold(0.01, f64::max);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(|error| failed(&error))?;
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..far, 0.0..1.08 * high)
            .map_err(|error| failed(&error))?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("distance to the hole, px (0: in it)").y_desc("error of the latent, relative");
        mesh.light_line_style(BLACK.mix(0.04)).draw().map_err(|error| failed(&error))?;
        for (at, (stage, points)) in curves.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let line =
                LineSeries::new(points.iter().map(|point| (point.to, point.error)), colour.stroke_width(2));
            let series = chart.draw_series(line.point_size(2)).map_err(|error| failed(&error))?;
            let key = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2));
            series.label(stage_name(*stage)).legend(key);
        }
        chart
            .configure_series_labels()
            .border_style(BLACK.mix(0.2))
            .background_style(WHITE)
            .draw()
            .map_err(|error| failed(&error))?;
        root.present().map_err(|error| failed(&error))?;
    }
    Ok(text)
}

/// A chart as a data URL.
pub fn uri(svg: &str) -> String {
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(to: f64, cells: usize, error: f64) -> CurvePoint {
        CurvePoint { from: (to - 8.0).max(0.0), to, cells, error }
    }

    #[test]
    fn means_count_pixels() {
        let one = vec![(Stage::Masked, vec![point(0.0, 1, 4.0), point(8.0, 2, 1.0)])];
        let other =
            vec![(Stage::Masked, vec![point(0.0, 3, 2.0)]), (Stage::Refined, vec![point(16.0, 1, 0.5)])];
        let mean = mean(&[one, other]);
        assert_eq!(mean[0], (Stage::Masked, vec![point(0.0, 4, 2.5), point(8.0, 2, 1.0)]));
        assert_eq!(mean[1], (Stage::Refined, vec![point(16.0, 1, 0.5)]));
        assert!(csv(&mean).ends_with("\nrefined,8,16,1,0.5\n"));
        let svg = svg(&mean).unwrap();
        assert!(svg.contains("refined") && svg.contains("polyline"));
    }
}
