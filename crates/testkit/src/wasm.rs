//! The WebAssembly module of the page without a server, for tests.

use std::path::{Path, PathBuf};

use crate::missing::{Missing, not_tested};

/// The module in the target folder of the running test, where
/// `cargo build --release --target wasm32-unknown-unknown -p lacuna-web` puts it; `.ci/run` does so. Without it reports this and returns
/// `None`.
///
/// # Panics
/// If the test is not run by cargo.
pub fn module() -> Option<PathBuf> {
    let test = std::env::current_exe().expect("a running test");
    // target/debug/deps/TEST
    let target = test.ancestors().nth(3).expect("a test in a target folder");
    let module = target.join(Path::new("wasm32-unknown-unknown/release/lacuna_web.wasm"));
    if module.exists() {
        return Some(module);
    }
    not_tested(
        Missing::Wasm,
        &format!("the page without a server was not tried: {} does not exist", module.display()),
    );
    None
}
