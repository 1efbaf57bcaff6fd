//! Arrays, statistics, kinds and limits: what all other modules speak of. It uses `support` and nothing else.

pub mod array;
pub mod kinds;
pub mod limits;
mod missing;
mod moments;

pub use array::Array;
pub use kinds::{Activation, Normalize, Outliers, RegressionLoss};
pub use missing::is_missing;
pub(crate) use moments::Moments;
