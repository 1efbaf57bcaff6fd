//! What every module uses: files, progress and Ctrl-C, seeded random numbers, suggestions in errors.

pub mod files;
pub mod progress;
pub mod random;
pub mod suggest;
