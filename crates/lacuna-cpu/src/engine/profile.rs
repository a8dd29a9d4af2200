//! How long each step of a run took, printed if `LACUNA_PROFILE=1`.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::steps::Kernel;

/// The environment variable that, set to 1, asks for a profile on standard error.
pub const PROFILE_VARIABLE: &str = "LACUNA_PROFILE";

/// Time by step; measures only if asked to.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    times: Option<HashMap<String, Duration>>,
}

impl Profile {
    /// A profile that measures.
    pub fn measuring() -> Self {
        Self { times: Some(HashMap::new()) }
    }

    /// A profile that measures if the environment asks for it.
    pub fn from_environment() -> Self {
        let wanted = std::env::var_os(PROFILE_VARIABLE).is_some_and(|value| value == "1");
        if wanted { Self::measuring() } else { Self::default() }
    }

    /// Runs `work` and adds its time to the step's.
    pub fn time(&mut self, step: fmt::Arguments<'_>, work: impl FnOnce()) {
        let Some(times) = &mut self.times else { return work() };
        let start = Instant::now();
        work();
        *times.entry(step.to_string()).or_default() += start.elapsed();
    }

    /// The table of a plan's steps with their times, largest first; none if nothing was measured.
    pub fn table(&self, plan: &Plan) -> Option<String> {
        let times = self.times.as_ref()?;
        let mut rows: Vec<(f64, String)> = plan
            .steps()
            .iter()
            .filter_map(|step| {
                let seconds = times.get(&step.name)?.as_secs_f64();
                let speed = step.operations / seconds / 1e9;
                let line = format!(
                    "{:<36} {:>9.3} ms {speed:>8.1} GFLOP/s  {}",
                    step.name,
                    seconds * 1e3,
                    step.kernel
                );
                Some((seconds, line))
            })
            .collect();
        rows.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut kernels: HashMap<Kernel, (f64, f64)> = HashMap::new();
        for step in plan.steps() {
            let (seconds, operations) = kernels.entry(step.kernel).or_default();
            *seconds += times.get(&step.name).map_or(0.0, Duration::as_secs_f64);
            *operations += step.operations;
        }
        let mut kernels: Vec<_> = kernels.into_iter().collect();
        kernels.sort_by(|one, other| other.1.0.total_cmp(&one.1.0));
        let total: f64 = kernels.iter().map(|(_, (seconds, _))| seconds).sum();
        let mut lines: Vec<String> = rows.into_iter().map(|(_, line)| line).collect();
        lines.push(format!("by kernel, of {:.3} ms in all:", total * 1e3));
        lines.extend(kernels.into_iter().map(|(kernel, (seconds, operations))| {
            let speed = operations / seconds / 1e9;
            format!("{kernel:<36} {:>9.3} ms {speed:>8.1} GFLOP/s", seconds * 1e3)
        }));
        Some(lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_measured_unasked() {
        let mut profile = Profile::default();
        let mut done = false;
        profile.time(format_args!("step"), || done = true);
        assert!(done && profile.times.is_none());
        let mut profile = Profile::measuring();
        profile.time(format_args!("step {}", 1), || {});
        profile.time(format_args!("step {}", 1), || {});
        assert_eq!(profile.times.unwrap().keys().collect::<Vec<_>>(), ["step 1"]);
    }
}
