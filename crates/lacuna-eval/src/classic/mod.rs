//! Methods of before learned fills, as references in evaluations and studies.

pub mod marching;
pub mod mean_colour;
pub mod navier_stokes;
pub mod telea;

use lacuna::words::Word;
use lacuna::{Error, Mask, Method, Result};

/// All of them.
pub const METHODS: [Method; 3] = [mean_colour::METHOD, telea::METHOD, navier_stokes::METHOD];

/// Every method that evaluations and studies can run: these, and those that fill holes for users.
pub fn with_classic() -> Vec<Method> {
    [&METHODS, Method::ALL].concat()
}

/// Refuses a mask without a known pixel.
fn check_known(predictor: &str, mask: &Mask) -> Result<()> {
    if mask.count() < mask.hole().len() {
        return Ok(());
    }
    let problem = format!("the hole covers all {} x {} pixels", mask.width(), mask.height());
    Err(Error::Predict { predictor: predictor.to_owned(), problem })
}
