//! A table of photos, read as a stream: memory does not grow with its rows, except by eight bytes each while it is checked.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use lacuna::mask::MaskFrom;

use super::further::Further;
use super::place::MaskInput;
use super::shard::Shard;
use super::task::Task;
use crate::usage::ensure_usage;

/// Bytes of the table read at a time.
const BLOCK: usize = 1 << 18;

/// A table of photos, one row each, that was checked from its first to its last row.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    from: MaskFrom,
    shard: Option<Shard>,
    count: usize,
}

impl Table {
    /// Checks every row of the table, also those of other shards.
    ///
    /// # Errors
    /// If the table cannot be read, a row is malformed, or an output is a mask or the output of another row.
    pub fn open(path: &Path, from: MaskFrom, shard: Option<Shard>, further: &Further) -> Result<Self> {
        let mut rows = Rows::open(path, from)?;
        let folder = rows.folder.clone();
        let (mut count, mut outputs) = (0, Vec::new());
        while let Some(row) = rows.next()? {
            let output = plain(row.output);
            let is_mask =
                row.mask.is_some_and(|mask| plain(mask) == output) || further.is_one(&folder.join(output));
            ensure_usage!(
                !is_mask,
                "{}: {} is an input and would be overwritten",
                row.place(path),
                folder.join(output).display()
            );
            count += usize::from(shard.is_none_or(|shard| shard.contains(row.output)));
            outputs.push(path_hash(output));
        }
        ensure!(!outputs.is_empty(), "{} lists no photos", path.display());
        outputs.sort_unstable();
        let equal = outputs.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        // Equal outputs have equal hashes, other outputs hardly ever: read the table again and see.
        for hash in equal {
            if let Some((first, second, output)) = same_output(path, from, hash)? {
                bail!(
                    "{}, lines {first} and {second}: two photos would be written to {}",
                    path.display(),
                    folder.join(output).display()
                );
            }
        }
        Ok(Self { path: path.into(), from, shard, count })
    }

    /// The file of the table.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The part that is filled; `None` for the whole table.
    pub fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// The number of photos in the shard.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The shard's tasks, in the order of the table. The first error ends them.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn tasks(&self) -> Result<impl Iterator<Item = Result<Task>> + Send + use<>> {
        let mut rows = Some(Rows::open(&self.path, self.from)?);
        let shard = self.shard;
        Ok(std::iter::from_fn(move || {
            let next = rows.as_mut()?.next_task(shard);
            if !matches!(next, Ok(Some(_))) {
                rows = None;
            }
            next.transpose()
        }))
    }
}

/// The lines of the first two rows with one output, and the output, among those with this hash.
fn same_output(path: &Path, from: MaskFrom, hash: u64) -> Result<Option<(u64, u64, PathBuf)>> {
    let mut rows = Rows::open(path, from)?;
    let mut seen: Vec<(u64, PathBuf)> = Vec::new();
    while let Some(row) = rows.next()? {
        let output = plain(row.output);
        if path_hash(output) != hash {
            continue;
        }
        if let Some((line, output)) = seen.iter().find(|(_, other)| other == output) {
            return Ok(Some((*line, row.line, output.clone())));
        }
        seen.push((row.line, output.into()));
    }
    Ok(None)
}

/// A path without `.` before it. [`Path`] takes other spellings of one path as equal.
fn plain(path: &str) -> &Path {
    let path = Path::new(path);
    path.strip_prefix(".").unwrap_or(path)
}

/// A hash of a path, the same for all spellings that [`Path`] takes as equal. Other versions of the program may compute
/// another one.
pub fn path_hash(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// A row, without spaces around its values.
struct Row<'a> {
    line: u64,
    image: &'a str,
    mask: Option<&'a str>,
    output: &'a str,
}

impl Row<'_> {
    /// The file and line, for messages.
    fn place(&self, path: &Path) -> String {
        format!("{}, line {}", path.display(), self.line)
    }
}

/// The rows of a table, one after the other.
struct Rows {
    path: PathBuf,
    folder: PathBuf,
    reader: csv::Reader<File>,
    record: csv::StringRecord,
    columns: Columns,
}

/// The positions of the columns.
struct Columns {
    image: usize,
    /// `None` if the photo's alpha channel is the mask.
    mask: Option<usize>,
    output: usize,
}

impl Columns {
    fn find(header: &csv::StringRecord, from: MaskFrom) -> Result<Self> {
        let names: Vec<&str> = header.iter().map(str::trim).collect();
        let expected = || {
            anyhow!(
                "the columns must be {}, the first line has {}",
                match from {
                    MaskFrom::File => "image,mask,output",
                    MaskFrom::Alpha => "image,output",
                },
                names.join(",")
            )
        };
        let find = |name: &str| names.iter().position(|other| *other == name);
        let is_known = |name: &&str| ["image", "mask", "output"].contains(name);
        let is_twice = |(index, name): (usize, &&str)| names[..index].contains(name);
        if !names.iter().all(is_known) || names.iter().enumerate().any(is_twice) {
            return Err(expected());
        }
        let mask = match from {
            MaskFrom::File => Some(find("mask").ok_or_else(expected)?),
            MaskFrom::Alpha => None,
        };
        let (image, output) = (find("image").ok_or_else(expected)?, find("output").ok_or_else(expected)?);
        Ok(Self { image, mask, output })
    }
}

