//! What flows between the layers of a network.

use std::ops::{Add, Sub};

use burn::tensor::Tensor;
use lacuna_network::Split;

/// Feature maps in a local and, in the Fourier family's latents, a global part; see [`Split`].
///
/// # Shapes
/// Each part: `[batch, channels, height, width]`, equal but for the channels.
#[derive(Clone, Debug)]
pub struct Features {
    /// Channels that see their neighbourhood.
    pub local: Tensor<4>,
    /// Channels that see the whole picture.
    pub global: Option<Tensor<4>>,
}

impl Features {
    /// Features without a global part.
    ///
    /// # Shapes
    /// `x`: `[batch, channels, height, width]`.
    pub fn local(x: Tensor<4>) -> Self {
        Self { local: x, global: None }
    }

    /// Takes one tensor apart; the inverse of [`Features::concat`].
    ///
    /// # Shapes
    /// `x`: `[batch, channels.total(), height, width]`.
    ///
    /// # Panics
    /// If `x` has another number of channels.
    pub fn split(x: Tensor<4>, channels: Split) -> Self {
        let [_, count, _, _] = x.dims();
        assert_eq!(count, channels.total(), "channels to split");
        if channels.global == 0 {
            return Self::local(x);
        }
        let local = x.clone().narrow(1, 0, channels.local);
        Self { local, global: Some(x.narrow(1, channels.local, channels.global)) }
    }

    /// One tensor: the local channels, then the global ones.
    ///
    /// # Shapes
    /// Returns `[batch, channels, height, width]`.
    pub fn concat(self) -> Tensor<4> {
        match self.global {
            Some(global) => Tensor::cat(vec![self.local, global], 1),
            None => self.local,
        }
    }

    /// How many channels the parts have.
    pub fn channels(&self) -> Split {
        let count = |part: &Tensor<4>| part.dims()[1];
        Split { local: count(&self.local), global: self.global.as_ref().map_or(0, count) }
    }

    fn zip(self, other: Self, join: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>) -> Self {
        assert_eq!(self.channels(), other.channels(), "features of different kinds");
        Self {
            local: join(self.local, other.local),
            global: self.global.zip(other.global).map(|(one, other)| join(one, other)),
        }
    }
}

impl Add for Features {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.zip(other, |one, other| one + other)
    }
}

impl Sub for Features {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.zip(other, |one, other| one - other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, tensor, values};

    #[test]
    fn split_and_concat_undo_each_other() {
        let x = random([2, 8, 3, 2], 1);
        for channels in [Split { local: 2, global: 6 }, Split::local(8)] {
            let features = Features::split(x.clone(), channels);
            assert_eq!(features.channels(), channels);
            assert_eq!(values(features.concat()), values(x.clone()));
        }
    }

    #[test]
    fn sums_and_differences_by_hand() {
        let features = |local: f32, global: f32| Features {
            local: tensor([1, 1, 1, 1], vec![local]),
            global: Some(tensor([1, 1, 1, 1], vec![global])),
        };
        assert_eq!(values((features(1.0, 2.0) + features(4.0, 8.0)).concat()), [5.0, 10.0]);
        assert_eq!(values((features(1.0, 2.0) - features(4.0, 8.0)).concat()), [-3.0, -6.0]);
    }

    #[test]
    #[should_panic(expected = "features of different kinds")]
    fn parts_must_agree() {
        let local = Features::split(random([1, 4, 2, 2], 1), Split::local(4));
        let both = Features::split(random([1, 4, 2, 2], 1), Split { local: 1, global: 3 });
        let _ = local + both;
    }
}
