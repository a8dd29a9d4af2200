//! Training Lacuna's networks: the autoencoder, mask control, the latent loss and LaMa's adversarial losses of the thesis
//! "Image inpainting in latent space".
//!
//! A run: [`config`] reads its file, [`data`] and [`augment`] make batches, [`step`] trains on them with the terms of
//! [`loss`] and the optimizer of [`optim`], [`fit()`] is the loop around it, [`validate`] scores the network, and
//! [`checkpoint`] makes runs resumable. [`collective`] is what several processes of one run exchange. [`flow`] trains denoisers of
//! a network's latents, and ControlNet branches of them.

#![forbid(unsafe_code)]

pub mod augment;
pub mod checkpoint;
pub mod collective;
pub mod config;
pub mod data;
pub mod error;
pub mod fit;
pub mod flow;
pub mod forecast;
pub mod grid;
pub mod log;
pub mod loss;
pub mod net;
pub mod optim;
mod run_folder;
mod run_logs;
pub mod step;
pub mod study;
pub mod validate;

#[cfg(test)]
mod testing;

pub use self::fit::{Event, FitOptions, Outcome, fit};
pub use self::flow::{fit_control, fit_flow};
pub use collective::{Alone, Collective};
pub use config::{ControlConfig, FlowConfig, RunConfig, RunFile};
pub use error::{Error, Result};
pub use forecast::Forecast;

/// Compiles and runs the recipes of docs/adding.md.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/adding.md")]
struct Recipes;

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_recipes_name_files_that_exist() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = include_str!("../../../docs/adding.md");
        let paths = text.split('`').filter(|part| part.starts_with("crates/") || part.starts_with("docs/"));
        let paths: Vec<&str> = paths.collect();
        assert!(paths.len() > 20, "{paths:?}");
        let missing: Vec<_> = paths.iter().filter(|path| !root.join(path).exists()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
