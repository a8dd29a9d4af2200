//! `lacuna bench --compare`: the instruction sets of this machine, as a table for a report.
//!
//! Every measurement is a process of its own, and instruction sets take turns, so that a slow period of the machine meets all of them.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lacuna_cpu::Isa;
use lacuna_cpu::isa::ISA_VARIABLE;

use super::{Row, mebibytes, nearest_rank};
use crate::output::print;

/// Processes for each instruction set.
const ROUNDS: usize = 3;
/// The option that these processes are started without.
const OPTION: &str = "--compare";

/// The measurements of an image size with an instruction set.
#[derive(Default)]
struct Measured {
    /// Medians of the processes, in seconds.
    medians: Vec<f64>,
    /// The largest peak memory in bytes, where the system reports it.
    peak: Option<u64>,
    threads: usize,
    model: String,
}

/// Measures and prints the table.
///
/// # Errors
/// If a process fails; it has said why on standard error.
pub fn compare() -> Result<()> {
    let own: Vec<OsString> = env::args_os().skip(1).filter(|argument| argument != OPTION).collect();
    let program = env::current_exe().context("cannot find this program")?;
    // By image size, then instruction set, the fastest last.
    let mut measured: BTreeMap<[usize; 2], BTreeMap<Isa, Measured>> = BTreeMap::new();
    for round in 1..=ROUNDS {
        for isa in Isa::available() {
            eprintln!("{isa}, round {round} of {ROUNDS}");
            let output = Command::new(&program)
                .args(&own)
                .arg("--json")
                .env(ISA_VARIABLE, isa.to_string())
                .stderr(Stdio::inherit())
                .output()
                .with_context(|| format!("cannot start {}", program.display()))?;
            ensure!(output.status.success(), "the measurement with {isa} failed: {}", output.status);
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let row: Row = serde_json::from_str(line).context("unexpected output of a measurement")?;
                let of_isa = measured.entry([row.width, row.height]).or_default().entry(isa).or_default();
                of_isa.medians.push(row.p50_s);
                of_isa.peak = of_isa.peak.max(row.peak_bytes);
                (of_isa.threads, of_isa.model) = (row.threads, row.model);
            }
        }
    }
    print(&table(&machine(), &measured))
}

fn table(machine: &str, measured: &BTreeMap<[usize; 2], BTreeMap<Isa, Measured>>) -> String {
    let mut lines = vec![
        "| machine | network | image | instructions | precision | threads | ms | ratio | MiB |".to_owned(),
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    for ([width, height], of_sizes) in measured {
        let median = |measured: &Measured| {
            let mut medians = measured.medians.clone();
            medians.sort_by(f64::total_cmp);
            nearest_rank(&medians, 0.5)
        };
        let slowest = of_sizes.values().next().map_or(f64::NAN, median);
        for (isa, one) in of_sizes {
            let seconds = median(one);
            let name = one.model.split(" (").next().unwrap_or_default();
            lines.push(format!(
                "| {machine} | {name} | {width} x {height} | {isa} | float32 | {} | {:.1} | {:.2} | {} |",
                one.threads,
                1e3 * seconds,
                seconds / slowest,
                one.peak.map_or_else(|| "unknown".into(), mebibytes),
            ));
        }
    }
    lines.join("\n")
}

/// The processor's name where Linux says it, else its architecture.
fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| format!("{}, {}", env::consts::ARCH, env::consts::OS), |(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_slowest_instructions() {
        let one = |medians: &[f64]| Measured {
            medians: medians.to_vec(),
            peak: Some(3 << 20),
            threads: 2,
            model: "fourier-w8-b2 (cpu, avx2)".into(),
        };
        let of_isa = BTreeMap::from([(Isa::Portable, one(&[0.4, 0.2, 0.3])), (Isa::Avx2, one(&[0.06]))]);
        let text = table("a machine", &BTreeMap::from([([64, 32], of_isa)]));
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines[0],
            "| a machine | fourier-w8-b2 | 64 x 32 | portable | float32 | 2 | 300.0 | 1.00 | 3 |"
        );
        assert_eq!(
            lines[1],
            "| a machine | fourier-w8-b2 | 64 x 32 | avx2 | float32 | 2 | 60.0 | 0.20 | 3 |"
        );
    }
}
