//! Network weights in files: Lacuna's own format, and the containers that LaMa's weights come in.

mod config;

pub use config::{Delta, Family, NetworkConfig};
