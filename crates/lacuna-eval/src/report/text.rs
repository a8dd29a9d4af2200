//! The table on the terminal.

use std::fmt::Write;

use super::Column;
use crate::judge::Metric;
use crate::metric::Region;
use crate::summary::Summary;

/// The columns that fit a terminal; the files have the others.
const COLUMNS: [Column; 8] = [
    Column::Mean(Metric::LpipsVgg, Region::Whole),
    Column::Mean(Metric::LpipsVgg, Region::Hole),
    Column::Mean(Metric::LpipsAlex, Region::Whole),
    Column::Mean(Metric::Ssim, Region::Whole),
    Column::Mean(Metric::L1, Region::Hole),
    Column::Fid,
    Column::Kid,
    Column::Mean(Metric::KnownError, Region::Whole),
];

/// The most important means with their intervals, aligned.
pub fn table(summary: &Summary) -> String {
    let there = Column::of(summary);
    let columns: Vec<Column> = COLUMNS.into_iter().filter(|column| there.contains(column)).collect();
    let mut lines = vec![["method".to_owned(), "images".to_owned()].to_vec()];
    lines[0].extend(columns.iter().map(|column| column.title()));
    for method in &summary.methods {
        let mut line = vec![method.name.clone(), method.judged.to_string()];
        line.extend(columns.iter().map(|column| {
            let digits = column.decimals();
            match column.value(method) {
                Some(value) => {
                    format!("{:.digits$} ±{:.digits$}", value.mean, (value.high - value.low) / 2.0)
                }
                None => "-".to_owned(),
            }
        }));
        lines.push(line);
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let padded = if at == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") };
            text.write_str(&padded).expect("a string takes everything");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::summary::tests::example;

    #[test]
    fn methods_are_lines() {
        let text = super::table(&example());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("method  images") && lines[0].contains("LPIPS (Alex)"), "{text}");
        assert!(lines[1].starts_with("one          6") && lines[1].contains("2.5000 ±"), "{text}");
        assert!(!text.contains("VGG"), "{text}");
    }
}
