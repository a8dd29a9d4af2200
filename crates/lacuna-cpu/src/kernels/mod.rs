//! Kernels on plain slices, forward and backward, for training.
