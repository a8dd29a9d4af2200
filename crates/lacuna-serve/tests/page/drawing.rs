//! Drawing the mask.

use image::{GrayImage, Luma};

use testkit::browser::Held;

use crate::desk::{Desk, HEIGHT, READY, WIDTH};
use crate::server::{mask, png};

#[test]
fn every_tool_changes_the_mask_and_undo_takes_it_back() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    let mut fractions = vec![desk.masked()];
    let mut then = |what: &str, larger: Option<bool>| {
        let (before, now) = (fractions[fractions.len() - 1], desk.masked());
        match larger {
            Some(true) => assert!(now > before, "{what}: {before} to {now}"),
            Some(false) => assert!(now < before, "{what}: {before} to {now}"),
            None => assert!((now - (100.0 - before)).abs() < 0.2, "{what}: {before} to {now}"),
        }
        fractions.push(now);
    };
    desk.page.click("#tool-rectangle");
    desk.drag(&[(0.2, 0.2), (0.4, 0.6)]);
    then("rectangle", Some(true));
    desk.page.click("#tool-lasso");
    desk.drag(&[(0.6, 0.2), (0.9, 0.2), (0.9, 0.8)]);
    then("lasso", Some(true));
    desk.page.click("#tool-eraser");
    desk.drag(&[(0.2, 0.3), (0.4, 0.3)]);
    then("eraser", Some(false));
    desk.page.click("#tool-brush");
    desk.drag(&[(0.1, 0.9), (0.5, 0.9)]);
    then("brush", Some(true));
    desk.page.click("#grow");
    then("grow", Some(true));
    desk.page.click("#shrink");
    then("shrink", Some(false));
    desk.page.click("#invert");
    then("invert", None);
    desk.page.click("#clear");
    then("clear", Some(false));
    for expected in fractions.iter().rev().skip(1) {
        desk.page.click("#undo");
        assert_eq!(desk.masked(), *expected);
    }
    assert_eq!(desk.page.ask("document.getElementById('undo').disabled"), true);
    for expected in fractions.iter().skip(1) {
        desk.page.click("#redo");
        assert_eq!(desk.masked(), *expected);
    }
}

#[test]
fn fifty_steps_are_taken_back() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    for _ in 0..60 {
        desk.page.ask("document.getElementById('invert').click()");
    }
    let back = desk.page.ask(
        "(() => { let steps = 0; while (!document.getElementById('undo').disabled) { document.getElementById('undo').click(); steps++; } return steps; })()",
    );
    assert_eq!(back, 60);
    assert_eq!(desk.masked(), 0.0);
}

#[test]
fn masks_are_imported_of_any_polarity_and_size() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    let hole = mask(WIDTH, HEIGHT);
    let fraction =
        100.0 * hole.pixels().filter(|pixel| pixel[0] > 0).count() as f64 / f64::from(WIDTH * HEIGHT);
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 0.6, "{found} for {expected}");
    desk.page.choose_file("#mask-import-input", &desk.write("m.png", png(hole.clone())));
    desk.page.wait_for("!document.getElementById('undo').disabled");
    close(desk.masked(), fraction);
    assert_eq!(desk.export_mask(), hole, "exactly the file's");

    let open = "document.getElementById('ask-dialog').open";
    let answer = |value: &str| {
        desk.page.wait_for(open);
        desk.page.ask(&format!("document.querySelector('#ask-answers button[value=\"{value}\"]').click()"));
        desk.page.wait_for(&format!("!{open}"));
    };
    let masked = |expected: f64| {
        desk.page.wait_for(&format!(
            "Math.abs(parseFloat(document.getElementById('canvas').getAttribute('aria-label').split(', ')[1]) - {expected}) < 0.6"
        ));
    };
    desk.page.click("#clear");
    // The hole is dark here: the page asks which part is meant.
    let inverted = GrayImage::from_fn(WIDTH, HEIGHT, |x, y| Luma([255 - hole.get_pixel(x, y)[0]]));
    desk.page.choose_file("#mask-import-input", &desk.write("i.png", png(inverted)));
    answer("dark");
    masked(fraction);
    desk.page.click("#clear");
    // Half the size: the page asks whether to scale.
    desk.page.choose_file("#mask-import-input", &desk.write("s.png", png(mask(WIDTH / 2, HEIGHT / 2))));
    answer("yes");
    masked(fraction);
    // Not an image: the page says so.
    desk.page.choose_file("#mask-import-input", &desk.write("n.png", b"nothing".to_vec()));
    desk.page.wait_for("document.querySelector('#messages .error')?.textContent.includes('n.png')");
}

