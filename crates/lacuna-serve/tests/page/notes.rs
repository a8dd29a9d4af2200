//! The server's notes on a result.

use image::codecs::jpeg::JpegEncoder;

use crate::desk::{Desk, HEIGHT, READY, WIDTH, on_both};
use crate::server::{gif, photo};

#[test]
fn the_servers_notes_stand_under_the_result_until_they_are_closed() {
    on_both(|desk| {
        let path = desk.write("a, 5 % \u{444}.gif", gif(photo(WIDTH, HEIGHT)));
        desk.page.choose_file("#open-input", &path);
        desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
        let notes = || {
            let script = "JSON.stringify([...document.querySelectorAll('#notes li')].filter((item) => item.offsetParent).map((item) => item.textContent))";
            let text = desk.page.ask(script);
            serde_json::from_str::<Vec<String>>(text.as_str().unwrap()).unwrap()
        };
        assert!(notes().is_empty());
        desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
        desk.fill();
        let palette = "The photo's palette has no room for the new colours: written as RGB";
        let kind = "GIF files cannot be written: the result is a PNG";
        assert_eq!(notes(), [kind, "Only the first frame of the GIF was read", palette]);
        let below = "document.getElementById('notes').getBoundingClientRect().top - document.getElementById('stage').getBoundingClientRect().bottom";
        assert_eq!(desk.page.ask(below), 0, "they cover nothing");
        desk.page.click("#language");
        assert_eq!(notes()[0], "Файли GIF не записуються: результат у PNG");
        desk.page.click("#language");
        desk.page.click("#undo");
        desk.page.wait_for("document.querySelector('#history li:nth-child(1) [aria-current]')");
        assert!(notes().is_empty(), "they belong to the result");
        desk.page.click("#redo");
        desk.page.wait_for("document.querySelector('#history li:nth-child(2) [aria-current]')");
        assert_eq!(notes().len(), 3);
        desk.page.click("#notes-close");
        assert!(notes().is_empty());
        desk.page.click("#undo");
        desk.page.wait_for("document.querySelector('#history li:nth-child(1) [aria-current]')");
        desk.page.click("#redo");
        desk.page.wait_for("document.querySelector('#history li:nth-child(2) [aria-current]')");
        assert!(notes().is_empty(), "closed for good");
    });
}

#[test]
fn several_notes_and_unusual_names_arrive_whole() {
    let Some(desk) = Desk::new() else { return };
    let mut jpeg = Vec::new();
    photo(WIDTH, HEIGHT).write_with_encoder(JpegEncoder::new(&mut jpeg)).unwrap();
    jpeg.splice(2..2, *b"\xff\xfe\x00\x06word");
    jpeg.extend_from_slice(b"a video after the picture \xff\xd9");
    desk.page.choose_file("#open-input", &desk.write("a%2C b, c %41 \u{444}.jpg", jpeg));
    desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
    desk.set("format", "bmp");
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    desk.fill();
    let notes = desk
        .page
        .ask("[...document.querySelectorAll('#notes li')].map((item) => item.textContent).join('|')");
    let notes = notes.as_str().unwrap();
    assert!(notes.starts_with("A gain map, a video or further pictures in the file were dropped"), "{notes}");
    assert!(notes.ends_with("BMP files cannot hold JPEG comments: dropped"), "{notes}");
    assert_eq!(notes.matches('|').count(), 1, "{notes}");
}
