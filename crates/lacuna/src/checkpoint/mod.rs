//! Weights files: Lacuna's own format, and the containers of LaMa's weights.
//!
//! [`Checkpoint::open`] reads all of them. `map.rs` maps the file, and `container.rs` detects its kind by its content.
//! `safetensors_file.rs`, `torch_zip.rs` or `torch_legacy.rs` finds its tensors (the latter two through `pickle/`,
//! which executes nothing). `found.rs` checks them against the layers of the network, which `header.rs` reads or
//! `lama/import.rs` infers. [`save`] writes Lacuna's format: one safetensors file with the network's [`Architecture`]
//! in its header.

mod container;
mod element;
mod found;
pub(crate) mod header;
mod lama;
mod map;
mod open;
mod pickle;
mod safetensors_file;
mod save;
mod stored;
mod tensors;
mod torch_legacy;
mod torch_tree;
#[cfg_attr(target_family = "wasm", path = "no_torch_zip.rs")]
mod torch_zip;
mod verify;

#[cfg(test)]
mod hostile;

pub use container::Container;
pub use element::Element;
pub use lacuna_network::{Architecture, Delta, Family, Shape, is_parameter};
pub use open::{Checkpoint, Source};
pub use save::{NamedTensor, Storage, save};
pub use tensors::{FloatTensor, Tensors, parse_tensors, read_tensors, take_tensor};
pub use verify::{Info, Suspect, Verification, info, verify};

pub(crate) use container::read as read_container;
pub(crate) use found::take;
pub(crate) use map::Map;
pub(crate) use open::printable;
pub(crate) use save::{complete, write_lacuna};
pub(crate) use stored::Stored;

/// A value read from a file, or the problem of the file, as the end of a sentence that begins with its name.
pub(crate) type Parsed<T> = std::result::Result<T, String>;

/// A file of the repository's `fixtures` folder.
#[cfg(test)]
fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}
