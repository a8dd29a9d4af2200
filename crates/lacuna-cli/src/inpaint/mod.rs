//! `lacuna inpaint`: photos and masks in, photos out.

mod args;
mod fill;
mod manifest;
mod place;
mod progress;
mod row;
mod task;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};
use lacuna::{FillJob, Sizing, Watch};

pub use args::InpaintArgs;
use fill::Filler;
use manifest::Manifest;
use progress::Progress;
use row::{Row, Status};
use task::{Task, Tasks};

use crate::Outcome;
use crate::interrupt::on_interrupt;
use crate::output::print;
use crate::units::{Bytes, start_threads};
use crate::usage::bail_usage;

/// Runs the command.
///
/// # Errors
/// Whatever prevents the whole run; a photo that fails in a batch is counted instead.
pub fn run(args: &InpaintArgs) -> Result<Outcome> {
    let tasks = Tasks::find(args)?;
    start_threads(args.threads)?;
    let memory = args.limits.max_memory.map(|Bytes(bytes)| bytes);
    let predictor = args.method.load(memory)?;
    let mut job = FillJob {
        limits: args.limits.limits(),
        mask: args.mask_options.mask(),
        fit: args.mask_options.fit(),
        expand: args.mask_options.expand,
        feather: args.mask_options.feather,
        sizing: Sizing::Always(args.strategy()),
        seed: args.seed,
        ..FillJob::new(predictor.clone())
    };
    if let Some(bytes) = memory {
        job = job.with_shared_memory(bytes, args.jobs);
    }
    let filler = Filler { args, job, avoid: tasks.avoid.clone(), watch: Watch::default() };
    match &tasks.manifest {
        Some(path) => {
            let manifest = if args.dry_run {
                None
            } else {
                let identity = args.method.identity(predictor.as_ref())?;
                let mut settings = args.settings(&identity.to_string());
                if let Some(avoid) = &tasks.avoid {
                    settings += &format!("; avoid {}", avoid.sha256()?);
                }
                Some(Manifest::open(path, settings, args.resume)?)
            };
            Batch { filler, manifest }.run(&tasks)
        }
        None if args.resume => {
            bail_usage!("--resume is for folders and tables; a single photo has no manifest")
        }
        None => single(&filler, &tasks.tasks[0]),
    }
}

fn single(filler: &Filler<'_>, task: &Task) -> Result<Outcome> {
    if filler.args.method.refine.refine.is_some() {
        let watch = filler.watch.clone();
        on_interrupt("writing the best result so far", move || watch.finish())?;
    }
    let row = filler.row(task, filler.args.overwrite);
    if let Status::Failed { error } = &row.status {
        if filler.args.json {
            print(&serde_json::to_string(&row)?)?;
        }
        bail!("{error}");
    }
    Progress::new(1, filler.args.json).report(&row)?;
    Ok(Outcome::Done)
}

/// A batch of photos.
struct Batch<'a> {
    filler: Filler<'a>,
    manifest: Option<Manifest>,
}

impl Batch<'_> {
    fn run(&self, tasks: &Tasks) -> Result<Outcome> {
        let args = self.filler.args;
        let progress = Progress::new(tasks.tasks.len() + tasks.unmatched.len(), args.json);
        let mut rows: Vec<Row> = Vec::new();
        for (path, reason) in &tasks.unmatched {
            let row = Row {
                image: path.display().to_string(),
                mask: None,
                output: None,
                status: Status::Failed { error: reason.clone() },
                seconds: 0.0,
                notes: Vec::new(),
            };
            progress.report(&row)?;
            rows.push(row);
        }
        let next = AtomicUsize::new(0);
        let filled = Mutex::new(Vec::new());
        let worker = || -> Result<()> {
            while let Some(task) = tasks.tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let row = self.row(task)?;
                progress.report(&row)?;
                filled.lock().expect("no worker panics with it").push(row);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers = usize::from(args.jobs).min(tasks.tasks.len());
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        rows.extend(filled.into_inner().expect("all workers are done"));
        progress.finish(&rows);
        let failed = rows.iter().any(|row| matches!(row.status, Status::Failed { .. }));
        Ok(if failed { Outcome::SomeFailed } else { Outcome::Done })
    }

    /// Runs one task; fails only if the manifest cannot be written.
    fn row(&self, task: &Task) -> Result<Row> {
        let (args, filler) = (self.filler.args, &self.filler);
        let Some(manifest) = &self.manifest else {
            return Ok(filler.row(task, args.overwrite || args.resume));
        };
        let key = match manifest.key(task) {
            Ok(key) => key,
            // An input that cannot be read: the fill reports the error.
            Err(_) => return Ok(filler.row(task, args.overwrite)),
        };
        if args.resume && manifest.is_finished(task, &key) {
            return Ok(Row::of(task, Status::Finished));
        }
        let replace = args.overwrite || (args.resume && manifest.is_ours(task.output.path()));
        if replace || !task.output.exists() {
            manifest.start(task)?;
        }
        let row = filler.row(task, replace);
        if matches!(row.status, Status::Filled(_) | Status::Copied) {
            manifest.finish(task, key)?;
        }
        Ok(row)
    }
}
