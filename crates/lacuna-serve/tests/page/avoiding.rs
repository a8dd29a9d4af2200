//! Painting what must not be copied.

use image::{Rgb, RgbImage};

use crate::desk::{Desk, HEIGHT, READY, WIDTH, on_both};
use crate::server::png;

/// The percentage of the photo that must not be copied, from the label for screen readers.
fn avoided(desk: &Desk) -> f64 {
    let label = desk.page.ask("document.getElementById('canvas').getAttribute('aria-label')");
    let label = label.as_str().unwrap();
    let Some((before, _)) = label.split_once(" % not to be copied") else { return 0.0 };
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

fn is_avoiding(desk: &Desk) -> bool {
    desk.page.ask("Boolean(document.getElementById('aiming-avoid').offsetParent)") == true
}

fn start_avoiding(desk: &Desk) {
    desk.page.ask("document.getElementById('avoid').closest('details').open = true");
    desk.page.click("#avoid");
    assert!(is_avoiding(desk));
}

#[test]
fn what_must_not_be_copied_has_a_layer_of_its_own_and_one_history_with_the_hole() {
    let Some(desk) = Desk::new() else { return };
    assert!(desk.page.ask("document.getElementById('avoid').disabled") == true, "without a photo");
    desk.open_photo();
    assert!(!is_avoiding(&desk), "the usual path has nothing of it");
    desk.page.click("#tool-rectangle");
    desk.drag(&[(0.1, 0.1), (0.3, 0.3)]);
    let hole = desk.masked();
    start_avoiding(&desk);
    desk.drag(&[(0.5, 0.1), (0.9, 0.5)]);
    let painted = avoided(&desk);
    assert!((painted - 16.0).abs() < 1.0, "{painted} %");
    assert_eq!(desk.masked(), hole, "the hole is as it was");
    assert_eq!(desk.steps(), 1, "nothing is filled");
    desk.page.click("#tool-eraser");
    desk.drag(&[(0.5, 0.3), (0.9, 0.3)]);
    assert!(avoided(&desk) < painted);
    desk.page.click("#grow");
    desk.page.click("#clear");
    assert_eq!((avoided(&desk), desk.masked()), (0.0, hole));
    desk.page.click("#aim-done");
    assert!(!is_avoiding(&desk));
    desk.page.click("#clear");
    assert_eq!(desk.masked(), 0.0);
    // Back through both layers, in the order of the changes.
    let undo = || desk.page.click("#undo");
    undo();
    assert_eq!((desk.masked(), avoided(&desk)), (hole, 0.0));
    for _ in 0..3 {
        undo();
    }
    assert_eq!((desk.masked(), avoided(&desk)), (hole, painted));
    undo();
    assert_eq!((desk.masked(), avoided(&desk)), (hole, 0.0));
    undo();
    assert_eq!(desk.masked(), 0.0);
    assert_eq!(desk.page.ask("document.getElementById('undo').disabled"), true);
    for _ in 0..2 {
        desk.page.click("#redo");
    }
    assert_eq!((desk.masked(), avoided(&desk)), (hole, painted));
}

#[test]
fn what_is_painted_is_not_copied_by_this_fill_and_the_next_ones() {
    on_both(|desk| {
        // Only the last columns are green; the rest is two shades of grey.
        let photo = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
            let shade = 90 + 40 * (((x * 7 + y * 13) / 5 % 2) as u8);
            Rgb(if x >= 175 { [0, 255, 0] } else { [shade; 3] })
        });
        desk.page.choose_file("#open-input", &desk.write("dots.png", png(photo)));
        desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
        desk.page.ask("document.getElementById('at-once').checked = true");
        desk.page.click("#tool-rectangle");
        let place = |x: f64, y: f64| ((x * f64::from(WIDTH)) as u32, (y * f64::from(HEIGHT)) as u32);
        let filled = |name: &str| {
            let _ = std::fs::remove_file(desk.folder.path().join(name));
            desk.page.ask("document.getElementById('download').click()");
            image::load_from_memory(&desk.downloaded(name)).unwrap().to_rgb8()
        };
        let is_green = |(x, y)| {
            let pixel = filled("dots-inpainted.png")[(x, y)];
            pixel[1] > 200 && pixel[0] < 60
        };
        let steps = |count: u32| {
            desk.page
                .wait_for(&format!("document.querySelectorAll('#history li').length === {count} && {READY}"));
        };
        desk.drag(&[(0.3, 0.3), (0.36, 0.4)]);
        steps(2);
        assert!(!is_green(place(0.33, 0.35)), "from near by");
        start_avoiding(desk);
        desk.drag(&[(0.0, 0.0), (0.75, 1.0)]);
        assert_eq!(desk.steps(), 2, "painting it fills nothing");
        desk.page.click("#aim-done");
        desk.page.click("#another");
        desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#variants li').length === 2"));
        assert!(is_green(place(0.33, 0.35)), "the same hole again, but not from there");
        assert!(avoided(desk) > 70.0, "it stays for the next fill");
        desk.drag(&[(0.3, 0.6), (0.36, 0.7)]);
        steps(3);
        assert!(is_green(place(0.33, 0.65)));
        // Without it, grey is copied.
        start_avoiding(desk);
        desk.page.click("#clear");
        assert_eq!(avoided(desk), 0.0);
        desk.page.click("#aim-done");
        desk.drag(&[(0.1, 0.1), (0.14, 0.15)]);
        steps(4);
        assert!(!is_green(place(0.12, 0.125)));
    });
}

