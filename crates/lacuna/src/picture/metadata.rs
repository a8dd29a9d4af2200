//! Image metadata: colour profile, EXIF, orientation.

use exif::experimental::Writer;
use exif::{Context, Exif, Field, In, Reader, Tag};
use image::metadata::Orientation;

use super::tiff_file;

/// Metadata that is kept from the input file to the output file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// ICC colour profile.
    pub icc: Option<Vec<u8>>,
    /// EXIF block: a TIFF structure without JPEG's "Exif" header; its thumbnail is erased.
    pub exif: Option<Vec<u8>>,
    /// XMP packet; its thumbnails are erased.
    pub xmp: Option<Vec<u8>>,
    /// Photoshop's image resources, which contain IPTC; their thumbnails are erased.
    pub photoshop: Option<Vec<u8>>,
    /// Pixel density.
    pub density: Option<Density>,
    /// Comments of a JPEG file.
    pub comments: Vec<Vec<u8>>,
    /// Chunks of a PNG file that are kept as stored: text, time, and colour interpretation.
    pub chunks: Vec<([u8; 4], Vec<u8>)>,
}

/// Pixels per unit of length, horizontally and vertically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Density {
    /// The unit.
    pub unit: DensityUnit,
    /// Horizontal density.
    pub x: u32,
    /// Vertical density.
    pub y: u32,
}

/// A unit of length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DensityUnit {
    /// None: only the aspect ratio of pixels is known.
    Aspect,
    /// An inch.
    Inch,
    /// A centimetre.
    Centimetre,
    /// A metre.
    Metre,
}

/// Metres in an inch.
const INCH: f64 = 0.0254;

impl Density {
    fn scaled(self, unit: DensityUnit, scale: f64) -> Self {
        let scaled = |count: u32| (f64::from(count) * scale).round().max(1.0) as u32;
        Self { unit, x: scaled(self.x), y: scaled(self.y) }
    }

    /// In PNG's units: pixels per metre, or a ratio.
    pub(super) fn per_metre(self) -> Self {
        match self.unit {
            DensityUnit::Inch => self.scaled(DensityUnit::Metre, 1.0 / INCH),
            DensityUnit::Centimetre => self.scaled(DensityUnit::Metre, 100.0),
            DensityUnit::Metre | DensityUnit::Aspect => self,
        }
    }

    /// In JPEG's and TIFF's units: pixels per inch or centimetre, or a ratio.
    pub(super) fn per_inch(self) -> Self {
        match self.unit {
            DensityUnit::Metre => self.scaled(DensityUnit::Inch, INCH),
            _ => self,
        }
    }
}

/// Fields of a TIFF file's first directory that describe the photo rather than the file's layout (TIFF 6.0, section 8;
/// Exif 2.32, table 4; the XP fields are Windows Explorer's).
const DESCRIBING_TAGS: [u16; 26] = [
    270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 316, 18246, 33432, 40091, 40092, 40093, 40094, 40095,
    // GeoTIFF 1.1, annex G, and GDAL's two.
    33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113,
];

impl Metadata {
    /// Metadata from a decoder. The EXIF thumbnail is erased, because it would show the removed object.
    pub fn new(icc: Option<Vec<u8>>, mut exif: Option<Vec<u8>>) -> Self {
        if let Some(block) = &mut exif {
            erase_thumbnail(block);
        }
        Self { icc, exif, ..Self::default() }
    }

    /// Metadata of a TIFF file, whose own directories contain the EXIF fields.
    ///
    /// # Errors
    /// A sentence that describes what could not be read.
    pub fn from_tiff(icc: Option<Vec<u8>>, file: &[u8]) -> Result<Self, String> {
        if tiff_file::is_big(file) {
            return Self::from_fields(icc, &tiff_file::big_fields(file, &DESCRIBING_TAGS)?, true);
        }
        let parsed = Reader::new().read_raw(file.to_vec()).map_err(|error| error.to_string())?;
        let kept = |field: &&Field| {
            let Tag(context, number) = field.tag;
            field.ifd_num == In::PRIMARY && (context != Context::Tiff || DESCRIBING_TAGS.contains(&number))
        };
        Self::from_fields(icc, parsed.fields().filter(kept), parsed.little_endian())
    }

