//! The page in a real browser, against a real server.

mod avoiding;
mod batch;
mod desk;
mod drawing;
mod everybody;
mod failing;
mod notes;
mod opening;
mod results;
#[path = "../server/mod.rs"]
mod server;
mod settings;
mod sketching;
mod static_page;
