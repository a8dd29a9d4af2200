//! Building blocks, one per file, with configuration, struct, initialisation, forward and tests. [`LayerBlock`] is the
//! block of a layer of `lacuna-network`.

pub mod activation;
pub mod batch_norm;
pub mod channel_wise;
pub mod conv;
pub mod conv_norm_act;
pub mod conv_transpose;
pub mod conv_transpose_norm_act;
pub mod enlarge;
pub mod ffc;
pub mod ffc_norm_act;
pub mod fourier_unit;
pub mod group_norm;
pub mod init;
pub mod layer;
pub mod linear;
pub mod residual;
pub mod spectral;
pub mod stage;
pub mod statistic;
pub mod styled;

pub use batch_norm::BatchNorm;
pub use channel_wise::ChannelWise;
pub use conv::{Conv2d, Conv2dConfig};
pub use conv_norm_act::ConvNormAct;
pub use conv_transpose::{ConvTranspose2d, ConvTransposeConfig};
pub use conv_transpose_norm_act::ConvTransposeNormAct;
pub use ffc::{Ffc, FfcConfig};
pub use ffc_norm_act::FfcNormAct;
pub use fourier_unit::FourierUnit;
pub use group_norm::GroupNorm;
pub use init::Init;
pub use layer::LayerBlock;
pub use linear::Linear;
pub use residual::Residual;
pub use spectral::Spectral;
pub use stage::Stage;
pub use statistic::Statistic;
pub use styled::{Restored, Style};
