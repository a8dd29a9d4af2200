//! What the `image` crate does not say of PNG files (PNG, third edition, section 5).

use std::io::{self, Read};

use flate2::read::ZlibDecoder;

/// A chunk: its kind and its data.
pub type Chunk<'a> = ([u8; 4], &'a [u8]);

/// Bytes before the first chunk.
const SIGNATURE: usize = 8;

/// The chunks before the pixels, up to the first that is cut off.
pub fn chunks_before_pixels(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (kind, after) = after.split_first_chunk()?;
        let (data, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        // The checksum.
        rest = after.get(4..).unwrap_or_default();
        (kind != b"IDAT").then_some((*kind, data))
    })
}

/// The size of a compressed colour profile (iCCP), inflated no further than one byte beyond `most`; `None` without one.
///
/// # Errors
/// If it is damaged.
pub fn inflated_profile(bytes: &[u8], most: u64) -> io::Result<Option<u64>> {
    let Some((_, data)) = chunks_before_pixels(bytes).find(|(kind, _)| kind == b"iCCP") else {
        return Ok(None);
    };
    // A name that ends with 0, the compression method, the compressed profile.
    let name = data.iter().position(|&byte| byte == 0).ok_or(io::ErrorKind::InvalidData)?;
    let compressed = data.get(name + 2..).unwrap_or_default();
    io::copy(&mut ZlibDecoder::new(compressed).take(most.saturating_add(1)), &mut io::sink()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write as _;

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
