//! Mean and standard deviation of a latent's channels, and normalisation with them.

/// Normalised latents are clipped to `[-CLIP, CLIP]`: refined latents have rare values a hundred deviations from the mean.
pub const CLIP: f32 = 5.0;

/// Mean and standard deviation of each channel of a latent.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Means, `[channels]`.
    pub mean: Vec<f32>,
    /// Standard deviations, `[channels]`, above 0.
    pub deviation: Vec<f32>,
}

impl Statistics {
    /// Checks the values for a latent of `channels` channels.
    ///
    /// # Errors
    /// The first value that is no mean or no deviation, or both numbers of channels.
    pub fn check(&self, channels: usize) -> Result<(), String> {
        for (what, values) in [("means", &self.mean), ("deviations", &self.deviation)] {
            if values.len() != channels {
                return Err(format!("{} {what} of a latent of {channels} channels", values.len()));
            }
        }
        for (channel, (mean, deviation)) in self.mean.iter().zip(&self.deviation).enumerate() {
            if !mean.is_finite() {
                return Err(format!("latent.mean of channel {channel} is {mean}"));
            }
            if !(*deviation > 0.0 && deviation.is_finite()) {
                return Err(format!(
                    "latent.deviation of channel {channel} is {deviation}, possible are values above 0"
                ));
            }
        }
        Ok(())
    }

    /// Normalises latents: `(x - mean) / deviation`, clipped to [`CLIP`].
    ///
    /// # Shapes
    /// `latent`: `[batch, channels, cells]`
    ///
    /// # Panics
    /// If its length is not a multiple of `channels · cells`.
    pub fn normalise(&self, latent: &mut [f32], cells: usize) {
        self.each(latent, cells, |x, mean, deviation| ((x - mean) / deviation).clamp(-CLIP, CLIP));
    }

    /// Undoes [`Statistics::normalise`], except for clipped values.
    ///
    /// # Shapes
    /// As [`Statistics::normalise`].
    ///
    /// # Panics
    /// As [`Statistics::normalise`].
    pub fn restore(&self, latent: &mut [f32], cells: usize) {
        self.each(latent, cells, |x, mean, deviation| x * deviation + mean);
    }

    fn each(&self, latent: &mut [f32], cells: usize, value: impl Fn(f32, f32, f32) -> f32) {
        if latent.is_empty() {
            return;
        }
        let channels = self.mean.len();
        assert!(
            cells > 0 && latent.len().is_multiple_of(channels * cells),
            "{} values of {channels} x {cells}",
            latent.len()
        );
        for (index, map) in latent.chunks_exact_mut(cells).enumerate() {
            let channel = index % channels;
            let (mean, deviation) = (self.mean[channel], self.deviation[channel]);
            map.iter_mut().for_each(|x| *x = value(*x, mean, deviation));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics() -> Statistics {
        Statistics { mean: vec![1.0, -2.0], deviation: vec![0.5, 4.0] }
    }

    #[test]
    fn two_images_of_two_channels_by_hand() {
        let latent = [1.0, 2.0, -2.0, 2.0, 0.5, 9.0, -6.0, -40.0];
        let mut x = latent;
        statistics().normalise(&mut x, 2);
        assert_eq!(x, [0.0, 2.0, 0.0, 1.0, -1.0, CLIP, -1.0, -CLIP]);
        statistics().restore(&mut x, 2);
        // The clipped values end at mean ± 5 deviations.
        assert_eq!(x, [1.0, 2.0, -2.0, 2.0, 0.5, 3.5, -6.0, -22.0]);
    }

    #[test]
    fn values_that_cannot_be_are_named() {
        assert_eq!(statistics().check(2), Ok(()));
        for (statistics, words) in [
            (Statistics { mean: vec![0.0], ..statistics() }, "1 means of a latent of 2 channels"),
            (Statistics { deviation: vec![1.0; 3], ..statistics() }, "3 deviations"),
            (Statistics { mean: vec![0.0, f32::NAN], ..statistics() }, "mean of channel 1 is NaN"),
            (Statistics { deviation: vec![0.0, 1.0], ..statistics() }, "deviation of channel 0 is 0"),
            (Statistics { deviation: vec![1.0, f32::INFINITY], ..statistics() }, "channel 1 is inf"),
        ] {
            let problem = statistics.check(2).unwrap_err();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
