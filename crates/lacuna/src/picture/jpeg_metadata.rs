//! Metadata of JPEG files: APP and COM segments.

use super::metadata::{Density, DensityUnit, Metadata};
use super::{photoshop, xmp};

const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
const APP13: u8 = 0xED;
const COM: u8 = 0xFE;

/// Identifiers at the start of APP segments.
const JFIF: &[u8] = b"JFIF\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const EXTENDED_XMP: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
const MULTI_PICTURE: &[u8] = b"MPF\0";
const GAIN_MAP: &[u8] = b"urn:iso:std:iso:ts:21496:-1\0";
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";

/// Longest contents of a segment: its 16-bit length includes itself.
const MOST_SEGMENT: usize = 65_533;

/// A segment: its marker and its contents.
pub type Segment<'a> = (u8, &'a [u8]);

/// Adds the metadata in the segments to `metadata`, and appends notes about what is dropped.
pub fn read(segments: &[Segment<'_>], trailer: &[u8], metadata: &mut Metadata, notes: &mut Vec<String>) {
    let mut resources = Vec::new();
    let mut hidden = trailer.iter().any(|&byte| byte != 0);
    for &(marker, data) in segments {
        match marker {
            APP0 if data.starts_with(JFIF) => metadata.density = jfif_density(data),
            APP1 if data.starts_with(EXTENDED_XMP) => notes.push("extended XMP was dropped".into()),
            APP1 => {
                if let Some(packet) = data.strip_prefix(XMP) {
                    metadata.xmp = xmp::cleaned(packet, notes);
                }
            }
            APP2 => hidden |= data.starts_with(MULTI_PICTURE) || data.starts_with(GAIN_MAP),
            APP13 => resources.extend_from_slice(data.strip_prefix(PHOTOSHOP).unwrap_or_default()),
            COM => metadata.comments.push(data.to_vec()),
            _ => {}
        }
    }
    metadata.photoshop = photoshop::cleaned(&resources, notes);
    if hidden {
        notes.push(
            "data after the image (a gain map, a video or further images) was dropped: it would show what is \
             removed"
                .into(),
        );
    }
}

/// Horizontal and vertical density of a JFIF segment; `None` for square pixels of unknown size.
fn jfif_density(data: &[u8]) -> Option<Density> {
    let [_, _, _, _, _, _, _, unit, a, b, c, d, ..] = *data else { return None };
    let (x, y) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let unit = match unit {
        0 => DensityUnit::Aspect,
        1 => DensityUnit::Inch,
        2 => DensityUnit::Centimetre,
        _ => return None,
    };
    (x > 0 && y > 0 && (unit != DensityUnit::Aspect || x != y)).then(|| Density {
        unit,
        x: u32::from(x),
        y: u32::from(y),
    })
}

/// APP segments of `metadata`'s XMP and Photoshop resources: their number (1 for APP1) and contents. XMP that does not
/// fit into one segment is dropped.
pub fn app_segments(metadata: &Metadata) -> Vec<(u8, Vec<u8>)> {
    let mut segments = Vec::new();
    if let Some(packet) = metadata.xmp.as_ref().filter(|packet| fits_xmp(packet)) {
        segments.push((1, [XMP, packet].concat()));
    }
    if let Some(resources) = &metadata.photoshop {
        // Readers join the segments in order.
        segments.extend(
            resources.chunks(MOST_SEGMENT - PHOTOSHOP.len()).map(|part| (13, [PHOTOSHOP, part].concat())),
        );
    }
    segments
}

/// Whether an XMP packet fits into one segment.
pub fn fits_xmp(packet: &[u8]) -> bool {
    XMP.len() + packet.len() <= MOST_SEGMENT
}

/// Inserts comments into an encoded file, after its first segment (JFIF).
pub fn insert_comments(file: &mut Vec<u8>, comments: &[Vec<u8>]) {
    let Some(&[_, _, _, _, high, low]) = file.first_chunk() else { return };
    let at = 4 + usize::from(u16::from_be_bytes([high, low]));
    let mut segments = Vec::new();
    for comment in comments.iter().filter(|comment| comment.len() <= MOST_SEGMENT) {
        segments.extend([0xFF, COM]);
        segments.extend((comment.len() as u16 + 2).to_be_bytes());
        segments.extend(comment);
    }
    file.splice(at..at, segments);
}
