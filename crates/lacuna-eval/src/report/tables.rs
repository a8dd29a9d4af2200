//! Tables for other programs: CSV of everything, and LaMa's tab-separated table.

use std::fmt::Write;

use super::Column;
use crate::judge::Metric;
use crate::metric::Region;
use crate::summary::{Mean, Method, Summary, find};

/// Reference value of FID in LaMa's combined score: a distance of 100 counts as 0.
const WORST_FID: f64 = 100.0;
/// Prevents division by zero in LaMa's combined score.
const EPSILON: f64 = 0.001;

/// One line for each method, region and metric, over all images and by tenths of hole fraction: `method, pictures,
/// metric, region, count, mean, low, high`.
///
/// # Errors
/// Never for a summary; otherwise the writer's error.
pub fn csv(summary: &Summary) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["method", "pictures", "metric", "region", "count", "mean", "low", "high"])?;
    for method in &summary.methods {
        let mut means = |pictures: &str, means: &[Mean]| {
            means.iter().try_for_each(|mean| {
                let Mean { metric, region, count, interval, .. } = mean;
                let numbers = [interval.mean, interval.low, interval.high].map(|value| value.to_string());
                let [middle, low, high] = &numbers;
                let count = count.to_string();
                table.write_record([
                    &method.name,
                    pictures,
                    metric.title(),
                    region.name(),
                    &count,
                    middle,
                    low,
                    high,
                ])
            })
        };
        means("all", &method.means)?;
        method.by_area.iter().try_for_each(|bin| means(&bin.name, &bin.means))?;
        for column in [Column::Fid, Column::Kid, Column::PIds, Column::UIds] {
            let Some(value) = column.value(method) else { continue };
            let numbers = [value.mean, value.low, value.high].map(|value| value.to_string());
            let [middle, low, high] = &numbers;
            let (title, count) = (column.title(), method.judged.to_string());
            table.write_record([
                &method.name,
                "all",
                &title,
                Region::Whole.name(),
                &count,
                middle,
                low,
                high,
            ])?;
        }
        for bin in &method.by_area {
            let Some(fid) = bin.fid.map(|fid| fid.to_string()) else { continue };
            let count = bin.count.to_string();
            table.write_record([
                &method.name,
                &bin.name,
                "FID",
                Region::Whole.name(),
                &count,
                &fid,
                "",
                "",
            ])?;
        }
    }
    Ok(table.into_inner().expect("memory takes everything"))
}

/// A method's scores in the format of LaMa's `evaluate_predicts`: tabs, two header lines, tenths of hole fraction and
/// `total`.
pub fn lama(method: &Method) -> String {
    let mut text =
        "\tfid\tlpips\tlpips\tlpips_fid100_f1\tssim\tssim\n\tmean\tmean\tstd\tmean\tmean\tstd\n".to_owned();
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let mut line = |name: &str, fid: Option<f64>, means: &[Mean], f1: Option<f64>| {
        let [lpips, ssim] = [Metric::LpipsVgg, Metric::Ssim].map(|metric| find(means, metric, Region::Whole));
        let pair = |mean: Option<&Mean>| {
            let (middle, deviation) = mean.map(|mean| (mean.interval.mean, mean.deviation)).unzip();
            format!("{}\t{}", number(middle), number(deviation))
        };
        writeln!(text, "{name}\t{}\t{}\t{}\t{}", number(fid), pair(lpips), number(f1), pair(ssim))
            .expect("a string takes everything");
    };
    for bin in &method.by_area {
        line(&bin.name, bin.fid, &bin.means, None);
    }
    let fid = method.sets.map(|sets| sets.fid.mean);
    let lpips = find(&method.means, Metric::LpipsVgg, Region::Whole).map(|mean| 1.0 - mean.interval.mean);
    let f1 = lpips.zip(fid).map(|(lpips, fid)| {
        let near = (WORST_FID - fid).max(0.0) / WORST_FID;
        2.0 * lpips * near / (lpips + near + EPSILON)
    });
    line("total", fid, &method.means, f1);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::example;

    #[test]
    fn every_number_has_a_line() {
        let summary = example();
        let text = String::from_utf8(csv(&summary).unwrap()).unwrap();
        assert!(text.starts_with(
            "method,pictures,metric,region,count,mean,low,high\none,all,LPIPS (Alex),whole,6,2.5,"
        ));
        assert!(text.contains("\none,30-40%,L1,hole,1,6,6,6\n"), "{text}");
        assert!(text.contains("\ntwo,all,FID,whole,5,"));
    }

    #[test]
    fn lamas_table_has_bins_and_a_total() {
        let text = lama(&example().methods[0]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        assert!(lines.iter().all(|line| line.len() == 7), "{text}");
        assert_eq!(lines.len(), 2 + 6 + 1);
        // The standard deviation of 0 to 5 is the root of 35/12; there is no LPIPS (VGG), and no FID of one image.
        assert_eq!(lines[8][0], "total");
        assert_eq!(lines[8][2..], ["", "", "", "2.5000", "1.7078"]);
        assert_eq!(lines[5][..2], ["30-40%", ""]);
    }
}
