//! Which part of a table one machine fills.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use lacuna::hash::sha256_number;

use crate::usage::UsageError;

/// The variable with the number of a Slurm array's task.
const SLURM_TASK: &str = "SLURM_ARRAY_TASK_ID";
/// The variables that describe a Slurm array: how many tasks, and the first, the last and the step of their numbers.
const SLURM_ARRAY: [&str; 4] =
    ["SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP"];
/// The variable with the number of a pod of a Kubernetes job with `completionMode: Indexed`. It counts from 0.
const KUBERNETES_INDEX: &str = "JOB_COMPLETION_INDEX";

/// One of `count` parts of a table, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: NonZeroU32,
}

impl Shard {
    /// The shard with this number; `None` if there are not as many.
    pub fn new(index: u32, count: NonZeroU32) -> Option<Self> {
        (index < count.get()).then_some(Self { index, count })
    }

    /// The number of this shard, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number of all shards.
    pub fn count(self) -> NonZeroU32 {
        self.count
    }

    /// Whether the row with this output belongs to the shard: the first eight bytes of the SHA-256 of the text, as a
    /// big-endian number, modulo the number of shards. The place of a row does not depend on other rows.
    pub fn contains(self, output: &str) -> bool {
        sha256_number(output.as_bytes()) % u64::from(self.count.get()) == u64::from(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-of-{}", self.index, self.count)
    }
}

/// The value of `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardArg {
    /// `K/N`.
    Given(Shard),
    /// `auto/N`: the scheduler numbers the task from 0.
    Numbered(NonZeroU32),
    /// `auto`: the scheduler also counts the tasks.
    Counted,
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Counted);
        }
        let expected = || "expected K/N such as 0/16, auto/16, or auto in a Slurm array".to_owned();
        let (index, count) = text.split_once('/').ok_or_else(expected)?;
        let count = count.parse().map_err(|_| expected())?;
        if index == "auto" {
            return Ok(Self::Numbered(count));
        }
        let index = index.parse().map_err(|_| expected())?;
        Shard::new(index, count).map(Self::Given).ok_or_else(|| out_of_range(index, count))
    }
}

fn out_of_range(index: u32, count: NonZeroU32) -> String {
    format!("shard {index} of {count}: shards are numbered from 0 to {}", count.get() - 1)
}

impl ShardArg {
    /// The shard, with what is left open taken from the scheduler's environment variables.
    ///
    /// # Errors
    /// A usage error if a variable is missing or its value does not fit.
    pub fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> Result<Shard, UsageError> {
        match self {
            Self::Given(shard) => Ok(shard),
            Self::Numbered(count) => {
                let (name, index) = match (variable(SLURM_TASK), variable(KUBERNETES_INDEX)) {
                    (Some(slurm), None) => (SLURM_TASK, slurm),
                    (None, Some(kubernetes)) => (KUBERNETES_INDEX, kubernetes),
                    (None, None) => {
                        return Err(UsageError(format!(
                            "--shard auto/{count}: neither {SLURM_TASK} nor {KUBERNETES_INDEX} is set"
                        )));
                    }
                    (Some(slurm), Some(kubernetes)) => {
                        return Err(UsageError(format!(
                            "--shard auto/{count}: {SLURM_TASK} is {slurm} and {KUBERNETES_INDEX} is {kubernetes}; \
                             give K/{count}"
                        )));
                    }
                };
                let index = number(name, &index)?;
                Shard::new(index, count)
                    .ok_or_else(|| UsageError(format!("{name}: {}", out_of_range(index, count))))
            }
            Self::Counted => {
                let read = |name: &str| {
                    let missing = || {
                        UsageError(format!(
                            "--shard auto: {name} is not set; outside a Slurm array give K/N or auto/N"
                        ))
                    };
                    number(name, &variable(name).ok_or_else(missing)?)
                };
                let task = read(SLURM_TASK)?;
                let [count, min, max, step] = SLURM_ARRAY.map(read);
                let (count, min, max, step) = (count?, min?, max?, step?);
                // A list such as 3,7 does not say what the whole array was.
                let is_range = step > 0 && count > 0 && max.checked_sub(min) == (count - 1).checked_mul(step);
                let offset = task.checked_sub(min).filter(|offset| is_range && offset % step == 0);
                let shard = offset.and_then(|offset| Shard::new(offset / step, NonZeroU32::new(count)?));
                shard.ok_or_else(|| {
                    UsageError(format!(
                        "--shard auto: task {task} of {count} tasks from {min} to {max} with step {step} is no part of a \
                         whole array; give auto/N"
                    ))
                })
            }
        }
    }
}

