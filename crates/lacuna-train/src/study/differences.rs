//! In which keys two run files differ.

use serde::Serialize;
use toml::{Table, Value};

use crate::{Error, Result};

/// The keys whose values differ, as paths with dots.
pub(super) fn differing_keys(one: &impl Serialize, other: &impl Serialize) -> Vec<String> {
    let one = Table::try_from(one).expect("plain data");
    let other = Table::try_from(other).expect("plain data");
    let mut keys = Vec::new();
    collect(&one, &other, "", &mut keys);
    keys
}

fn collect(one: &Table, other: &Table, prefix: &str, keys: &mut Vec<String>) {
    let only_other = other.keys().filter(|key| !one.contains_key(*key));
    for key in one.keys().chain(only_other) {
        let path = format!("{prefix}{key}");
        match (one.get(key), other.get(key)) {
            (one, other) if one == other => {}
            (Some(Value::Table(one)), Some(Value::Table(other))) => {
                collect(one, other, &format!("{path}."), keys);
            }
            _ => keys.push(path),
        }
    }
}

/// Checks that a run file differs from another, and only in what `allowed` names. A key stands for all keys in it.
///
/// # Errors
/// [`Error::Config`] names the first key that is not allowed.
pub(super) fn check<C: Serialize>(arm: &str, one: &C, other: &C, allowed: &[String]) -> Result<()> {
    let keys = differing_keys(one, other);
    if keys.is_empty() {
        return Err(Error::Config(format!("arm {arm:?} is the same as the one that it is a change of")));
    }
    let is_allowed =
        |key: &str| allowed.iter().any(|allowed| key == allowed || key.starts_with(&format!("{allowed}.")));
    match keys.iter().find(|key| !is_allowed(key)) {
        Some(key) => Err(Error::Config(format!(
            "arm {arm:?} differs in {key}, expected a difference in {} only",
            allowed.join(", ")
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;
    use crate::config::tests::SMALL;

    fn config(changes: &[&str]) -> RunConfig {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        RunConfig::parse(SMALL, &changes).unwrap()
    }

    #[test]
    fn keys_are_paths() {
        let other = config(&["run.steps=5", "network.conditioning=control", "loss.pixel_l1.hole=2.0"]);
        let mut keys = differing_keys(&config(&[]), &other);
        keys.sort();
        assert_eq!(keys, ["loss.pixel_l1.hole", "network.conditioning", "run.steps"]);
        let allowed = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        check("a", &config(&[]), &other, &allowed(&["loss", "network.conditioning", "run.steps"])).unwrap();
        let error = check("a", &config(&[]), &other, &allowed(&["los", "network", "run"])).unwrap_err();
        let expected =
            "arm \"a\" differs in loss.pixel_l1.hole, expected a difference in los, network, run only";
        assert_eq!(error.to_string(), expected);
        let same = check("a", &config(&[]), &config(&[]), &allowed(&["run"])).unwrap_err();
        assert!(same.to_string().contains("is the same as"));
    }
}
