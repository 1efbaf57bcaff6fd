//! What the tests share: models built by hand, models drawn at random, and a plain implementation of the specification.

pub mod build;
pub mod facts;
pub mod flash;
pub mod generalized;
pub mod models;
pub mod nets;
pub mod reference;

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

/// Returns the bytes of a model with the checksum that belongs to them.
pub fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 4;
    let sum = crc32(&bytes[..body]);
    bytes[body..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Returns the CRC-32 of zip and Ethernet, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for &byte in bytes {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}
