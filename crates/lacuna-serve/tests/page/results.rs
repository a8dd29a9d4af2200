//! Filling, comparing, choosing and saving.

use std::fs;
use std::sync::Arc;

use lacuna::patchmatch::PatchMatch;
use lacuna::{EnginePredictor, Mask, Picture, Planes, Predictor};
use lacuna_serve::{LatentView, Method, Model, Models};

use crate::desk::{Desk, HEIGHT, READY, WIDTH, on_both, on_both_with};
use crate::server::{photo, png};

#[test]
fn the_example_is_filled_with_two_clicks() {
    on_both(|desk| {
        assert_eq!(desk.page.ask("document.documentElement.dataset.state"), "empty");
        desk.page.click("#example");
        desk.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
        assert!(desk.masked() > 2.0);
        desk.fill();
        assert_eq!(desk.masked(), 0.0, "the hole is no longer there");
        let outside: Vec<_> = desk
            .page
            .requests()
            .into_iter()
            .filter(|url| {
                !url.starts_with(&desk.address) && !url.starts_with("blob:") && !url.starts_with("data:")
            })
            .collect();
        assert!(outside.is_empty(), "{outside:?}");
    });
}

#[test]
fn what_is_drawn_is_filled_and_nothing_else_is_touched() {
    on_both(|desk| {
        let photo = desk.open_photo();
        desk.drag(&[(0.3, 0.3), (0.5, 0.5), (0.7, 0.4)]);
        let drawn = desk.masked();
        assert!(drawn > 1.0 && drawn < 30.0, "{drawn} %");
        let hole = desk.export_mask();
        assert_eq!(hole.dimensions(), (WIDTH, HEIGHT));
        assert_eq!(hole.get_pixel(WIDTH / 2, HEIGHT / 2)[0], 255);
        assert!(hole.pixels().all(|pixel| pixel[0] == 0 || pixel[0] == 255));
        desk.fill();

        desk.page.ask("document.getElementById('download').click()");
        let filled = image::load_from_memory(&desk.downloaded("dots-inpainted.png")).unwrap().to_rgb8();
        let mut changed = 0;
        for (x, y, pixel) in filled.enumerate_pixels() {
            let same = pixel == photo.get_pixel(x, y);
            assert!(hole.get_pixel(x, y)[0] == 255 || same, "a known pixel at {x}, {y}");
            changed += usize::from(!same);
        }
        assert!(changed > 100, "{changed}");

        // Two more, then back through all of them: the oldest ones were moved to storage.
        for _ in 0..2 {
            desk.drag(&[(0.2, 0.8), (0.4, 0.8)]);
            desk.fill();
        }
        let current = |step: u32| {
            desk.page.wait_for(&format!(
            "document.querySelector('#history [aria-current]').matches('#history li:nth-child({step}) button')"
        ));
        };
        desk.page.ask("document.querySelector('#history li:first-child button').click()");
        current(1);
        assert_eq!(desk.masked(), drawn, "its mask is still there");
        desk.page.ask("document.querySelector('#history li:nth-child(2) button').click()");
        current(2);

        // Undo returns to the photo with its mask, redo to the result.
        desk.page.click("#undo");
        current(1);
        assert_eq!(desk.masked(), drawn);
        desk.page.click("#redo");
        current(2);

        // Before and after, by slider and by holding a key.
        desk.page.ask(
        "(() => { const slider = document.getElementById('compare'); slider.value = 50; slider.dispatchEvent(new Event('input')); })()",
    );
        desk.page.wait_for("document.documentElement.dataset.state === 'comparing'");
        let key = |kind: &str| {
            desk.page.ask(&format!(
                "document.dispatchEvent(new KeyboardEvent('{kind}', {{ key: 'c', bubbles: true }}))"
            ))
        };
        desk.page
            .ask("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'c', bubbles: true }))");
        desk.page.wait_for("document.getElementById('compare').value === '100'");
        key("keyup");
        desk.page.wait_for("document.getElementById('compare').value === '0'");
    });
}

#[test]
fn the_latent_view_lies_over_the_photo() {
    struct Grey;
    impl LatentView for Grey {
        fn draw(&self, _: &Picture, mask: &Mask) -> Result<Planes, String> {
            assert!(mask.count() > 0);
            Ok(Planes::new(WIDTH as usize, HEIGHT as usize, vec![0.5; (3 * WIDTH * HEIGHT) as usize]))
        }
    }
    let network = model(Arc::new(PatchMatch::default()), Some(Arc::new(Grey)));
    let patchmatch = Arc::new(PatchMatch::default());
    let Some(desk) = Desk::with(Models::new(patchmatch, vec![network])) else { return };
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    desk.page.ask("document.getElementById('latent').closest('details').open = true");
    desk.page.click("#latent");
    let shown = |is: bool| {
        desk.page.wait_for(&format!("{READY} && document.getElementById('latent').ariaPressed === '{is}'"));
    };
    shown(true);
    desk.page.click("#latent");
    shown(false);
    // Drawing removes it too.
    desk.page.click("#latent");
    shown(true);
    desk.page.click("#grow");
    shown(false);
}

