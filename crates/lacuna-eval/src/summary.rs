//! Aggregates of an evaluation: means with intervals, set metrics, hole fractions, differences between methods.

use serde::Serialize;

use crate::case::Case;
use crate::evaluation::Judged;
use crate::interval::{Interval, bootstrap, paired};
use crate::judge::{Metric, Scores};
use crate::metric::inception::FEATURES;
use crate::metric::{Ids, Moments, Region, frechet, frechet_few, ids, kid};
use crate::store::Store;
use crate::{Error, Result};

/// Hole fractions are grouped by tenths, as in LaMa's evaluation.
const BINS: usize = 10;
/// With fewer images FID depends more on their number than on the method.
const ENOUGH_FOR_FID: usize = 2048;
/// Rows of features read at a time.
const ROWS_AT_A_TIME: usize = 256;
/// Most rows whose features are in memory at once, 40 MB for each set. KID, P-IDS and U-IDS of more images use this
/// many of them, evenly spaced.
const ROWS_HELD: usize = 5_000;

/// All aggregates of an evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The arguments and environment of the evaluation.
    pub settings: Vec<(String, String)>,
    /// Number of images with a hole.
    pub cases: usize,
    /// Each method.
    pub methods: Vec<Method>,
    /// Differences of each method to the first, over the images that both have.
    pub differences: Vec<Difference>,
    /// Caveats about the values.
    pub notes: Vec<String>,
}

/// The aggregates of one method.
#[derive(Clone, Debug, Serialize)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Number of scored images.
    pub judged: usize,
    /// Cases without scores, and why.
    pub failed: Vec<Failure>,
    /// Means over all scored images.
    pub means: Vec<Mean>,
    /// Metrics of the whole set; none without Inception's weights, or for fewer than four images.
    pub sets: Option<Sets>,
    /// The same by tenths of hole fraction, without empty ones.
    pub by_area: Vec<Bin>,
}

/// A case without scores.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// Why.
    pub error: String,
}

/// A metric's mean in a region.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Mean {
    /// The metric.
    pub metric: Metric,
    /// Where.
    pub region: Region,
    /// Images that have this value.
    pub count: usize,
    /// The standard deviation over images divided by their number, as LaMa prints it.
    pub deviation: f64,
    /// The mean.
    pub interval: Interval,
}

/// Metrics of feature sets.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sets {
    /// Fréchet distance.
    pub fid: Interval,
    /// Kernel distance, times 1000.
    pub kid: Interval,
    /// Fraction of pairs in which the fill seems more real.
    pub p_ids: f64,
    /// Fraction of images that a linear classifier misclassifies.
    pub u_ids: f64,
}

/// A tenth of hole fraction.
#[derive(Clone, Debug, Serialize)]
pub struct Bin {
    /// Such as `20-30%`.
    pub name: String,
    /// Images in it.
    pub count: usize,
    /// Means.
    pub means: Vec<Mean>,
    /// Fréchet distance, for at least two images.
    pub fid: Option<f64>,
}

/// The difference between a method and the first.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The method.
    pub method: String,
    /// The first method.
    pub to: String,
    /// The metric.
    pub metric: Metric,
    /// Where.
    pub region: Region,
    /// Pairs.
    pub count: usize,
    /// The mean difference; significant if the interval excludes 0.
    pub interval: Interval,
}

/// The scores of one image.
struct Judgement<'a> {
    number: usize,
    fraction: f64,
    scores: &'a Scores,
}

impl Summary {
    /// The aggregates of these cases and methods.
    ///
    /// # Errors
    /// If features cannot be read.
    pub fn new(
        settings: Vec<(String, String)>,
        cases: &[Case],
        names: &[String],
        mut judged: Judged,
    ) -> Result<Self> {
        let mut notes = Vec::new();
        let with_features = cases.iter().any(|case| judged.truth.row(&case.name).is_some());
        if with_features && cases.len() < ENOUGH_FOR_FID {
            notes.push(format!(
                "FID of {} images is biased upwards ({ENOUGH_FOR_FID} or more are needed): compare it only within this table, together with KID",
                cases.len()
            ));
        }
        let mut methods = Vec::new();
        for (name, store) in names.iter().zip(&mut judged.candidates) {
            let features = with_features.then_some(&mut judged.truth);
            methods.push(Method::new(name, cases, store, features)?);
        }
        let mut differences = Vec::new();
        if let Some((first, others)) = judged.candidates.split_first() {
            for (name, store) in names[1..].iter().zip(others) {
                differences.extend(compare(cases, [&names[0], name], [first, store]));
            }
        }
        Ok(Self { settings, cases: cases.len(), methods, differences, notes })
    }

    /// A method's mean of a metric.
    pub fn mean(&self, method: &Method, metric: Metric, region: Region) -> Option<Interval> {
        find(&method.means, metric, region).map(|mean| mean.interval)
    }
}

/// The mean of a metric in a list.
pub fn find(means: &[Mean], metric: Metric, region: Region) -> Option<&Mean> {
    means.iter().find(|mean| mean.metric == metric && mean.region == region)
}

