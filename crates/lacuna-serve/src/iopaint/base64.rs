//! Files as base64 text.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::fill::Upload;
use crate::problem::{Code, Problem};

/// Padding is optional: several clients leave it out.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes a field: base64 with or without line breaks, with or without `data:…;base64,` before it.
///
/// # Errors
/// [`Code::FieldMissing`] if the field is missing, [`Code::FieldInvalid`] if it is not base64.
pub fn decode(name: &str, text: Option<&str>) -> Result<Upload, Problem> {
    let text = text
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Problem::new(Code::FieldMissing, format!("the field {name} is missing or empty")))?;
    let data = match text.split_once(',') {
        Some((head, data)) if head.starts_with("data:") => data,
        _ => text,
    };
    let data: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = ENGINE
        .decode(&data)
        .map_err(|error| Problem::new(Code::FieldInvalid, format!("{name} is not base64: {error}")))?;
    Ok(Upload { name: name.into(), bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_base64_is_decoded() {
        for text in [
            "aW1hZ2U=",
            "aW1hZ2U",
            "aW1h\r\nZ2U=\n",
            " aW1hZ2U= ",
            "data:image/png;base64,aW1hZ2U=",
            "data:image/png;name=a.png;base64,aW1h\nZ2U=",
        ] {
            assert_eq!(&decode("image", Some(text)).unwrap().bytes[..], b"image", "{text:?}");
        }
    }

    #[test]
    fn other_text_is_refused_by_name() {
        for (text, code, words) in [
            (Some("%%%"), Code::FieldInvalid, "image is not base64"),
            (Some(" "), Code::FieldMissing, "image is missing or empty"),
            (None, Code::FieldMissing, "image is missing or empty"),
        ] {
            let problem = decode("image", text).unwrap_err();
            assert!(problem.code == code && problem.detail.contains(words), "{problem:?}");
        }
    }
}
