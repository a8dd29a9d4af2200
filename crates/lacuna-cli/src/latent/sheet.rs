//! A latent view as images.

use image::RgbImage;
use lacuna::{Mask, Planes};
use lacuna_eval::report::sheet::{arrange, masked};
use lacuna_nets::latent::{Damage, Group, LatentView, Stage};

/// End of the colour scale: a difference as large as the mean feature of the ground truth. It is fixed, so that stages
/// can be compared by eye.
const LARGEST: f32 = 1.0;
/// Colours from no damage to the largest: dark, violet, orange, light.
const COLOURS: [[f32; 3]; 4] = [[0.02, 0.02, 0.08], [0.45, 0.1, 0.55], [0.95, 0.5, 0.15], [1.0, 0.98, 0.8]];

/// All images of a view.
pub struct Sheet {
    /// All of them in one image.
    pub picture: RgbImage,
    /// Each image with its caption.
    pub figures: Vec<(String, RgbImage)>,
}

/// The name of a stage in captions.
pub fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Masked => "masked",
        Stage::Controlled => "with mask control",
        Stage::Refined => "refined",
    }
}

/// Draws a view: photo, masked and inpainted photo; the decoded difference after each stage; each stage's damage.
pub fn draw(photo: &Planes, hole: &Mask, view: &LatentView) -> Sheet {
    let mut rows: Vec<Vec<(String, Planes)>> = vec![vec![
        ("The photo".into(), photo.clone()),
        ("With its hole".into(), masked(photo, hole)),
        ("Inpainted".into(), view.inpainted.clone()),
    ]];
    let decoded = view.stages.iter().map(|stage| {
        let equation = if stage.stage == Stage::Masked { " (eq. 4.1)" } else { "" };
        (format!("Decoded difference, {}{equation}", stage_name(stage.stage)), stage.decoded.clone())
    });
    rows.push(decoded.collect());
    for stage in &view.stages {
        let damage = stage.damage.iter().map(|damage| {
            let group = if damage.group == Group::Global { "global" } else { "local" };
            let caption =
                format!("Damage, {}, level {}, {group} channels", stage_name(stage.stage), damage.level);
            (caption, heat(damage, photo.width(), photo.height()))
        });
        rows.push(damage.collect());
    }
    let pictures: Vec<Vec<Planes>> =
        rows.iter().map(|row| row.iter().map(|(_, picture)| picture.clone()).collect()).collect();
    let alone = |picture: &Planes| arrange(&[vec![picture.clone()]]);
    let figures = rows.iter().flatten().map(|(caption, picture)| (caption.clone(), alone(picture))).collect();
    Sheet { picture: arrange(&pictures), figures }
}

/// A map at the photo's size, in colours.
fn heat(damage: &Damage, width: usize, height: usize) -> Planes {
    let map = &damage.map;
    let colour = |value: f32| {
        let place = (value / LARGEST).clamp(0.0, 1.0) * (COLOURS.len() - 1) as f32;
        let first = (place as usize).min(COLOURS.len() - 2);
        let along = place - first as f32;
        std::array::from_fn::<f32, 3, _>(|channel| {
            COLOURS[first][channel] + along * (COLOURS[first + 1][channel] - COLOURS[first][channel])
        })
    };
    let mut planes = Planes::black(width, height);
    for channel in 0..3 {
        for (at, value) in planes.plane_mut(channel).iter_mut().enumerate() {
            let (x, y) = (at % width * map.width / width, at / width * map.height / height);
            *value = colour(map.values[y * map.width + x])[channel];
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_nets::latent::Map;

    #[test]
    fn damage_is_dark_to_light() {
        let map = Map { width: 2, height: 1, values: vec![0.0, 9.0] };
        let planes = heat(&Damage { level: 3, group: Group::Local, map }, 4, 2);
        for (at, expected) in [(0, COLOURS[0]), (1, COLOURS[0]), (2, COLOURS[3]), (7, COLOURS[3])] {
            let pixel = [0, 1, 2].map(|channel| planes.plane(channel)[at]);
            testkit::assert_close(&pixel, &expected, 1e-6);
        }
    }
}
