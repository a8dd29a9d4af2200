//! Readable byte counts.

const KIBI: u64 = 1 << 10;
const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];

/// A byte count with a unit and one decimal, rounded up: for needed amounts.
pub fn at_least(bytes: u64) -> String {
    with_unit(bytes, f64::ceil)
}

/// A byte count with a unit and one decimal, rounded down: for allowed amounts.
pub fn at_most(bytes: u64) -> String {
    with_unit(bytes, f64::floor)
}

fn with_unit(bytes: u64, round: fn(f64) -> f64) -> String {
    let unit = (1..UNITS.len()).rev().find(|&unit| bytes >= KIBI.pow(unit as u32));
    match unit {
        Some(unit) => {
            let value = bytes as f64 / KIBI.pow(unit as u32) as f64;
            format!("{:.1} {}", round(value * 10.0) / 10.0, UNITS[unit])
        }
        None => format!("{bytes} {}", UNITS[0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_counts_have_units() {
        assert_eq!(at_least(1), "1 bytes");
        assert_eq!(at_least(1 << 31), "2.0 GiB");
        assert_eq!(at_least((1 << 31) + 1), "2.1 GiB");
        assert_eq!(at_most((1 << 31) - 1), "1.9 GiB");
        assert_eq!(at_most(1536), "1.5 KiB");
    }
}
