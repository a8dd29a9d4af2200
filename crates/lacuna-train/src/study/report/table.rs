//! All values of a study, for every format.

use lacuna_eval::interval::{Interval, student};
use lacuna_eval::judge::Metric;
use lacuna_eval::metric::Region;
use lacuna_eval::report::Column;

use super::super::effects::{Verdict, difference, values, verdict};
use super::super::plan::{Plan, Printed};
use super::super::time::Times;
use super::super::{ArmResult, Results};
use crate::{Error, Result};

/// The measures of printed tables; CSV has all.
const PRINTED: [Column; 9] = [
    Column::Mean(Metric::LpipsVgg, Region::Whole),
    Column::Mean(Metric::LpipsVgg, Region::Hole),
    Column::Mean(Metric::LpipsAlex, Region::Whole),
    Column::Mean(Metric::Ssim, Region::Whole),
    Column::Mean(Metric::Ssim, Region::Hole),
    Column::Mean(Metric::Psnr, Region::Whole),
    Column::Mean(Metric::L1, Region::Hole),
    Column::Fid,
    Column::Kid,
];

/// A value of an arm, and how far it is from that of the arm that it is a change of.
pub struct Cell {
    /// The mean over seeds; `None` if no seed has one.
    pub mean: Option<Interval>,
    /// The paired difference to the arm that it is a change of.
    pub difference: Option<Interval>,
    /// What the difference means.
    pub verdict: Verdict,
}

/// A row.
pub struct TableRow<'a> {
    /// The arm's title.
    pub title: &'a str,
    /// The title of the arm that it is compared with; `None` for the plan's first.
    pub to: Option<&'a str>,
    /// What it says about itself.
    pub about: &'a [String],
    /// Seeds with a result.
    pub seeds: usize,
    /// Trained parameters.
    pub learning: usize,
    /// A cell for each measure.
    pub cells: Vec<Cell>,
    /// Seconds of a training step, if measured.
    pub seconds: Option<f64>,
    /// The thesis's values.
    pub thesis: Option<Printed>,
}

/// The table.
pub struct Table<'a> {
    /// Headings of what arms say about themselves.
    pub columns: &'a [String],
    /// Measures that some arm has.
    pub measures: Vec<Column>,
    /// Arms that have a result.
    pub rows: Vec<TableRow<'a>>,
    /// Scored photos.
    pub photos: usize,
    all: Vec<(&'a str, u64, ArmResult)>,
}

impl<'a> Table<'a> {
    /// The table of results, one for each arm.
    pub fn new(plan: &'a Plan, results: &[Results], times: &Times) -> Self {
        let any = |measure: &Column| results.iter().any(|results| !values(results, *measure).is_empty());
        let measures: Vec<Column> = PRINTED.into_iter().filter(any).collect();
        let row = |index: usize| {
            let (arm, own) = (&plan.arms[index], &results[index]);
            let to = match &arm.like {
                Some(name) => plan.arms.iter().position(|other| other.name == *name),
                None => (index > 0).then_some(0),
            };
            let cell = |&measure: &Column| {
                let of_seeds = values(own, measure);
                let difference = to.and_then(|to| difference(own, &results[to], measure));
                Cell {
                    mean: (!of_seeds.is_empty()).then(|| student(&of_seeds)),
                    difference,
                    verdict: difference
                        .map_or(Verdict::NotRun, |interval| verdict(interval, measure.less_is_better())),
                }
            };
            TableRow {
                title: &arm.title,
                to: to.map(|to| plan.arms[to].title.as_str()),
                about: &arm.about,
                seeds: own.len(),
                learning: own.values().next().map_or(0, |result| result.learning),
                cells: measures.iter().map(cell).collect(),
                seconds: times.get(&arm.name).copied(),
                thesis: arm.thesis,
            }
        };
        let rows: Vec<TableRow> =
            (0..plan.arms.len()).filter(|&index| !results[index].is_empty()).map(row).collect();
        let all = plan.arms.iter().zip(results).flat_map(|(arm, results)| {
            results.iter().map(|(&seed, result)| (arm.name.as_str(), seed, result.clone()))
        });
        Self {
            columns: &plan.columns,
            photos: results.iter().flat_map(Results::values).next().map_or(0, |result| result.photos),
            all: all.collect(),
            measures,
            rows,
        }
    }

    /// Whether a training step was timed.
    pub fn has_times(&self) -> bool {
        self.rows.iter().any(|row| row.seconds.is_some())
    }

