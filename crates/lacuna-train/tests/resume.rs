//! A run that is killed at any event and resumed ends as an undisturbed one.
//!
//! The kill is a panic in the callback that watches the run: nothing that the run would have written later is written.

mod kills;

use std::path::Path;

use kills::assert_resumes_after_kills;
use lacuna_train::{RunConfig, fit};
use testkit::pictures::write_noise_photos;

/// Four steps: a score after two and four, a checkpoint after three and four.
const RUN_FILE: &str = r#"
    task = "inpainting"
    seed = 1
    network = { family = "fourier", width = 2, blocks = 1, conditioning = "control" }
    ema = { on = true, decay = 0.9 }
    loss.pixel_l1 = { known = 1.0, hole = 1.0 }
    optimizer = { learning_rate = 1e-3 }
    run = { steps = 4, batch = 2, checkpoint_every = 3, validate_every = 2, grid_every = 2, log_every = 1 }

    [data]
    train = [{ kind = "folder", path = "PHOTOS" }]
    validation = [{ kind = "folder", path = "PHOTOS" }]
    validation_photos = 1
    side = 16
    augment = "light"
    masks = { kind = "half" }
    validation_masks = { kind = "half" }
"#;

fn config(folder: &Path) -> RunConfig {
    let photos = folder.join("photos");
    write_noise_photos(&photos, 4, 24);
    RunConfig::parse(&RUN_FILE.replace("PHOTOS", photos.to_str().unwrap()), &[]).unwrap()
}

#[test]
fn a_run_resumes_after_a_kill_at_any_event() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    assert_resumes_after_kills(&|options, stop, watch| fit(&config, options, stop, watch), folder.path());
}
