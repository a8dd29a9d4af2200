//! The bytes of a pickle, read piece by piece with every length checked.

use std::borrow::Cow;

use super::{Parsed, limits};

/// A position in the bytes of a pickle.
pub struct Input<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Input<'a> {
    /// Starts at the first byte. At most [`limits::PICKLE_BYTES`] are read.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: &bytes[..bytes.len().min(limits::PICKLE_BYTES)], position: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Reads `length` bytes.
    pub fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..length).ok_or_else(|| {
            format!("is a pickle that breaks off: {length} bytes wanted, {} left", rest.len())
        })?;
        self.position += length;
        Ok(taken)
    }

    /// Reads a byte.
    pub fn byte(&mut self) -> Parsed<u8> {
        Ok(self.take(1)?[0])
    }

    /// Reads a little-endian unsigned length of `size` bytes, at most 8, that must fit into memory.
    pub fn length(&mut self, size: usize) -> Parsed<usize> {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(self.take(size)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| "is a pickle with an impossible length".into())
    }

    /// Reads a string after a length of `size` bytes.
    pub fn counted(&mut self, size: usize) -> Parsed<&'a [u8]> {
        let length = self.length(size)?;
        if length > limits::TEXT_BYTES {
            return Err(format!("is a pickle with a string of {length} bytes, over {}", limits::TEXT_BYTES));
        }
        self.take(length)
    }

    /// Reads a little-endian two's complement integer of `size` bytes; `None` if it has more than 64 bits.
    pub fn integer(&mut self, size: usize) -> Parsed<Option<i64>> {
        let bytes = self.take(size)?;
        if size > 8 {
            return Ok(None);
        }
        let negative = bytes.last().is_some_and(|&last| last >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..size].copy_from_slice(bytes);
        Ok(Some(i64::from_le_bytes(wide)))
    }

    /// Reads the text up to and including the next line feed.
    pub fn line(&mut self) -> Parsed<&'a str> {
        let rest = &self.bytes[self.position..];
        let line = rest.iter().take(limits::LINE_BYTES).position(|&byte| byte == b'\n').ok_or_else(|| {
            format!("is a pickle with a line over {} bytes or without end", limits::LINE_BYTES)
        })?;
        self.position += line + 1;
        std::str::from_utf8(&rest[..line]).map_err(|_| "is a pickle with a line that is not UTF-8".into())
    }
}

/// Decodes protocol 0's `raw-unicode-escape`: only `\uXXXX` and `\UXXXXXXXX` are special. `None` if malformed.
pub fn unescape(line: &str) -> Option<Cow<'_, str>> {
    if !line.contains('\\') {
        return Some(Cow::Borrowed(line));
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let digits = match rest.as_bytes().get(at + 1) {
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => {
                text.push('\\');
                rest = &rest[at + 1..];
                continue;
            }
        };
        let code = rest.get(at + 2..at + 2 + digits)?;
        text.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        rest = &rest[at + 2 + digits..];
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_little_endian_and_signed_by_their_last_byte() {
        let mut input = Input::new(&[0xff, 0x00, 0x80, 0x01, 0x02]);
        assert_eq!(input.integer(2), Ok(Some(255)));
        assert_eq!(input.integer(1), Ok(Some(-128)));
        assert_eq!(input.length(2), Ok(0x0201));
        assert!(input.byte().unwrap_err().contains("1 bytes wanted, 0 left"));
        assert_eq!(Input::new(&[]).integer(0), Ok(Some(0)));
        assert_eq!(Input::new(&[0; 9]).integer(9), Ok(None));
    }

    #[test]
    fn lengths_beyond_the_end_or_the_limit_are_errors() {
        assert!(Input::new(b"\x05abc").counted(1).is_err());
        assert!(Input::new(&[0xff; 12]).counted(8).is_err());
        assert!(Input::new(b"no end").line().is_err());
        assert_eq!(Input::new(b"os\nx").line(), Ok("os"));
    }

    #[test]
    fn raw_unicode_escapes() {
        assert_eq!(unescape("plain").unwrap(), "plain");
        assert_eq!(unescape(r"\u0061\U0000006290\n").unwrap(), "ab90\\n");
        assert_eq!(unescape(r"\u00"), None);
        assert_eq!(unescape(r"\ud800"), None);
    }
}