#[test]
fn it_is_painted_by_keyboard() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.page.wait_for("document.activeElement.id === 'canvas'");
    desk.page.press("n");
    assert!(is_avoiding(&desk));
    desk.page.press(" ");
    desk.page.wait_for(
        "document.getElementById('canvas').getAttribute('aria-label').includes('not to be copied')",
    );
    assert_eq!(desk.masked(), 0.0);
    let dab = avoided(&desk);
    desk.page.press("Enter");
    for _ in 0..4 {
        desk.page.press("ArrowRight");
    }
    desk.page.press("Enter");
    assert!(avoided(&desk) > dab);
    desk.page.press("Escape");
    assert!(!is_avoiding(&desk), "Escape goes back to the hole");
    desk.page.press(" ");
    assert!(desk.masked() > 0.0);
    // On a Cyrillic layout.
    desk.page.ask(
        "document.getElementById('canvas').dispatchEvent(new KeyboardEvent('keydown', \
         { key: 'т', code: 'KeyN', bubbles: true, cancelable: true }))",
    );
    assert!(is_avoiding(&desk));
}

#[test]
fn phones_show_the_photo_while_it_is_painted() {
    let Some(desk) = Desk::new() else { return };
    for (width, height) in [(360, 640), (844, 390)] {
        desk.page.be_a_phone(width, height);
        desk.reload();
        desk.open_photo();
        desk.page.click("#show-settings");
        desk.page.wait_for("getComputedStyle(document.getElementById('settings')).transform === 'matrix(1, 0, 0, 1, 0, 0)' || getComputedStyle(document.getElementById('settings')).transform === 'none'");
        start_avoiding(&desk);
        desk.page.wait_for("getComputedStyle(document.getElementById('settings')).visibility === 'hidden'");
        let wrong = desk.page.ask(
            "(() => { const chip = document.getElementById('aiming').getBoundingClientRect(); \
             const done = document.getElementById('aim-done').getBoundingClientRect(); \
             const fits = chip.left >= 0 && chip.right <= innerWidth && chip.top >= 0 && done.height >= 44; \
             return fits ? '' : JSON.stringify([chip, done, innerWidth]); })()",
        );
        assert_eq!(wrong, "", "{width} x {height}");
        assert_eq!(desk.page.ask("document.documentElement.scrollWidth"), width);
        desk.drag(&[(0.2, 0.5), (0.6, 0.5)]);
        assert!(avoided(&desk) > 1.0);
        desk.page.click("#aim-done");
        assert!(!is_avoiding(&desk));
    }
}
