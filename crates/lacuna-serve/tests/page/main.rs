//! The page in a real browser, against a real server.

mod desk;
mod drawing;
mod everybody;
mod opening;
mod results;
#[path = "../server/mod.rs"]
mod server;
mod settings;
