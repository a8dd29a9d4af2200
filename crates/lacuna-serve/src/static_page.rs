//! The page as a folder of files, for hosts that only serve files: a WebAssembly module fills, in the browser.

use std::borrow::Cow;

use crate::page::{Files, MASK, PHOTO};

/// What replaces the server: `api.js` with the same functions, and the worker that it starts.
const API: &str = include_str!("../../lacuna-web/page/api.js");
const WORKER: &str = include_str!("../../lacuna-web/page/worker.js");

/// Content security policy of the page and its worker, which is started from memory (`blob:`): nothing but the page's own
/// host can be connected to.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' blob: data:; connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; form-action 'none'; \
     base-uri 'none'";

/// Files of the server's page that need a server.
const NEED_SERVER: [&str; 2] = ["docs.html", "docs.js"];

/// A file of the folder: its path with `/`, and its bytes.
pub type StaticFile = (String, Cow<'static, [u8]>);

/// All files of the folder, for the module `lacuna_web.wasm`.
///
/// # Errors
/// If `module` is no WebAssembly module.
pub fn files(module: Vec<u8>) -> Result<Vec<StaticFile>, String> {
    if !module.starts_with(b"\0asm") {
        return Err("it is no WebAssembly module".into());
    }
    let mut files: Vec<StaticFile> = vec![
        ("example/photo.jpg".into(), PHOTO.into()),
        ("example/mask.png".into(), MASK.into()),
        ("assets/worker.js".into(), WORKER.as_bytes().into()),
        ("assets/lacuna.wasm".into(), module.into()),
    ];
    for name in Files::iter().filter(|name| !NEED_SERVER.contains(&name.as_ref())) {
        let data = Files::get(&name).ok_or("a file of the page is missing")?.data;
        files.push(match name.as_ref() {
            "index.html" => (name.into_owned(), index(text(&data)?)?.into_bytes().into()),
            // Browsers let it keep only what lies beside or below it.
            "sw.js" => (name.into_owned(), service_worker(text(&data)?)?.into_bytes().into()),
            "api.js" => ("assets/api.js".into(), API.as_bytes().into()),
            _ => (format!("assets/{name}"), data),
        });
    }
    Ok(files)
}

fn text(data: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(data).map_err(|error| error.to_string())
}

/// The page with its own policy.
fn index(page: &str) -> Result<String, String> {
    let charset = r#"<meta charset="utf-8">"#;
    let policy = format!(
        r#"{charset}<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">"#
    );
    let page = replaced(page, charset, &policy)?;
    replaced(&page, r#"<a href="docs" data-text="apiDocs"></a> · "#, "")
}

/// The service worker, which also keeps what replaces the server.
fn service_worker(worker: &str) -> Result<String, String> {
    let more = r#"const MORE = ["assets/worker.js", "assets/lacuna.wasm", "example/photo.jpg", "example/mask.png"];"#;
    replaced(worker, "const MORE = [];", more)
}

/// A text in which something that occurs once is replaced.
fn replaced(text: &str, from: &str, to: &str) -> Result<String, String> {
    match text.matches(from).count() {
        1 => Ok(text.replace(from, to)),
        count => Err(format!("{from} occurs {count} times in the page, expected once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_complete() {
        let files = files(b"\0asm".to_vec()).unwrap();
        let file = |path: &str| {
            let (_, bytes) = files.iter().find(|(name, _)| name == path).unwrap_or_else(|| panic!("{path}"));
            String::from_utf8_lossy(bytes).into_owned()
        };
        let page = file("index.html");
        assert!(page.contains("connect-src 'self';"), "{page}");
        let worker = file("sw.js");
        for (path, _) in files.iter().filter(|(path, _)| !["index.html", "sw.js"].contains(&path.as_str())) {
            let name = path.strip_prefix("assets/").unwrap_or(path);
            assert!(worker.contains(&format!("{name}\"")), "{path} is not kept for use without a connection");
        }
        // The same functions as the server's.
        let server = Files::get("api.js").unwrap().data;
        let exported = |text: &str| -> Vec<String> {
            let names = text.lines().filter_map(|line| line.strip_prefix("export "));
            let mut names: Vec<String> = names
                .filter_map(|line| {
                    line.split(['(', ' ', '='])
                        .find(|word| !["async", "function", "const", "class", ""].contains(word))
                })
                .map(ToOwned::to_owned)
                .collect();
            names.sort();
            names
        };
        assert_eq!(exported(&file("assets/api.js")), exported(text(&server).unwrap()));
        assert!(super::files(b"GIF8".to_vec()).is_err());
    }

    #[test]
    fn texts_that_differ_are_texts_of_the_page() {
        let page = Files::get("texts.js").unwrap().data;
        let page = text(&page).unwrap();
        let (_, rest) = API.split_once("OWN_TEXTS = {\n").unwrap();
        let (list, _) = rest.split_once("\n};").unwrap();
        let lines = list.lines().filter_map(|line| line.strip_prefix("  "));
        let keys = lines.filter(|line| !line.starts_with([' ', ']']));
        let keys: Vec<&str> =
            keys.map(|line| line.split([':', '"']).find(|word| !word.is_empty()).unwrap()).collect();
        assert!(keys.len() > 8);
        for key in keys {
            let is_known =
                page.contains(&format!("\n  {key}: [")) || page.contains(&format!("\n  \"{key}\": ["));
            assert!(is_known, "{key}");
        }
    }
}
