//! What Lacuna's own files say about themselves in the safetensors `__metadata__`.

use std::collections::HashMap;

use super::{Architecture, Parsed};

/// Marks a file as Lacuna's, with the version of the format.
pub const FORMAT: &str = "lacuna.format";
/// The network's shape, as JSON.
pub const NETWORK: &str = "lacuna.network";
/// Where the weights come from, in words.
pub const PROVENANCE: &str = "lacuna.provenance";
/// The version that is written, and the only one so far. A reader of an older version must refuse a newer
/// one.
pub const VERSION: &str = "1";

/// A Lacuna file's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The network's shape, checked to be possible.
    pub config: Architecture,
    /// Where the weights come from, in words.
    pub provenance: String,
}

impl Header {
    /// Reads the header; `None` if the file is not Lacuna's.
    pub fn read(metadata: &HashMap<String, String>) -> Parsed<Option<Self>> {
        let Some(version) = metadata.get(FORMAT) else { return Ok(None) };
        if version != VERSION {
            return Err(format!("is of Lacuna's format {version:?}, this program knows {VERSION:?}"));
        }
        let network = metadata.get(NETWORK).ok_or_else(|| format!("has no {NETWORK} in its header"))?;
        let config: Architecture = serde_json::from_str(network)
            .map_err(|problem| format!("has a malformed {NETWORK}: {problem}"))?;
        config.check().map_err(|problem| format!("describes a network that does not exist: {problem}"))?;
        let provenance =
            metadata.get(PROVENANCE).ok_or_else(|| format!("has no {PROVENANCE} in its header"))?;
        Ok(Some(Self { config, provenance: provenance.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_and_impossible_networks_are_refused() {
        let network = |width: u64| {
            format!(r#"{{"family":"fourier","channels_in":4,"width":{width},"blocks":9,"control":false}}"#)
        };
        let metadata = |format: &str, network: &str| {
            HashMap::from([
                (FORMAT.to_owned(), format.to_owned()),
                (NETWORK.to_owned(), network.to_owned()),
                (PROVENANCE.to_owned(), "a test".to_owned()),
            ])
        };
        assert_eq!(Header::read(&HashMap::new()), Ok(None));
        assert_eq!(Header::read(&metadata("1", &network(64))).unwrap().unwrap().config.shape().width, 64);
        for (format, network, expected) in [
            ("2", network(64), "format"),
            ("1", network(u64::MAX), "width"),
            ("1", "{}".into(), "malformed"),
            ("1", network(64).replace("control", "controls"), "malformed"),
        ] {
            let problem = Header::read(&metadata(format, &network)).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
