//! The networks as Burn modules.
