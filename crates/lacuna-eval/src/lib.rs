//! Judging fills: generators of masks, and metrics.
