//! The report as Markdown.

use super::super::StudyOptions;
use super::super::effects::{Verdict, together};
use super::JudgedClaim;
use super::table::{Table, mean, range};

/// The command that made the report.
pub fn command(options: &StudyOptions) -> String {
    let set: String = options.set.iter().map(|change| format!(" --set {change}")).collect();
    format!("lacuna study {} --scale {} --seeds {}{set}", options.plan, options.scale, options.seeds)
}

/// The report.
pub fn markdown(options: &StudyOptions, table: &Table, claims: &[JudgedClaim]) -> String {
    let mut lines = vec![
        format!("# {}", options.plan.title),
        String::new(),
        format!(
            "`{}`. Means over seeds, ± the half width of a 95 % interval (Student's t); evaluated on the same {} photos and masks.",
            command(options),
            table.photos
        ),
        String::new(),
    ];
    let headings: Vec<String> = table.measures.iter().map(|measure| measure.title()).collect();
    let about: String = table.columns.iter().map(|column| format!(" {column} |")).collect();
    let timed = if table.has_times() { format!(" {} |", options.plan.timed()) } else { String::new() };
    lines.push(format!("| arm |{about} trained | seeds | {} |{timed}", headings.join(" | ")));
    lines.push(format!(
        "|{}",
        " --- |".repeat(3 + table.columns.len() + headings.len() + usize::from(table.has_times()))
    ));
    for row in &table.rows {
        let cells: String = row
            .cells
            .iter()
            .zip(&table.measures)
            .map(|(cell, measure)| format!(" {} |", mean(cell.mean, measure.decimals())))
            .collect();
        let about: String = row.about.iter().map(|text| format!(" {text} |")).collect();
        let seconds = row.seconds.map_or("–".to_owned(), |seconds| format!("{seconds:.3}"));
        let seconds = if table.has_times() { format!(" {seconds} |") } else { String::new() };
        lines.push(format!("| {} |{about} {} | {} |{cells}{seconds}", row.title, row.learning, row.seeds));
    }
    lines.extend([
        String::new(),
        "## Differences".to_owned(),
        String::new(),
        "Paired by seed; intervals that exclude 0 are bold.".to_owned(),
        String::new(),
        format!("| arm | minus | {} |", headings.join(" | ")),
        format!("| --- | --- |{}", " --- |".repeat(headings.len())),
    ]);
    for row in &table.rows {
        let Some(to) = row.to else { continue };
        let cells = row.cells.iter().zip(&table.measures).map(|(cell, measure)| {
            let text = range(cell.difference, measure.decimals());
            match cell.verdict {
                Verdict::Agrees | Verdict::Disagrees => format!(" **{text}** |"),
                Verdict::NotSettled | Verdict::NotRun => format!(" {text} |"),
            }
        });
        lines.push(format!("| {} | {to} |{}", row.title, cells.collect::<String>()));
    }
    if !claims.is_empty() {
        lines.extend([String::new(), "## Claims".to_owned()]);
    }
    for JudgedClaim { claim, from, to, judged } in claims {
        lines.extend([
            String::new(),
            format!("### {}: {}", claim.text, together(judged)),
            String::new(),
            format!("“{to}” minus “{from}”:"),
            String::new(),
            "| measure | here | in the thesis | verdict |".to_owned(),
            "| --- | --- | --- | --- |".to_owned(),
        ]);
        for one in judged {
            let thesis = one.thesis.map_or("–".to_owned(), |value| format!("{value:+.3}"));
            let here = range(one.difference, one.decimals);
            lines.push(format!("| {} | {here} | {thesis} | {} |", one.measure, one.verdict.words()));
        }
    }
    if table.rows.iter().any(|row| row.thesis.is_some()) {
        lines.extend([
            String::new(),
            "## Values in the thesis".to_owned(),
            String::new(),
            "| arm | FID | LPIPS | SSIM | hours |".to_owned(),
            "| --- | --- | --- | --- | --- |".to_owned(),
        ]);
        for row in &table.rows {
            let Some(thesis) = row.thesis else { continue };
            let hours = thesis.hours.map_or("–".to_owned(), |hours| hours.to_string());
            lines.push(format!(
                "| {} | {} | {} | {} | {hours} |",
                row.title, thesis.fid, thesis.lpips, thesis.ssim
            ));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
