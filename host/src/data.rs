//! Data: readers, the built-in simulator, splits, and the way of a sample into a batch.

mod augment;
pub mod dataset;
mod load;
pub mod readers;
pub mod recordings;
mod split;
mod views;

pub use augment::{Augment, Mix};
pub use dataset::{Batch, Dataset, Normalization};
pub use load::{groups, load, member_of, read_array};
pub use split::Splits;
