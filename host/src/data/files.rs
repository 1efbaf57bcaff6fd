//! Parsers of files, a format each.

pub mod idx;
pub mod npy;
pub mod safetensors;
pub mod wav;
