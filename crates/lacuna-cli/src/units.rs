//! Values with units: bytes, image sizes, threads.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};

/// Unit letters for bytes, and their powers of two.
const UNITS: [(char, u32); 3] = [('K', 10), ('M', 20), ('G', 30)];

/// Bytes, such as 800M or 2G.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.iter().find_map(|&(unit, power)| {
            let number = text.strip_suffix([unit, unit.to_ascii_lowercase()])?;
            Some((number, power))
        });
        let (number, power) = unit.unwrap_or((text, 0));
        let whole = number.bytes().all(|byte| byte.is_ascii_digit());
        let bytes = number.parse::<u64>().ok().filter(|_| whole).and_then(|n| n.checked_mul(1 << power));
        bytes.map(Self).ok_or_else(|| "expected bytes, or a whole number with K, M or G, such as 2G".into())
    }
}

impl fmt::Display for Bytes {
    /// In the largest unit that divides it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        let unit = UNITS.iter().rev().find(|(_, power)| bytes > 0 && bytes.is_multiple_of(1 << power));
        match unit {
            Some((unit, power)) => write!(formatter, "{}{unit}", bytes >> power),
            None => write!(formatter, "{bytes}"),
        }
    }
}

/// Width and height of an image: 512 or 640x480.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| match text.parse::<u16>() {
            Ok(side) if side > 0 => Ok(usize::from(side)),
            _ => Err(format!("expected a size such as 512 or 640x480, with sides up to {}", u16::MAX)),
        };
        let (width, height) = text.split_once('x').unwrap_or((text, text));
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}", self.width, self.height)
    }
}

/// A number of threads, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(pub usize);

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<u16>() {
            Ok(threads) if threads > 0 => Ok(Self(usize::from(threads))),
            _ => Err(format!("expected a number of threads from 1 to {}", u16::MAX)),
        }
    }
}

/// Starts the computing threads. Without a number, rayon starts one per core on first use.
///
/// # Errors
/// If the system cannot start them.
pub fn start_threads(threads: Option<Threads>) -> Result<()> {
    let Some(Threads(threads)) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().with_context(|| format!("cannot start {threads} threads"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        for (text, expected) in [
            ("1000", Some(1000)),
            ("3K", Some(3 << 10)),
            ("800M", Some(800 << 20)),
            ("2G", Some(2 << 30)),
            ("2g", Some(2 << 30)),
            ("0", Some(0)),
            ("", None),
            ("G", None),
            ("2T", None),
            ("-1G", None),
            ("+1G", None),
            ("1.5G", None),
            ("18446744073709551615G", None),
        ] {
            assert_eq!(text.parse::<Bytes>().ok(), expected.map(Bytes), "{text}");
        }
    }

    #[test]
    fn bytes_are_written_in_the_largest_unit_that_divides_them() {
        for (bytes, expected) in [
            (0, "0"),
            (1000, "1000"),
            (3 << 10, "3K"),
            (1536 << 20, "1536M"),
            (2 << 30, "2G"),
            (5 << 40, "5120G"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), expected);
            assert_eq!(expected.parse(), Ok(Bytes(bytes)));
        }
    }

    #[test]
    fn sizes_and_threads() {
        let size = |width, height| Some(Size { width, height });
        for (text, expected) in
            [("512", size(512, 512)), ("640x480", size(640, 480)), ("0", None), ("5x", None), ("70000", None)]
        {
            assert_eq!(text.parse::<Size>().ok(), expected, "{text}");
        }
        assert_eq!("640x480".parse::<Size>().unwrap().to_string(), "640x480");
        assert_eq!("2".parse(), Ok(Threads(2)));
        assert!("0".parse::<Threads>().is_err());
    }
}
