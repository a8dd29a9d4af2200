//! Differences between arms, paired by seed, and what they say about claims.

use lacuna_eval::interval::{Interval, student};
use lacuna_eval::judge::Metric;
use lacuna_eval::metric::Region;
use lacuna_eval::report::Column;
use serde::Serialize;

use super::plan::{By, Claim, Plan, Printed};
use super::time::Times;
use super::{ArmResult, Results};

/// The fraction by which times must differ: machines are no quieter than that.
const TIME_TOLERANCE: f64 = 0.03;

/// What a difference says about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// Better: the interval excludes 0.
    Agrees,
    /// Worse: the interval excludes 0.
    Disagrees,
    /// The interval contains 0.
    NotSettled,
    /// One of the arms has not been run.
    NotRun,
}

impl Verdict {
    /// Its words in reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Disagrees => "disagrees",
            Self::NotSettled => "not settled",
            Self::NotRun => "not run",
        }
    }
}

/// One of the thesis's values.
type OfPrinted = fn(&Printed) -> Option<f64>;

/// What a claim is judged by.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Judged {
    /// What is measured.
    pub measure: String,
    /// Decimals of its values.
    pub decimals: usize,
    /// The arm with the change minus the one without. Of times: the interval is the mean alone.
    pub difference: Option<Interval>,
    /// The same difference as the thesis prints it.
    pub thesis: Option<f64>,
    /// What it says about the claim.
    pub verdict: Verdict,
}

/// The value of an arm with one seed.
pub(super) fn value(result: &ArmResult, measure: Column) -> Option<f64> {
    result.values.iter().find(|value| value.measure == measure).map(|value| value.value)
}

/// All seeds' values.
pub(super) fn values(results: &Results, measure: Column) -> Vec<f64> {
    results.values().filter_map(|result| value(result, measure)).collect()
}

/// `one` minus `other` over the seeds that both have; `None` if there is none.
pub(super) fn difference(one: &Results, other: &Results, measure: Column) -> Option<Interval> {
    let pairs = one.iter().filter_map(|(seed, one)| {
        Some(value(one, measure)? - other.get(seed).and_then(|other| value(other, measure))?)
    });
    let differences: Vec<f64> = pairs.collect();
    (!differences.is_empty()).then(|| student(&differences))
}

/// Whether an interval of a measure means better.
pub(super) fn verdict(interval: Interval, less_is_better: bool) -> Verdict {
    let Interval { low, high, .. } = interval;
    if low <= 0.0 && high >= 0.0 {
        Verdict::NotSettled
    } else if (high < 0.0) == less_is_better {
        Verdict::Agrees
    } else {
        Verdict::Disagrees
    }
}

/// The measures by which the thesis's claims are judged, and its values of them: FID, LPIPS and SSIM; and LPIPS in the hole, which it does not
/// have.
pub(super) fn judge(claim: &Claim, plan: &Plan, results: &[Results], times: &Times) -> Vec<Judged> {
    let position = |name: &str| plan.arms.iter().position(|arm| arm.name == name).expect("checked");
    let [from, to] = [&claim.from, &claim.to].map(|name| position(name));
    let printed = |of: OfPrinted| {
        let [from, to] = [from, to].map(|arm| plan.arms[arm].thesis.as_ref().and_then(of));
        Some(to? - from?)
    };
    if claim.by == By::Time {
        let [before, after] = [&claim.from, &claim.to].map(|name| times.get(name).copied());
        let change = before.zip(after).map(|(before, after)| after / before - 1.0);
        let hours = |arm: usize| plan.arms[arm].thesis.and_then(|printed| printed.hours);
        return vec![Judged {
            measure: "seconds per step, relative".to_owned(),
            decimals: 3,
            difference: change.map(|mean| Interval { mean, low: mean, high: mean }),
            thesis: hours(from).zip(hours(to)).map(|(from, to)| to / from - 1.0),
            verdict: match change {
                None => Verdict::NotRun,
                Some(change) if change < -TIME_TOLERANCE => Verdict::Agrees,
                Some(change) if change > TIME_TOLERANCE => Verdict::Disagrees,
                Some(_) => Verdict::NotSettled,
            },
        }];
    }
    let measures: [(Column, OfPrinted); 4] = [
        (Column::Fid, |printed| Some(printed.fid)),
        (Column::Mean(Metric::LpipsVgg, Region::Whole), |printed| Some(printed.lpips)),
        (Column::Mean(Metric::LpipsVgg, Region::Hole), |_| None),
        (Column::Mean(Metric::Ssim, Region::Whole), |printed| Some(printed.ssim)),
    ];
    let judged = measures.map(|(measure, of)| {
        let difference = difference(&results[to], &results[from], measure);
        Judged {
            measure: measure.title(),
            decimals: measure.decimals(),
            difference,
            thesis: printed(of),
            verdict: difference
                .map_or(Verdict::NotRun, |interval| verdict(interval, measure.less_is_better())),
        }
    });
    judged.into_iter().collect()
}