#[test]
fn the_keyboard_suffices() {
    let Some(desk) = Desk::new() else { return };
    let focused = |id: &str| {
        desk.page.wait_for(&format!("document.activeElement.id === '{id}'"));
    };
    // From the top of the page to the example, by keyboard.
    for _ in 0..40 {
        desk.page.press("Tab");
        if desk.page.ask("document.activeElement.id") == "example" {
            break;
        }
    }
    focused("example");
    desk.page.press("Enter");
    desk.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
    focused("canvas");
    desk.page.press("Delete");
    assert_eq!(desk.masked(), 0.0);
    // A dab, then a line with the pen down.
    desk.page.press("ArrowRight");
    desk.page.press(" ");
    desk.page.wait_for("!document.getElementById('canvas').getAttribute('aria-label').includes(' 0.0 %')");
    let dab = desk.masked();
    desk.page.press("Enter");
    for _ in 0..6 {
        desk.page.press("ArrowDown");
    }
    desk.page.press("Enter");
    let line = desk.masked();
    assert!(line > dab, "{dab} to {line}");
    // A rectangle from corner to corner.
    desk.page.press("r");
    desk.page.press("Enter");
    for _ in 0..8 {
        desk.page.press("ArrowRight");
        desk.page.press("ArrowDown");
    }
    desk.page.press("Enter");
    assert!(desk.masked() > line);
    desk.page.press("f");
    desk.page.wait_for("document.querySelectorAll('#history li').length === 2");
    desk.page.wait_for(READY);
    desk.page.press("d");
    assert!(!desk.downloaded("photo-inpainted.jpg").is_empty());
    desk.page.press("?");
    desk.page.wait_for("document.getElementById('keys-dialog').open");
    desk.page.press("Escape");
    desk.page.wait_for("!document.getElementById('keys-dialog').open");
}

#[test]
fn one_click_paints_a_disc() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.page.ask("document.getElementById('size').value = 40; document.getElementById('size').dispatchEvent(new Event('input'))");
    desk.drag(&[(0.5, 0.5)]);
    desk.page.wait_for("!document.getElementById('canvas').getAttribute('aria-label').includes(' 0.0 %')");
    let exported = desk.export_mask();
    let hole: Vec<(u32, u32)> =
        exported.enumerate_pixels().filter(|(.., p)| p[0] > 0).map(|(x, y, _)| (x, y)).collect();
    let width = hole.iter().map(|p| p.0).max().unwrap() - hole.iter().map(|p| p.0).min().unwrap() + 1;
    let height = hole.iter().map(|p| p.1).max().unwrap() - hole.iter().map(|p| p.1).min().unwrap() + 1;
    assert!(width.abs_diff(height) <= 1, "{width} x {height}");
    let disc = std::f64::consts::PI / 4.0 * f64::from(width * height);
    assert!((hole.len() as f64 / disc - 1.0).abs() < 0.1, "{} pixels in {width} x {height}", hole.len());
}

#[test]
fn a_cancelled_stroke_leaves_no_trace() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.drag(&[(0.2, 0.2), (0.4, 0.2)]);
    let drawn = desk.masked();
    assert!(drawn > 0.0);
    let begin_and_escape = "(() => { const canvas = document.getElementById('canvas'); \
         const box = canvas.getBoundingClientRect(); \
         const at = (x, y) => ({ bubbles: true, pointerId: 1, button: 0, clientX: box.x + x * box.width, clientY: box.y + y * box.height }); \
         canvas.setPointerCapture = () => {}; \
         canvas.dispatchEvent(new PointerEvent('pointerdown', at(0.5, 0.5))); \
         canvas.dispatchEvent(new PointerEvent('pointermove', at(0.6, 0.6))); \
         canvas.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, key: 'Escape', code: 'Escape' })); \
         canvas.dispatchEvent(new PointerEvent('pointerup', at(0.6, 0.6))); })()";
    desk.page.ask(begin_and_escape);
    assert_eq!(desk.masked(), drawn);
    assert_eq!(desk.page.ask("document.getElementById('redo').disabled"), true);
    // Redo still works for everything that could be redone before.
    desk.page.click("#undo");
    assert_eq!(desk.masked(), 0.0);
    desk.page.ask(begin_and_escape);
    assert_eq!(desk.masked(), 0.0);
    desk.page.click("#redo");
    assert_eq!(desk.masked(), drawn);
}

