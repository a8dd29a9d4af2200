//! The container of a JPEG XL file: its codestream and its metadata (ISO/IEC 18181-2).

use std::borrow::Cow;
use std::io::Read;

use brotli_decompressor::Decompressor;

use crate::picture::converted::boxes::{self, Boxes, Bytes, Child, find};
use crate::picture::converted::{Block, Unreadable};

/// Bytes that are inflated at a time.
const INFLATED_PORTION: usize = 4096;

/// A file's parts.
pub struct Container<'a> {
    pub codestream: Cow<'a, [u8]>,
    /// A TIFF structure without a header.
    pub exif: Block,
    pub xmp: Block,
}

impl<'a> Container<'a> {
    /// The parts of a file; a file without a container is its codestream. Compressed metadata may inflate to `most` bytes.
    ///
    /// # Errors
    /// A sentence that describes what is damaged.
    pub fn of(file: &'a [u8], most: u64) -> Result<Self, &'static str> {
        if file.starts_with(&[0xFF, 0x0A]) {
            return Ok(Self { codestream: Cow::Borrowed(file), exif: None, xmp: None });
        }
        let exif = block(file, b"Exif", most);
        let structure = |block: Vec<u8>| boxes::exif(&block).map(<[u8]>::to_vec).ok_or(Unreadable);
        Ok(Self {
            codestream: codestream(file)?,
            exif: exif.map(|block| block.and_then(structure)),
            xmp: block(file, b"xml ", most),
        })
    }
}

fn codestream(file: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    if let Some(whole) = find(file, b"jxlc") {
        return Ok(Cow::Borrowed(whole));
    }
    /// The highest bit of a part's number marks the last part.
    const NUMBER: u32 = 0x7FFF_FFFF;
    let mut joined = Vec::new();
    for (place, part) in Boxes::of(file).filter(|child| child.kind == *b"jxlp").enumerate() {
        let mut bytes = Bytes(part.body);
        if bytes.u32().map(|number| number & NUMBER) != u32::try_from(place).ok() {
            return Err("the parts of its codestream are not in order");
        }
        joined.extend_from_slice(bytes.0);
    }
    if joined.is_empty() { Err("it has no codestream") } else { Ok(Cow::Owned(joined)) }
}

/// The content of the first box of a kind, inflated.
fn block(file: &[u8], kind: &[u8; 4], most: u64) -> Block {
    let is_compressed = |child: &Child| child.kind == *b"brob" && child.body.starts_with(kind);
    let child = Boxes::of(file).find(|child| child.kind == *kind || is_compressed(child))?;
    if child.kind == *kind {
        return Some(Ok(child.body.to_vec()));
    }
    let inflated = Decompressor::new(&child.body[kind.len()..], INFLATED_PORTION);
    let mut block = Vec::new();
    let is_whole = inflated.take(most + 1).read_to_end(&mut block).is_ok() && block.len() as u64 <= most;
    Some(if is_whole { Ok(block) } else { Err(Unreadable) })
}
