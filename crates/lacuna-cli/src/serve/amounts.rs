//! Amounts with units in the flags of `serve`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of pixels, such as 50M (million).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pixels(pub u64);

impl FromStr for Pixels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, factor) = match text.strip_suffix(['M', 'm']) {
            Some(number) => (number, 1_000_000),
            None => (text, 1),
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let pixels =
            number.parse::<u64>().ok().filter(|_| digits).and_then(|number| number.checked_mul(factor));
        pixels
            .filter(|&pixels| pixels > 0)
            .map(Self)
            .ok_or_else(|| "expected pixels, or millions of them, such as 50M".into())
    }
}

/// A time of whole seconds, such as 90, 90s or 2m.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("s", 1), ("m", 60), ("h", 3600)];
        let unit = units.iter().find_map(|&(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
        let (number, factor) = unit.unwrap_or((text, 1));
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = number.parse::<u32>().ok().filter(|_| digits).map(|number| u64::from(number) * factor);
        seconds
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(|| "expected seconds, or a number with s, m or h, such as 2m".into())
    }
}

impl Seconds {
    /// A time of at least one second.
    ///
    /// # Errors
    /// If it is none, or zero.
    pub fn positive(text: &str) -> Result<Self, String> {
        let seconds: Self = text.parse()?;
        if seconds.0.is_zero() { Err("must be at least 1 second".into()) } else { Ok(seconds) }
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}s", self.0.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        for (text, expected) in [
            ("50M", Some(50_000_000)),
            ("5m", Some(5_000_000)),
            ("123", Some(123)),
            ("0", None),
            ("M", None),
            ("+5M", None),
        ] {
            assert_eq!(text.parse::<Pixels>().ok().map(|pixels| pixels.0), expected, "{text}");
        }
        for (text, expected) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("2m", Some(120)),
            ("1h", Some(3600)),
            ("0", Some(0)),
            ("-1s", None),
            ("s", None),
        ] {
            assert_eq!(text.parse::<Seconds>().ok().map(|seconds| seconds.0.as_secs()), expected, "{text}");
        }
        assert!(Seconds::positive("0s").is_err() && Seconds::positive("1s").is_ok());
    }
}
