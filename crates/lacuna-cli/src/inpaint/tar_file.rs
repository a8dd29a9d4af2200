//! Photos in a tar file, filled into another tar file.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use lacuna::atomic::write_atomically;
use lacuna::mask::MaskFrom;
use lacuna::picture::Format;

use super::args::InpaintArgs;
use super::fill::Filler;
use super::place::{Input, MaskInput, Output};
use super::progress::Progress;
use super::row::{Row, Status};
use super::samples::{Archive, Member, Sample, Samples};
use super::task::{Task, output_name};
use crate::Outcome;
use crate::usage::{bail_usage, ensure_usage};

/// The extension of tar files.
const TAR: &str = "tar";
/// What stands before the extension of a mask.
const MASK: &str = "mask.";

/// A tar file of photos, and the one to write.
#[derive(Debug)]
pub struct TarFile {
    input: PathBuf,
    mask: TarMask,
    output: PathBuf,
}

/// What says where the holes are.
#[derive(Debug)]
enum TarMask {
    /// For each photo a member `KEY.mask.EXTENSION`.
    Members,
    /// One mask for all photos, or their alpha channels.
    Same(MaskInput),
}

impl TarFile {
    /// Whether a path is that of a tar file.
    pub fn is_named(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(TAR)) && !path.is_dir()
    }

    /// Whether a path is that of a compressed tar file, such as `a.tar.gz`.
    pub fn is_compressed(path: &Path) -> bool {
        path.file_stem().is_some_and(|stem| Self::is_named(Path::new(stem))) && path.is_file()
    }

    /// The tar files that the arguments name.
    ///
    /// # Errors
    /// A usage error if the output is no tar file or the mask no file; else if a file does not exist, or one does already.
    pub fn find(args: &InpaintArgs, input: &Path, output: &Path) -> Result<Self> {
        let mask = match (&args.mask, args.mask_options.mask_from) {
            (Some(mask), MaskFrom::Alpha) => {
                bail_usage!("--mask-from alpha takes no mask, but {} was given", mask.display())
            }
            (None, MaskFrom::Alpha) => TarMask::Same(MaskInput::Alpha),
            (None, MaskFrom::File) => TarMask::Members,
            (Some(mask), MaskFrom::File) if Input::is_stream(mask) => {
                TarMask::Same(MaskInput::File(Input::read_stream(&args.limits.limits())?))
            }
            (Some(mask), MaskFrom::File) => {
                mask.metadata().with_context(|| format!("cannot read {}", mask.display()))?;
                ensure_usage!(
                    !mask.is_dir(),
                    "{} is a folder, {} a tar file",
                    mask.display(),
                    input.display()
                );
                TarMask::Same(mask.clone().into())
            }
        };
        input.metadata().with_context(|| format!("cannot read {}", input.display()))?;
        let output = if output.is_dir() {
            output.join(input.file_name().unwrap_or_default())
        } else {
            output.to_owned()
        };
        ensure_usage!(
            Self::is_named(&output),
            "{} is a tar file, so the output must be one: {} does not end in .{TAR}",
            input.display(),
            output.display()
        );
        ensure_usage!(!args.resume, "--resume is for folders and tables; a tar file is written as a whole");
        ensure!(
            args.overwrite || !Output::File(output.clone()).exists(),
            "{} exists (--overwrite replaces it)",
            output.display()
        );
        Ok(Self { input: input.into(), mask, output })
    }

    /// Fills all photos, and writes the other tar file with those that did not fail.
    ///
    /// # Errors
    /// If the tar file cannot be read to its end, or the other one cannot be written.
    pub fn run(&self, filler: &Filler<'_>) -> Result<Outcome> {
        if filler.args.dry_run {
            return self.fill(filler, |_| Ok(()));
        }
        if let Some(folder) = self.output.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let mut outcome = Outcome::Done;
        write_atomically(&self.output, |writer| -> Result<()> {
            let mut archive = tar::Builder::new(writer);
            let context = || format!("cannot write {}", self.output.display());
            outcome = self.fill(filler, |members| {
                members.into_iter().try_for_each(|member| append(&mut archive, member).with_context(context))
            })?;
            archive.finish().with_context(context)
        })?;
        Ok(outcome)
    }

    /// Fills all photos and gives the members of each sample to `write`, in the order of the tar file.
    fn fill(&self, filler: &Filler<'_>, mut write: impl FnMut(Vec<Member>) -> Result<()>) -> Result<Outcome> {
        let name = || format!("cannot read {}", self.input.display());
        let file = File::open(&self.input).with_context(name)?;
        let mut archive = Archive::new(BufReader::new(file));
        let mut samples = archive.samples(filler.args.limits.limits()).with_context(name)?;
        let progress = Progress::new(None, filler.args.json);
        loop {
            let chunk = next_samples(&mut samples, filler.args.jobs.into()).with_context(name)?;
            if chunk.is_empty() {
                break;
            }
            let filled: Vec<(Row, Vec<Member>)> = std::thread::scope(|scope| {
                let workers: Vec<_> = chunk
                    .into_iter()
                    .map(|sample| scope.spawn(move || self.sample(filler, sample)))
                    .collect();
                let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
                    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                };
                workers.into_iter().map(join).collect()
            });
            for (row, members) in filled {
                progress.report(&row)?;
                write(members)?;
            }
        }
        ensure!(progress.done() > 0, "{} has no files", self.input.display());
        Ok(progress.finish())
    }

    /// Fills one sample, and returns what is written of it: all of its members, with the filled photo.
    fn sample(&self, filler: &Filler<'_>, mut sample: Sample) -> (Row, Vec<Member>) {
        let (photo, task) = match self.task(&mut sample, filler.args.format) {
            Ok(found) => found,
            Err(error) => {
                let image = self.name_in(&self.input, &sample.key);
                return (Row::failed(image, error.to_string()), Vec::new());
            }
        };
        let mut filled = Vec::new();
        let row = filler.row_into(&task, true, |bytes| {
            filled = bytes.to_vec();
            Ok(())
        });
        if !matches!(row.status, Status::Filled(_) | Status::Copied) {
            return (row, Vec::new());
        }
        let photo = &mut sample.members[photo];
        photo.name = output_name(photo.name.clone().into(), filler.args.format).display().to_string();
        photo.bytes = filled;
        (row, sample.members)
    }

    /// The task of a sample, and the position of its photo. The photo's bytes move to the task.
    fn task(&self, sample: &mut Sample, format: Option<Format>) -> Result<(usize, Task)> {
        if let Some(problem) = &sample.problem {
            bail!("{problem}");
        }
        let members = &mut sample.members;
        let is_photo =
            |kind: &str| !kind.contains('.') && Format::reads_extension(Path::new(&format!("a.{kind}")));
        let photo = only(members, "photo", is_photo)?;
        let mask = match &self.mask {
            TarMask::Members => {
                let mask = only(members, "mask", |kind| kind.strip_prefix(MASK).is_some_and(is_photo))?;
                let Member { name, bytes, .. } = &members[mask];
                MaskInput::File(Input::Bytes {
                    name: self.name_in(&self.input, name).into(),
                    bytes: bytes.as_slice().into(),
                })
            }
            TarMask::Same(mask) => mask.clone(),
        };
        let Member { name, bytes, .. } = &mut members[photo];
        let image = Input::Bytes {
            name: self.name_in(&self.input, name).into(),
            bytes: std::mem::take(bytes).into(),
        };
        let output = output_name(name.clone().into(), format).display().to_string();
        let output = Output::Member(self.name_in(&self.output, &output).into());
        Ok((photo, Task::new(image, mask, output)))
    }

    /// A member's name after that of its tar file.
    fn name_in(&self, tar: &Path, name: &str) -> String {
        format!("{}/{name}", tar.display())
    }
}

