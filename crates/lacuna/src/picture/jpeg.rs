//! The compression parameters of a JPEG file, so that it can be written with the same ones.
//!
//! ITU-T T.81 (1992), annex B (markers) and annex K (the tables that quality settings scale).

use crate::{Error, Result};

/// How a JPEG file was compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JpegCoding {
    /// Quantisation table of luma, in zigzag order.
    pub luma: [u16; 64],
    /// Quantisation table of chroma, in zigzag order; `None` in a grey image.
    pub chroma: Option<[u16; 64]>,
    /// Horizontal and vertical sampling factors of luma relative to chroma.
    pub sampling: (u8, u8),
    /// Number of colour components: 1, 3 or 4.
    pub components: u8,
    /// Whether the file is progressive.
    pub progressive: bool,
}

/// Zigzag position to row-major position in an 8 x 8 block (T.81, figure A.6).
pub const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// T.81's luma table (table K.1), which quality 50 uses unscaled; row-major.
const STANDARD_LUMA: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
    22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78,
    87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];

// Marker codes (T.81, table B.1).
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;

impl JpegCoding {
    /// Parses the markers of a complete JPEG file.
    ///
    /// # Errors
    /// [`Error::Picture`] if the file ends before its end-of-image marker or is malformed.
    pub fn read(bytes: &[u8], name: &str) -> Result<Self> {
        JpegFile::read(bytes, name).map(|file| file.coding)
    }

    /// The quality setting (1 to 100, as in the reference encoder) with the nearest luma table.
    pub fn quality(&self) -> u8 {
        let distance = |quality: u16| -> u32 {
            // The reference encoder's scale in percent.
            let scale = if quality < 50 { 5000 / u32::from(quality) } else { 200 - 2 * u32::from(quality) };
            let scaled = |step: u16| ((u32::from(step) * scale + 50) / 100).clamp(1, 255);
            let steps = ZIGZAG.iter().zip(self.luma);
            steps.map(|(&position, step)| scaled(STANDARD_LUMA[position]).abs_diff(u32::from(step))).sum()
        };
        (1..=100).min_by_key(|&quality| distance(quality)).map_or(1, |quality| quality as u8)
    }
}

/// The parts of a JPEG file.
pub struct JpegFile<'a> {
    /// Its compression parameters.
    pub coding: JpegCoding,
    /// Its APP and COM segments.
    pub segments: Vec<(u8, &'a [u8])>,
    /// The data after the end of the image.
    pub trailer: &'a [u8],
}

impl<'a> JpegFile<'a> {
    /// Parses the markers of a complete JPEG file.
    ///
    /// # Errors
    /// As [`JpegCoding::read`].
    pub fn read(bytes: &'a [u8], name: &str) -> Result<Self> {
        Markers { bytes, position: 0, tables: [None; 4], frame: None, segments: Vec::new() }
            .read()
            .map_err(|problem| Error::picture(name, problem))
    }

    /// Whether Adobe's marker states that inks are stored inverted.
    pub fn has_adobe_marker(&self) -> bool {
        self.segments.iter().any(|(marker, data)| *marker == 0xEE && data.starts_with(b"Adobe"))
    }
}

/// The contents of a frame header: components with their sampling factors and table numbers.
struct FrameHeader {
    components: Vec<(u8, u8, usize)>,
    progressive: bool,
}

/// An iterator over the markers.
struct Markers<'a> {
    bytes: &'a [u8],
    position: usize,
    tables: [Option<[u16; 64]>; 4],
    frame: Option<FrameHeader>,
    segments: Vec<(u8, &'a [u8])>,
}

