//! Clap parsers for options that are chosen by name. Names and help lines come from the library.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use lacuna::words::Word;

/// Parses a name of `T`, and lists all names in the help text.
pub fn word<T: Word + Send + Sync>() -> impl TypedValueParser<Value = T> {
    let value = |value: &T| PossibleValue::new(value.name()).help(value.meaning());
    PossibleValuesParser::new(T::ALL.iter().map(value)).try_map(|name| T::from_name(&name))
}
