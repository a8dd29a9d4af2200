//! Building blocks: a block is one file with its configuration, struct, initialisation, forward and tests.

pub mod batch_norm;
pub mod conv;
pub mod conv_norm_act;
pub mod conv_transpose;
pub mod dft;
pub mod ffc;
pub mod ffc_norm_act;
pub mod ffc_residual;
pub mod fourier_unit;
pub mod init;
pub mod padding;
pub mod residual;
pub mod spectral;
pub mod statistic;

pub use batch_norm::BatchNorm;
pub use conv::{Conv2d, Conv2dConfig};
pub use conv_norm_act::{Activation, ConvNormAct};
pub use conv_transpose::ConvTranspose2d;
pub use ffc::{Ffc, FfcConfig};
pub use ffc_norm_act::FfcNormAct;
pub use ffc_residual::FfcResidual;
pub use fourier_unit::FourierUnit;
pub use init::Init;
pub use padding::Padding;
pub use residual::Residual;
pub use spectral::Spectral;
pub use statistic::Statistic;
