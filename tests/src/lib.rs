//! What the tests share: models built by hand, models drawn at random, and a plain implementation of the specification.

pub mod build;
pub mod facts;
pub mod firmware;
pub mod generalized;
pub mod line;
pub mod models;
pub mod nets;
pub mod signal;
pub mod trust;

pub use attar_spec::{crc32, definition, flash, parameters, reference, with_checksum};

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Returns the root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns a folder of real data, if it is there: below `ATTAR_DATA`, or in `shared/data` beside the project.
///
/// A test that finds none says so on stderr and passes.
pub fn real_data(name: &str) -> Option<PathBuf> {
    let base = std::env::var_os("ATTAR_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let folder = base.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    // Past the test runner's capture, which hides what a passing test prints.
    let _ = writeln!(io::stderr(), "SKIPPED: needs {name} in {}; or set ATTAR_DATA", base.display());
    None
}
