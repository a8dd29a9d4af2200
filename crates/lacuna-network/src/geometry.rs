//! Sizes that all networks share.

/// Times that the encoder halves the resolution, and the decoder doubles it.
pub const LEVELS: usize = 3;

/// An image's sides must be multiples of this, or the prediction would be larger than the image.
pub const MULTIPLE: usize = 1 << LEVELS;

/// The smallest side of an image that is predicted: convolutions that reflect need a latent of at least two pixels.
pub const SMALLEST_SIDE: usize = 2 * MULTIPLE;

/// The smallest side of an image that is only encoded: the latent's side is rounded up, to two pixels.
pub const SMALLEST_ENCODED_SIDE: usize = MULTIPLE + 1;

/// The largest side of an image that is predicted in one piece. Networks trained on 256 pixels are known to generalise to
/// about 2,000 (Suvorov et al. 2022).
pub const LARGEST_SIDE: usize = 2048;

/// What BatchNorm adds to a variance: PyTorch's default, with which all published weights were trained.
pub const EPSILON: f64 = 1e-5;

/// Channels of an image and of a prediction: red, green, blue.
pub const IMAGE_CHANNELS: usize = 3;

/// Channels of an image with the mask behind it.
pub const MASKED_CHANNELS: usize = IMAGE_CHANNELS + 1;

/// Pixels along a side of `length` at some level of the encoder; level 0 is the full resolution.
pub fn side(length: usize, level: usize) -> usize {
    length.div_ceil(1 << level)
}

/// Channels of a feature map, in a local and a global part. `global` is 0 where there is no global part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// Channels computed from their neighbourhood; they come first.
    pub local: usize,
    /// Channels computed from the whole image.
    pub global: usize,
}

impl Split {
    /// Channels without a global part.
    pub fn local(channels: usize) -> Self {
        Self { local: channels, global: 0 }
    }

    /// Channels of which three quarters are global, as LaMa splits its latent.
    pub fn mostly_global(channels: usize) -> Self {
        let global = channels / 4 * 3;
        Self { local: channels - global, global }
    }

    /// Channels of both parts.
    pub fn total(self) -> usize {
        self.local + self.global
    }

    /// The channels of the parts that exist.
    pub fn parts(self) -> impl Iterator<Item = usize> {
        [self.local, self.global].into_iter().filter(|&channels| channels > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_round_up() {
        assert_eq!([0, 1, 2, 3].map(|level| side(17, level)), [17, 9, 5, 3]);
        assert_eq!(side(SMALLEST_SIDE, LEVELS), 2);
        assert_eq!(side(SMALLEST_ENCODED_SIDE, LEVELS), 2);
        assert_eq!(side(SMALLEST_ENCODED_SIDE - 1, LEVELS), 1);
    }

    #[test]
    fn three_quarters_are_global() {
        assert_eq!(Split::mostly_global(512), Split { local: 128, global: 384 });
        assert_eq!(Split::mostly_global(8).parts().collect::<Vec<_>>(), [2, 6]);
        assert_eq!(Split::local(8).parts().collect::<Vec<_>>(), [8]);
        assert_eq!(Split::mostly_global(512).total(), 512);
    }
}
