//! What the page says when something goes wrong.

use std::fs;

use crate::desk::Desk;

/// The message, which must be in the user's words.
fn explanation(desk: &Desk) -> String {
    let message = desk.message();
    for word in ["--", "fetch", "TypeError", "undefined"] {
        assert!(!message.contains(word), "{message}");
    }
    message
}

#[test]
fn a_server_that_has_stopped_and_a_file_that_has_gone_are_told_apart() {
    let Some(mut desk) = Desk::new() else { return };
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    fs::remove_file(desk.folder.path().join("dots.png")).unwrap();
    desk.page.click("#fill");
    let message = explanation(&desk);
    assert!(message.contains("The browser cannot hold this photo"), "{message}");
    assert!(desk.masked() > 0.0, "what was painted is kept");

    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    desk.stop_server();
    desk.page.click("#fill");
    let message = explanation(&desk);
    assert!(message.contains("no connection to the server"), "{message}");
    assert!(desk.masked() > 0.0, "what was painted is kept");
}

#[test]
fn answers_of_others_and_broken_answers_are_explained() {
    let Some(desk) = Desk::new() else { return };
    for (response, expected) in [
        ("new Response('<h1>No</h1>', { status: 502, statusText: 'Bad Gateway' })", "(502 Bad Gateway)"),
        ("new Response('<h1>No</h1>', { status: 413 })", "too many bytes"),
        (
            "new Response(JSON.stringify({ code: 'new-code', detail: 'the moon is full' }), { status: 422 })",
            "refused this: the moon is full",
        ),
        (
            "new Response(new ReadableStream({ start: (stream) => stream.error(new TypeError('Failed to fetch')) }))",
            "The connection broke",
        ),
    ] {
        desk.reload();
        desk.page.ask(&format!("void (window.fetch = async () => {response})"));
        desk.page.click("#example");
        let message = explanation(&desk);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_fill_whose_server_goes_silent_is_interrupted() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    // The progress ends before the job does.
    desk.page.ask(
        "(() => { const fetched = window.fetch; window.fetch = (url, options) => \
         String(url).endsWith('/events') ? Promise.resolve(new Response(new Blob(['']))) : fetched(url, options); })()",
    );
    desk.page.click("#fill");
    assert!(explanation(&desk).contains("The connection broke"));
}

#[test]
fn a_photo_that_the_browser_has_no_room_for_is_explained() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    // The result arrives whole, but cannot be stored.
    desk.page.ask("void (Response.prototype.blob = async function () { await this.arrayBuffer(); throw new TypeError('Failed to fetch'); })");
    desk.page.click("#fill");
    assert!(explanation(&desk).contains("The browser cannot hold this photo"));
}
