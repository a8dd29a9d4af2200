//! Boxes of ISO media files (ISO/IEC 14496-12, clause 4.2), read without copies and within their parent.

#![cfg_attr(not(feature = "avif"), expect(dead_code, reason = "JPEG XL needs a part of it"))]

/// Reads big-endian numbers from a slice; `None` past its end.
#[derive(Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of 0 to 8 bytes.
    pub fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte)))
    }

    pub fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.number(2).map(|number| number as u16)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.number(4).map(|number| number as u32)
    }

    /// An item's number: 16 bits in old versions of a box, 32 in new ones.
    pub fn id(&mut self, is_long: bool) -> Option<u32> {
        self.number(if is_long { 4 } else { 2 }).map(|number| number as u32)
    }

    pub fn kind(&mut self) -> Option<[u8; 4]> {
        self.take(4)?.try_into().ok()
    }

    /// A text that ends with a zero, without it.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.0.iter().position(|&byte| byte == 0)?;
        let text = self.take(length)?;
        self.take(1)?;
        Some(text)
    }

    /// The version and the flags of a full box.
    pub fn full(&mut self) -> Option<Full> {
        let word = self.u32()?;
        Some(Full { version: (word >> 24) as u8, flags: word & 0x00FF_FFFF })
    }
}

/// The header of a full box.
pub struct Full {
    pub version: u8,
    pub flags: u32,
}

/// A box: its kind and its content.
#[derive(Clone, Copy)]
pub struct Child<'a> {
    pub kind: [u8; 4],
    pub body: &'a [u8],
}

/// The boxes that follow each other in a slice. A box that does not fit is the last; its kind is given, its content is cut.
pub struct Boxes<'a>(Bytes<'a>);

impl<'a> Boxes<'a> {
    pub fn of(content: &'a [u8]) -> Self {
        Self(Bytes(content))
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Child<'a>;

    fn next(&mut self) -> Option<Child<'a>> {
        let length = self.0.u32()?;
        let kind = self.0.kind()?;
        let content = match length {
            // Up to the end.
            0 => u64::MAX,
            1 => self.0.number(8)?.checked_sub(16)?,
            length => u64::from(length).checked_sub(8)?,
        };
        let left = self.0.0.len();
        let body = self.0.take(usize::try_from(content).map_or(left, |content| content.min(left)))?;
        Some(Child { kind, body })
    }
}

/// The content of the first box of a kind.
pub fn find<'a>(content: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    Boxes::of(content).find(|child| child.kind == *kind).map(|child| child.body)
}

/// The TIFF structure in an EXIF block, which begins with its place.
pub fn exif(block: &[u8]) -> Option<&[u8]> {
    let mut bytes = Bytes(block);
    let skipped = bytes.u32()?;
    bytes.take(skipped as usize)?;
    Some(bytes.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_stay_within_their_parent() {
        let content = b"\0\0\0\x0Aabcdxy\0\0\0\x01long\0\0\0\0\0\0\0\x11z\0\0\0\x08none\0\0\0\xFFlast!";
        let mut boxes = Boxes::of(content).map(|child| (child.kind, child.body)).collect::<Vec<_>>();
        assert_eq!(boxes.pop(), Some((*b"last", &b"!"[..])));
        assert_eq!(boxes, [(*b"abcd", &b"xy"[..]), (*b"long", b"z"), (*b"none", b"")]);
        // A box that is shorter than its header ends the list.
        assert_eq!(Boxes::of(b"\0\0\0\x07shrt\0\0\0\x08next").count(), 0);
        assert_eq!(Boxes::of(b"\0\0\0\x01wide\0\0\0\0\0\0\0\x0F").count(), 0);
        assert_eq!(Boxes::of(b"\0\0\0\0rest of the file").next().unwrap().body, b" of the file");
    }

    #[test]
    fn an_exif_block_begins_with_its_place() {
        assert_eq!(exif(b"\0\0\0\x06Exif\0\0II*\0"), Some(&b"II*\0"[..]));
        assert_eq!((exif(b"\0\0\0\x06Exif"), exif(b"\0\0")), (None, None));
    }

    #[test]
    fn numbers_end_with_the_slice() {
        let mut bytes = Bytes(b"\x01\x02\x03abc\0\x04");
        assert_eq!(
            (bytes.u16(), bytes.u8(), bytes.text(), bytes.u16()),
            (Some(258), Some(3), Some(&b"abc"[..]), None)
        );
        assert_eq!((bytes.number(0), bytes.number(1), bytes.number(1)), (Some(0), Some(4), None));
        assert_eq!(bytes.text(), None);
    }
}
