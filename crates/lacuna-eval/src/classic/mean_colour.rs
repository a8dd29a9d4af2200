//! Fill with the mean colour of the known pixels: a lower bound for other methods.

use std::sync::Arc;

use lacuna::method::{Build, Method};
use lacuna::{Mask, Planes, Predictor, Result, Sides, Watch};

use super::check_known;

/// The method, for evaluations only.
pub const METHOD: Method = Method {
    name: "mean-colour",
    meaning: "The mean colour of the known pixels, as a lower bound",
    build: Build::Alone(|| Arc::new(MeanColour)),
};

/// Fills with the mean colour of the known pixels.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanColour;

impl Predictor for MeanColour {
    fn name(&self) -> String {
        "mean-colour".to_owned()
    }

    fn predict_watched(&self, image: &Planes, mask: &Mask, _: u64, _: &Watch) -> Result<Planes> {
        check_known(METHOD.name, mask)?;
        let known = mask.hole().len() - mask.count();
        let mut filled = image.clone();
        for colour in 0..3 {
            let plane = filled.plane_mut(colour);
            let values = plane.iter().zip(mask.hole()).filter(|(_, hole)| !**hole);
            let mean = values.map(|(value, _)| f64::from(*value)).sum::<f64>() / known as f64;
            plane
                .iter_mut()
                .zip(mask.hole())
                .filter(|(_, hole)| **hole)
                .for_each(|(value, _)| *value = mean as f32);
        }
        Ok(filled)
    }

    fn uses_seed(&self) -> bool {
        false
    }

    fn sides(&self) -> Sides {
        Sides::any(usize::MAX)
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        (3 * width * height * size_of::<f32>()) as u64
    }

    fn forecast_seconds(&self, _width: usize, _height: usize, _hole_pixels: usize) -> f64 {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let image = Planes::new(3, 1, [0.2, 0.6, f32::NAN].repeat(3));
        let filled = MeanColour.predict(&image, &Mask::new(3, 1, vec![false, false, true]), 0).unwrap();
        assert_eq!(filled.plane(2), [0.2, 0.6, 0.4]);
        assert!(MeanColour.predict(&image, &Mask::new(3, 1, vec![true; 3]), 0).is_err());
    }
}
