//! safetensors files, with LaMa's keys or our own.

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::container::{Container, Contents};
use super::{Element, Parsed, Stored};

/// Bytes of the header's length.
const LENGTH_BYTES: usize = 8;
/// Limit of a header in bytes. That of big-lama has 130,000; parsed JSON takes about twenty times its size.
const HEADER_BYTES: usize = 4 << 20;

/// Reads the header; the values are not read.
pub(super) fn read(file: &[u8]) -> Parsed<Contents> {
    let (length, rest) = file.split_first_chunk::<LENGTH_BYTES>().ok_or("is too short for safetensors")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > HEADER_BYTES {
        return Err(format!("has a safetensors header of {length} bytes, over {HEADER_BYTES}"));
    }
    let Some((header, data)) = rest.split_at_checked(length) else {
        return Err(format!("breaks off in its safetensors header: {} of {length} bytes", rest.len()));
    };
    // The crate checks here that each tensor's bytes match its shape, and that they are contiguous without gap or
    // overlap.
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|problem| format!("has a malformed safetensors header: {problem}"))?;
    if metadata.data_len() != data.len() {
        return Err(format!("should hold {} bytes of weights, has {}", metadata.data_len(), data.len()));
    }
    let start = LENGTH_BYTES + length;
    let tensors = metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let storage = start + info.data_offsets.0..start + info.data_offsets.1;
            (name, Stored::contiguous(element(info.dtype), info.shape.clone(), storage))
        })
        .collect();
    let metadata = metadata.metadata().clone().unwrap_or_default();
    Ok(Contents { container: Container::Safetensors, tensors, metadata })
}

fn element(kind: Dtype) -> Element {
    match kind {
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F64 => Element::F64,
        Dtype::I64 => Element::I64,
        // Types below a byte count as one byte: they are skipped, and their size is not used.
        other => Element::Other(u8::try_from(other.bitsize().div_ceil(8)).unwrap_or(u8::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    }

    #[test]
    fn finds_tensors_after_the_header() {
        let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[2,10]},
            "b":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#;
        let contents = read(&file(header, 10)).unwrap();
        let start = 8 + header.len();
        assert_eq!(contents.tensors["a"], Stored::contiguous(Element::F32, vec![2], start + 2..start + 10));
        assert_eq!(contents.tensors["b"].element, Element::F16);
    }

    #[test]
    fn refuses_headers_that_lie() {
        let tensor = |shape: &str, offsets: &str| {
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        // Sixteen tensors of 2^60 bytes each end at 2^64: adding the header's length would overflow.
        let many: Vec<String> = (0..16u64)
            .map(|i| {
                let (from, to) = (i << 60, (i << 60) + ((1 << 60) - u64::from(i == 15)));
                format!(r#""t{i}":{{"dtype":"U8","shape":[{}],"data_offsets":[{from},{to}]}}"#, to - from)
            })
            .collect();
        let cases = [
            file(&tensor("[2]", "[0,4]"), 4),
            file(&tensor("[1]", "[0,4]"), 3),
            file(&tensor("[1]", "[4,8]"), 8),
            file(&tensor("[-1]", "[0,4]"), 4),
            file(&tensor("[4294967296,4294967296]", "[0,0]"), 0),
            file(&format!("{{{}}}", many.join(",")), 0),
            file("{", 0),
            [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
            [&100u64.to_le_bytes()[..], b"{}"].concat(),
        ];
        for file in cases {
            assert!(read(&file).is_err());
        }
    }
}
