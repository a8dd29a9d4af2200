//! Milliseconds in which MPI's processes add up a row of values, as after every training step:
//! `mpiexec -n 2 cargo run --release -p lacuna-train --features mpi --example sum_speed [VALUES …]`.

use std::error::Error;
use std::time::Instant;

use lacuna_train::Collective;
use lacuna_train::collective::Mpi;

/// Each sum is timed this often, after one that is not.
const PASSES: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let mpi = Mpi::start()?;
    let counts: Vec<usize> = std::env::args().skip(1).map(|count| count.parse()).collect::<Result<_, _>>()?;
    for count in counts {
        let mut values = vec![1.0f32; count];
        let mut times = Vec::with_capacity(PASSES);
        for pass in 0..=PASSES {
            mpi.barrier();
            let start = Instant::now();
            mpi.sum(&mut values);
            if pass > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
            values.fill(1.0);
        }
        times.sort_by(f64::total_cmp);
        if mpi.rank() == 0 {
            println!("{count} values in {} processes: {:.2} ms", mpi.size(), 1e3 * times[PASSES / 2]);
        }
    }
    Ok(())
}
