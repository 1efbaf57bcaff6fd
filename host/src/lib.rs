//! Attar: from a teacher, data and facts to a student of a few kilobytes that runs on a board bit for bit as here.
//!
//! The way of a run: [`recipe::Recipe`] → [`data::load`] → [`distill::run`] (which trains a teacher and students by
//! [`train`], makes integers of a student by [`quantize`] and checks the file) → [`report::Report`].
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod boards;
pub mod budget;
pub mod build;
pub mod coverage;
pub mod data;
pub mod distill;
pub mod engine;
pub mod estimate;
pub mod facts;
pub mod files;
pub mod inspect;
pub mod link;
pub mod listen;
pub mod metrics;
pub mod net;
pub mod new;
pub mod onnx;
pub mod page;
pub mod progress;
pub mod quantize;
pub mod random;
pub mod recipe;
pub mod report;
pub mod sign;
pub mod signal;
mod suggest;
pub mod teacher;
pub mod train;
pub mod verify;

pub use suggest::{listed, nearest, shortened};
