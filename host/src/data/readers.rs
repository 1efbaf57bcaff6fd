//! Readers of files, a format each, and simulators of data.

pub mod bearing;
pub mod commands;
pub mod idx;
pub mod npy;
pub mod safetensors;
pub mod wav;