    /// Every value of every seed: `arm,seed,steps,parameters,measure,value`.
    ///
    /// # Errors
    /// If the writer fails, which memory does not.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let failed = |error: csv::Error| Error::Write {
            path: "table.csv".into(),
            source: std::io::Error::other(error),
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["arm", "seed", "steps", "parameters", "measure", "value"]).map_err(failed)?;
        for (arm, seed, result) in &self.all {
            for value in &result.values {
                let numbers = [*seed, result.steps, result.learning as u64].map(|number| number.to_string());
                let [seed, steps, learning] = &numbers;
                let (measure, value) = (value.measure.title(), value.value.to_string());
                writer.write_record([arm, &**seed, steps, learning, &measure, &value]).map_err(failed)?;
            }
        }
        writer
            .into_inner()
            .map_err(|error| Error::Write { path: "table.csv".into(), source: error.into_error() })
    }

    /// A LaTeX tabular of means and half widths, for `booktabs`.
    pub fn latex(&self) -> String {
        let headings: Vec<String> = self.measures.iter().map(|measure| escape(&measure.title())).collect();
        let mut lines = vec![
            format!("\\begin{{tabular}}{{l{}}}", "r".repeat(headings.len())),
            "\\toprule".to_owned(),
            format!(" & {} \\\\", headings.join(" & ")),
            "\\midrule".to_owned(),
        ];
        for row in &self.rows {
            let cells = row.cells.iter().zip(&self.measures);
            let cells: Vec<String> = cells
                .map(|(cell, measure)| mean(cell.mean, measure.decimals()).replace('±', "$\\pm$"))
                .collect();
            lines.push(format!("{} & {} \\\\", escape(row.title), cells.join(" & ")));
        }
        lines.extend(["\\bottomrule".to_owned(), "\\end{tabular}".to_owned(), String::new()]);
        lines.join("\n")
    }
}

fn escape(text: &str) -> String {
    let special = |letter: char| match letter {
        '&' | '%' | '#' | '_' | '$' | '{' | '}' => format!("\\{letter}"),
        '–' => "--".to_owned(),
        '×' => "$\\times$".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(special).collect()
}

/// A mean and the half width of its interval.
pub fn mean(interval: Option<Interval>, decimals: usize) -> String {
    match interval {
        None => "–".to_owned(),
        Some(Interval { mean, high, .. }) if high.is_finite() => {
            format!("{mean:.decimals$} ± {:.decimals$}", high - mean)
        }
        Some(Interval { mean, .. }) => format!("{mean:.decimals$}"),
    }
}

/// A difference and its interval.
pub fn range(interval: Option<Interval>, decimals: usize) -> String {
    match interval {
        None => "–".to_owned(),
        Some(Interval { mean, low, high }) if low.is_finite() && low < high => {
            format!("{mean:+.decimals$} ({low:+.decimals$} to {high:+.decimals$})")
        }
        Some(Interval { mean, .. }) => format!("{mean:+.decimals$}"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::super::Value;
    use super::*;

    /// Results of the arms of table 5.1 but the last: LPIPS 0.2, 0.3 and 0.1 and FID, with three seeds.
    pub fn results() -> Vec<Results> {
        let of_arm = |lpips: f64| -> Results {
            let of_seed = |seed: u64| ArmResult {
                identity: String::new(),
                photos: 500,
                steps: 1000,
                learning: 408_144,
                values: vec![
                    Value {
                        measure: Column::Mean(Metric::LpipsVgg, Region::Whole),
                        value: lpips * (1.0 + 0.01 * seed as f64),
                    },
                    Value { measure: Column::Fid, value: 10.0 + seed as f64 },
                ],
            };
            (1..=3).map(|seed| (seed, of_seed(seed))).collect()
        };
        vec![of_arm(0.2), of_arm(0.3), of_arm(0.1), Results::new()]
    }

    #[test]
    fn values_and_differences_are_printed() {
        let plan = Plan::open("table-5.1").unwrap();
        let table = Table::new(&plan, &results(), &Times::new());
        assert_eq!((table.rows.len(), table.measures.len(), table.photos), (3, 2, 500));
        let lpips = &table.rows[1].cells[0];
        assert_eq!(mean(lpips.mean, 3), "0.306 ± 0.007");
        assert_eq!(range(lpips.difference, 3), "+0.102 (+0.100 to +0.104)");
        let verdicts: Vec<Verdict> = table.rows.iter().map(|row| row.cells[0].verdict).collect();
        assert_eq!(verdicts, [Verdict::NotRun, Verdict::Disagrees, Verdict::Agrees]);
        // Equal values differ by exactly nothing.
        assert_eq!(table.rows[1].cells[1].verdict, Verdict::NotSettled);
        let csv = String::from_utf8(table.csv().unwrap()).unwrap();
        assert_eq!(csv.lines().count(), 1 + 3 * 3 * 2);
        assert!(csv.contains("pixel-control,2,1000,408144,FID,12\n"), "{csv}");
        let latex = table.latex();
        assert!(
            latex.contains("Baseline + control & 0.3060 $\\pm$ 0.0075 & 12.00 $\\pm$ 2.48 \\\\"),
            "{latex}"
        );
        assert_eq!(escape("50 % of a_b × 2"), "50 \\% of a\\_b $\\times$ 2");
        assert_eq!([mean(None, 2), range(Some(student(&[1.5])), 1)], ["–", "+1.5"]);
    }
}
