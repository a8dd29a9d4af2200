//! Arms from factors: each level of each factor alone, or all combinations of some factors.

use serde::Deserialize;

use super::plan::{Arm, Work};

/// Something that is varied.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factor {
    /// Its name.
    pub name: String,
    /// The keys of the run file that its levels may change; a key stands for all keys in it.
    pub changes: Vec<String>,
    /// Its levels; the first is the base's and changes nothing.
    pub levels: Vec<Level>,
}

/// A level of a factor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Its name.
    pub name: String,
    /// Changes of the base's run file, as of `--set`.
    #[serde(default)]
    pub set: Vec<String>,
}

/// The arms besides the base: those of every factor that is not `crossed`, one level at a time, then all combinations of the levels of
/// those that are.
///
/// # Errors
/// What is wrong with a factor.
pub(super) fn arms(base: &Arm, factors: &[Factor], crossed: &[String]) -> Result<Vec<Arm>, String> {
    for factor in factors {
        factor.check()?;
    }
    let mut together = Vec::new();
    for name in crossed {
        let found = factors.iter().find(|factor| factor.name == *name);
        together.push(found.ok_or_else(|| format!("crossed: no factor {name:?}"))?);
    }
    let mut arms = Vec::new();
    for factor in factors.iter().filter(|factor| !crossed.contains(&factor.name)) {
        for level in &factor.levels[1..] {
            arms.push(arm(base, &[(factor, level)])?);
        }
    }
    // All combinations; the last factor varies first.
    let mut combinations: Vec<Vec<(&Factor, &Level)>> = vec![Vec::new()];
    for factor in together {
        let longer = |chosen: &Vec<_>| {
            let chosen = chosen.clone();
            factor.levels.iter().map(move |level| [chosen.clone(), vec![(factor, level)]].concat())
        };
        combinations = combinations.iter().flat_map(longer).collect();
    }
    for chosen in combinations {
        let changed: Vec<_> =
            chosen.into_iter().filter(|(factor, level)| level.name != factor.levels[0].name).collect();
        if !changed.is_empty() {
            arms.push(arm(base, &changed)?);
        }
    }
    Ok(arms)
}

/// The base with these levels.
fn arm(base: &Arm, levels: &[(&Factor, &Level)]) -> Result<Arm, String> {
    let Work::Train { file, text, set } = &base.work else {
        return Err(format!("base {:?}: factors change a run file, expected run", base.name));
    };
    let names: Vec<String> =
        levels.iter().map(|(factor, level)| format!("{}: {}", factor.name, level.name)).collect();
    let name = names.join("; ");
    let added = levels.iter().flat_map(|(_, level)| level.set.clone());
    let work = Work::Train {
        file: file.clone(),
        text: text.clone(),
        set: set.iter().cloned().chain(added).collect(),
    };
    Ok(Arm {
        title: name.clone(),
        name,
        work,
        about: vec![String::new(); base.about.len()],
        thesis: None,
        differ_in: levels.iter().flat_map(|(factor, _)| factor.changes.clone()).collect(),
        like: Some(base.name.clone()),
    })
}

impl Factor {
    fn check(&self) -> Result<(), String> {
        let Self { name, levels, .. } = self;
        if levels.len() < 2 {
            return Err(format!("factor {name:?}: expected at least 2 levels, got {}", levels.len()));
        }
        if !levels[0].set.is_empty() {
            let first = &levels[0].name;
            return Err(format!(
                "factor {name:?}: its first level, {first:?}, is the base's and sets nothing"
            ));
        }
        for (index, level) in levels.iter().enumerate() {
            if levels[..index].iter().any(|other| other.name == level.name) {
                return Err(format!("factor {name:?}: two levels are called {:?}", level.name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use std::path::Path;

    const GRID: &str = r#"
        title = "t"
        CROSSED
        [base]
        name = "base"
        run = "pixel"
        [[factor]]
        name = "steps"
        changes = ["run.steps"]
        levels = [{ name = "1" }, { name = "2", set = ["run.steps=2"] }, { name = "3", set = ["run.steps=3"] }]
        [[factor]]
        name = "batch"
        changes = ["run.batch"]
        levels = [{ name = "1" }, { name = "2", set = ["run.batch=2"] }]
        [[factor]]
        name = "rate"
        changes = ["optimizer.learning_rate"]
        levels = [{ name = "1" }, { name = "2", set = ["optimizer.learning_rate=2.0"] }]
    "#;

    fn names(crossed: &str) -> Result<Vec<String>, String> {
        let plan = Plan::parse("p", &GRID.replace("CROSSED", crossed), Path::new(""));
        Ok(plan.map_err(|error| error.to_string())?.arms.into_iter().map(|arm| arm.name).collect())
    }

    #[test]
    fn factors_are_varied_alone_or_together() {
        assert_eq!(names("").unwrap(), ["base", "steps: 2", "steps: 3", "batch: 2", "rate: 2"]);
        assert_eq!(
            names("crossed = [\"steps\", \"batch\"]").unwrap(),
            [
                "base",
                "rate: 2",
                "batch: 2",
                "steps: 2",
                "steps: 2; batch: 2",
                "steps: 3",
                "steps: 3; batch: 2"
            ]
        );
        let arm =
            Plan::parse("p", &GRID.replace("CROSSED", "crossed = [\"steps\", \"batch\"]"), Path::new(""))
                .unwrap()
                .arms
                .pop()
                .unwrap();
        assert_eq!(arm.differ_in, ["run.steps", "run.batch"]);
        assert_eq!(arm.folder().to_str(), Some("steps-3-batch-2"));
    }

    #[test]
    fn invalid_factors_are_named() {
        assert!(names("crossed = [\"time\"]").unwrap_err().contains("crossed: no factor \"time\""));
        for (from, to, expected) in [
            (
                ", { name = \"2\", set = [\"run.batch=2\"] }",
                "",
                "factor \"batch\": expected at least 2 levels, got 1",
            ),
            ("{ name = \"3\", set", "{ name = \"2\", set", "factor \"steps\": two levels are called \"2\""),
            (
                "{ name = \"1\" }, { name = \"2\", set = [\"run.b",
                "{ name = \"2\", set = [\"run.b",
                "expected at least 2",
            ),
            (
                "{ name = \"1\" }, { name = \"2\", set = [\"run.steps",
                "{ name = \"2\", set = [\"run.steps",
                "sets nothing",
            ),
        ] {
            let text = GRID.replace("CROSSED", "").replace(from, to);
            let error = Plan::parse("p", &text, Path::new("")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
