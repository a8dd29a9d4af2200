//! The page is embedded when the crate is compiled: it is compiled anew when a file of the page comes, goes or changes.

fn main() {
    println!("cargo:rerun-if-changed=page");
}
