//! Photoshop's image resource blocks, which contain IPTC (Adobe Photoshop File Formats Specification, "Image
//! Resources").

/// IPTC-IIM records.
const IPTC: u16 = 0x0404;

/// Resources with a small copy of the photo, or with a second copy of metadata that may contain one: thumbnails of
/// Photoshop 4 and 5, EXIF 1 and 3, XMP, and the colour profile.
const DROPPED: [u16; 6] = [0x0409, 0x040C, 0x0422, 0x0423, 0x0424, 0x040F];

const SIGNATURE: &[u8] = b"8BIM";

/// A resource: its number, its contents, and the complete block.
struct Resource<'a> {
    id: u16,
    data: &'a [u8],
    block: &'a [u8],
}

/// The resources up to the first malformed one.
fn resources(bytes: &[u8]) -> impl Iterator<Item = Resource<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let after = rest.strip_prefix(SIGNATURE)?;
        let (id, after) = after.split_first_chunk()?;
        // A Pascal string: length byte and text are padded to an even length.
        let name = (1 + usize::from(*after.first()?)).next_multiple_of(2);
        let (length, after) = after.get(name..)?.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        let data = after.get(..length)?;
        let end = after.get(length + length % 2..).unwrap_or_default();
        let block = &rest[..rest.len() - end.len()];
        rest = end;
        Some(Resource { id: u16::from_be_bytes(*id), data, block })
    })
}

/// The resources without thumbnails; `None` if nothing remains.
pub fn cleaned(bytes: &[u8], notes: &mut Vec<String>) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    for resource in resources(bytes) {
        match resource.id {
            0x0409 | 0x040C => notes.push("the Photoshop thumbnail is erased".into()),
            id if DROPPED.contains(&id) => {}
            _ => {
                kept.extend_from_slice(resource.block);
                // The last block of a file may lack its padding.
                if !resource.block.len().is_multiple_of(2) {
                    kept.push(0);
                }
            }
        }
    }
    (!kept.is_empty()).then_some(kept)
}

/// The IPTC records among the resources.
pub fn iptc(bytes: &[u8]) -> Option<&[u8]> {
    resources(bytes).find(|resource| resource.id == IPTC).map(|resource| resource.data)
}

/// IPTC records as a resource.
pub fn of_iptc(records: &[u8]) -> Vec<u8> {
    let mut block = SIGNATURE.to_vec();
    block.extend(IPTC.to_be_bytes());
    block.extend([0, 0]);
    block.extend((records.len() as u32).to_be_bytes());
    block.extend(records);
    block.resize(block.len().next_multiple_of(2), 0);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(id: u16, data: &[u8]) -> Vec<u8> {
        let mut block = of_iptc(data);
        block[4..6].copy_from_slice(&id.to_be_bytes());
        block
    }

    #[test]
    fn thumbnails_are_erased_and_iptc_stays() {
        let bytes = [resource(0x0409, b"SECRET"), of_iptc(b"credit"), resource(0x040C, b"SECRET")].concat();
        let mut notes = Vec::new();
        let kept = cleaned(&bytes, &mut notes).unwrap();
        assert_eq!(kept, of_iptc(b"credit"));
        assert_eq!(iptc(&kept), Some(&b"credit"[..]));
        assert_eq!(notes.len(), 2);
        for length in 0..bytes.len() {
            let kept = cleaned(&bytes[..length], &mut notes).unwrap_or_default();
            assert!(!kept.windows(6).any(|window| window == b"SECRET"));
        }
    }
}
