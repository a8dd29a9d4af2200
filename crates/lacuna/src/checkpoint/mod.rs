//! Network weights in files: Lacuna's own format, and the containers that LaMa's weights come in.
//!
//! [`Checkpoint::open`] takes any of them: `map.rs` maps the file, `container.rs` recognises its kind by its content,
//! `safetensors_file.rs`, `torch_zip.rs` or `torch_legacy.rs` finds its tensors (the latter two through `pickle/`, which
//! executes nothing), and `found.rs` checks them against the layers of the network, which `header.rs` reads or
//! `lama/import.rs` infers. [`save`] writes Lacuna's format: one safetensors file whose header holds the network's
//! [`Architecture`].

mod container;
mod element;
mod found;
mod header;
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

use stored::Stored;

/// A value read from a file, or what is wrong with the file, as the end of a sentence that its name begins.
type Parsed<T> = std::result::Result<T, String>;

/// A file of the repository's `fixtures` folder.
#[cfg(test)]
fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}
