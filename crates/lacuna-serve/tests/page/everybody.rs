//! Phones, screen readers, and servers with a token.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lacuna::patchmatch::PatchMatch;
use lacuna_serve::{Access, Config, Token};
use testkit::browser::Page;
use testkit::missing::{Missing, not_tested};

use crate::desk::{Desk, HEIGHT, READY, WIDTH, on_both};
use crate::server::{Running, config, gif, models, photo, png};

#[test]
fn a_phone_has_room_for_everything() {
    on_both(|desk| {
        desk.page.be_a_phone(360, 640);
        desk.reload();
        desk.page.click("#example");
        desk.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
        let wide = desk.page.ask("document.documentElement.scrollWidth");
        assert_eq!(wide, 360, "nothing is wider than the screen");
        let small = desk.page.ask(
        "[...document.querySelectorAll('header button, #tools button, #fill')].filter((button) => button.offsetParent && \
         (button.offsetWidth < 44 || button.offsetHeight < 44)).map((button) => button.id).join()",
    );
        assert_eq!(small, "", "fingers need 44 pixels");
        desk.page.click("#show-settings");
        desk.page
            .wait_for("document.getElementById('show-settings').getAttribute('aria-expanded') === 'true'");
        desk.page.click("#hide-settings");
        desk.page.wait_for("getComputedStyle(document.getElementById('settings')).visibility === 'hidden'");
        desk.fill();
    });
}

#[test]
fn a_phone_has_size_and_zoom_at_hand_in_both_orientations() {
    let Some(desk) = Desk::new() else { return };
    for (width, height, least) in [(360, 640, 330), (844, 390, 300), (667, 375, 280)] {
        desk.page.be_a_phone(width, height);
        desk.reload();
        desk.page.click("#example");
        desk.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
        let beyond = desk.page.ask(
            "[...document.querySelectorAll('#size, #zoom-bar button, #tools button, #undo, #redo, #download, #at-once, #fill')].filter((element) => { \
             const { left, top, right, bottom } = element.getBoundingClientRect(); \
             const { x, y } = { x: (left + right) / 2, y: (top + bottom) / 2 }; \
             return left < 0 || top < 0 || right > innerWidth || bottom > innerHeight || !element.contains(document.elementFromPoint(x, y)); })\
             .map((element) => element.id).join()",
        );
        assert_eq!(beyond, "", "within {width} x {height}, and under nothing");
        let stage = desk
            .page
            .ask("document.getElementById('stage').getBoundingClientRect().height")
            .as_f64()
            .unwrap();
        assert!(stage >= f64::from(least), "{stage} pixels of height for the photo of {width} x {height}");
        desk.fill();
    }
}

#[test]
fn the_page_can_be_installed_and_opens_without_a_server() {
    let Some(mut desk) = Desk::new() else { return };
    desk.page.wait_for("navigator.serviceWorker.controller");
    let manifest = desk
        .page
        .ask("fetch(document.querySelector('link[rel=manifest]').href).then((response) => response.text())");
    let manifest: serde_json::Value = serde_json::from_str(manifest.as_str().unwrap()).unwrap();
    assert_eq!((&manifest["display"], &manifest["start_url"]), (&"standalone".into(), &"../".into()));
    let icons = desk.page.ask(
        "Promise.all([192, 512].map(async (side) => { const response = await fetch(`assets/icon-${side}.png`); \
         const { width, height } = await createImageBitmap(await response.blob()); return width === side && height === side; })).then(String)",
    );
    assert_eq!(icons, "true,true");
    assert_eq!(
        desk.page.ask("navigator.serviceWorker.ready.then(({ scope }) => new URL(scope).pathname)"),
        "/"
    );
    let kept = desk.page.ask("caches.open('lacuna-page').then((cache) => cache.keys()).then((keys) => keys.map(({ url }) => new URL(url).pathname).join())");
    assert!(!kept.as_str().unwrap().contains("/v1/"), "{kept}");
    desk.stop_server();
    desk.page.ask("location.reload()");
    desk.page.wait_for("document.readyState === 'complete' && document.querySelector('#messages .error')");
    assert_eq!(desk.page.ask("document.getElementById('start-open').textContent"), "Open");
}