/// The verdict of several measures: theirs if those that are settled agree.
pub(super) fn together(judged: &[Judged]) -> &'static str {
    let count = |verdict| judged.iter().filter(|judged| judged.verdict == verdict).count();
    match (count(Verdict::Agrees), count(Verdict::Disagrees), count(Verdict::NotSettled)) {
        (0, 0, 0) => Verdict::NotRun.words(),
        (0, 0, _) => Verdict::NotSettled.words(),
        (_, 0, _) => Verdict::Agrees.words(),
        (0, _, _) => Verdict::Disagrees.words(),
        _ => "metrics disagree with each other",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;

    const SSIM: Column = Column::Mean(Metric::Ssim, Region::Whole);

    fn results(of_seeds: &[(u64, f64)]) -> Results {
        let result = |value| ArmResult {
            identity: String::new(),
            photos: 1,
            steps: 1,
            learning: 1,
            values: vec![Value { measure: SSIM, value }],
        };
        of_seeds.iter().map(|&(seed, value)| (seed, result(value))).collect()
    }

    #[test]
    fn differences_are_paired_by_seed() {
        // Seed 3 is not in both.
        let (one, other) = (results(&[(1, 2.0), (2, 5.0), (3, 100.0)]), results(&[(1, 1.0), (2, 2.0)]));
        let Interval { mean, low, high } = difference(&one, &other, SSIM).unwrap();
        assert_eq!(mean, 2.0);
        // t 12.706 of one degree of freedom, standard deviation sqrt(2), 2 values.
        assert!((high - 14.706).abs() < 1e-9 && (low + 10.706).abs() < 1e-9);
        assert_eq!(difference(&one, &other, Column::Fid), None);
    }

    #[test]
    fn an_interval_without_zero_is_a_verdict() {
        let interval = |low, high| Interval { mean: (low + high) / 2.0, low, high };
        assert_eq!(verdict(interval(0.1, 0.2), false), Verdict::Agrees);
        assert_eq!(verdict(interval(0.1, 0.2), true), Verdict::Disagrees);
        assert_eq!(verdict(interval(-0.2, -0.1), true), Verdict::Agrees);
        assert_eq!(verdict(interval(-0.1, 0.2), true), Verdict::NotSettled);
        // One seed has no interval.
        assert_eq!(verdict(student(&[1.0]), true), Verdict::NotSettled);
    }

    #[test]
    fn claims_are_judged_by_sign_and_interval() {
        let plan = Plan::open("table-5.1").unwrap();
        let claim = Claim {
            text: "Control helps".into(),
            from: "latent".into(),
            to: "latent-control".into(),
            by: By::Metrics,
        };
        let mut all = vec![Results::new(); 4];
        all[2] = results(&[(1, 0.5), (2, 0.6), (3, 0.7)]);
        all[3] = results(&[(1, 0.61), (2, 0.7), (3, 0.8)]);
        let judged = judge(&claim, &plan, &all, &Times::new());
        let ssim = judged.iter().find(|judged| judged.measure == "SSIM").unwrap();
        assert_eq!(ssim.verdict, Verdict::Agrees);
        assert!((ssim.thesis.unwrap() - 0.01).abs() < 1e-9);
        assert_eq!(judged[0].verdict, Verdict::NotRun);
        assert_eq!(together(&judged), "agrees");

        let claim = Claim { by: By::Time, ..claim };
        let times = |after| Times::from([("latent".into(), 1.0), ("latent-control".into(), after)]);
        let verdict = |after| super::judge(&claim, &plan, &all, &times(after))[0].verdict;
        assert_eq!([0.8, 1.01, 1.2].map(verdict), [Verdict::Agrees, Verdict::NotSettled, Verdict::Disagrees]);
        assert_eq!(super::judge(&claim, &plan, &all, &Times::new())[0].verdict, Verdict::NotRun);
    }
}
