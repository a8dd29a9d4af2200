//! The API on loopback: results, refusals, and behaviour under load.

mod access;
mod filling;
mod jobs;
mod refusing;
#[path = "../server/mod.rs"]
mod server;
mod support;
mod surface;