fn number(name: &str, value: &str) -> Result<u32, UsageError> {
    value.parse().map_err(|_| UsageError(format!("{name} is {value:?}, expected a number from 0")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(index: u32, count: u32) -> Shard {
        Shard::new(index, NonZeroU32::new(count).unwrap()).unwrap()
    }

    fn resolve(text: &str, variables: &[(&str, &str)]) -> Result<Shard, String> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        text.parse::<ShardArg>()?.resolve(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_have_a_fixed_place() {
        // python3 -c 'import hashlib; print(int.from_bytes(hashlib.sha256(b"out/a.png").digest()[:8], "big") % 8)'
        let places = ["out/a.png", "out/b.png", "out/ü.png"]
            .map(|output| (0..8).find(|&index| shard(index, 8).contains(output)).unwrap());
        assert_eq!(places, [3, 2, 1]);
        let outputs: Vec<String> = (0..8000).map(|i| format!("out/{i:05}.jpg")).collect();
        for index in 0..8 {
            let count = outputs.iter().filter(|output| shard(index, 8).contains(output)).count();
            // Binomial, 1000 ± 30.
            assert!((850..1150).contains(&count), "{count}");
        }
    }

    #[test]
    fn values_and_environments() {
        assert_eq!(resolve("3/8", &[]), Ok(shard(3, 8)));
        assert_eq!(resolve("auto/8", &[("JOB_COMPLETION_INDEX", "7")]), Ok(shard(7, 8)));
        assert_eq!(resolve("auto/8", &[("SLURM_ARRAY_TASK_ID", "0")]), Ok(shard(0, 8)));
        let array = |task, count, min, max, step| {
            resolve(
                "auto",
                &[
                    ("SLURM_ARRAY_TASK_ID", task),
                    ("SLURM_ARRAY_TASK_COUNT", count),
                    ("SLURM_ARRAY_TASK_MIN", min),
                    ("SLURM_ARRAY_TASK_MAX", max),
                    ("SLURM_ARRAY_TASK_STEP", step),
                ],
            )
        };
        assert_eq!(array("1", "4", "1", "4", "1"), Ok(shard(0, 4)));
        assert_eq!(array("8", "4", "0", "12", "4"), Ok(shard(2, 4)));
        assert!(array("7", "2", "3", "7", "1").unwrap_err().contains("2 tasks from 3 to 7"));
        for (text, variables, words) in [
            ("8/8", vec![], "shard 8 of 8: shards are numbered from 0 to 7"),
            ("1/0", vec![], "expected K/N"),
            ("-1/4", vec![], "expected K/N"),
            ("3", vec![], "expected K/N"),
            ("auto/4", vec![], "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set"),
            ("auto/4", vec![("SLURM_ARRAY_TASK_ID", "4")], "SLURM_ARRAY_TASK_ID: shard 4 of 4"),
            ("auto/4", vec![("JOB_COMPLETION_INDEX", "x")], "JOB_COMPLETION_INDEX is \"x\""),
            (
                "auto/4",
                vec![("SLURM_ARRAY_TASK_ID", "1"), ("JOB_COMPLETION_INDEX", "2")],
                "SLURM_ARRAY_TASK_ID is 1 and JOB_COMPLETION_INDEX is 2",
            ),
            ("auto", vec![("JOB_COMPLETION_INDEX", "2")], "SLURM_ARRAY_TASK_ID is not set"),
        ] {
            let error = resolve(text, &variables).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
