//! A plan as text.

use std::fmt;

use lacuna_network::geometry::MULTIPLE;

use super::plan::Plan;
use super::steps::Step;

const GIGA: f64 = 1e9;
const MEBI: f64 = (1u64 << 20) as f64;

impl fmt::Display for Plan {
    /// The plan as a table: step, shape, GFLOP, MiB, kernel.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height, threads) = (self.width, self.height, self.threads);
        writeln!(
            formatter,
            "plan for {width} x {height} on {threads} threads: {:.1} GFLOP, {:.0} MiB of weights, {:.0} MiB arena, \
             forecast {:.0} MiB; strips of {} rows (encoder) and {} (decoder)",
            self.operations() / GIGA,
            self.weight_bytes() as f64 / MEBI,
            self.arena_bytes() as f64 / MEBI,
            self.forecast_bytes() as f64 / MEBI,
            MULTIPLE * self.strips.encoder,
            MULTIPLE * self.strips.decoder,
        )?;
        writeln!(formatter, "{:<36} {:>16} {:>9} {:>8}  kernel", "step", "shape", "GFLOP", "MiB")?;
        for Step { name, kernel, shape: [channels, rows, columns], operations, bytes, .. } in &self.steps {
            let shape = format!("{channels}x{rows}x{columns}");
            let (giga, mebi) = (operations / GIGA, bytes / MEBI);
            writeln!(formatter, "{name:<36} {shape:>16} {giga:>9.3} {mebi:>8.2}  {kernel}")?;
        }
        Ok(())
    }
}