/// The only member of this kind.
fn only(members: &[Member], what: &str, is_wanted: impl Fn(&str) -> bool) -> Result<usize> {
    let mut found = members.iter().enumerate().filter(|(_, member)| is_wanted(member.kind()));
    match (found.next(), found.next()) {
        (Some((position, _)), None) => Ok(position),
        (Some((_, first)), Some((_, second))) => {
            bail!("two {what}s: {} and {}", first.name, second.name)
        }
        (None, _) => {
            let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
            bail!("no {what} (files of one key must follow one another): {}", names.join(", "))
        }
    }
}

/// The next samples, at most `count`.
fn next_samples(samples: &mut Samples<'_, BufReader<File>>, count: usize) -> Result<Vec<Sample>> {
    let mut chunk = Vec::new();
    while chunk.len() < count
        && let Some(sample) = samples.next()?
    {
        chunk.push(sample);
    }
    Ok(chunk)
}

/// Appends a member, with the time and permissions of its header.
fn append(archive: &mut tar::Builder<impl Write>, member: Member) -> std::io::Result<()> {
    let Member { header: before, name, bytes } = member;
    let mut header = tar::Header::new_gnu();
    header.set_mode(before.mode()? & 0o777);
    header.set_mtime(before.mtime()?);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, name, bytes.as_slice())
}
