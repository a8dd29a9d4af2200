//! PNG chunks that the `image` crate does not handle (PNG, third edition, section 5).

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::metadata::{Density, DensityUnit, Metadata};
use super::xmp;

/// A chunk: its kind and its data.
pub type Chunk<'a> = ([u8; 4], &'a [u8]);

/// Bytes before the first chunk.
const SIGNATURE: usize = 8;

/// The chunks before the pixels, up to the first truncated one.
pub fn chunks_before_pixels(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    all_chunks(bytes).take_while(|(kind, _)| kind != b"IDAT")
}

/// The size of a compressed colour profile (iCCP), inflated at most one byte beyond `most`; `None` without a profile.
///
/// # Errors
/// If it is damaged.
pub fn inflated_profile(bytes: &[u8], most: u64) -> io::Result<Option<u64>> {
    let Some((_, data)) = chunks_before_pixels(bytes).find(|(kind, _)| kind == b"iCCP") else {
        return Ok(None);
    };
    // A zero-terminated name, the compression method, the compressed profile.
    let name = data.iter().position(|&byte| byte == 0).ok_or(io::ErrorKind::InvalidData)?;
    let compressed = data.get(name + 2..).unwrap_or_default();
    io::copy(&mut ZlibDecoder::new(compressed).take(most.saturating_add(1)), &mut io::sink()).map(Some)
}

/// The data of the first chunk of a kind before the pixels.
pub fn chunk<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    chunks_before_pixels(bytes).find(|chunk| &chunk.0 == kind).map(|chunk| chunk.1)
}

/// All chunks before and after the pixels.
fn chunks_around_pixels(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    all_chunks(bytes).filter(|(kind, _)| kind != b"IDAT")
}

fn all_chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (kind, after) = after.split_first_chunk()?;
        let (data, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        // The checksum.
        rest = after.get(4..).unwrap_or_default();
        Some((*kind, data))
    })
}

/// Chunks that are kept as stored: text, time, and colour interpretation.
const KEPT: [&[u8; 4]; 7] = [b"tEXt", b"zTXt", b"iTXt", b"tIME", b"gAMA", b"cHRM", b"sRGB"];

/// The keyword of text that is an XMP packet (XMP specification, part 3, section 1.1.5).
const XMP: &[u8] = b"XML:com.adobe.xmp\0";

/// Beginning of the keywords of text that contains another file's metadata, thumbnails included.
const RAW_PROFILE: &[u8] = b"Raw profile type ";

/// Adds the metadata in the chunks to `metadata`, and appends notes about what is dropped. Compressed XMP may inflate
/// to `most` bytes; other compressed text is kept compressed.
pub fn read(bytes: &[u8], most: u64, metadata: &mut Metadata, notes: &mut Vec<String>) {
    for (kind, data) in chunks_around_pixels(bytes) {
        match &kind {
            b"pHYs" => metadata.density = density(data),
            b"iTXt" if data.starts_with(XMP) => match xmp_packet(&data[XMP.len()..], most) {
                Some(packet) => metadata.xmp = xmp::cleaned(&packet, notes),
                None => notes.push("the XMP packet is damaged or too large and was dropped".into()),
            },
            b"tEXt" | b"zTXt" | b"iTXt" if data.starts_with(RAW_PROFILE) => {
                notes.push("metadata of another format in a text chunk was dropped".into());
            }
            _ if KEPT.contains(&&kind) => metadata.chunks.push((kind, data.to_vec())),
            _ => {}
        }
    }
}

fn density(data: &[u8]) -> Option<Density> {
    let (x, data) = data.split_first_chunk()?;
    let (y, unit) = data.split_first_chunk()?;
    let unit = match unit {
        [0] => DensityUnit::Aspect,
        [1] => DensityUnit::Metre,
        _ => return None,
    };
    let (x, y) = (u32::from_be_bytes(*x), u32::from_be_bytes(*y));
    (x > 0 && y > 0).then_some(Density { unit, x, y })
}

/// The packet of an iTXt chunk after its keyword, inflated to at most `most` bytes.
fn xmp_packet(data: &[u8], most: u64) -> Option<Vec<u8>> {
    let [compressed, _method, rest @ ..] = data else { return None };
    // A language and a translated keyword, each zero-terminated.
    let mut parts = rest.splitn(3, |&byte| byte == 0);
    let text = parts.nth(2)?;
    if *compressed == 0 {
        return Some(text.to_vec());
    }
    let mut packet = Vec::new();
    ZlibDecoder::new(text).take(most.saturating_add(1)).read_to_end(&mut packet).ok()?;
    (packet.len() as u64 <= most).then_some(packet)
}

