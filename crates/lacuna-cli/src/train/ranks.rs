//! The processes of a training run.

use std::sync::Arc;

use anyhow::Result;
use lacuna_train::Collective;

use crate::Outcome;
use crate::usage::UsageError;

/// Variables in which launchers say how many processes they have started: MPICH and its relatives, Open MPI, Slurm.
const COUNTS: [&str; 3] = ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"];

/// Refuses to be one of several processes, which would all write to the same folder.
///
/// # Errors
/// [`UsageError`] that says why.
pub fn refuse_several_processes(why: &str) -> Result<()> {
    for name in COUNTS {
        let count = std::env::var(name).ok().and_then(|count| count.parse::<usize>().ok());
        if let Some(count) = count.filter(|&count| count > 1) {
            return Err(
                UsageError(format!("started as one of {count} processes ({name}={count}): {why}")).into()
            );
        }
    }
    Ok(())
}

/// Runs a command in all processes. If it fails in one of them, all end.
///
/// # Errors
/// As the command.
#[cfg(feature = "mpi")]
pub fn among_ranks(command: impl FnOnce(Arc<dyn Collective>) -> Result<Outcome>) -> Result<Outcome> {
    let mpi = Arc::new(lacuna_train::collective::Mpi::start()?);
    if mpi.size() == 1 {
        refuse_several_processes(
            "its MPI library sees one, because the launcher belongs to another library",
        )?;
        return command(mpi);
    }
    let outcome = command(Arc::clone(&mpi) as Arc<dyn Collective>);
    if let Err(error) = &outcome {
        // The others may wait for values that never come.
        let message = format!("lacuna: rank {}: {}\n", mpi.rank(), crate::hints::message(error));
        // In one piece: the launcher would mix the pieces of several ranks.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), message.as_bytes());
        mpi.abort(crate::exit_code(error));
    }
    outcome
}

/// Runs a command in the only process.
///
/// # Errors
/// As the command; [`UsageError`] if there are several processes.
#[cfg(not(feature = "mpi"))]
pub fn among_ranks(command: impl FnOnce(Arc<dyn Collective>) -> Result<Outcome>) -> Result<Outcome> {
    refuse_several_processes("this program was built without the feature mpi")?;
    command(Arc::new(lacuna_train::Alone))
}
