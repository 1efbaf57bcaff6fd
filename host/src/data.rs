//! Data: readers, the built-in simulator, splits, and the way of a sample into a batch.

pub mod array;
mod augment;
pub mod bearing;
pub mod commands;
pub mod csv;
pub mod dataset;
pub mod idx;
mod load;
pub mod npy;
pub mod recordings;
pub mod safetensors;
mod screen;
mod split;
pub mod wav;

pub use array::Array;
pub use augment::{Augment, Mix};
pub use dataset::{Batch, Dataset, Normalization, Target};
pub use load::{groups, load, member_of, read_array};
pub use split::Splits;