/// A model of a server.
fn model(network: Arc<dyn Predictor>, latent: Option<Arc<dyn LatentView>>) -> Model {
    let (id, device) = ("one".into(), "cpu".into());
    Model { id, label: None, method: Method::NETWORK, device, parameters: 1, network, latent }
}

/// PatchMatch and the network that ships.
fn with_network() -> Models {
    let network = Arc::new(EnginePredictor::new(&lacuna::default_network().unwrap()).unwrap());
    Models::new(Arc::new(PatchMatch::default()), vec![model(network, None)])
}

#[test]
fn several_answers_are_there_to_choose_from() {
    on_both_with(with_network, |desk| {
        desk.set("method", "patchmatch");
        desk.open_photo();
        desk.drag(&[(0.3, 0.3), (0.5, 0.5), (0.7, 0.4)]);
        let variants = "document.querySelectorAll('#variants li').length";
        let chosen = "[...document.querySelectorAll('#variants button')].findIndex((button) => button.ariaCurrent === 'step')";
        let wait = |condition: &str| desk.page.wait_for(&format!("{READY} && {condition}"));
        desk.set("answers", "3");
        desk.page.click("#fill");
        desk.page
            .wait_for("document.getElementById('progress-text').textContent.startsWith('Answer 2 of 3')");
        assert_eq!(
            desk.page.ask("document.getElementById('fill').disabled"),
            true,
            "nothing is drawn meanwhile"
        );
        wait(&format!("{variants} === 3 && {chosen} === 0"));
        assert_eq!(desk.steps(), 2);
        desk.page.press("2");
        wait(&format!("{chosen} === 1"));
        desk.page.click("#another");
        wait(&format!("{variants} === 4 && {chosen} === 3"));
        // Those that were there stay when further ones are cancelled.
        desk.page.click("#undo");
        wait("document.querySelectorAll('#history li')[0].firstChild.ariaCurrent === 'step'");
        desk.set("answers", "9");
        desk.set("method", "guided");
        desk.page.click("#refine");
        desk.page.click("#fill");
        desk.page
            .wait_for("document.getElementById('progress-text').textContent.startsWith('Answer 3 of 9')");
        desk.page.click("#cancel");
        wait(&format!("{variants} === 6 && {chosen} === 4"));
    });
}

#[test]
fn a_fill_is_refined_with_progress_and_can_be_cancelled() {
    on_both_with(with_network, |desk| {
        let hidden = "document.getElementById('refine-field').hidden";
        desk.set("method", "patchmatch");
        assert_eq!(desk.page.ask(hidden), true, "PatchMatch has no network");
        desk.set("method", "network");
        assert_eq!(desk.page.ask(hidden), false);
        desk.open_photo();
        desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
        desk.fill();
        desk.page.ask("document.getElementById('download').click()");
        let plain = desk.downloaded("dots-inpainted.png");
        fs::remove_file(desk.folder.path().join("dots-inpainted.png")).unwrap();
        desk.page.click("#undo");

        desk.page.click("#refine");
        let moved = "document.getElementById('progress').value > 0.05 && document.getElementById('progress').value < 1";
        desk.page.click("#fill");
        desk.page.wait_for(moved);
        desk.page.click("#cancel");
        desk.page.wait_for(READY);
        assert!(desk.masked() > 0.0, "nothing was filled");
        desk.page.click("#fill");
        desk.page.wait_for(moved);
        desk.page.wait_for(&format!("{READY} && document.getElementById('redo').disabled"));
        assert_eq!(desk.masked(), 0.0);
        desk.page.ask("document.getElementById('download').click()");
        let refined = desk.downloaded("dots-inpainted.png");
        assert!(refined != plain, "refinement changed nothing");
    });
}

#[test]
fn a_stroke_is_filled_when_it_ends() {
    on_both(|desk| {
        let is_on = "document.getElementById('at-once').checked";
        desk.page.go(&desk.address);
        assert_eq!(desk.page.ask(is_on), true, "by default");
        desk.open_photo();
        desk.drag(&[(0.3, 0.3), (0.5, 0.3)]);
        desk.page.wait_for(&format!("document.querySelectorAll('#history li').length === 2 && {READY}"));
        desk.page.click("#at-once");
        desk.drag(&[(0.3, 0.6), (0.5, 0.6)]);
        assert!(desk.masked() > 0.0, "without the switch it waits");
        assert_eq!(desk.steps(), 2);
        desk.page.go(&desk.address);
        assert_eq!(desk.page.ask(is_on), false, "the choice is remembered");
    });
}

