//! Settings, languages, and the messages about them.

use crate::desk::{Desk, on_both};

#[test]
fn two_languages_have_the_same_texts() {
    on_both(|desk| {
        assert_eq!(desk.page.ask("document.getElementById('fill').textContent.trim()"), "Fill");
        desk.page.click("#language");
        assert_eq!(desk.page.ask("document.getElementById('fill').textContent.trim()"), "Заповнити");
        assert_eq!(desk.page.ask("document.documentElement.lang"), "uk");
        desk.reload();
        assert_eq!(desk.page.ask("document.documentElement.lang"), "uk", "it is remembered");
    });
}

#[test]
fn every_text_is_there_in_both_languages() {
    let Some(desk) = Desk::new() else { return };
    let wrong = desk.page.ask(
        "import('/assets/texts.js').then(({ TEXTS }) => Object.entries(TEXTS).filter(([, texts]) => { \
         const names = texts.map((text) => [...text.matchAll(/\\{\\w+\\}/g)].map(String).sort().join()); \
         return texts.length !== 2 || texts.some((text) => !text.trim()) || names[0] !== names[1]; }).map(([key]) => key).join())",
    );
    assert_eq!(wrong, "");
    let unknown = desk.page.ask(
        "Promise.all([import('/assets/texts.js'), fetch('/openapi.json').then((response) => response.json())]).then(([texts, api]) => { \
         const code = api.components.schemas.Code; const codes = code.enum ?? code.oneOf.flatMap((one) => one.enum ?? [one.const]); \
         return codes.length > 20 ? codes.filter((code) => !texts.has(code)).join() : 'no codes'; })",
    );
    assert_eq!(unknown, "", "problem codes without a text");
}

#[test]
fn impossible_numbers_are_explained_beside_the_field() {
    let Some(desk) = Desk::new() else { return };
    desk.page.click("#language");
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.3)]);
    let cases = [
        ("expand", "5000"),
        ("expand", "1025"),
        ("expand", "-1"),
        ("expand", "1.5"),
        ("feather", "2000"),
        ("seed", "-3"),
        ("quality", "101"),
        ("quality", "0"),
    ];
    for (id, value) in cases {
        let before = desk.page.ask(&format!("document.getElementById('{id}').value"));
        desk.set(id, value);
        desk.page.click("#fill");
        let error = format!("document.getElementById('{id}-error')");
        desk.page.wait_for(&error);
        let message = desk.page.ask(&format!("{error}.textContent"));
        let message = message.as_str().unwrap();
        assert!(message.contains("ціле число від") && !message.contains("field"), "{message}");
        assert_eq!(desk.page.ask("document.activeElement.id"), id);
        assert_eq!(desk.steps(), 1, "nothing was sent");
        desk.set(id, before.as_str().unwrap());
        assert_eq!(desk.page.ask(&format!("{error} === null")), true, "{id} = {before}");
    }
    desk.set("expand", "1024");
    desk.set("feather", "0");
    desk.set("expand", "8");
    desk.fill();
}

#[test]
fn messages_are_in_the_persons_language_and_without_program_flags() {
    let Some(desk) = Desk::new() else { return };
    desk.page.click("#language");
    desk.open_photo();
    desk.page.click("#invert");
    desk.page.click("#fill");
    let message = desk.message();
    assert!(message.contains("Зафарбовано все") && !message.contains("--"), "{message}");
    // A server that does not respond.
    desk.page.click("#undo");
    desk.drag(&[(0.3, 0.3), (0.5, 0.3)]);
    desk.page.ask("window.XMLHttpRequest = class extends XMLHttpRequest { open(method) { super.open(method, 'http://127.0.0.1:1/'); } }");
    desk.page.click("#fill");
    desk.page.wait_for(
        "document.querySelector('#messages .error')?.textContent.includes('Немає з’єднання із сервером')",
    );
    assert!(desk.masked() > 0.0, "the mask is kept");
}

#[test]
fn settings_are_remembered() {
    let Some(desk) = Desk::new() else { return };
    for (id, value) in [
        ("expand", "7"),
        ("feather", "3"),
        ("strategy", "resize"),
        ("long-side", "512"),
        ("format", "jpeg"),
        ("quality", "77"),
        ("size", "90"),
    ] {
        desk.set(id, value);
    }
    desk.reload();
    let value = |id: &str| desk.page.ask(&format!("document.getElementById('{id}').value"));
    for (id, expected) in [
        ("expand", "7"),
        ("feather", "3"),
        ("strategy", "resize"),
        ("long-side", "512"),
        ("format", "jpeg"),
        ("quality", "77"),
        ("size", "90"),
    ] {
        assert_eq!(value(id), expected, "{id}");
    }
    assert_eq!(desk.page.ask("document.getElementById('long-side-field').hidden"), false);
    // Invalid values are rejected.
    desk.page.ask(
        "localStorage.setItem('settings', '{\"expand\": \"99999\", \"format\": \"exe\", \"unknown\": 1}')",
    );
    desk.reload();
    assert_eq!((value("expand"), value("format")), ("0".into(), "same".into()));
    desk.page.ask("localStorage.setItem('settings', 'not JSON')");
    desk.reload();
    assert_eq!(value("expand"), "0");
}
