//! Sketching lines to continue through the hole.

use image::Rgb;

use crate::desk::{Desk, HEIGHT, READY, WIDTH};
use crate::server::draughtsman;

fn is_shown(desk: &Desk, id: &str) -> bool {
    desk.page.ask(&format!("Boolean(document.getElementById('{id}').offsetParent)")) == true
}

fn brush(desk: &Desk) -> String {
    desk.page.ask("document.getElementById('size').value").as_str().unwrap().to_owned()
}

/// The label for screen readers.
fn label(desk: &Desk) -> String {
    let label = desk.page.ask("document.getElementById('canvas').getAttribute('aria-label')");
    label.as_str().unwrap().to_owned()
}

#[test]
fn lines_go_on_in_the_hole_and_stay_for_another_answer() {
    let Some(desk) = Desk::with(draughtsman()) else { return };
    let before = desk.open_photo();
    desk.page.click("#tool-rectangle");
    desk.drag(&[(0.25, 0.25), (0.75, 0.75)]);
    let (hole, broad) = (desk.masked(), brush(&desk));
    assert!(is_shown(&desk, "sketch") && !is_shown(&desk, "aiming"));
    desk.page.click("#sketch");
    assert!(is_shown(&desk, "aiming-sketch") && !is_shown(&desk, "aiming-avoid"));
    assert_ne!(brush(&desk), broad, "lines have a brush of their own");
    desk.page.click("#tool-brush");
    desk.drag(&[(0.1, 0.5), (0.9, 0.5)]);
    assert_eq!((desk.masked(), desk.steps()), (hole, 1), "a line is no hole, and fills nothing");
    assert!(label(&desk).contains("% sketched lines"), "{}", label(&desk));
    desk.page.click("#aim-done");
    assert!(!is_shown(&desk, "aiming"));
    assert_eq!(brush(&desk), broad);
    desk.fill();
    let at = |x: f64, y: f64| ((x * f64::from(WIDTH)) as u32, (y * f64::from(HEIGHT)) as u32);
    let result = || {
        desk.page.ask("document.getElementById('download').click()");
        image::load_from_memory(&desk.downloaded("dots-inpainted.png")).unwrap().to_rgb8()
    };
    let filled = result();
    let (line, beside, outside) = (at(0.5, 0.5), at(0.5, 0.35), at(0.15, 0.5));
    assert_eq!((filled[line], filled[beside]), (Rgb([255; 3]), Rgb([0; 3])));
    assert_eq!(filled[outside], before[outside], "lines outside the hole count for nothing");
    // Without the line, another answer has none.
    assert!(label(&desk).contains("% sketched lines"), "it stays for another answer");
    desk.page.press("s");
    assert!(is_shown(&desk, "aiming-sketch"));
    desk.page.click("#clear");
    desk.page.press("Escape");
    assert!(!is_shown(&desk, "aiming"));
    desk.page.click("#another");
    desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#variants li').length === 2"));
    std::fs::remove_file(desk.folder.path().join("dots-inpainted.png")).unwrap();
    assert_eq!(result()[line], Rgb([0; 3]));
}

#[test]
fn lines_are_offered_where_a_model_takes_them() {
    let Some(desk) = Desk::with(draughtsman()) else { return };
    desk.open_photo();
    for (method, shown) in [("patchmatch", false), ("guided", false), ("network", true)] {
        desk.set("method", method);
        assert_eq!(is_shown(&desk, "sketch"), shown, "{method}");
    }
    // A method without lines ends sketching.
    desk.page.press("s");
    assert!(is_shown(&desk, "aiming-sketch"));
    desk.set("method", "patchmatch");
    assert!(!is_shown(&desk, "aiming"));
    let Some(plain) = Desk::new() else { return };
    plain.open_photo();
    assert!(!is_shown(&plain, "sketch"));
    plain.page.press("s");
    assert!(!is_shown(&plain, "aiming"));
}
