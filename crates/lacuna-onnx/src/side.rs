//! Sizes that are known when the model is written, or only when it runs.

use crate::builder::{Builder, Setting, Value};
use crate::proto::{FLOAT, INT64};
use lacuna_network::geometry::{MULTIPLE, SMALLEST_SIDE};

/// A number of pixels.
#[derive(Clone)]
pub enum Side {
    /// Known.
    Fixed(usize),
    /// An integer that the model computes.
    Computed(Value),
}

impl Side {
    /// An integer in the graph.
    pub fn value(&self, builder: &mut Builder) -> Value {
        match self {
            Self::Fixed(side) => builder.integer(*side as i64),
            Self::Computed(value) => value.clone(),
        }
    }

    /// The side of what the network sees: the next multiple of eight, at least sixteen.
    pub fn padded(&self, builder: &mut Builder) -> Self {
        match self {
            Self::Fixed(side) => Self::Fixed(side.max(&SMALLEST_SIDE).next_multiple_of(MULTIPLE)),
            Self::Computed(side) => {
                let (more, multiple) =
                    (builder.integer(MULTIPLE as i64 - 1), builder.integer(MULTIPLE as i64));
                let least = builder.integer(SMALLEST_SIDE as i64);
                let sum = builder.node("Add", &[side, &more], &[]);
                let groups = builder.node("Div", &[&sum, &multiple], &[]);
                let padded = builder.node("Mul", &[&groups, &multiple], &[]);
                Self::Computed(builder.node("Max", &[&padded, &least], &[]))
            }
        }
    }

    /// The side of the latent of a padded image.
    pub fn of_latent(&self, builder: &mut Builder) -> Self {
        match self {
            Self::Fixed(side) => Self::Fixed(side / MULTIPLE),
            Self::Computed(side) => {
                let multiple = builder.integer(MULTIPLE as i64);
                Self::Computed(builder.node("Div", &[side, &multiple], &[]))
            }
        }
    }

    /// The integers from 0 to `end`, exclusive.
    pub fn range(builder: &mut Builder, end: &Value) -> Value {
        let (zero, one) = (builder.integer(0), builder.integer(1));
        builder.node("Range", &[&zero, end, &one], &[])
    }
}

/// A value as floats.
pub fn to_float(builder: &mut Builder, value: &Value) -> Value {
    builder.node("Cast", &[value], &[Setting::Int("to", FLOAT.into())])
}

/// A value as integers.
pub fn to_integer(builder: &mut Builder, value: &Value) -> Value {
    builder.node("Cast", &[value], &[Setting::Int("to", INT64.into())])
}
