//! The known region of an image or a latent, and the published ways to keep it while the rest is generated.

use serde::{Deserialize, Serialize};

use crate::{Error, MapShape, Result};

/// How the known region enters a sampler. The ways need differently trained networks: noise everywhere for [`KnownWay::Replace`] and
/// [`KnownWay::Project`], a clean known region for [`KnownWay::Clean`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownWay {
    /// Known values are replaced by the known data with noise: GLIDE's first way, latent diffusion, RePaint (Lugmayr et al. 2022,
    /// <https://arxiv.org/abs/2201.09865>) and diffusers. The network sees the known region through noise only.
    Replace {
        /// Before or after a step.
        when: When,
        /// The noise on the known data.
        noise: KnownNoise,
    },
    /// The data predicted is replaced by the known data, then the step is made as usual: GLIDE's released sampler (Nichol et al.
    /// 2022, <https://arxiv.org/abs/2112.10741>).
    Project,
    /// Known values have no noise at any time (TD-Paint, Mayet et al. 2024, <https://arxiv.org/abs/2410.09306>). There the network is
    /// told a time for each pixel; a denoiser of Lacuna has the fraction of hole pixels in each cell as input.
    Clean,
}

/// When known values are replaced, at the noise that `x` then has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before a step: latent diffusion, RePaint.
    Before,
    /// After it: diffusers.
    After,
}

/// The noise on known data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownNoise {
    /// That of the start, the same in each step: diffusers.
    Start,
    /// Drawn in each step: latent diffusion, RePaint.
    Fresh,
}

/// What is known of an image or a latent, and its shape.
#[derive(Clone, Copy, Debug)]
pub struct KnownRegion<'a> {
    shape: MapShape,
    known: Option<Known<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Known<'a> {
    data: &'a [f32],
    free: &'a [bool],
}

/// The factors of data and noise at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mix {
    pub data: f32,
    pub noise: f32,
}

impl<'a> KnownRegion<'a> {
    /// A region of `data`.
    ///
    /// # Shapes
    /// - `data`: `[batch, channels, height, width]`; values in free cells are not used
    /// - `free`: `[batch, height, width]`, true where a cell is generated
    ///
    /// # Errors
    /// [`Error::Length`] for rows of another shape.
    pub fn new(shape: MapShape, data: &'a [f32], free: &'a [bool]) -> Result<Self> {
        shape.check("the known data", data)?;
        Error::check_length("the cells to generate", free.len(), shape.batch * shape.cells())?;
        Ok(Self { shape, known: Some(Known { data, free }) })
    }

    /// Nothing is known: everything is generated.
    pub fn none(shape: MapShape) -> Self {
        Self { shape, known: None }
    }

    /// The shape.
    pub fn shape(&self) -> MapShape {
        self.shape
    }

    /// Sets the known values of `x` to `value(index, known data)`.
    pub(crate) fn set(&self, x: &mut [f32], value: impl Fn(usize, f32) -> f32) {
        let Some(Known { data, free }) = self.known else { return };
        for (index, x) in x.iter_mut().enumerate() {
            if !free[self.shape.cell_of(index)] {
                *x = value(index, data[index]);
            }
        }
    }

    /// Sets the known values of `x` to the known data.
    pub(crate) fn set_clean(&self, x: &mut [f32]) {
        self.set(x, |_, data| data);
    }

    /// Sets the known values of `x` to the known data with noise.
    pub(crate) fn set_noised(&self, x: &mut [f32], mix: Mix, noise: &[f32]) {
        self.set(x, |index, data| mix.data * data + mix.noise * noise[index]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: MapShape = MapShape { batch: 2, channels: 2, height: 1, width: 2 };

    #[test]
    fn known_values_of_all_channels_are_set() {
        let data = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let free = [true, false, false, true];
        let region = KnownRegion::new(SHAPE, &data, &free).unwrap();
        let mut x = [0.0; 8];
        region.set_clean(&mut x);
        assert_eq!(x, [0.0, 2.0, 0.0, 4.0, 5.0, 0.0, 7.0, 0.0]);
        region.set_noised(&mut x, Mix { data: 0.5, noise: 2.0 }, &[10.0; 8]);
        assert_eq!(x, [0.0, 21.0, 0.0, 22.0, 22.5, 0.0, 23.5, 0.0]);
        let mut x = [0.0; 8];
        KnownRegion::none(SHAPE).set_clean(&mut x);
        assert_eq!(x, [0.0; 8]);
    }

    #[test]
    fn rows_of_another_shape_are_refused_with_both_lengths() {
        let error = KnownRegion::new(SHAPE, &[0.0; 7], &[true; 4]).unwrap_err();
        assert_eq!(error.to_string(), "the known data with 7 values, expected are 8");
        let error = KnownRegion::new(SHAPE, &[0.0; 8], &[true; 2]).unwrap_err();
        assert_eq!(error.to_string(), "the cells to generate with 2 values, expected are 4");
    }

    #[test]
    fn ways_come_back_from_a_file() {
        for (way, text) in [
            (
                KnownWay::Replace { when: When::After, noise: KnownNoise::Start },
                r#"{"replace":{"when":"after","noise":"start"}}"#,
            ),
            (KnownWay::Project, r#""project""#),
            (KnownWay::Clean, r#""clean""#),
        ] {
            assert_eq!(serde_json::to_string(&way).unwrap(), text);
            assert_eq!(serde_json::from_str::<KnownWay>(text).unwrap(), way);
        }
    }
}
