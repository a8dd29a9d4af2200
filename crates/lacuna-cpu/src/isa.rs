//! Selection of the instruction set.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// The environment variable that forces an instruction set.
pub const ISA_VARIABLE: &str = "LACUNA_ISA";

/// An instruction set of the kernels; every binary contains all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// What the compiler makes of plain loops for the target's baseline: SSE2 on x86-64, NEON on 64-bit Arm; 128-bit vectors in WebAssembly.
    Portable,
    /// NEON of 64-bit Arm, which all of these processors have.
    Neon,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F.
    Avx512,
}

/// An instruction set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// The name is unknown.
    #[error("{ISA_VARIABLE}={0}: expected portable, neon, avx2 or avx512")]
    Unknown(String),
    /// This machine lacks it.
    #[error("{ISA_VARIABLE}={asked}: this processor has {best} at best")]
    Missing {
        /// The requested set.
        asked: Isa,
        /// The best available set.
        best: Isa,
    },
}

impl Isa {
    /// All, from the slowest to the fastest.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    /// The best set on this machine.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        if cfg!(target_arch = "aarch64") { Self::Neon } else { Self::Portable }
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Neon => cfg!(target_arch = "aarch64"),
            Self::Avx2 | Self::Avx512 => self <= Self::best(),
        }
    }

    /// All sets on this machine.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The set named in `LACUNA_ISA`, or else the best. Read once.
    ///
    /// # Errors
    /// If the variable has an unknown name, or this machine lacks the set.
    pub fn selected() -> Result<Self, IsaError> {
        static SELECTED: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        SELECTED
            .get_or_init(|| match std::env::var_os(ISA_VARIABLE) {
                None => Ok(Self::best()),
                Some(name) => name.to_string_lossy().parse::<Self>()?.check(),
            })
            .clone()
    }

    fn check(self) -> Result<Self, IsaError> {
        if self.is_available() {
            Ok(self)
        } else {
            Err(IsaError::Missing { asked: self, best: Self::best() })
        }
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        Self::ALL
            .into_iter()
            .find(|isa| isa.to_string() == name)
            .ok_or_else(|| IsaError::Unknown(name.to_owned()))
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
        let error = "sse9".parse::<Isa>().unwrap_err().to_string();
        assert_eq!(error, "LACUNA_ISA=sse9: expected portable, neon, avx2 or avx512");
    }

    #[test]
    fn every_machine_has_the_portable_one() {
        assert_eq!(Isa::available().next(), Some(Isa::Portable));
        assert_eq!(Isa::available().last(), Some(Isa::best()));
        let error = IsaError::Missing { asked: Isa::Avx512, best: Isa::Avx2 }.to_string();
        assert_eq!(error, "LACUNA_ISA=avx512: this processor has avx2 at best");
    }
}