/// Inserts `metadata`'s chunks into an encoded file, after its header.
pub fn insert(file: &mut Vec<u8>, metadata: &Metadata) {
    let mut chunks = Vec::new();
    if let Some(density) = metadata.density {
        let density = density.per_metre();
        let unit = u8::from(density.unit == DensityUnit::Metre);
        let data = [&density.x.to_be_bytes()[..], &density.y.to_be_bytes(), &[unit]].concat();
        append_chunk(&mut chunks, *b"pHYs", &data);
    }
    for (kind, data) in &metadata.chunks {
        // A profile takes precedence over sRGB, and readers expect only one of them.
        if metadata.icc.is_some() && kind == b"sRGB" {
            continue;
        }
        append_chunk(&mut chunks, *kind, data);
    }
    if let Some(packet) = &metadata.xmp {
        append_chunk(&mut chunks, *b"iTXt", &[XMP, &[0, 0, 0, 0], packet].concat());
    }
    file.splice(AFTER_HEADER..AFTER_HEADER, chunks);
}

/// Inserts a colour profile and EXIF into a file whose encoder does not write them.
pub fn insert_profile_and_exif(file: &mut Vec<u8>, metadata: &Metadata) -> io::Result<()> {
    let mut chunks = Vec::new();
    if let Some(icc) = &metadata.icc {
        let mut encoder = ZlibEncoder::new(b"icc\0\0".to_vec(), Compression::default());
        encoder.write_all(icc)?;
        append_chunk(&mut chunks, *b"iCCP", &encoder.finish()?);
    }
    if let Some(exif) = &metadata.exif {
        append_chunk(&mut chunks, *b"eXIf", exif);
    }
    file.splice(AFTER_HEADER..AFTER_HEADER, chunks);
    Ok(())
}

/// Bytes before the second chunk: the signature, and a header chunk of 13 bytes.
const AFTER_HEADER: usize = SIGNATURE + 12 + 13;

fn append_chunk(chunks: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    chunks.extend((data.len() as u32).to_be_bytes());
    chunks.extend(kind);
    chunks.extend(data);
    let mut checksum = flate2::Crc::new();
    checksum.update(&kind);
    checksum.update(data);
    chunks.extend(checksum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chunks: &[Chunk<'_>]) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, data) in chunks {
            bytes.extend((data.len() as u32).to_be_bytes());
            bytes.extend(kind);
            bytes.extend(*data);
            bytes.extend([0; 4]);
        }
        bytes
    }

    fn profile(size: usize) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(b"name\0\0".to_vec(), Compression::best());
        encoder.write_all(&vec![7; size]).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn chunks_end_at_the_pixels_or_where_they_are_cut_off() {
        let whole = file(&[(*b"IHDR", b"12"), (*b"gAMA", b"3"), (*b"IDAT", b""), (*b"tEXt", b"")]);
        let kinds = |bytes: &[u8]| chunks_before_pixels(bytes).map(|(kind, _)| kind).collect::<Vec<_>>();
        assert_eq!(kinds(&whole), [*b"IHDR", *b"gAMA"]);
        for length in 0..whole.len() {
            assert!(kinds(&whole[..length]).len() <= 2);
        }
        assert!(kinds(&file(&[(*b"IHDR", b"")])[..12]).is_empty());
    }

    #[test]
    fn profiles_are_measured_up_to_a_limit() {
        let compressed = profile(1000);
        let file = file(&[(*b"iCCP", &compressed)]);
        for (most, expected) in [(1000, 1000), (999, 1000), (500, 501), (u64::MAX, 1000)] {
            assert_eq!(inflated_profile(&file, most).unwrap(), Some(expected));
        }
        assert_eq!(inflated_profile(b"", 9).unwrap(), None);
    }

    #[test]
    fn damaged_profiles_are_errors() {
        let compressed = profile(1000);
        for data in [&b"no end of the name"[..], b"", &compressed[..compressed.len() - 9], b"name\0\0garbage"]
        {
            assert!(inflated_profile(&file(&[(*b"iCCP", data)]), 9000).is_err(), "{data:?}");
        }
    }
}
