//! The access token.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A token, stored as its hash.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A token from its text.
    pub fn new(words: &str) -> Self {
        Self(Sha256::digest(words.as_bytes()).into())
    }

    /// Compares with the token in constant time (by hash), so that timing leaks neither its length nor a prefix.
    pub fn is(&self, words: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(words).into();
        self.0.ct_eq(&hash).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_words_open() {
        let token = Token::new("open sesame");
        assert!(token.is(b"open sesame"));
        for wrong in ["", "open", "open sesame ", "Open sesame"] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
