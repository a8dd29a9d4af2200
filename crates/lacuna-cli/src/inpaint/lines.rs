//! The lines of a manifest.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use anyhow::{Context, Result};
use memchr::memchr_iter;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Bytes of a manifest read at a time.
const BLOCK: u64 = 1 << 22;

/// A line of a manifest.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Line<'a> {
    /// The output is about to be written; from now on the file there belongs to the batch.
    Started {
        /// Its path.
        output: Cow<'a, str>,
    },
    /// The output was written.
    Finished {
        /// Its path.
        output: Cow<'a, str>,
        /// The hash of what decides its pixels.
        key: Cow<'a, str>,
        /// The hash of the file.
        sha256: Cow<'a, str>,
    },
}

/// A line as it is parsed. Serde reads a tagged enum at half the speed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    event: Event,
    #[serde(borrow)]
    output: Cow<'a, str>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sha256: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Event {
    Started,
    Finished,
}

impl<'a> Line<'a> {
    /// The path of the output.
    pub fn output(&self) -> &Path {
        let (Self::Started { output } | Self::Finished { output, .. }) = self;
        Path::new(output.as_ref())
    }

    fn parse(text: &'a [u8]) -> Option<Self> {
        let Fields { event, output, key, sha256 } = serde_json::from_slice(text).ok()?;
        match (event, key, sha256) {
            (Event::Started, None, None) => Some(Self::Started { output }),
            (Event::Finished, Some(key), Some(sha256)) => Some(Self::Finished { output, key, sha256 }),
            _ => None,
        }
    }
}

/// Calls `each` with what `map` makes of the lines of a manifest, in their order, and returns how many lines could not be
/// read: a batch that is killed leaves its last line incomplete. `map` runs on all threads, and also gets the offset of a
/// line in bytes. A manifest that does not exist has no lines.
///
/// # Errors
/// If the file cannot be read, and the first error of `each`.
pub fn read_lines<T: Send>(
    path: &Path,
    map: impl Fn(u64, Line<'_>) -> T + Sync,
    mut each: impl FnMut(T) -> Result<()>,
) -> Result<usize> {
    let context = || format!("cannot read the manifest {}", path.display());
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        file => file.with_context(context)?,
    };
    let (mut block, mut offset, mut damaged) = (Vec::new(), 0, 0);
    loop {
        let read = file.by_ref().take(BLOCK).read_to_end(&mut block).with_context(context)?;
        let newlines = memchr_iter(b'\n', &block).map(|newline| newline + 1);
        // The last line of a block goes on in the next one, if there is a next one.
        let ends: Vec<usize> = newlines.chain((read == 0).then_some(block.len())).collect();
        let starts: Vec<usize> = [0].into_iter().chain(ends.iter().copied()).collect();
        let mapped: Vec<Option<T>> = starts
            .par_iter()
            .zip(&ends)
            .map(|(&start, &end)| (start, block[start..end].trim_ascii()))
            .filter(|(_, text)| !text.is_empty())
            .map(|(start, text)| Line::parse(text).map(|line| map(offset + start as u64, line)))
            .collect();
        for line in mapped {
            match line {
                Some(line) => each(line)?,
                None => damaged += 1,
            }
        }
        if read == 0 {
            return Ok(damaged);
        }
        let end = ends.last().copied().unwrap_or(0);
        offset += end as u64;
        block.drain(..end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let started = Line::Started { output: "a \"b\"\\c.png".into() };
        let finished = Line::Finished { output: "ü.png".into(), key: "0a".into(), sha256: "0b".into() };
        let mut text = Vec::new();
        for line in [&started, &finished] {
            text.extend(serde_json::to_vec(line).unwrap());
            text.extend(b"\n\n");
        }
        // Killed in the middle of a character.
        text.extend(b"{\"event\":\"started\",\"output\":\"\xc3");
        fs::write(file.path(), text).unwrap();
        let mut expected = [(0, started), (47, finished)].into_iter();
        let owned = |offset, line: Line<'_>| (offset, serde_json::to_string(&line).unwrap());
        let damaged = read_lines(file.path(), owned, |(offset, line)| {
            let (at, expected) = expected.next().unwrap();
            assert_eq!((offset, line), (at, serde_json::to_string(&expected).unwrap()));
            Ok(())
        });
        assert_eq!((damaged.unwrap(), expected.next()), (1, None));
        for bad in [
            "{\"event\":\"finished\",\"output\":\"a\"}",
            "{\"event\":\"started\",\"output\":\"a\",\"more\":1}",
        ] {
            assert_eq!(Line::parse(bad.as_bytes()), None);
        }
        assert_eq!(read_lines(Path::new("nowhere"), |_, _| (), |()| unreachable!()).unwrap(), 0);
    }
}