impl Method {
    fn new(name: &str, cases: &[Case], store: &mut Store, truth: Option<&mut Store>) -> Result<Self> {
        let mut failed = Vec::new();
        for case in cases {
            let row = store.row(&case.name);
            if let Some(crate::store::Outcome::Error(error)) = row.map(|row| &row.outcome) {
                failed.push(Failure { case: case.name.clone(), error: error.clone() });
            }
        }
        let judgements = judgements(cases, store);
        let (judged, means_of_all) = (judgements.len(), means(&judgements));
        let numbers: Vec<usize> = judgements.iter().map(|judgement| judgement.number).collect();
        let bins: Vec<(String, Vec<usize>, Vec<Mean>)> = (0..BINS)
            .filter_map(|bin| {
                let inside: Vec<&Judgement<'_>> =
                    judgements.iter().filter(|judgement| bin_of(judgement.fraction) == bin).collect();
                let numbers = inside.iter().map(|judgement| judgement.number).collect();
                let name = format!("{}-{}%", 10 * bin, 10 * (bin + 1));
                (!inside.is_empty()).then(|| (name, numbers, means(inside.iter().copied())))
            })
            .collect();
        let mut pair = truth.map(|truth| (store, truth));
        let sets = match &mut pair {
            Some((store, truth)) if numbers.len() >= 4 => Some(sets(store, truth, &numbers)?),
            _ => None,
        };
        let mut by_area = Vec::new();
        for (name, numbers, means) in bins {
            let fid = match &mut pair {
                Some((store, truth)) if numbers.len() > 1 => Some(fid(store, truth, &numbers)?),
                _ => None,
            };
            by_area.push(Bin { name, count: numbers.len(), means, fid });
        }
        Ok(Self { name: name.to_owned(), judged, failed, means: means_of_all, sets, by_area })
    }
}

/// LaMa's tenth of a fraction: from i/10 up to, but excluding, (i + 1)/10; 1 belongs to the last.
fn bin_of(fraction: f64) -> usize {
    ((fraction * BINS as f64) as usize).min(BINS - 1)
}

fn judgements<'a>(cases: &[Case], store: &'a Store) -> Vec<Judgement<'a>> {
    let judged = cases.iter().enumerate().filter_map(|(number, case)| {
        let row = store.row(&case.name)?;
        Some(Judgement { number, fraction: row.hole_share, scores: row.scores()? })
    });
    judged.collect()
}

fn means<'a>(judgements: impl IntoIterator<Item = &'a Judgement<'a>>) -> Vec<Mean> {
    let scores: Vec<&Scores> = judgements.into_iter().map(|judgement| judgement.scores).collect();
    let mut means = Vec::new();
    for metric in Metric::ALL {
        for region in Region::ALL {
            let values: Vec<f64> = scores.iter().filter_map(|scores| metric.of(scores, region)).collect();
            if values.is_empty() {
                continue;
            }
            let (count, interval) = (values.len(), bootstrap(&values));
            let squares: f64 = values.iter().map(|value| (value - interval.mean).powi(2)).sum();
            means.push(Mean { metric, region, count, deviation: (squares / count as f64).sqrt(), interval });
        }
    }
    means
}

fn compare(cases: &[Case], names: [&String; 2], [first, other]: [&Store; 2]) -> Vec<Difference> {
    let pairs = cases.iter().filter_map(|case| {
        let scores = |store: &'_ Store| store.row(&case.name).and_then(|row| row.scores().copied());
        Some((scores(other)?, scores(first)?))
    });
    let pairs: Vec<(Scores, Scores)> = pairs.collect();
    let mut differences = Vec::new();
    for metric in Metric::ALL {
        for region in Region::ALL {
            let values =
                |(one, other): &(Scores, Scores)| Some((metric.of(one, region)?, metric.of(other, region)?));
            let (ones, others): (Vec<f64>, Vec<f64>) = pairs.iter().filter_map(values).unzip();
            if !ones.is_empty() {
                let [to, method] = names.map(String::clone);
                let (count, interval) = (ones.len(), paired(&ones, &others));
                differences.push(Difference { method, to, metric, region, count, interval });
            }
        }
    }
    differences
}

/// Metrics of the feature sets of the cases with these numbers.
fn sets(store: &mut Store, truth: &mut Store, numbers: &[usize]) -> Result<Sets> {
    let distance = fid(store, truth, numbers)?;
    // Evenly spaced if there are too many to hold.
    let held = numbers.len().min(ROWS_HELD);
    let some: Vec<usize> = (0..held).map(|at| numbers[at * numbers.len() / held]).collect();
    let (fills, truths) = (store.features(&some)?, truth.features(&some)?);
    let fid = frechet_few::interval(distance, &fills, &truths, FEATURES)?;
    let per_thousand = |interval: Interval| Interval {
        mean: 1000.0 * interval.mean,
        low: 1000.0 * interval.low,
        high: 1000.0 * interval.high,
    };
    let kid = per_thousand(kid(&fills, &truths, FEATURES)?);
    let Ids { paired, unpaired } = ids(&fills, &truths, FEATURES)?;
    Ok(Sets { fid, kid, p_ids: paired, u_ids: unpaired })
}

