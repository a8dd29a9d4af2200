//! A memory limit, and the part of it that is in use.

use crate::{Error, Result};

/// Code, stacks and the allocator's overhead: 10 MiB measured with all threads of the program, rounded up.
const PROCESS_BYTES: u64 = 16 << 20;

/// The memory that a process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The limit in bytes.
    pub total: u64,
    /// Bytes in use.
    pub held: u64,
}

impl Budget {
    /// A budget of `total` bytes for a process that uses `held` bytes, besides its code and stacks.
    pub fn new(total: u64, held: u64) -> Self {
        Self { total, held: held.saturating_add(PROCESS_BYTES) }
    }

    /// This budget with `bytes` more in use.
    pub fn holding(self, bytes: u64) -> Self {
        Self { held: self.held.saturating_add(bytes), ..self }
    }

    /// Bytes left.
    pub fn left(self) -> u64 {
        self.total.saturating_sub(self.held)
    }

    /// Checks that `bytes` more can be allocated for `what`.
    ///
    /// # Errors
    /// [`Error::Memory`] with the bytes needed in total and the bytes allowed.
    pub fn check(self, what: impl Into<String>, bytes: u64) -> Result<()> {
        if self.held <= self.total && bytes <= self.left() {
            return Ok(());
        }
        Err(Error::Memory { what: what.into(), needed: self.held.saturating_add(bytes), allowed: self.total })
    }
}

/// The most bytes of memory that this process has held so far, where the system reports it (Linux).
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_values() {
        let budget = Budget::new(1 << 30, 100 << 20).holding(28 << 20);
        assert_eq!(budget.left(), (1 << 30) - (144 << 20));
        assert!(budget.check("a", budget.left()).is_ok());
        let error = budget.check("a.png", budget.left() + 1).unwrap_err().to_string();
        assert_eq!(error, "a.png: 1.1 GiB of memory are needed, 1.0 GiB are allowed");
        assert!(Budget::new(1 << 20, 0).check("a", 0).is_err(), "the process alone is larger");
        assert!(Budget::new(1 << 20, u64::MAX).check("a", u64::MAX).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_of_memory_grows_with_what_is_held() {
        const HELD: usize = 64 << 20;
        let before = peak_bytes().unwrap();
        let held = vec![1u8; HELD];
        assert!(held.iter().all(|&byte| byte == 1));
        // Other tests may have raised the peak before; this process holds at least so much now.
        assert!(peak_bytes().unwrap() >= before.max(HELD as u64));
    }
}
