//! Typed values of loosely written fields: clients send numbers as text, integers as floats, and null for "default".

use serde_json::{Map, Value};

use crate::problem::{Code, Problem};
use lacuna::form::excerpt;

/// Fields by name.
pub struct Fields(pub Map<String, Value>);

impl Fields {
    /// The fields of a JSON object.
    ///
    /// # Errors
    /// [`Code::Malformed`] if it is not a JSON object.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Problem> {
        let fields = serde_json::from_slice(bytes);
        fields.map(Self).map_err(|error| Problem::new(Code::Malformed, error.to_string()))
    }

    /// Takes a text field, if present.
    ///
    /// # Errors
    /// [`Code::FieldInvalid`] if it has another type.
    pub fn take_text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::new(Code::FieldInvalid, format!("{name} is not a string"))),
        }
    }

    /// Takes an integer from the first of these fields that is present.
    ///
    /// # Errors
    /// [`Code::FieldInvalid`] if it is not an integer.
    pub fn take_number(&mut self, names: &[&str], default: i64) -> Result<i64, Problem> {
        let mut found = Ok(default);
        // All spellings are removed, so that none is reported as ignored.
        for name in names.iter().rev() {
            match self.0.remove(*name) {
                None | Some(Value::Null) => {}
                Some(value) => {
                    found = whole_number(&value).ok_or_else(|| {
                        let value = excerpt(&value.to_string());
                        Problem::new(Code::FieldInvalid, format!("{name} is {value}, expected an integer"))
                    });
                }
            }
        }
        found
    }
}

/// An integer, also written as a float (`42.0`) or as text (`"42"`).
fn whole_number(value: &Value) -> Option<i64> {
    /// Floats represent integers exactly up to this value.
    const EXACT: f64 = (1_u64 << 53) as f64;
    let of_float = |float: f64| (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64);
    match value {
        Value::Number(number) => number.as_i64().or_else(|| of_float(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| of_float(text.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whole_numbers_are_taken_however_they_are_written() {
        for (value, expected) in [
            (json!(42), Some(42)),
            (json!(42.0), Some(42)),
            (json!("42"), Some(42)),
            (json!(" 42.0 "), Some(42)),
            (json!(-1), Some(-1)),
            (json!(0.5), None),
            (json!(1e300), None),
            (json!("x"), None),
            (json!("nan"), None),
            (json!(true), None),
        ] {
            assert_eq!(whole_number(&value), expected, "{value}");
        }
    }

    #[test]
    fn the_first_spelling_wins_and_all_are_taken() {
        let mut fields = Fields(json!({"b": 2, "a": 1, "c": null}).as_object().unwrap().clone());
        assert_eq!(fields.take_number(&["a", "b"], 7).unwrap(), 1);
        assert_eq!(fields.take_number(&["c"], 7).unwrap(), 7);
        assert!(fields.0.is_empty());
    }
}
