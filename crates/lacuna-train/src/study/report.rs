//! The report: our values beside the thesis's.

use std::fmt::Write;

use lacuna_eval::interval::{Interval, student};
use serde_json::{Value, json};

use super::{Row, RowResult, StudyOptions};

/// A value by which rows are compared.
struct Column {
    title: &'static str,
    of: fn(&RowResult) -> f64,
    decimals: usize,
}

const COLUMNS: [Column; 7] = [
    Column { title: "LPIPS", of: |reached| reached.judgement.scores.lpips.unwrap_or(f64::NAN), decimals: 4 },
    Column { title: "SSIM", of: |reached| reached.judgement.scores.ssim, decimals: 4 },
    Column { title: "PSNR, dB", of: |reached| reached.judgement.scores.psnr, decimals: 2 },
    Column { title: "L1", of: |reached| reached.judgement.scores.l1, decimals: 4 },
    Column {
        title: "L1 in the hole",
        of: |reached| reached.judgement.hole_l1.unwrap_or(f64::NAN),
        decimals: 4,
    },
    Column { title: "s per step", of: |reached| reached.seconds / reached.steps as f64, decimals: 3 },
    Column { title: "s total", of: |reached| reached.seconds, decimals: 0 },
];

/// The report as Markdown.
pub(super) fn markdown(options: &StudyOptions, rows: &[Row], reached: &[Vec<RowResult>]) -> String {
    // A column without values is omitted.
    let columns: Vec<&Column> =
        COLUMNS.iter().filter(|column| !(column.of)(&reached[0][0]).is_nan()).collect();
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("writing to a string cannot fail");
    let seeds = options.seeds;
    line(format!("# {} at scale {}, {seeds} seeds", options.table, options.scale));
    line(String::new());
    line(format!(
        "`lacuna study {} --scale {} --seeds {seeds}`. Means over seeds, ± the half width of a 95 % interval (Student's t); \
         evaluated on the same {} photos and masks.",
        options.table, options.scale, reached[0][0].judgement.photos
    ));
    line(String::new());
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    line(format!("| row | loss | enc-dec | mask | trained | {} |", titles.join(" | ")));
    line(format!("| --- | --- | --- | --- | --- |{}", " --- |".repeat(columns.len())));
    for (row, reached) in rows.iter().zip(reached) {
        let cells = columns.iter().map(|column| mean(&values(reached, column.of), column.decimals));
        let Row { title, loss, encoder_decoder, mask, .. } = row;
        let cells: Vec<String> = cells.collect();
        line(format!(
            "| {title} | {loss} | {encoder_decoder} | {mask} | {} | {} |",
            reached[0].learning,
            cells.join(" | ")
        ));
    }
    line(String::new());
    line(format!("## Differences to {}", rows[0].title));
    line(String::new());
    line("Paired by seed; intervals that exclude 0 are bold.".to_owned());
    line(String::new());
    line(format!("| row | {} |", titles.join(" | ")));
    line(format!("| --- |{}", " --- |".repeat(columns.len())));
    for (row, own) in rows.iter().zip(reached).skip(1) {
        let cells =
            columns.iter().map(|column| difference(&paired(own, &reached[0], column.of), column.decimals));
        line(format!("| {} | {} |", row.title, cells.collect::<Vec<_>>().join(" | ")));
    }
    line(String::new());
    if !options.table.is_printed() {
        return text;
    }
    line("## Values in the thesis".to_owned());
    line(String::new());
    line("| row | FID | LPIPS | SSIM | hours |".to_owned());
    line("| --- | --- | --- | --- | --- |".to_owned());
    for Row { title, printed, .. } in rows {
        let cells = match printed {
            Some(printed) => {
                let hours = printed.hours.map_or("–".to_owned(), |hours| hours.to_string());
                format!("{} | {} | {} | {hours}", printed.fid, printed.lpips, printed.ssim)
            }
            None => "– | – | – | –".to_owned(),
        };
        line(format!("| {title} | {cells} |"));
    }
    text
}

/// The report as JSON.
pub(super) fn json(rows: &[Row], reached: &[Vec<RowResult>]) -> Value {
    rows.iter().zip(reached).map(|(row, reached)| json!({ "row": row.name, "seeds": reached })).collect()
}

fn values(reached: &[RowResult], of: fn(&RowResult) -> f64) -> Vec<f64> {
    reached.iter().map(of).collect()
}

fn paired(own: &[RowResult], first: &[RowResult], of: fn(&RowResult) -> f64) -> Vec<f64> {
    own.iter().zip(first).map(|(own, first)| of(own) - of(first)).collect()
}

fn mean(values: &[f64], decimals: usize) -> String {
    let Interval { mean, high, .. } = student(values);
    if mean.is_nan() {
        "–".to_owned()
    } else if high.is_finite() {
        format!("{mean:.decimals$} ± {:.decimals$}", high - mean)
    } else {
        format!("{mean:.decimals$}")
    }
}

fn difference(values: &[f64], decimals: usize) -> String {
    let Interval { mean, low, high } = student(values);
    if mean.is_nan() {
        return "–".to_owned();
    }
    if !high.is_finite() {
        return format!("{mean:+.decimals$}");
    }
    let text = format!("{mean:+.decimals$} ({low:+.decimals$} to {high:+.decimals$})");
    if low > 0.0 || high < 0.0 { format!("**{text}**") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_printed_and_marked() {
        assert_eq!(mean(&[1.0, 2.0, 3.0], 2), "2.00 ± 2.48");
        assert_eq!(mean(&[1.5], 1), "1.5");
        assert_eq!(difference(&[1.0, 2.0, 3.0], 1), "+2.0 (-0.5 to +4.5)");
        assert_eq!(difference(&[-1.0, -1.1, -0.9], 2), "**-1.00 (-1.25 to -0.75)**");
    }
}
