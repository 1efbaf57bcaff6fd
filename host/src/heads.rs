//! Heads: what a network answers, and the labels that it learns from.

mod target;

pub use target::{Labels, Target};