#[test]
fn the_token_comes_with_the_address_or_is_asked_for() {
    let Some(page) = Page::new(1000, 700) else { return };
    let access = Access::Token(Token::new("open-sesame"));
    let server = Running::start(Config { access, ..config() }, models(Arc::new(PatchMatch::default())));
    let loaded = "document.getElementById('method').options.length > 0";
    page.go(&format!("http://{}/#token=open-sesame", server.address));
    page.wait_for(loaded);
    assert_eq!(page.ask("location.hash"), "");
    page.ask("sessionStorage.clear()");
    page.go(&format!("http://{}/?again", server.address));
    page.wait_for("document.getElementById('token-dialog').open");
    // Dismissed: a clear message; the next request asks again.
    page.ask("document.querySelector('#token-dialog button[value=cancel]').click()");
    page.wait_for("document.querySelector('#messages .error')?.textContent.includes('needs a token')");
    page.click("#example");
    page.wait_for(
        "document.documentElement.dataset.state === 'ready' && !document.getElementById('undo').disabled",
    );
    page.click("#fill");
    page.wait_for("document.getElementById('token-dialog').open");
    // A wrong token is reported.
    page.ask("document.getElementById('token').value = 'guess'; document.querySelector('#token-dialog button[value=ok]').click()");
    page.wait_for(
        "document.getElementById('token-dialog').open && document.getElementById('token-wrong').textContent",
    );
    page.ask("document.getElementById('token').value = 'open-sesame'; document.querySelector('#token-dialog button[value=ok]').click()");
    page.wait_for(loaded);
    page.wait_for("document.querySelectorAll('#history li').length === 2");
}

/// axe-core's findings that are serious or worse.
fn findings(page: &Page, axe: &str) -> Vec<String> {
    page.tab.evaluate(axe, false).unwrap();
    let found = page.ask(
        "axe.run().then((result) => JSON.stringify(result.violations.filter((one) => ['serious', 'critical'].includes(one.impact))\
         .map((one) => one.id + ': ' + one.nodes.map((node) => node.html).join(' '))))",
    );
    serde_json::from_str(found.as_str().unwrap_or("[]")).unwrap()
}

#[test]
fn nobody_is_left_out() {
    // CARGO_MANIFEST_DIR is crates/lacuna-serve.
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/axe-core/axe.min.js");
    let path = std::env::var_os("LACUNA_AXE").map_or(usual, PathBuf::from);
    let Ok(axe) = fs::read_to_string(&path) else {
        return not_tested(Missing::Axe, "the page was not scanned for barriers");
    };
    let Some(desk) = Desk::new() else { return };
    let none = Vec::<String>::new();
    desk.page.go(&format!("{}docs", desk.address));
    desk.page.wait_for("document.querySelectorAll('#content h2').length > 5");
    assert_eq!(findings(&desk.page, &axe), none, "the page of the API");
    desk.reload();
    assert_eq!(findings(&desk.page, &axe), none, "empty");
    desk.page.click("#example");
    desk.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
    assert_eq!(findings(&desk.page, &axe), none, "ready");
    desk.fill();
    assert_eq!(findings(&desk.page, &axe), none, "filled");
    desk.page.click("#another");
    desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#variants li').length === 2"));
    assert_eq!(findings(&desk.page, &axe), none, "with another result");
    desk.page.click("#compare-toggle");
    assert_eq!(findings(&desk.page, &axe), none, "comparing");
    desk.page.click("#compare-toggle");
    desk.page.ask("document.querySelector('details').open = true");
    desk.set("expand", "5000");
    desk.page.click("#another");
    desk.page.wait_for("document.getElementById('expand-error')");
    assert_eq!(findings(&desk.page, &axe), none, "with a wrong number");
    desk.set("expand", "0");
    desk.page.click("#show-keys");
    assert_eq!(findings(&desk.page, &axe), none, "the list of keys");
    desk.page.press("Escape");
    desk.page.click("#avoid");
    assert_eq!(findings(&desk.page, &axe), none, "painting what must not be copied");
    desk.page.click("#aim-done");
    let files = ["a.png", "b.png"].map(|name| desk.write(name, png(photo(60, 40))));
    desk.page.choose_files("#open-input", &files);
    desk.page.wait_for("document.getElementById('batch-dialog').open");
    desk.page.click("#batch-current");
    desk.set("batch-anchor", "top");
    assert_eq!(findings(&desk.page, &axe), none, "a batch");
    desk.page.click("#batch-cancel");
    desk.page.ask("document.getElementById('download').click()");
    desk.page.choose_file("#open-input", &desk.write("a.gif", gif(photo(WIDTH, HEIGHT))));
    desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    desk.fill();
    desk.page.wait_for("document.getElementById('notes').offsetParent");
    assert_eq!(findings(&desk.page, &axe), none, "with notes");
    desk.page.click("#language");
    assert_eq!(findings(&desk.page, &axe), none, "in Ukrainian");
    desk.page.be_a_phone(360, 640);
    desk.page.click("#show-settings");
    assert_eq!(findings(&desk.page, &axe), none, "on a phone");
}
