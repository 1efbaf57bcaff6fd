//! Simulators of data.

pub mod bearing;
pub mod commands;
