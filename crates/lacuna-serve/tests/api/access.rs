//! Who may ask: base path, token, hosts, headers.

use std::sync::Arc;

use lacuna::patchmatch::PatchMatch;
use lacuna_serve::{Access, Config, Token};
use testkit::http::Request;

use crate::server::{Running, config, mask, models, photo, png};
use crate::support::{code, form, json, small};

#[test]
fn everything_is_served_below_the_base_path() {
    let access = Access::Token(Token::new("open-sesame"));
    let config = Config { base_path: "/tools/lacuna".into(), access, ..config() };
    let server = Running::start(config, models(Arc::new(PatchMatch::default())));
    let get = |path: &str| Request::new("GET", path).send(server.address);
    let moved = get("/tools/lacuna");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/tools/lacuna/")));
    for (path, status) in [
        ("/tools/lacuna/", 200),
        ("/tools/lacuna/docs", 200),
        ("/tools/lacuna/assets/main.js", 200),
        ("/tools/lacuna/v1/health", 200),
        ("/tools/lacuna/v1/models", 401),
        ("/tools/lacuna/nothing", 401),
        ("/", 404),
        ("/v1/health", 404),
        ("/tools/lacunav1/health", 404),
    ] {
        assert_eq!(get(path).status, status, "{path}");
    }
    let fill = form("/tools/lacuna/v1/inpaint?async", &png(photo(48, 40)), &png(mask(48, 40)), &[]);
    let asked = fill.header("Authorization", "Bearer open-sesame").send(server.address);
    assert_eq!(asked.status, 202);
    assert!(asked.header("location").unwrap().starts_with("/tools/lacuna/v1/jobs/"));
    let document = json(&get("/tools/lacuna/openapi.json"));
    assert_eq!(document["servers"][0]["url"], "/tools/lacuna");
}

#[test]
fn the_token_opens_the_api() {
    let access = Access::Token(Token::new("open-sesame"));
    let server = Running::start(Config { access, ..config() }, models(Arc::new(PatchMatch::default())));
    let get = |path: &str| Request::new("GET", path);
    for path in ["/", "/docs", "/openapi.json", "/v1/health"] {
        assert_eq!(get(path).send(server.address).status, 200, "{path} needs none");
    }
    for path in ["/v1/models", "/v1/metrics"] {
        let refused = get(path).send(server.address);
        assert_eq!((refused.status, code(&refused).as_str()), (401, "unauthorized"), "{path}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        for wrong in
            ["Bearer open-sesam", "Bearer open-sesame2", "Basic open-sesame", "Bearer ", "open-sesame"]
        {
            let refused = get(path).header("Authorization", wrong).send(server.address);
            assert_eq!(refused.status, 401, "{wrong}");
        }
        let opened = get(path).header("Authorization", "Bearer open-sesame").send(server.address);
        assert_eq!(opened.status, 200);
    }
    assert_eq!(small().send(server.address).status, 401);
    for request in [
        Request::new("POST", "/inpaint"),
        Request::new("POST", "/api/v1/inpaint"),
        Request::new("POST", "/api/v1/adjust_mask"),
        get("/api/v1/server-config"),
        get("/api/v1/model"),
        get("/nothing"),
    ] {
        assert_eq!(request.send(server.address).status, 401, "{request:?}");
    }
    assert_eq!(small().header("Authorization", "bearer open-sesame").send(server.address).status, 200);
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let config = Config { origins: vec!["https://friend.example".into()], ..config() };
    let server = Running::start(config, models(Arc::new(PatchMatch::default())));
    let rebound = Request::new("GET", "/").header("Host", "evil.example").send(server.address);
    assert_eq!((rebound.status, code(&rebound).as_str()), (421, "host-not-allowed"));
    let foreign = small().header("Origin", "https://evil.example").send(server.address);
    assert_eq!((foreign.status, code(&foreign).as_str()), (403, "origin-not-allowed"));
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    let friendly = small().header("Origin", "https://friend.example").send(server.address);
    assert_eq!(friendly.status, 200);
    assert_eq!(friendly.header("access-control-allow-origin"), Some("https://friend.example"));
    let asked = Request::new("OPTIONS", "/v1/inpaint")
        .header("Origin", "https://friend.example")
        .header("Access-Control-Request-Method", "POST")
        .send(server.address);
    assert_eq!(asked.header("access-control-allow-origin"), Some("https://friend.example"));
    // Without --allow-origin no response mentions other origins.
    let closed = Running::plain();
    let response = Request::new("OPTIONS", "/v1/inpaint")
        .header("Origin", "https://friend.example")
        .send(closed.address);
    assert_eq!((response.status, response.header("access-control-allow-origin")), (403, None));
}

#[test]
fn security_headers_are_set() {
    let server = Running::plain();
    for path in ["/", "/docs", "/v1/models", "/nothing", "/example/photo.jpg"] {
        let response = Request::new("GET", path).send(server.address);
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(response.header("x-frame-options"), Some("DENY"));
        assert!(response.header("server").is_none());
    }
    for path in ["/", "/docs"] {
        let page = Request::new("GET", path).send(server.address);
        let text = page.text();
        assert!(
            !text.contains("style=\"") && !text.contains("onclick") && !text.contains("<script>"),
            "{path}"
        );
        let tag = page.header("etag").unwrap();
        let again = Request::new("GET", path).header("If-None-Match", tag).send(server.address);
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
}
