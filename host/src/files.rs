//! Outputs are written whole or not at all.

mod disk;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use disk::{Disk, Os};

/// Writes a file: beside its place first, then synced and renamed into it, so that a reader sees the old bytes or the new
/// ones and never a part of them, whatever happens on the way.
///
/// # Errors
///
/// When the folder cannot be written to, or the disk is full; then the old file is as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_checked(path, bytes, |_| Ok(()))
}

/// As [`write_whole`], with a look at the finished file, by its temporary path, before it is renamed into place.
///
/// # Errors
///
/// As [`write_whole`], and what `check` says; then the old file is as it was.
pub fn write_checked(path: &Path, bytes: &[u8], check: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    write_on(&Os, path, bytes, Access::All, check)
}

/// Writes a file that its owner alone may read, in a place where there is none.
///
/// # Errors
///
/// As [`write_whole`], and when there is a file already.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    ensure!(!path.exists(), "{} is there already, and a key is not replaced: name another file", path.display());
    write_on(&Os, path, bytes, Access::Owner, |_| Ok(()))
}

/// Returns the bytes of a file that may have at most `most`.
///
/// # Errors
///
/// When it cannot be read, or has more: then nothing of it was read.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let read = || -> Result<Vec<u8>> {
        use io::Read;
        let file = std::fs::File::open(path)?;
        let mut bytes = Vec::new();
        // A pipe or a device has no length to ask for.
        file.take(most + 1).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 <= most, "it has more than {most} bytes");
        Ok(bytes)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// Returns bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    All,
    Owner,
}

fn write_on<D: Disk>(
    disk: &D,
    path: &Path,
    bytes: &[u8],
    access: Access,
    check: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> Result<()> {
        disk.create_folder(folder)?;
        // Dropped before it is renamed, it is removed.
        let mut file = disk.create(folder)?;
        disk.write(&mut file, bytes)?;
        if access == Access::All {
            disk.open_to_all(&file)?;
        }
        disk.sync(&file)?;
        check(D::path(&file))?;
        disk.rename(file, path, access == Access::All)?;
        disk.sync_folder(folder)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the path of a file that is named below a folder.
///
/// # Errors
///
/// When the name leads out of the folder.
pub fn below(folder: &Path, name: &Path) -> Result<std::path::PathBuf> {
    let inside = name.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    ensure!(inside, "{}: leads out of {}", name.display(), folder.display());
    Ok(folder.join(name))
}

/// Opens a regular file.
///
/// # Errors
///
/// When it is none.
pub fn open_regular(path: &Path) -> Result<std::fs::File> {
    Ok(std::fs::File::open(path)?)
}
