//! Builds of firmware by cargo, for a board.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A program that is to be built.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The folder of its crate.
    pub folder: &'a Path,
    /// Its name.
    pub program: &'a str,
    /// The target of the compiler.
    pub target: &'a str,
    /// Features, with commas between them.
    pub features: &'a str,
    /// Where what is compiled stays.
    pub cache: &'a Path,
    /// Whether its lock must stand as it is.
    pub locked: bool,
    /// What its build script is told.
    pub variables: &'a [(&'a str, &'a OsStr)],
}

impl Build<'_> {
    /// Builds the program for speed and size, and returns where it is.
    ///
    /// # Errors
    ///
    /// When cargo or the target is missing, with how to get it, or the program does not build, with what the compiler says.
    pub fn run(&self) -> Result<PathBuf> {
        let output = Command::new("cargo")
            .args(["build", "--release", "--quiet", "--bin", self.program])
            .args(self.locked.then_some("--locked"))
            .args(["--features", self.features, "--target", self.target, "--target-dir"])
            .arg(self.cache)
            .current_dir(self.folder)
            .envs(self.variables.iter().copied())
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .output()
            .context("cannot run cargo, which builds the firmware: install Rust from rustup.rs")?;
        if !output.status.success() {
            let log = String::from_utf8_lossy(&output.stderr);
            if log.contains("target may not be installed") || log.contains("can't find crate for `core`") {
                bail!("the compiler lacks the target {0}: run `rustup target add {0}`", self.target);
            }
            bail!("the firmware does not build for {}:\n{log}", self.target);
        }
        Ok(self.cache.join(self.target).join("release").join(self.program))
    }
}
