//! Filling holes without a network: PatchMatch completion.
