//! What the tests of all crates share: fixtures and comparisons.

pub mod checkpoints;
