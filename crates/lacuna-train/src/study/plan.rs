//! Plans: what a study compares, in TOML.
//!
//! A plan lists arms, or factors with levels, from which arms are made ([`super::grid`]). Every arm is a run file with changes, a method that
//! needs no training, or another way to sample the flow of another arm.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use lacuna::Method;
use lacuna::flow::Sampling;
use lacuna_eval::classic;
use serde::Deserialize;

use super::Scale;
use super::grid::{self, Factor};
use crate::{Error, Result};

/// A plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name: of the built-in plan, or of its file without the extension.
    pub name: String,
    /// Its heading in reports.
    pub title: String,
    /// Headings of what arms say about themselves.
    pub columns: Vec<String>,
    /// The scales that its networks allow; all if empty.
    pub scales: Vec<Scale>,
    /// Changes of every run file, as of `--set`.
    pub set: Vec<String>,
    /// Changes of the run file `autoencoder` from which arms start, as of `--set`.
    pub autoencoder: Vec<String>,
    /// What is compared; the first is the reference.
    pub arms: Vec<Arm>,
    /// What the comparison is about.
    pub claims: Vec<Claim>,
}

/// One of the things that are compared.
#[derive(Clone, Debug)]
pub struct Arm {
    /// Its name in messages, and its folder.
    pub name: String,
    /// Its name in reports.
    pub title: String,
    /// What fills holes.
    pub work: Work,
    /// What it says about itself, one text for each of the plan's columns.
    pub about: Vec<String>,
    /// The values that the thesis prints for it.
    pub thesis: Option<Printed>,
    /// Keys of the run file in which it may differ from [`Arm::like`]; a key stands for all keys in it.
    pub differ_in: Vec<String>,
    /// The arm that it is a change of; the plan's first if none.
    pub like: Option<String>,
}

/// What fills the holes of an arm.
#[derive(Clone, Debug)]
pub enum Work {
    /// A network or a flow that is trained.
    Train {
        /// The run file's name in messages.
        file: String,
        /// Its text.
        text: String,
        /// Changes of it, as of `--set`.
        set: Vec<String>,
    },
    /// A method that needs no training; if it needs a network, that which ships.
    Fill(Method),
    /// The flow that another arm trains, sampled in another way.
    Sample {
        /// The arm.
        flow: String,
        /// The way.
        sampling: Sampling,
    },
}

/// The thesis's values.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Printed {
    /// Fréchet distance.
    pub fid: f64,
    /// Learned perceptual distance.
    pub lpips: f64,
    /// Structural similarity.
    pub ssim: f64,
    /// Hours of training, where stated.
    #[serde(default)]
    pub hours: Option<f64>,
}

/// A statement that two arms decide.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The statement.
    pub text: String,
    /// The arm without the change.
    pub from: String,
    /// The arm with it, which is better if the statement is true.
    pub to: String,
    /// What it is better by.
    #[serde(default)]
    pub by: By,
}

/// What an arm is better by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The metrics of its fills.
    #[default]
    Metrics,
    /// The time of a training step.
    Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    title: String,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    scales: Vec<Scale>,
    #[serde(default)]
    set: Vec<String>,
    #[serde(default)]
    autoencoder: Vec<String>,
    #[serde(default)]
    differ_in: Vec<String>,
    #[serde(default, rename = "arm")]
    arms: Vec<ArmFile>,
    base: Option<ArmFile>,
    #[serde(default, rename = "factor")]
    factors: Vec<Factor>,
    #[serde(default)]
    crossed: Vec<String>,
    #[serde(default, rename = "claim")]
    claims: Vec<Claim>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArmFile {
    name: String,
    title: Option<String>,
    run: Option<String>,
    method: Option<String>,
    flow: Option<String>,
    sampling: Option<Sampling>,
    #[serde(default)]
    set: Vec<String>,
    #[serde(default)]
    about: Vec<String>,
    thesis: Option<Printed>,
}

macro_rules! texts {
    ($constant:ident, $folder:literal, $($name:literal),*) => {
        const $constant: &[(&str, &str)] = &[$(($name, include_str!(concat!($folder, $name, ".toml")))),*];
    };
}

