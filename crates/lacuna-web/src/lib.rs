//! Lacuna as a WebAssembly module, for a page without a server.
//!
//! `page/worker.js` calls it, in a worker of its own. It asks [`lacuna_take`] for memory, writes a request there (a document
//! in JSON, then the bytes of files) and calls [`lacuna_call`], which returns a [`Reply`]: a document and the bytes of a file.
//! Progress goes to the imported function `lacuna_progress`, the message of a panic to `lacuna_panicked`. There is one
//! thread; to cancel, the page ends the worker.
#![cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "memory that is shared with JavaScript"))]

mod request;

#[cfg(target_family = "wasm")]
mod exports;

#[cfg(target_family = "wasm")]
pub use exports::{lacuna_call, lacuna_free, lacuna_start, lacuna_take};
pub use request::{Reply, answer};
