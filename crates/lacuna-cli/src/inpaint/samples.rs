//! The samples of a tar file in webdataset's layout: members one after the other whose names have the same part before the
//! first dot. Nothing is extracted to disk, and one sample is in memory at a time.

use std::cell::Cell;
use std::io::{self, Read};
use std::path::{Component, Path};
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use lacuna::picture::Limits;
use tar::{Entries, Entry, EntryType, Header};

/// The most bytes of headers before a member: two of 512, and names and attributes of POSIX and GNU.
const MOST_HEADER_BYTES: u64 = 1 << 20;

/// What a member takes beside its contents: its header, its name and its place in the list.
const MEMBER_BYTES: u64 = 1 << 10;

/// Members with the same key.
pub struct Sample {
    /// The path of its members up to the first dot of their file name.
    pub key: String,
    /// Its members, in the order of the tar file; none if it cannot be used.
    pub members: Vec<Member>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// A file in a tar file.
pub struct Member {
    /// Its header.
    pub header: Header,
    /// Its path.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

impl Member {
    /// The part of the name after the key and a dot.
    pub fn kind(&self) -> &str {
        self.name[key_of(&self.name).len()..].trim_start_matches('.')
    }
}

/// The path up to the first dot of the file name.
fn key_of(name: &str) -> &str {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    name[file..].find('.').map_or(name, |dot| &name[..file + dot])
}

/// Reads at most as much as it is allowed to.
pub struct Metered<R> {
    inner: R,
    allowed: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.allowed.get().checked_sub(read as u64);
        self.allowed.set(left.ok_or_else(|| io::Error::other("more than 1 MiB of names and attributes"))?);
        Ok(read)
    }
}

/// Reads a tar file with bounded memory, through [`Samples`].
pub struct Archive<R: Read> {
    archive: tar::Archive<Metered<R>>,
    allowed: Rc<Cell<u64>>,
}

impl<R: Read> Archive<R> {
    /// A tar file that `reader` reads.
    pub fn new(reader: R) -> Self {
        let allowed = Rc::new(Cell::new(0));
        let metered = Metered { inner: reader, allowed: Rc::clone(&allowed) };
        Self { archive: tar::Archive::new(metered), allowed }
    }

    /// Its samples.
    ///
    /// # Errors
    /// If reading has begun before.
    pub fn samples(&mut self, limits: Limits) -> Result<Samples<'_, R>> {
        let entries = self.archive.entries()?;
        Ok(Samples { entries, allowed: Rc::clone(&self.allowed), limits, next: None, unread: 0 })
    }
}

/// The samples of a tar file, one after the other.
pub struct Samples<'a, R: Read> {
    entries: Entries<'a, Metered<R>>,
    allowed: Rc<Cell<u64>>,
    limits: Limits,
    /// The first part of the next sample.
    next: Option<Part>,
    /// Bytes of the last entry that are not read yet.
    unread: u64,
}

/// A member, or why it cannot be used.
struct Part {
    key: String,
    member: Result<Member, String>,
}

impl<R: Read> Samples<'_, R> {
    /// The next sample.
    ///
    /// # Errors
    /// If the tar file cannot be read, is damaged or ends too early.
    pub fn next(&mut self) -> Result<Option<Sample>> {
        let first = match self.next.take() {
            Some(part) => part,
            None => match self.part(0)? {
                Some(part) => part,
                None => return Ok(None),
            },
        };
        let mut sample = Sample { key: first.key.clone(), members: Vec::new(), problem: None };
        let mut bytes = 0;
        let mut part = Some(first);
        while let Some(Part { key, member }) = part {
            if key != sample.key {
                self.next = Some(Part { key, member });
                break;
            }
            match member {
                Ok(member) if sample.problem.is_none() => {
                    bytes += MEMBER_BYTES + member.bytes.len() as u64;
                    sample.members.push(member);
                }
                Ok(_) => {}
                Err(problem) => {
                    sample.problem.get_or_insert(problem);
                    (sample.members, bytes) = (Vec::new(), 0);
                }
            }
            part = self.part(bytes)?;
        }
        Ok(Some(sample))
    }

    /// The next member that is not a folder and not hidden, if it fits beside `held` bytes of its sample.
    fn part(&mut self, held: u64) -> Result<Option<Part>> {
        loop {
            self.allowed.set(MOST_HEADER_BYTES.saturating_add(self.unread));
            let Some(entry) = self.entries.next() else { return Ok(None) };
            self.allowed.set(u64::MAX);
            let mut entry = entry.context("damaged tar file")?;
            // The end of a sparse file may be far away: it is never read, but skipped.
            let is_sparse = entry.header().entry_type() == EntryType::GNUSparse;
            self.unread = if is_sparse { entry.header().entry_size()? } else { 0 };
            if let Some(part) = read_part(&mut entry, held, &self.limits)? {
                return Ok(Some(part));
            }
        }
    }
}

/// Reads an entry to its end; `None` for what is no file.
fn read_part<R: Read>(entry: &mut Entry<'_, R>, held: u64, limits: &Limits) -> Result<Option<Part>> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let kind = entry.header().entry_type();
    let length = entry.size();
    let is_folder = kind == EntryType::Directory || name.ends_with('/');
    let is_hidden = name.rsplit('/').next().is_some_and(|file| file.starts_with('.'));
    let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
    let mut bytes = Vec::new();
    let member = if !is_file {
        Err(format!("{name} is not a file but {}", describe(kind)))
    } else if let Err(problem) = checked(&entry.path_bytes()) {
        Err(problem)
    } else if let Err(error) = limits.check_file(&name, held.saturating_add(length)) {
        let others = if held > 0 { ", with the files of the same key before it" } else { "" };
        Err(format!("{error} (--max-bytes){others}"))
    } else {
        Ok(entry.header().clone())
    };
    let read = match member {
        Ok(_) => entry.read_to_end(&mut bytes).map(|read| read as u64),
        Err(_) if kind == EntryType::GNUSparse => Ok(length),
        Err(_) => io::copy(entry, &mut io::sink()),
    };
    let read = read.with_context(|| format!("cannot read {name}"))?;
    ensure!(read == length, "damaged tar file: {name} has {length} bytes, the file ends after {read}");
    if is_folder || is_hidden || kind == EntryType::XGlobalHeader {
        return Ok(None);
    }
    let name = name.trim_start_matches("./").to_owned();
    let key = key_of(&name).to_owned();
    Ok(Some(Part { key, member: member.map(|header| Member { header, name, bytes }) }))
}

/// Checks that a member's name is one that can be written to another tar file, and extracted from it.
fn checked(name: &[u8]) -> Result<(), String> {
    let Ok(name) = std::str::from_utf8(name) else {
        return Err(format!("the name {:?} is not UTF-8", String::from_utf8_lossy(name)));
    };
    let is_inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if name.contains('\0') || !Path::new(name).components().all(is_inside) {
        return Err(format!("the name {name:?} leads out of the folder in which the file is extracted"));
    }
    Ok(())
}

/// What an entry is that is not a file.
fn describe(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link | EntryType::Symlink => "a link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "of an unknown kind",
    }
}
