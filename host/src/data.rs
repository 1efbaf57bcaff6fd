//! Data: readers, the built-in simulator, splits, and the way of a sample into a batch.

mod augment;
pub mod dataset;
pub mod files;
mod load;
mod raw;
mod readers;
pub mod recordings;
pub mod simulators;
mod split;
mod views;

pub use augment::{Augment, Mix};
pub use dataset::{Batch, Dataset, Normalization};
pub use load::load;
pub use readers::{groups, member_of, read_array};
pub use split::Splits;
