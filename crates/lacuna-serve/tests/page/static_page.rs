//! What is special about the page without a server; the program's tests have more (lacuna-cli/tests/web.rs).

use image::{Rgb, RgbImage};

use crate::desk::{Desk, READY};
use crate::server::{phone_jpeg, photo, png};

/// A photo is open.
fn is_open() -> String {
    format!("{READY} && document.querySelectorAll('#history li').length === 1")
}

#[test]
fn it_says_that_nothing_is_uploaded_and_shows_nothing_that_needs_a_server() {
    let Some(desk) = Desk::on_static_page() else { return };
    let words = desk.page.ask("document.getElementById('start').innerText");
    assert!(words.as_str().unwrap().contains("nothing is uploaded"), "{words}");
    desk.page.ask("document.querySelector('details').open = true");
    let shown = desk.page.ask("document.getElementById('settings').innerText");
    let shown = shown.as_str().unwrap();
    for word in ["API", "server", "token"] {
        assert!(!shown.contains(word), "{word} in {shown}");
    }
    for method in ["guided", "patchmatch", "network"] {
        desk.set("method", method);
        let refines = desk.page.ask("!document.getElementById('refine-field').hidden");
        assert_eq!(refines, method != "patchmatch", "{method}");
        let answers = desk.page.ask("!document.getElementById('answers-field').hidden");
        assert_eq!(answers, method != "network", "{method}: one answer, whatever the seed");
    }
    desk.page.click("#language");
    let words = desk.page.ask("document.getElementById('start').innerText");
    assert!(words.as_str().unwrap().contains("нічого не надсилається"), "{words}");
}

#[test]
fn nothing_can_be_sent_elsewhere() {
    let Some(desk) = Desk::on_static_page() else { return };
    let elsewhere = testkit::file_server::FileServer::start(|_| testkit::file_server::file(b"hello"));
    // The page, and a worker as the page starts its own.
    let blocked = desk.page.ask(&format!(
        "(async () => {{ const script = \"fetch('{url}/photo', {{ method: 'POST', body: 'x', mode: 'no-cors' }}).then(() => 'sent', () => 'blocked')\"; \
         const here = await fetch('{url}/photo', {{ method: 'POST', body: 'x', mode: 'no-cors' }}).then(() => 'sent', () => 'blocked'); \
         const worker = new Worker(URL.createObjectURL(new Blob([script + '.then(postMessage)'], {{ type: 'text/javascript' }})), {{ type: 'module' }}); \
         const there = await new Promise((resolve) => (worker.onmessage = ({{ data }}) => resolve(data))); \
         return here + ', ' + there; }})()",
        url = elsewhere.url()
    ));
    assert_eq!(blocked, "blocked, blocked");
    assert_eq!(elsewhere.asked(), []);
}

#[test]
fn a_cancelled_fill_ends_its_worker_and_the_next_one_has_a_new_one() {
    let Some(desk) = Desk::on_static_page() else { return };
    desk.page.ask(
        "(() => { window.ended = 0; const terminate = Worker.prototype.terminate; \
         Worker.prototype.terminate = function () { window.ended++; terminate.call(this); }; })()",
    );
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    desk.set("method", "network");
    desk.page.click("#refine");
    desk.page.click("#fill");
    desk.page.wait_for(
        "document.getElementById('progress').value > 0.05 && document.getElementById('progress').value < 1",
    );
    desk.page.click("#cancel");
    desk.page.wait_for(READY);
    assert_eq!(desk.page.ask("window.ended"), 1);
    assert!(desk.masked() > 0.0 && desk.steps() == 1);
    desk.page.click("#refine");
    desk.fill();
    desk.fill_again();
    assert_eq!(desk.page.ask("window.ended"), 1, "a worker that is done waits for the next fill");
}

#[test]
fn what_cannot_be_read_is_refused_and_the_page_goes_on() {
    let Some(desk) = Desk::on_static_page() else { return };
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    for (name, bytes, expected) in [
        ("half.jpg", half(phone_jpeg(64, 64)), "half.jpg: this JPEG file cannot be read here"),
        ("half.png", half(png(photo(64, 64))), "half.png: this PNG file cannot be read here"),
        ("text.jpg", b"this is not a photo".to_vec(), "text.jpg cannot be read as a photo"),
        ("empty.png", Vec::new(), "empty.png cannot be read as a photo"),
    ] {
        desk.page.ask("document.getElementById('messages').replaceChildren()");
        desk.page.choose_file("#open-input", &desk.write(name, bytes));
        desk.page.wait_for("document.querySelector('#messages .error')");
        let message = desk.message();
        assert!(message.contains(expected), "{name}: {message}");
        assert_eq!(desk.steps(), 0, "{name}");
    }
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    desk.fill();
}

#[test]
fn what_needs_more_than_four_gibibytes_is_refused_before_it_is_begun() {
    let Some(desk) = Desk::on_static_page() else { return };
    // 24 megapixels, refined at full size: 4.4 GiB by the forecast.
    let photo = RgbImage::from_pixel(6000, 4000, Rgb([90, 120, 80]));
    desk.page.choose_file("#open-input", &desk.write("large.png", png(photo)));
    desk.page.wait_for(&is_open());
    desk.set("method", "network");
    desk.set("strategy", "full");
    desk.page.click("#refine");
    let (x, y) = desk.center();
    desk.page.drag(&[(x, y)]);
    desk.page.click("#fill");
    let message = desk.message();
    assert!(message.contains("more memory than a page can have (4 GiB)"), "{message}");
    assert!(desk.masked() > 0.0 && desk.steps() == 1, "what was painted is kept");
    // In windows around the hole it fits.
    desk.page.ask("document.getElementById('messages').replaceChildren()");
    desk.set("strategy", "auto");
    desk.page.click("#refine");
    desk.fill();
}

#[test]
fn a_fault_of_the_module_is_explained_and_the_next_fill_works() {
    let Some(desk) = Desk::on_static_page() else { return };
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    // Workers that end as after a panic, or when the system has no memory for them.
    for (code, expected) in [("internal", "The fill failed"), ("memory", "more memory than a page can have")]
    {
        desk.page.ask(&format!(
            "(() => {{ window.post ??= Worker.prototype.postMessage; Worker.prototype.postMessage = function (...message) {{ \
             if (!message[0].request) return window.post.apply(this, message); Worker.prototype.postMessage = window.post; \
             this.dispatchEvent(new MessageEvent('message', {{ data: {{ failed: {{ code: '{code}', detail: 'row 7' }} }} }})); }}; }})()"
        ));
        desk.page.click("#fill");
        let message = desk.message();
        assert!(message.contains(expected), "{message}");
        desk.page.wait_for("document.documentElement.dataset.state === 'error'");
        desk.page.ask("document.getElementById('messages').replaceChildren()");
    }
    desk.page.click("#fill");
    desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 2"));
}