texts!(PLANS, "plans/", "table-5.1", "table-5.2", "table-A.1", "history", "grid", "sampling");
texts!(
    RUN_FILES,
    "../../../../configs/",
    "autoencoder",
    "pixel",
    "pixel-control",
    "latent",
    "latent-control",
    "full",
    "full-control-latent",
    "pixel-delta",
    "latent-control-delta",
    "latent-control-signed-delta",
    "context-small",
    "flow-s"
);

/// The run file of the autoencoder that arms start from.
pub(super) fn autoencoder_text() -> &'static str {
    find(RUN_FILES, "autoencoder").expect("it is in the list")
}

fn find(texts: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    texts.iter().find(|(other, _)| *other == name).map(|(_, text)| *text)
}

impl Plan {
    /// Names of the built-in plans.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLANS.iter().map(|(name, _)| *name)
    }

    /// A built-in plan, or the plan in a file.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Config`], which names the plan and what is wrong with it.
    pub fn open(name: &str) -> Result<Self> {
        if let Some(text) = find(PLANS, name) {
            return Self::parse(name, text, Path::new(""));
        }
        let path = Path::new(name);
        if path.extension().is_none_or(|extension| extension != "toml") {
            let names = Self::names().collect::<Vec<_>>().join(", ");
            return Err(Error::Config(format!("unknown study {name:?}, expected {names} or a .toml file")));
        }
        let text =
            fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&stem, &text, path.parent().unwrap_or(Path::new("")))
    }

    /// Parses a plan; run files that are not built in are in `folder`.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Read`].
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Self> {
        let refuse = |problem: String| Error::Config(format!("{name}: {problem}"));
        let PlanFile {
            title,
            columns,
            scales,
            set,
            autoencoder,
            differ_in,
            arms: listed,
            base,
            factors,
            crossed,
            claims,
        } = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let mut arms = Vec::new();
        for arm in listed {
            arms.push(Arm {
                differ_in: differ_in.clone(),
                ..arm.read(folder, columns.len()).map_err(refuse)?
            });
        }
        match base {
            Some(base) => {
                let base = Arm { differ_in, ..base.read(folder, columns.len()).map_err(refuse)? };
                let changed = grid::arms(&base, &factors, &crossed).map_err(refuse)?;
                arms.push(base);
                arms.extend(changed);
            }
            None if !factors.is_empty() || !crossed.is_empty() => {
                return Err(refuse("factors change a base: expected [base]".into()));
            }
            None => {}
        }
        let plan = Self { name: name.to_owned(), title, columns, scales, set, autoencoder, arms, claims };
        plan.check().map_err(refuse)?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), String> {
        if self.arms.is_empty() {
            return Err("expected at least one [[arm]] or a [base]".into());
        }
        for (index, arm) in self.arms.iter().enumerate() {
            if self.arms[..index].iter().any(|other| other.name == arm.name || other.folder() == arm.folder())
            {
                return Err(format!("two arms are called {:?}", arm.name));
            }
        }
        for arm in &self.arms {
            if let Work::Sample { flow, .. } = &arm.work
                && !matches!(self.arm(flow), Some(Arm { work: Work::Train { .. }, .. }))
            {
                return Err(format!("arm {:?}: no arm {flow:?} that trains a flow", arm.name));
            }
        }
        for claim in &self.claims {
            for name in [&claim.from, &claim.to] {
                if self.arm(name).is_none() {
                    let names: Vec<_> = self.arms.iter().map(|arm| format!("{:?}", arm.name)).collect();
                    let names = names.join(", ");
                    return Err(format!("claim {:?}: no arm {name:?}, expected one of {names}", claim.text));
                }
            }
        }
        Ok(())
    }

    /// Whether it compares ways to sample: the time of a fill then counts, not that of a training step.
    pub fn compares_samplings(&self) -> bool {
        self.arms.iter().any(|arm| matches!(arm.work, Work::Sample { .. }))
    }

    /// What its times are of.
    pub fn timed(&self) -> &'static str {
        if self.compares_samplings() { "s per fill" } else { "s per step" }
    }

    /// The arm with a name.
    pub fn arm(&self, name: &str) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.name == name)
    }
}

