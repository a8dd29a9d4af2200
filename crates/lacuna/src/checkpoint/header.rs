//! Metadata of Lacuna's own files, in the safetensors `__metadata__`.

use std::collections::HashMap;

use super::{Architecture, Parsed};

/// Marks a file as Lacuna's, with the version of the format.
pub const FORMAT: &str = "lacuna.format";
/// The network's configuration, as JSON.
pub const NETWORK: &str = "lacuna.network";
/// The description of a flow, as JSON: [`crate::flow`] reads and writes files that have it.
pub const FLOW: &str = "lacuna.flow";
/// A description of the weights' origin.
pub const PROVENANCE: &str = "lacuna.provenance";
/// The version that is written, and the only one so far. Older readers must refuse newer versions.
pub const VERSION: &str = "1";

/// The header of a Lacuna file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The network's configuration, checked.
    pub config: Architecture,
    /// A description of the weights' origin.
    pub provenance: String,
}

impl Header {
    /// Reads the header; `None` if the file is not Lacuna's.
    pub fn read(metadata: &HashMap<String, String>) -> Parsed<Option<Self>> {
        if !is_lacuna(metadata)? {
            return Ok(None);
        }
        if metadata.contains_key(FLOW) {
            return Err(
                "is a flow file: it holds a denoiser, which works on the latents of a network. Give the \
                        network here, and this file as the flow"
                    .into(),
            );
        }
        let network = text(metadata, NETWORK)?;
        let config: Architecture = serde_json::from_str(network)
            .map_err(|problem| format!("has a malformed {NETWORK}: {problem}"))?;
        config.check().map_err(|problem| format!("describes a network that does not exist: {problem}"))?;
        Ok(Some(Self { config, provenance: text(metadata, PROVENANCE)?.to_owned() }))
    }
}

/// Whether a file is Lacuna's.
///
/// # Errors
/// If it is of another version of the format.
pub(crate) fn is_lacuna(metadata: &HashMap<String, String>) -> Parsed<bool> {
    match metadata.get(FORMAT) {
        None => Ok(false),
        Some(version) if version == VERSION => Ok(true),
        Some(version) => Err(format!("is of Lacuna's format {version:?}, this program knows {VERSION:?}")),
    }
}

/// An entry that a Lacuna file must have.
///
/// # Errors
/// If it is missing.
pub(crate) fn text<'a>(metadata: &'a HashMap<String, String>, name: &str) -> Parsed<&'a str> {
    metadata.get(name).map(String::as_str).ok_or_else(|| format!("has no {name} in its header"))
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
