//! What the engine takes on a board beside a student's own bytes and its arena.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use attar_device::Student;
use object::{Object, ObjectSection, SectionKind};

use super::EngineCost;
use super::qemu::{build, run};
use crate::boards::Board;

/// Builds two programs for a board, one with the engine around a student and one without, and holds them against each
/// other.
///
/// # Errors
///
/// As [`super::on_qemu`].
pub fn engine_cost(board: &Board, bytes: &[u8]) -> Result<EngineCost> {
    let folder = tempfile::Builder::new().prefix("attar-verify-").tempdir()?;
    let mut flash = [0; 2];
    let mut stack = 0;
    for (program, flash) in [BARE, "empty"].into_iter().zip(&mut flash) {
        let file = built(board, bytes, program, folder.path())?;
        *flash = flash_bytes(&file)?;
        let lines = run(board, &file, folder.path(), 1)?;
        let deepest = lines.iter().find_map(|line| line.strip_prefix("stack ")?.parse().ok());
        stack = stack.max(deepest.with_context(|| format!("{} said nothing of its stack", board.place()))?);
    }
    let [whole, start] = flash;
    let beside = whole.checked_sub(start + bytes.len() as u64);
    Ok(EngineCost { flash: beside.context("the program is smaller than the student in it")?, stack })
}

/// Builds the engine and nothing else around a student: a program that parses it, runs it once on int8 zeros and ends.
///
/// # Errors
///
/// As [`super::on_qemu`].
pub fn bare_program(board: &Board, bytes: &[u8], folder: &Path) -> Result<PathBuf> {
    built(board, bytes, BARE, folder)
}

const BARE: &str = "bare";

fn built(board: &Board, bytes: &[u8], program: &str, folder: &Path) -> Result<PathBuf> {
    Student::parse(bytes)?;
    let model = folder.join("student.attar");
    fs::write(&model, bytes)?;
    build(board, &model, program, folder)
}

/// Returns the bytes of a program that stand in flash.
///
/// # Errors
///
/// When the file cannot be read or is no program.
pub fn flash_bytes(program: &Path) -> Result<u64> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let file = object::File::parse(bytes.as_slice()).with_context(|| format!("cannot read {}", program.display()))?;
    let stands = [SectionKind::Text, SectionKind::ReadOnlyData, SectionKind::ReadOnlyString, SectionKind::Data];
    let size = file.sections().filter(|section| stands.contains(&section.kind())).map(|section| section.size()).sum();
    ensure!(size > 0, "{} has neither code nor data", program.display());
    Ok(size)
}
