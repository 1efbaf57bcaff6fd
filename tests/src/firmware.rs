//! Programs of `device/firmware` for boards in QEMU.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use attar::boards::build::Build;
use attar::boards::{Board, verify};

use crate::root;

/// A program that is to be built.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its name, that of a folder in `src/bin`.
    pub name: &'a str,
    /// Features beside those of the board, with commas.
    pub features: &'a str,
    /// The student.
    pub student: &'a Path,
    /// The public half of the key.
    pub key: &'a Path,
}

/// The public half of the first key in RFC 8032, whose secret half everyone knows.
pub fn known_key() -> PathBuf {
    root().join("tests/golden/rfc8032.pub")
}

/// The secret half of [`known_key`].
pub const KNOWN_SECRET: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

/// Builds a program for a board and puts it into a folder.
///
/// # Errors
///
/// What the compiler says.
pub fn build(board: &Board, program: Program<'_>, folder: &Path) -> Result<PathBuf, String> {
    // Programs with other features are built into the same place: one at a time, and each is taken away at once.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let source = root().join("device/firmware");
    let target = env::var_os("ATTAR_FIRMWARE_TARGET").map_or_else(|| source.join("target"), PathBuf::from);
    let whole = |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    let (student, key) = (whole(program.student)?, whole(program.key)?);
    let built = Build {
        folder: &source,
        program: program.name,
        target: &board.target,
        features: &format!("{},{}", board.features.join(","), program.features),
        cache: &target,
        locked: true,
        variables: &[
            ("ATTAR_STUDENT", student.as_os_str()),
            ("ATTAR_KEY", key.as_os_str()),
            ("ATTAR_BOARD", board.name.as_ref()),
        ],
    }
    .run()
    .map_err(|error| format!("{error:#}"))?;
    let kept = folder.join(program.name);
    fs::copy(&built, &kept).map_err(|error| format!("{}: {error}", built.display()))?;
    Ok(kept)
}

/// Returns a board in QEMU with a program, which counts one nanosecond an instruction, ready to be started in a folder.
pub fn qemu(board: &Board, program: &Path, folder: &Path) -> Command {
    let mut command = verify::command(board).expect("the board is one of QEMU");
    command.arg(program).current_dir(folder);
    command
}