#[test]
fn before_and_after_are_compared_on_the_photo() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.3)]);
    desk.fill();
    // Nothing covers the photo: all of it can be painted.
    let (x, y) = desk.point(0.5, 0.97);
    assert_eq!(desk.page.ask(&format!("document.elementFromPoint({x}, {y}).id")), "canvas");
    desk.drag(&[(0.5, 0.97)]);
    assert!(desk.masked() > 0.0);
    desk.page.click("#clear");

    let divider = "Number(document.getElementById('compare').value)";
    desk.page.click("#compare-toggle");
    assert_eq!(desk.page.ask(divider), 50);
    desk.drag(&[(0.5, 0.4), (0.4, 0.4), (0.25, 0.4)]);
    assert!((desk.page.ask(divider).as_f64().unwrap() - 25.0).abs() < 2.0);
    assert_eq!(desk.masked(), 0.0, "the divider was moved, nothing was painted");
    desk.drag(&[(0.7, 0.4), (0.8, 0.4)]);
    assert!(desk.masked() > 0.0, "elsewhere one paints");
    assert_eq!(desk.page.ask(divider), 0);
}

#[test]
fn another_result_leaves_the_earlier_one_to_choose() {
    on_both(|desk| {
        desk.open_photo();
        desk.page.click("#tool-rectangle");
        desk.drag(&[(0.3, 0.3), (0.7, 0.7)]);
        desk.fill();
        let results = |count: usize| {
            desk.page.wait_for(&format!(
                "{READY} && document.querySelectorAll('#variants li').length === {count}"
            ));
        };
        let current = |number: usize| {
            desk.page.wait_for(&format!(
                "document.querySelector('#variants li:nth-child({number}) [aria-current]')"
            ));
        };
        let saved = || {
            let _ = fs::remove_file(desk.folder.path().join("dots-inpainted.png"));
            desk.page.ask("document.getElementById('download').click()");
            image::load_from_memory(&desk.downloaded("dots-inpainted.png")).unwrap()
        };
        let first = saved();
        desk.page.click("#another");
        results(2);
        current(2);
        assert_eq!(desk.steps(), 2, "in the place of the first");
        let second = saved();
        assert!(first != second, "with another seed");
        desk.page.press("1");
        current(1);
        assert!(saved() == first);
        // Steps after one result return with it.
        desk.drag(&[(0.1, 0.1), (0.2, 0.2)]);
        desk.fill();
        assert_eq!(desk.steps(), 3);
        desk.page.click("#undo");
        desk.page.wait_for("document.querySelector('#history li:nth-child(2) [aria-current]')");
        desk.page.click("#variants li:nth-child(2) button");
        current(2);
        assert_eq!(desk.steps(), 2);
        desk.page.press("1");
        current(1);
        assert_eq!(desk.steps(), 3);
        // Filling the first photo again keeps the results too.
        desk.page.click("#undo");
        desk.page.wait_for("document.querySelector('#history li:nth-child(1) [aria-current]')");
        assert!(desk.masked() > 0.0);
        desk.page.click("#fill");
        results(3);
        current(3);
    });
}

#[test]
fn the_last_mask_goes_on_another_photo() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    assert_eq!(desk.page.ask("document.getElementById('mask-again').disabled"), true);
    desk.drag(&[(0.3, 0.5), (0.5, 0.5)]);
    let drawn = desk.export_mask();
    desk.fill();
    // Further drawing does not change the last mask.
    desk.page.click("#undo");
    desk.page.wait_for("document.querySelector('#history li:nth-child(1) [aria-current]')");
    desk.page.click("#invert");
    desk.page.ask("document.getElementById('download').click()");
    let name = desk.write("next.png", png(photo(WIDTH, HEIGHT)));
    desk.page.choose_file("#open-input", &name);
    desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
    desk.page.click("#mask-again");
    assert_eq!(desk.export_mask(), drawn);
}

#[test]
fn the_saved_file_has_the_chosen_format() {
    on_both(|desk| {
        desk.open_photo();
        for (format, extension) in
            [("jpeg", "jpg"), ("webp", "webp"), ("tiff", "tif"), ("bmp", "bmp"), ("png", "png")]
        {
            desk.set("format", format);
            assert_eq!(desk.page.ask("document.getElementById('quality-field').hidden"), format != "jpeg");
            desk.set("quality", "40");
            desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
            desk.fill();
            desk.page.ask("document.getElementById('download').click()");
            let bytes = desk.downloaded(&format!("dots-inpainted.{extension}"));
            let found = image::guess_format(&bytes).unwrap();
            assert!(found.extensions_str().contains(&extension), "{found:?} for {format}");
        }
    });
}

#[test]
fn the_upload_shows_its_progress() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.page.ask(
        "window.seen = []; new MutationObserver(() => window.seen.push(document.getElementById('progress-text').textContent))\
         .observe(document.getElementById('progress-text'), { childList: true })",
    );
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    desk.fill();
    let seen = desk.page.ask("JSON.stringify(window.seen)");
    let seen = seen.as_str().unwrap();
    for part in ["Sending… 100 %", "Receiving… 100 %"] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
}
