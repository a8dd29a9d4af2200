//! `--samples`: how much the answers of each method differ.

use std::collections::BTreeMap;

use anyhow::Result;
use lacuna_eval::case::{Case, Fills};
use lacuna_eval::diversity::Diversity;
use lacuna_eval::interval::Interval;
use lacuna_eval::judge::Judge;

use super::EvalArgs;

/// Measures all methods with several answers, by name. `None` if there is none, or no weights of LPIPS.
///
/// # Errors
/// If a file cannot be read.
pub fn measure(
    methods: &[(String, Vec<Fills>)],
    cases: &[Case],
    judge: &Judge,
    args: &EvalArgs,
) -> Result<Option<BTreeMap<String, Diversity>>> {
    let mut all = BTreeMap::new();
    for (name, answers) in methods {
        if let Some(diversity) = Diversity::measure(cases, answers, judge, &args.limits.limits())? {
            all.insert(name.clone(), diversity);
        }
    }
    Ok((!all.is_empty()).then_some(all))
}

/// The measures as a table for people.
pub fn table(methods: &BTreeMap<String, Diversity>) -> String {
    let interval = |Interval { mean, low, high }: Interval| format!("{mean:.4} ({low:.4} to {high:.4})");
    let mut text = String::from("\nAnswers, LPIPS (Alex) in the hole with 95 % intervals");
    for (name, diversity) in methods {
        let Diversity { answers, cases, between, first, best, best_minus_first } = *diversity;
        text += &format!("\n{name}: {answers} answers for {cases} photos");
        for (what, value) in [
            ("between two answers", between),
            ("first answer to the original", first),
            ("best answer to the original", best),
            ("best minus first, paired", best_minus_first),
        ] {
            text += &format!("\n  {what:28} {}", interval(value));
        }
    }
    text
}
