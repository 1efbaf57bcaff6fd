//! What every module uses: files, progress and Ctrl-C, seeded random numbers, statistics, suggestions in errors.

pub mod files;
pub mod progress;
pub mod random;
pub mod stats;
pub mod suggest;
