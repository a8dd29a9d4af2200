//! Methods of before learned fills, as references in evaluations and studies.

pub mod marching;
pub mod mean_colour;
pub mod navier_stokes;
pub mod telea;

use lacuna::Method;

/// All of them.
pub const METHODS: [Method; 3] = [mean_colour::METHOD, telea::METHOD, navier_stokes::METHOD];
