//! The manifests of a table and its shards, and `--merge-manifests`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use lacuna::atomic::write_atomically;

use super::lines::{Line, read_lines};
use super::shard::{Shard, ShardArg};
use super::table::path_hash;

/// The manifest's name in an output folder, and its ending beside a table.
pub const MANIFEST: &str = "lacuna-manifest.jsonl";

/// The manifest of a table, or of one of its shards: `list.csv.3-of-8.lacuna-manifest.jsonl`.
pub fn manifest_of(table: &Path, shard: Option<Shard>) -> PathBuf {
    let mut name = table.as_os_str().to_owned();
    if let Some(shard) = shard {
        name.push(format!(".{shard}"));
    }
    name.push(format!(".{MANIFEST}"));
    name.into()
}

/// A shard's manifest that exists.
struct Found {
    shard: Shard,
    path: PathBuf,
    changed: SystemTime,
}

/// The manifests of a table's shards.
fn manifests_of_shards(table: &Path) -> Result<Vec<Found>> {
    let folder = table.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let context = || format!("cannot read {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        if let Some(shard) = shard_of(table, &entry.file_name()) {
            let changed = entry.metadata().and_then(|metadata| metadata.modified()).with_context(context)?;
            found.push(Found { shard, path: manifest_of(table, Some(shard)), changed });
        }
    }
    found.sort_by_key(|found| (found.shard.count(), found.shard.index()));
    Ok(found)
}

/// The shard whose manifest has this file name.
fn shard_of(table: &Path, name: &OsStr) -> Option<Shard> {
    let middle = name.to_str()?.strip_prefix(table.file_name()?.to_str()?)?.strip_prefix('.')?;
    let Ok(ShardArg::Given(shard)) =
        middle.strip_suffix(MANIFEST)?.strip_suffix('.')?.replace("-of-", "/").parse()
    else {
        return None;
    };
    (manifest_of(table, Some(shard)).file_name() == Some(name)).then_some(shard)
}

/// Merges the manifests of a table's shards, and the table's own, into the table's own. The manifests of the shards are
/// left. Of the results of one output the last one counts, in the order in which the manifests were last written.
///
/// # Errors
/// If no shard has a manifest, or a file cannot be read or written.
pub fn merge(table: &Path) -> Result<()> {
    table.metadata().with_context(|| format!("cannot read {}", table.display()))?;
    let shards = manifests_of_shards(table)?;
    let whole = manifest_of(table, None);
    ensure!(
        !shards.is_empty(),
        "{} has no manifests of shards, such as {}.0-of-2.{MANIFEST}",
        table.display(),
        table.display()
    );
    note_missing(table, &shards);
    let mut inputs: Vec<(SystemTime, PathBuf)> =
        shards.into_iter().map(|found| (found.changed, found.path)).collect();
    inputs.extend(changed(&whole)?.map(|changed| (changed, whole.clone())));
    inputs.sort();

    let mut results: HashMap<u64, Place> = HashMap::new();
    for (file, (_, path)) in inputs.iter().enumerate() {
        let place = |offset, line: Line<'_>| {
            let is_finished = matches!(line, Line::Finished { .. });
            (path_hash(line.output()), Place { file, offset, is_finished })
        };
        let damaged = read_lines(path, place, |(output, place)| {
            let result = results.entry(output).or_insert(place);
            if place.is_finished || !result.is_finished {
                *result = place;
            }
            Ok(())
        })?;
        if damaged > 0 {
            eprintln!("note: {}: {damaged} incomplete lines are left out", path.display());
        }
    }
    write_atomically(&whole, |writer| -> Result<()> {
        for (file, (_, path)) in inputs.iter().enumerate() {
            let text = |offset, line: Line<'_>| {
                let place = results.get(&path_hash(line.output()));
                let is_last = place.is_some_and(|place| (place.file, place.offset) == (file, offset));
                is_last.then(|| serde_json::to_string(&line)).transpose()
            };
            read_lines(path, text, |line| {
                line?
                    .map_or(Ok(()), |line| writeln!(writer, "{line}"))
                    .with_context(|| format!("cannot write {}", whole.display()))
            })?;
        }
        Ok(())
    })?;
    let finished = results.values().filter(|place| place.is_finished).count();
    eprintln!(
        "{}: {finished} finished outputs, {} others, from {} manifests",
        whole.display(),
        results.len() - finished,
        inputs.len()
    );
    Ok(())
}

/// Where the result of an output is recorded.
#[derive(Clone, Copy)]
struct Place {
    file: usize,
    offset: u64,
    is_finished: bool,
}

/// When a file was last written; `None` if it does not exist.
fn changed(path: &Path) -> Result<Option<SystemTime>> {
    match path.metadata().and_then(|metadata| metadata.modified()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        time => time.map(Some).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Notes which shards have no manifest.
fn note_missing(table: &Path, shards: &[Found]) {
    for group in shards.chunk_by(|one, other| one.shard.count() == other.shard.count()) {
        let count = group[0].shard.count();
        let has = |index: &u32| group.iter().any(|found| found.shard.index() == *index);
        let mut missing = (0..count.get()).filter(|index| !has(index));
        let Some(first) = missing.next() else { continue };
        let others = count.get() as usize - group.len() - 1;
        let others = if others > 0 { format!(" and {others} more") } else { String::new() };
        eprintln!("note: {}: shard {first} of {count}{others} has no manifest", table.display());
    }
}

/// Notes that shards other than this run's finished photos of which `--resume` does not know.
///
/// # Errors
/// If the folder of the table cannot be read.
pub fn note_unmerged(table: &Path, shard: Option<Shard>) -> Result<()> {
    let merged = changed(&manifest_of(table, None))?;
    let is_unknown = |found: &Found| {
        shard.map(Shard::count) != Some(found.shard.count())
            && merged.is_none_or(|merged| merged < found.changed)
    };
    let count = manifests_of_shards(table)?.into_iter().filter(is_unknown).count();
    if count > 0 {
        eprintln!(
            "note: {count} manifests of other shards are not merged: --merge-manifests lets --resume use them"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_manifests() {
        let table = Path::new("data/list.csv");
        let shard = Shard::new(3, 8.try_into().unwrap());
        let name = "list.csv.3-of-8.lacuna-manifest.jsonl";
        assert_eq!(manifest_of(table, shard), Path::new("data").join(name));
        assert_eq!(manifest_of(table, None), Path::new("data/list.csv.lacuna-manifest.jsonl"));
        assert_eq!(shard_of(table, OsStr::new(name)), shard);
        for other in [
            "list.csv.lacuna-manifest.jsonl",
            "list.csv.8-of-8.lacuna-manifest.jsonl",
            "list.csv.03-of-8.lacuna-manifest.jsonl",
            "list.csv.3-of-8.jsonl",
            "other.csv.3-of-8.lacuna-manifest.jsonl",
        ] {
            assert_eq!(shard_of(table, OsStr::new(other)), None, "{other}");
        }
    }
}
