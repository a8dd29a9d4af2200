//! Training Lacuna's networks.