impl Arm {
    /// The name of its folder: its name without what file systems do not like.
    pub fn folder(&self) -> PathBuf {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        let words = self.name.split(|letter| !allowed(letter)).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-").into()
    }
}

impl ArmFile {
    fn read(self, folder: &Path, columns: usize) -> Result<Arm, String> {
        let Self { name, title, run, method, flow, sampling, set, about, thesis } = self;
        let work = match (run, method, flow, sampling) {
            (Some(file), None, None, None) => {
                let text = match find(RUN_FILES, &file) {
                    Some(text) => text.to_owned(),
                    None => fs::read_to_string(folder.join(&file)).map_err(|error| {
                        format!("arm {name:?}: {}: {error}", folder.join(&file).display())
                    })?,
                };
                Work::Train { file, text, set }
            }
            (None, Some(method), None, None) => {
                let known = classic::with_classic().into_iter().filter(|known| *known != Method::FLOW);
                let known: Vec<Method> = known.collect();
                let found = known.iter().find(|known| known.name == method);
                Work::Fill(*found.ok_or_else(|| {
                    let names: Vec<_> = known.iter().map(|known| known.name).collect();
                    format!("arm {name:?}: unknown method {method:?}, expected one of {}", names.join(", "))
                })?)
            }
            (None, None, Some(flow), Some(sampling)) => Work::Sample { flow, sampling },
            _ => return Err(format!("arm {name:?}: expected run, method, or flow and sampling")),
        };
        if about.len() != columns {
            return Err(format!("arm {name:?}: about has {} texts, the plan {columns} columns", about.len()));
        }
        let title = title.unwrap_or_else(|| name.clone());
        Ok(Arm { name, title, work, about, thesis, differ_in: Vec::new(), like: None })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_plans_are_valid() {
        for name in Plan::names() {
            let plan = Plan::open(name).unwrap();
            assert!(plan.arms.len() > 1, "{name}");
        }
        assert_eq!(Plan::open("grid").unwrap().arms.len(), 23);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let arm = "[[arm]]\nname = \"a\"\nrun = \"pixel\"\n";
        for (text, expected) in [
            ("title = \"t\"", "p: expected at least one [[arm]] or a [base]"),
            (&format!("title = \"t\"\n{arm}{arm}"), "two arms are called \"a\""),
            ("title = \"t\"\n[[arm]]\nname = \"a\"", "arm \"a\": expected run, method, or flow and sampling"),
            (
                "title = \"t\"\n[[arm]]\nname = \"a\"\nmethod = \"flow\"",
                "unknown method \"flow\", expected one of mean-colour",
            ),
            ("title = \"t\"\n[[arm]]\nname = \"a\"\nrun = \"b.toml\"", "arm \"a\": nowhere/b.toml: "),
            (&format!("title = \"t\"\ncolumns = [\"loss\"]\n{arm}"), "about has 0 texts, the plan 1 columns"),
            (&format!("title = \"t\"\ncrossed = [\"x\"]\n{arm}"), "factors change a base"),
            (
                &format!("title = \"t\"\n{arm}[[claim]]\ntext = \"c\"\nfrom = \"a\"\nto = \"b\""),
                "claim \"c\": no arm \"b\", expected one of \"a\"",
            ),
            (
                &format!(
                    "title = \"t\"\n{arm}[[arm]]\nname = \"b\"\nflow = \"c\"\nsampling = {{ steps = 4 }}"
                ),
                "arm \"b\": no arm \"c\" that trains a flow",
            ),
            ("titel = \"t\"", "unknown field `titel`"),
        ] {
            let error = Plan::parse("p", text, Path::new("nowhere")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = Plan::open("table-6").unwrap_err().to_string();
        assert!(error.contains("unknown study \"table-6\", expected table-5.1"), "{error}");
    }
}