#[test]
fn shortcuts_work_on_cyrillic_layouts() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.drag(&[(0.2, 0.2), (0.4, 0.2)]);
    let drawn = desk.masked();
    let press = |key: &str, code: &str, ctrl: bool| {
        desk.page.ask(&format!(
            "document.getElementById('canvas').dispatchEvent(new KeyboardEvent('keydown', \
             {{ key: '{key}', code: '{code}', ctrlKey: {ctrl}, bubbles: true, cancelable: true }}))"
        ));
    };
    press("я", "KeyZ", true);
    assert_eq!(desk.masked(), 0.0);
    press("н", "KeyY", true);
    assert_eq!(desk.masked(), drawn);
    press("у", "KeyE", false);
    assert_eq!(desk.page.ask("document.getElementById('tool-eraser').getAttribute('aria-pressed')"), "true");
    let size = desk.page.ask("Number(document.getElementById('size').value)").as_f64().unwrap();
    press("ї", "BracketRight", false);
    assert!(desk.page.ask("Number(document.getElementById('size').value)").as_f64().unwrap() > size);
    // On a Latin layout the letter counts, not its position: AZERTY has Z where QWERTY has W.
    press("z", "KeyW", true);
    assert_eq!(desk.masked(), 0.0);
}

#[test]
fn rectangles_and_lassos_erase() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.page.click("#tool-rectangle");
    desk.drag(&[(0.1, 0.1), (0.9, 0.9)]);
    desk.page.click("#tool-rectangle-eraser");
    desk.drag(&[(0.2, 0.2), (0.4, 0.8)]);
    assert!(desk.masked_within([0.22, 0.22, 0.38, 0.78]) < 0.01);
    desk.page.click("#tool-lasso-eraser");
    desk.drag(&[(0.6, 0.2), (0.8, 0.2), (0.8, 0.8), (0.6, 0.8)]);
    assert!(desk.masked_within([0.62, 0.22, 0.78, 0.78]) < 0.01);
    assert!(desk.masked_within([0.42, 0.2, 0.58, 0.8]) > 0.99, "between them it stays");
    // Alt erases with painting tools, and paints with erasing tools.
    desk.page.click("#tool-rectangle");
    desk.drag_holding(Held::Alt, &[(0.42, 0.2), (0.58, 0.8)]);
    assert!(desk.masked_within([0.44, 0.22, 0.56, 0.78]) < 0.01);
    desk.page.click("#tool-lasso-eraser");
    desk.drag_holding(Held::Alt, &[(0.6, 0.2), (0.8, 0.2), (0.8, 0.8), (0.6, 0.8)]);
    assert!(desk.masked_within([0.62, 0.22, 0.78, 0.78]) > 0.99);
}

#[test]
fn shift_draws_straight_lines() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.set("size", "20");
    // On a curved path: the line is straight from its start to its end.
    desk.drag_holding(Held::Shift, &[(0.1, 0.2), (0.5, 0.9), (0.9, 0.2)]);
    assert!(desk.masked_within([0.15, 0.19, 0.85, 0.21]) > 0.99);
    assert!(desk.masked_within([0.0, 0.4, 1.0, 1.0]) < 0.01);
    // A click with Shift continues from there.
    desk.drag_holding(Held::Shift, &[(0.9, 0.8)]);
    assert!(desk.masked_within([0.895, 0.25, 0.905, 0.75]) > 0.99);
}

#[test]
fn the_view_zooms_to_the_hole() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.set("size", "10");
    // Shorter than the eraser's width at the largest zoom.
    desk.drag(&[(0.25, 0.25), (0.26, 0.25)]);
    desk.page.click("#zoom-hole");
    // The point at a quarter of the photo is now in the centre.
    let (x, y) = desk.center();
    desk.page.click("#tool-eraser");
    desk.set("size", "300");
    desk.page.drag(&[(x, y)]);
    assert_eq!(desk.masked(), 0.0);
}