    fn from_fields<'a>(
        icc: Option<Vec<u8>>,
        fields: impl IntoIterator<Item = &'a Field>,
        little_endian: bool,
    ) -> Result<Self, String> {
        let mut fields = fields.into_iter().peekable();
        if fields.peek().is_none() {
            return Ok(Self { icc, ..Self::default() });
        }
        let mut writer = Writer::new();
        fields.for_each(|field| writer.push_field(field));
        let mut block = std::io::Cursor::new(Vec::new());
        writer.write(&mut block, little_endian).map_err(|error| error.to_string())?;
        let mut metadata = Self { icc, exif: Some(block.into_inner()), ..Self::default() };
        metadata.density = metadata.exif_density();
        Ok(metadata)
    }

    /// The rotation that makes the stored pixels upright.
    pub fn orientation(&self) -> Orientation {
        let block = self.exif.as_deref().unwrap_or_default();
        Orientation::from_exif_chunk(block).unwrap_or(Orientation::NoTransforms)
    }

    /// The density in the EXIF block.
    fn exif_density(&self) -> Option<Density> {
        let parsed = self.parsed_exif()?;
        let value = |tag| match &parsed.get_field(tag, In::PRIMARY)?.value {
            exif::Value::Rational(values) => {
                Some(values.first().map(exif::Rational::to_f64)?.round()).filter(|value| *value >= 1.0)
            }
            _ => None,
        };
        let unit = match parsed.get_field(Tag::ResolutionUnit, In::PRIMARY)?.value.get_uint(0)? {
            2 => DensityUnit::Inch,
            3 => DensityUnit::Centimetre,
            _ => return None,
        };
        Some(Density { unit, x: value(Tag::XResolution)? as u32, y: value(Tag::YResolution)? as u32 })
    }

    /// The parsed EXIF block; `None` if there is none or it is damaged.
    pub(super) fn parsed_exif(&self) -> Option<Exif> {
        Reader::new().read_raw(self.exif.clone()?).ok()
    }
}

/// Access to the values of an EXIF block in its own byte order.
struct Block<'a> {
    bytes: &'a mut [u8],
    little_endian: bool,
}

impl Block<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        let value = if self.little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
        usize::try_from(value).ok()
    }

    /// The value of a directory's entry `tag`, if it is one LONG.
    fn long(&self, directory: usize, tag: u16) -> Option<usize> {
        let count = usize::from(self.u16(directory)?);
        let entry = (0..count).map(|i| directory + 2 + 12 * i).find(|&entry| self.u16(entry) == Some(tag))?;
        self.u32(entry + 8)
    }
}

/// Unlinks the thumbnail directory of an EXIF block and zeroes the thumbnail's bytes.
fn erase_thumbnail(bytes: &mut [u8]) {
    // Exif 2.32, section 4.5: offset and length of a JPEG thumbnail, then of an uncompressed one.
    const PLACES: [(u16, u16); 2] = [(0x0201, 0x0202), (0x0111, 0x0117)];
    let little_endian = match bytes.get(..2) {
        Some(b"II") => true,
        Some(b"MM") => false,
        _ => return,
    };
    let block = Block { bytes, little_endian };
    let link = |block: &Block| {
        let first = block.u32(4)?;
        let link = first.checked_add(2 + 12 * usize::from(block.u16(first)?))?;
        Some((link, block.u32(link)?))
    };
    let Some((link, thumbnail)) = link(&block) else { return };
    for (offset, length) in PLACES {
        if let (Some(offset), Some(length)) = (block.long(thumbnail, offset), block.long(thumbnail, length))
            && let Some(data) = block.bytes.get_mut(offset..offset.saturating_add(length))
        {
            data.fill(0);
        }
    }
    block.bytes[link..link + 4].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use exif::Value;

    fn field(tag: Tag, ifd_num: In, value: Value) -> Field {
        Field { tag, ifd_num, value }
    }

    fn block_with_thumbnail(little_endian: bool) -> Vec<u8> {
        let fields = [
            field(Tag::Orientation, In::PRIMARY, Value::Short(vec![6])),
            field(Tag::DateTimeOriginal, In::PRIMARY, Value::Ascii(vec![b"2020:01:02 03:04:05".to_vec()])),
            field(Tag::Compression, In::THUMBNAIL, Value::Short(vec![6])),
        ];
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        writer.set_jpeg(b"SECRET-THUMBNAIL", In::THUMBNAIL);
        let mut block = std::io::Cursor::new(Vec::new());
        writer.write(&mut block, little_endian).unwrap();
        block.into_inner()
    }

    #[test]
    fn thumbnails_are_erased_and_the_rest_stays() {
        for little_endian in [true, false] {
            let block = block_with_thumbnail(little_endian);
            assert!(block.windows(6).any(|window| window == b"SECRET"));
            let metadata = Metadata::new(None, Some(block));
            let kept = metadata.exif.as_ref().unwrap();
            assert!(!kept.windows(6).any(|window| window == b"SECRET"));
            assert_eq!(metadata.orientation(), Orientation::Rotate90);
            let parsed = metadata.parsed_exif().unwrap();
            assert!(parsed.get_field(Tag::DateTimeOriginal, In::PRIMARY).is_some());
            assert!(parsed.fields().all(|field| field.ifd_num == In::PRIMARY));
        }
    }

    #[test]
    fn damaged_blocks_do_no_harm() {
        let block = block_with_thumbnail(true);
        for length in 0..block.len() {
            let metadata = Metadata::new(None, Some(block[..length].to_vec()));
            let _ = (metadata.orientation(), metadata.parsed_exif());
        }
        for position in 0..block.len() {
            let mut damaged = block.clone();
            damaged[position] = 0xFF;
            let _ = Metadata::new(None, Some(damaged)).parsed_exif();
        }
    }
}
