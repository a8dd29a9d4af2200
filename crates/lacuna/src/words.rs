//! Options chosen by name. The program, the HTTP API and their help texts take the names from here.

use std::error::Error;
use std::fmt;

use lacuna_network::Family;

/// A value chosen by name.
pub trait Word: Copy + PartialEq + Sized + 'static {
    /// The kind of value, for messages: "strategy".
    const KIND: &'static str;
    /// Every value, in the order of help texts.
    const ALL: &'static [Self];

    /// Its name in arguments and form fields.
    fn name(self) -> &'static str;

    /// One line for help texts.
    fn meaning(self) -> &'static str;

    /// The value with this name.
    ///
    /// # Errors
    /// [`UnknownWord`], which lists all names.
    fn from_name(name: &str) -> Result<Self, UnknownWord> {
        Self::ALL.iter().copied().find(|value| value.name() == name).ok_or_else(|| UnknownWord {
            kind: Self::KIND,
            given: name.chars().take(LONGEST_QUOTE).collect(),
            known: names::<Self>().join(", "),
        })
    }
}

/// Characters of an unknown name that the error quotes.
const LONGEST_QUOTE: usize = 64;

/// The names of all values, in order.
pub fn names<T: Word>() -> Vec<&'static str> {
    T::ALL.iter().map(|value| value.name()).collect()
}

/// A name of no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    kind: &'static str,
    given: String,
    known: String,
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unknown {} {:?}: expected one of {}", self.kind, self.given, self.known)
    }
}

impl Error for UnknownWord {}

impl Word for Family {
    const KIND: &'static str = "family";
    const ALL: &'static [Self] = &Self::ALL;

    fn name(self) -> &'static str {
        Self::name(self)
    }

    fn meaning(self) -> &'static str {
        Self::meaning(self)
    }
}

/// Implements [`Word`] and [`std::str::FromStr`] for a type, from a table of its values, names and meanings.
macro_rules! words {
    ($type:ty, $kind:literal, $($value:ident = $name:literal: $meaning:literal,)+) => {
        impl $crate::words::Word for $type {
            const KIND: &'static str = $kind;
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }

            fn meaning(self) -> &'static str {
                match self {
                    $(Self::$value => $meaning,)+
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::words::UnknownWord;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                $crate::words::Word::from_name(name)
            }
        }
    };
}

/// Implements [`std::fmt::Display`] for a [`Word`] as its name.
macro_rules! display_name {
    ($type:ty) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str($crate::words::Word::name(*self))
            }
        }
    };
}

pub(crate) use {display_name, words};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::{Anchor, AnchorScale};
    use crate::checkpoint::Storage;
    use crate::mask::{MaskChannel, MaskFrom};
    use crate::method::Method;
    use crate::picture::Format;
    use crate::strategy::StrategyKind;

    fn every_name_is_read_back<T: Word + std::str::FromStr<Err = UnknownWord> + fmt::Debug>() {
        for &value in T::ALL {
            assert_eq!(value.name().parse::<T>(), Ok(value));
            assert!(!value.meaning().is_empty() && !value.meaning().ends_with('.'), "{value:?}");
        }
        let mut unique = names::<T>();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), T::ALL.len());
    }

    #[test]
    fn names_are_unique_and_read_back() {
        every_name_is_read_back::<StrategyKind>();
        every_name_is_read_back::<MaskChannel>();
        every_name_is_read_back::<MaskFrom>();
        every_name_is_read_back::<Anchor>();
        every_name_is_read_back::<AnchorScale>();
        every_name_is_read_back::<Format>();
        every_name_is_read_back::<Method>();
        every_name_is_read_back::<Storage>();
    }

    #[test]
    fn an_unknown_name_is_refused_with_all_names() {
        let error = StrategyKind::from_name("whole").unwrap_err().to_string();
        assert_eq!(error, "unknown strategy \"whole\": expected one of auto, full, crop, resize");
        // A family parses by itself, below this crate.
        let error = Family::from_name("wavelet").unwrap_err().to_string();
        assert_eq!(error, "wavelet".parse::<Family>().unwrap_err().to_string());
        assert!(Family::ALL.iter().all(|family| Word::name(*family).parse() == Ok(*family)));
    }
}
