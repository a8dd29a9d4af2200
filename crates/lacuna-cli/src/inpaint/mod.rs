//! `lacuna inpaint`: photos and masks in, photos out.

mod answers;
mod args;
mod fill;
mod frames;
mod further;
mod lines;
mod manifest;
mod merge;
mod place;
mod progress;
mod row;
mod samples;
mod shard;
mod table;
mod tar_file;
mod task;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Result, bail};
use lacuna::{FillJob, Sizing, Watch};

pub use args::InpaintArgs;
use fill::Filler;
use further::Further;
use manifest::Manifest;
use merge::manifest_of;
use progress::Progress;
use row::{Row, Status};
use task::{Task, Tasks, Work};

use crate::Outcome;
use crate::interrupt::on_interrupt;
use crate::output::print;
use crate::units::{Bytes, start_threads};
use crate::usage::ensure_usage;

/// Runs the command.
///
/// # Errors
/// Whatever prevents the whole run; a photo that fails in a batch is counted instead.
pub fn run(args: &InpaintArgs) -> Result<Outcome> {
    start_threads(args.threads)?;
    if let (Some(table), true) = (&args.csv, args.merge_manifests) {
        return merge::merge(table).map(|()| Outcome::Done);
    }
    let further = Further::find(args)?;
    let work = Work::find(args, &further)?;
    let memory = args.limits.max_memory.map(|Bytes(bytes)| bytes);
    let predictor = args.method.load(memory)?;
    ensure_usage!(
        args.samples == 1 || predictor.uses_seed(),
        "{} has one answer for each hole, --samples is {}",
        predictor.name(),
        args.samples
    );
    let mut job = FillJob {
        limits: args.limits.limits(),
        mask: args.mask_options.mask(),
        fit: args.mask_options.fit(),
        expand: args.mask_options.expand,
        feather: args.mask_options.feather,
        sizing: Sizing::Always(args.strategy()),
        seed: args.seed,
        hint_strength: args.hint_strength,
        ..FillJob::new(predictor.clone())
    };
    if let Some(bytes) = memory {
        job = job.with_shared_memory(bytes, args.jobs);
    }
    let filler = Filler { args, job, further, watch: Watch::default() };
    // A dry run writes no manifest.
    let settings = || -> Result<String> {
        let settings = args.settings(&args.method.identity(predictor.as_ref())?.to_string());
        Ok(settings + &filler.further.settings()?)
    };
    let open = |path: &Path, also: Option<&Path>| -> Result<Option<Manifest>> {
        if args.dry_run {
            return Ok(None);
        }
        Manifest::open(path, also, settings()?, args.resume).map(Some)
    };
    match work {
        Work::Tar(tar) => tar.run(&filler),
        Work::Tasks(Tasks { tasks, manifest: None, .. }) => {
            ensure_usage!(!args.resume, "--resume is for folders and tables; a single photo has no manifest");
            let outcome = match tasks.as_slice() {
                [task] => single(&filler, task)?,
                several => {
                    let tasks = Mutex::new(several.iter().cloned().map(Ok));
                    Batch { filler: &filler, manifest: None, count: several.len(), tasks }.run(&[])?
                }
            };
            match (&args.contact_sheet, &outcome) {
                (Some(sheet), Outcome::Done) => answers::write_sheet(&filler, &tasks, sheet)?,
                (Some(sheet), _) => {
                    eprintln!("note: {} is not written, an answer is missing", sheet.display())
                }
                (None, _) => {}
            }
            Ok(outcome)
        }
        Work::Tasks(Tasks { tasks, manifest: Some(path), .. }) if args.frames => {
            let settings = format!("{}; {}", settings()?, frames::identity(&tasks)?);
            frames::run(&filler, &tasks, &Manifest::open(&path, None, settings, args.resume)?)
        }
        Work::Tasks(Tasks { tasks, manifest: Some(path), unmatched }) => {
            let manifest = open(&path, None)?;
            let (count, tasks) = (tasks.len(), Mutex::new(tasks.into_iter().map(Ok)));
            Batch { filler: &filler, manifest, count, tasks }.run(&unmatched)
        }
        Work::Table(table) => {
            let whole = manifest_of(table.path(), None);
            let own = manifest_of(table.path(), table.shard());
            if args.resume {
                merge::note_unmerged(table.path(), table.shard())?;
            }
            let manifest = open(&own, table.shard().is_some().then_some(&whole))?;
            let (count, tasks) = (table.count(), Mutex::new(table.tasks()?));
            if let (0, Some(shard)) = (count, table.shard()) {
                eprintln!("note: no row of {} is in shard {shard}", table.path().display());
            }
            Batch { filler: &filler, manifest, count, tasks }.run(&[])
        }
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
    Progress::new(Some(1), filler.args.json).report(&row)?;
    Ok(Outcome::Done)
}

/// A batch of photos.
struct Batch<'a, T> {
    filler: &'a Filler<'a>,
    manifest: Option<Manifest>,
    /// The number of tasks.
    count: usize,
    tasks: Mutex<T>,
}

impl<T: Iterator<Item = Result<Task>> + Send> Batch<'_, T> {
    /// Runs all tasks, and reports files without a partner as failed.
    fn run(&self, unmatched: &[(PathBuf, String)]) -> Result<Outcome> {
        let args = self.filler.args;
        let progress = Progress::new(Some(self.count + unmatched.len()), args.json);
        for (path, reason) in unmatched {
            progress.report(&Row::failed(path.display().to_string(), reason.clone()))?;
        }
        let next = || self.tasks.lock().expect("no worker panics with it").next().transpose();
        let worker = || -> Result<()> {
            while let Some(task) = next()? {
                progress.report(&self.row(&task)?)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers = usize::from(args.jobs).min(self.count);
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        Ok(progress.finish())
    }

    /// Runs one task; fails only if the manifest cannot be written.
    fn row(&self, task: &Task) -> Result<Row> {
        let (args, filler) = (self.filler.args, self.filler);
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
