//! The tests that cross crates, in one binary: each of them links candle.

mod api;
mod boards;
mod bounds;
mod command;
mod corpus;
#[cfg(feature = "cuda")]
mod cuda;
mod data;
mod device;
mod distillation;
mod facts;
mod field;
mod format;
mod gradients;
mod hostile;
mod limits;
mod nets;
mod page;
mod parity;
mod qemu;
mod real;
mod recordings;
mod signals;
mod signature;
mod specification;
mod store;
mod structure;
mod tables;
mod texts;
mod toys;
mod trust;