impl<'a> Markers<'a> {
    fn read(mut self) -> Result<JpegFile<'a>, String> {
        let mut scans = 0;
        if self.next_marker()? != SOI {
            return Err("the start-of-image marker is missing".into());
        }
        loop {
            match self.next_marker()? {
                EOI => break,
                // Markers without a segment, such as restart markers.
                0x01 | 0xD0..=0xD8 => {}
                SOS => {
                    scans += 1;
                    self.segment()?;
                    self.skip_coded_data()?;
                }
                DQT => {
                    for (number, table) in read_tables(self.segment()?)? {
                        self.tables[number] = Some(table);
                    }
                }
                // Frame headers: C0 to CF, except Huffman (C4), reserved (C8) and arithmetic (CC) tables.
                marker @ 0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                    let progressive = matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE);
                    self.frame =
                        Some(FrameHeader { components: read_components(self.segment()?)?, progressive });
                }
                marker => {
                    let segment = self.segment()?;
                    if matches!(marker, 0xE0..=0xEF | 0xFE) {
                        self.segments.push((marker, segment));
                    }
                }
            }
        }
        let trailer = self.bytes.get(self.position..).unwrap_or_default();
        let frame = self.frame.ok_or("it has no frame header")?;
        let table = |number: usize| self.tables.get(number).copied().flatten();
        let first = frame.components[0];
        let luma = table(first.2).ok_or("its quantisation table is missing")?;
        let chroma = frame.components.get(1).and_then(|component| table(component.2));
        let sampling = frame.components.get(1).map_or((1, 1), |second| {
            (first.0.checked_div(second.0).unwrap_or(1), first.1.checked_div(second.1).unwrap_or(1))
        });
        // The decoder produces wrong colours for these files.
        if scans > 1 && !frame.progressive && sampling != (1, 1) {
            return Err(
                "sequential JPEG files with a scan for each colour are not supported: save it again".into()
            );
        }
        let components = frame.components.len() as u8;
        let coding = JpegCoding { luma, chroma, sampling, components, progressive: frame.progressive };
        Ok(JpegFile { coding, segments: self.segments, trailer })
    }

    fn next_marker(&mut self) -> Result<u8, String> {
        let truncated = "truncated: the end-of-image marker is missing";
        if *self.bytes.get(self.position).ok_or(truncated)? != 0xFF {
            return Err(format!("malformed: byte {} should start a marker", self.position));
        }
        while self.bytes.get(self.position) == Some(&0xFF) {
            self.position += 1;
        }
        let marker = *self.bytes.get(self.position).ok_or(truncated)?;
        self.position += 1;
        Ok(marker)
    }

    /// The contents of the segment at this position, after its length.
    fn segment(&mut self) -> Result<&'a [u8], String> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let [high, low, ..] = rest else { return Err("truncated inside a segment".into()) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let contents = rest.get(2..length).ok_or("truncated inside a segment")?;
        self.position += length;
        Ok(contents)
    }

    /// Skips entropy-coded data up to the marker that ends it.
    fn skip_coded_data(&mut self) -> Result<(), String> {
        while let Some(&byte) = self.bytes.get(self.position) {
            match self.bytes.get(self.position + 1) {
                Some(0x00 | 0xD0..=0xD7) if byte == 0xFF => self.position += 2,
                Some(0xFF) if byte == 0xFF => self.position += 1,
                Some(_) if byte == 0xFF => return Ok(()),
                _ => self.position += 1,
            }
        }
        Err("truncated: the end-of-image marker is missing".into())
    }
}

/// Quantisation tables of a DQT segment with their numbers (T.81, B.2.4.1).
fn read_tables(mut segment: &[u8]) -> Result<Vec<(usize, [u16; 64])>, String> {
    let mut tables = Vec::new();
    while let Some((&head, rest)) = segment.split_first() {
        let (wide, number) = (head >> 4 == 1, usize::from(head & 15));
        let length = if wide { 128 } else { 64 };
        if number > 3 || rest.len() < length {
            return Err("malformed quantisation table".into());
        }
        let (steps, rest) = rest.split_at(length);
        tables.push((
            number,
            std::array::from_fn(|i| {
                if wide { u16::from_be_bytes([steps[2 * i], steps[2 * i + 1]]) } else { u16::from(steps[i]) }
            }),
        ));
        segment = rest;
    }
    Ok(tables)
}

/// Components of a frame header: sampling factors and quantisation table number (T.81, B.2.2).
fn read_components(segment: &[u8]) -> Result<Vec<(u8, u8, usize)>, String> {
    let count = usize::from(*segment.get(5).ok_or("malformed frame header")?);
    let rows = segment.get(6..6 + 3 * count).ok_or("malformed frame header")?;
    if count == 0 {
        return Err("malformed frame header: no components".into());
    }
    Ok(rows.chunks_exact(3).map(|row| (row[1] >> 4, row[1] & 15, usize::from(row[2]))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(quality: u8, colour: image::ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels = vec![90u8; 16 * 16 * usize::from(colour.channel_count())];
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality)
            .encode(&pixels, 16, 16, colour)
            .unwrap();
        bytes
    }

    #[test]
    fn quality_is_read_back() {
        for quality in [2, 10, 35, 50, 75, 90, 95, 100] {
            let coding = JpegCoding::read(&encode(quality, image::ExtendedColorType::Rgb8), "a").unwrap();
            assert!(coding.quality().abs_diff(quality) <= 1, "{quality} read as {}", coding.quality());
            assert_eq!((coding.components, coding.progressive), (3, false));
            assert!(coding.chroma.is_some());
        }
        let grey = JpegCoding::read(&encode(80, image::ExtendedColorType::L8), "a").unwrap();
        assert_eq!((grey.components, grey.chroma), (1, None));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = encode(80, image::ExtendedColorType::Rgb8);
        for length in 0..bytes.len() - 1 {
            assert!(JpegCoding::read(&bytes[..length], "a").is_err(), "{length} of {}", bytes.len());
        }
    }
}