impl Rows {
    fn open(path: &Path, from: MaskFrom) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(BLOCK).from_reader(file);
        let header = reader.headers().map_err(|error| explained(path, error))?;
        let columns = Columns::find(header, from).with_context(|| path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new(".")).into();
        Ok(Self { path: path.into(), folder, reader, record: csv::StringRecord::new(), columns })
    }

    /// The next row.
    fn next(&mut self) -> Result<Option<Row<'_>>> {
        let read = self.reader.read_record(&mut self.record);
        if !read.map_err(|error| explained(&self.path, error))? {
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        let value = |column: usize, name: &str| match self.record[column].trim() {
            "" => Err(anyhow!("{}, line {line}: no {name}", self.path.display())),
            value => Ok(value),
        };
        let Columns { image, mask, output } = self.columns;
        Ok(Some(Row {
            line,
            image: value(image, "image")?,
            mask: mask.map(|mask| value(mask, "mask")).transpose()?,
            output: value(output, "output")?,
        }))
    }

    /// The next task of a shard.
    fn next_task(&mut self, shard: Option<Shard>) -> Result<Option<Task>> {
        let folder = self.folder.clone();
        while let Some(row) = self.next()? {
            if shard.is_none_or(|shard| shard.contains(row.output)) {
                let mask = row.mask.map_or(MaskInput::Alpha, |mask| folder.join(mask).into());
                let (image, output) = (folder.join(row.image).into(), folder.join(row.output).into());
                return Ok(Some(Task::new(image, mask, output)));
            }
        }
        Ok(None)
    }
}

/// An error of the CSV reader, with the file and line.
fn explained(path: &Path, error: csv::Error) -> anyhow::Error {
    let line = error.position().map(|position| format!(", line {}", position.line())).unwrap_or_default();
    let place = format!("{}{line}", path.display());
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            anyhow!("{place}: {len} values, but the first line has {expected_len} columns")
        }
        csv::ErrorKind::Utf8 { err, .. } => anyhow!("{place}: column {} is not UTF-8", err.field() + 1),
        _ => anyhow::Error::new(error).context(format!("cannot read {place}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inpaint::place::Input;
    use std::fs;

    /// Writes a table, and opens it.
    fn open(folder: &Path, text: &[u8], from: MaskFrom) -> Result<Table, String> {
        let path = folder.join("list.csv");
        fs::write(&path, text).unwrap();
        Table::open(&path, from, None, &Further::default()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn rows_are_relative_to_their_table() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let text = b"output, image ,mask\r\n o.png ,a.png, m.png\r\n\"p,q.png\",b.png,m.png\n";
        let table = open(folder.path(), text, MaskFrom::File).unwrap();
        let tasks: Vec<Task> = table.tasks().unwrap().map(Result::unwrap).collect();
        let task =
            |image: &str, output: &str| Task::new(at(image).into(), at("m.png").into(), at(output).into());
        assert_eq!((table.count(), tasks), (2, vec![task("a.png", "o.png"), task("b.png", "p,q.png")]));
        let table = open(folder.path(), b"image,output\na,b", MaskFrom::Alpha).unwrap();
        let task = table.tasks().unwrap().next().unwrap().unwrap();
        assert_eq!((task.image, task.mask), (at("a").into(), MaskInput::Alpha));
    }

    #[test]
    fn malformed_tables_name_the_line() {
        let folder = tempfile::tempdir().unwrap();
        for (text, words) in [
            ("", "the columns must be image,mask,output"),
            ("image,output\na,b\n", "the columns must be image,mask,output, the first line has image,output"),
            ("image,mask,output,more\n", "the first line has image,mask,output,more"),
            ("image,mask,output,mask\n", "the first line has image,mask,output,mask"),
            ("image,mask,output\n", "lists no photos"),
            (
                "image,mask,output\na,b,c\na,b\n",
                "list.csv, line 3: 2 values, but the first line has 3 columns",
            ),
            ("image,mask,output\na,b,c\na, ,d\n", "list.csv, line 3: no mask"),
            ("image,mask,output\na,b,\n", "list.csv, line 2: no output"),
            ("image,mask,output\na,b,c\na,b,d\nx,y,e\nx,b,./d//\n", "lines 3 and 5: two photos would"),
            ("image,mask,output\na,b,c/\n1,2,3\na,b,c\n", "lines 2 and 4: two photos would be written to"),
            ("image,mask,output\na,b,c\na,d/m,d//m\n", "line 3: "),
        ] {
            let error = open(folder.path(), text.as_bytes(), MaskFrom::File).unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        let error = open(folder.path(), b"image,mask,output\na,b,c\na,\xff,d\n", MaskFrom::File).unwrap_err();
        assert!(error.contains("list.csv, line 3: column 2 is not UTF-8"), "{error}");
    }

    #[test]
    fn what_is_avoided_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        fs::write(&path, "image,mask,output\na,b,c\n").unwrap();
        let avoid = Input::File(folder.path().join("c"));
        let error = Table::open(&path, MaskFrom::File, None, &avoid.into()).unwrap_err();
        assert!(error.to_string().contains("line 2: "), "{error}");
    }
}