fn fid(store: &mut Store, truth: &mut Store, numbers: &[usize]) -> Result<f64> {
    if numbers.len() < FEATURES {
        return frechet_few::frechet_of_few(&store.features(numbers)?, &truth.features(numbers)?, FEATURES);
    }
    let moments = |store: &mut Store| -> Result<Moments, Error> {
        let mut moments = Moments::new(FEATURES);
        for numbers in numbers.chunks(ROWS_AT_A_TIME) {
            store.features(numbers)?.chunks_exact(FEATURES).for_each(|row| moments.add(row));
        }
        Ok(moments)
    };
    frechet(&moments(store)?, &moments(truth)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::metric::ByRegion;
    use crate::store::{Outcome, Row};

    fn scores(value: f64) -> Scores {
        let region = ByRegion { whole: value, hole: Some(2.0 * value), band: None };
        Scores {
            lpips_alex: Some(region),
            lpips_vgg: None,
            ssim: region,
            ms_ssim: None,
            psnr: region,
            l1: region,
            known_error: 0.0,
        }
    }

    /// Two methods on six cases: the second scores 0.5 more on each, and fails at the last.
    pub(crate) fn example() -> Summary {
        let folder = tempfile::tempdir().unwrap();
        let case = |number: usize| Case {
            name: format!("case {number}"),
            truth: "truth.png".into(),
            mask: "mask.png".into(),
        };
        let cases: Vec<Case> = (0..6).map(case).collect();
        let names = ["one".to_owned(), "two".to_owned()];
        let mut judged = Judged {
            truth: Store::open(folder.path(), "truth").unwrap(),
            candidates: names.iter().map(|name| Store::open(folder.path(), name).unwrap()).collect(),
        };
        let features = |seed: usize| -> Vec<f32> {
            (0..FEATURES).map(|at| ((at * 31 + seed * 17) % 97) as f32 / 97.0).collect()
        };
        for (number, case) in cases.iter().enumerate() {
            let row = |outcome| Row {
                case: case.name.clone(),
                key: String::new(),
                hole_share: 0.1 * number as f64 + 0.05,
                outcome,
            };
            let fine = |value: f64| row(Outcome::Scores(Box::new(scores(value))));
            let value = number as f64;
            judged.truth.put(number, row(Outcome::Truth), Some(&features(number))).unwrap();
            judged.candidates[0].put(number, fine(value), Some(&features(number + 1))).unwrap();
            let second = if number == 5 { row(Outcome::Error("torn".into())) } else { fine(value + 0.5) };
            judged.candidates[1].put(number, second, Some(&features(number + 40))).unwrap();
        }
        Summary::new(vec![("seed".into(), "1".into())], &cases, &names, judged).unwrap()
    }

    #[test]
    fn numbers_by_hand() {
        let summary = example();
        let [one, two] = &summary.methods[..] else { panic!("{}", summary.methods.len()) };
        assert_eq!((one.judged, two.judged, one.failed.len()), (6, 5, 0));
        assert_eq!((two.failed[0].case.as_str(), two.failed[0].error.as_str()), ("case 5", "torn"));
        assert_eq!(summary.mean(one, Metric::Ssim, Region::Whole).unwrap().mean, 2.5);
        assert_eq!(summary.mean(one, Metric::Ssim, Region::Hole).unwrap().mean, 5.0);
        assert!(summary.mean(one, Metric::LpipsVgg, Region::Whole).is_none());
        assert!(summary.mean(one, Metric::Ssim, Region::Band).is_none());
        let fractions: Vec<&str> = one.by_area.iter().map(|bin| bin.name.as_str()).collect();
        assert_eq!(fractions, ["0-10%", "10-20%", "20-30%", "30-40%", "40-50%", "50-60%"]);
        assert_eq!(find(&one.by_area[3].means, Metric::L1, Region::Whole).unwrap().interval.mean, 3.0);
        assert_eq!(one.by_area[3].fid, None, "of one image");
        let sets = one.sets.unwrap();
        assert!(sets.fid.low <= sets.fid.mean && sets.fid.mean <= sets.fid.high);
        assert!(summary.notes[0].contains("FID of 6 images"));
    }

    #[test]
    fn differences_are_of_pairs() {
        let summary = example();
        let ssim = |difference: &&Difference| {
            difference.metric == Metric::Ssim && difference.region == Region::Whole
        };
        let difference = summary.differences.iter().find(ssim).unwrap();
        assert_eq!((difference.method.as_str(), difference.to.as_str(), difference.count), ("two", "one", 5));
        assert_eq!(difference.interval, Interval { mean: 0.5, low: 0.5, high: 0.5 });
    }

    #[test]
    fn bins_are_lamas() {
        for (fraction, bin) in [(0.0, 0), (0.0999, 0), (0.1, 1), (0.95, 9), (1.0, 9)] {
            assert_eq!(bin_of(fraction), bin, "{fraction}");
        }
    }
}
