//! Judging fills: generators of holes, and metrics. Builds without Burn.

#![forbid(unsafe_code)]

pub mod interval;
pub mod maskgen;
pub mod metric;
