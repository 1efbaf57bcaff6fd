//! Outputs are written whole or not at all; inputs are files, and those that a recipe names lie below one folder.

mod disk;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use disk::{Disk, Os};

/// Writes a file: beside its place first, then synced and renamed into it, so that a reader sees the old bytes or the new
/// ones and never a part of them, whatever happens on the way. A new file has the mode that the umask leaves, a replaced one
/// keeps its own.
///
/// # Errors
///
/// When the folder cannot be written to, or the disk is full; then the old file is as it was. When there is a symbolic link, a
/// folder or a device in its place: a link in a folder that came from elsewhere could lead to any file of the user.
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
/// When it cannot be read, is no regular file, or has more bytes: then nothing of it was read.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    let read = || -> Result<Vec<u8>> {
        ensure!(file.metadata()?.len() <= most, "it has more than {most} bytes");
        let mut bytes = Vec::new();
        // It may grow meanwhile, and files of /proc have no length.
        file.take(most + 1).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 <= most, "it has more than {most} bytes");
        Ok(bytes)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// Returns the bytes of a regular file.
///
/// # Errors
///
/// As [`open_regular`].
pub fn read_regular(path: &Path) -> Result<Vec<u8>> {
    let mut file = open_regular(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

/// Opens a regular file. A pipe could wait forever, and a device such as /dev/zero has no end.
///
/// # Errors
///
/// When it cannot be opened, or is something else; the message names the file and what it is.
pub fn open_regular(path: &Path) -> Result<File> {
    let open = || -> Result<File> {
        // Before it is opened: opening a pipe waits for its other end.
        check_regular(&fs::metadata(path)?)?;
        let file = File::open(path)?;
        check_regular(&file.metadata()?)?;
        Ok(file)
    };
    open().with_context(|| format!("cannot read {}", path.display()))
}

fn check_regular(metadata: &fs::Metadata) -> Result<()> {
    let kind = metadata.file_type();
    ensure!(kind.is_file(), "it is {}, expected a regular file", kind_of(kind));
    Ok(())
}

fn kind_of(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        } else if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        } else if kind.is_socket() {
            return "a socket";
        }
    }
    match (kind.is_dir(), kind.is_symlink()) {
        (true, _) => "a folder",
        (_, true) => "a symbolic link",
        _ => "no regular file",
    }
}

/// Returns the path of a file that a recipe names below a folder. Recipes come from anywhere, so that one must not reach what
/// lies outside of the folder that its user gives it.
///
/// # Errors
///
/// When the name is empty or absolute, holds `..`, or leads out of the folder by a symbolic link.
pub fn below(folder: &Path, name: impl AsRef<Path>) -> Result<PathBuf> {
    let name = name.as_ref();
    let (at, advice) =
        (shown(folder).display(), "files that a recipe names lie below its folder, or below that of --data");
    let mut is_empty = true;
    for component in name.components() {
        match component {
            Component::Normal(_) => is_empty = false,
            Component::CurDir => {}
            Component::ParentDir => bail!("{name:?} holds \"..\", expected a path below {at}: {advice}"),
            Component::RootDir | Component::Prefix(_) => {
                bail!("{name:?} is an absolute path, expected one below {at}: {advice}")
            }
        }
    }
    ensure!(!is_empty, "{name:?} names no file, expected a path below {at}");
    let path = folder.join(name);
    check_links(folder, &path)?;
    Ok(path)
}

/// Checks that symbolic links in a path lead to nothing outside of a folder. What is not there passes: it cannot be read.
///
/// # Errors
///
/// When they do.
pub fn check_links(folder: &Path, path: &Path) -> Result<()> {
    let (Ok(whole), Ok(target)) = (shown(folder).canonicalize(), path.canonicalize()) else { return Ok(()) };
    ensure!(
        target.starts_with(&whole),
        "{} leads out of {} by a symbolic link, to {}: copy the file, or name a folder above both with --data",
        path.display(),
        shown(folder).display(),
        target.display()
    );
    Ok(())
}

/// A file in the folder that a command runs in lies in "", which is no folder to look into.
fn shown(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Checks that a name is one component of a path, so that what is written under it stays in its folder.
///
/// # Errors
///
/// When it is empty, `.` or `..`, or holds a separator or a control character.
pub fn check_component(what: &str, name: &str) -> Result<()> {
    let mut components = Path::new(name).components();
    let one = matches!((components.next(), components.next()), (Some(Component::Normal(part)), None) if part == name);
    ensure!(
        one && !name.contains(['/', '\\']) && !name.contains(char::is_control) && name.len() <= LONGEST_NAME,
        "{what} is {name:?}, expected the name of a folder: at most {LONGEST_NAME} bytes, without /, \\ and control characters, and not \".\" or \"..\""
    );
    Ok(())
}

/// Returns a component of a path for each of some distinct names, in their order. Letters, digits, `-`, `_`, and spaces and dots
/// between them stay, others become `%XX`, which no two names share; names that a file system without upper case would take for
/// each other, and those that are too long, get a suffix behind `~`, which is in no other.
pub fn components_of(names: &[String]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    names
        .iter()
        .map(|name| {
            let last = name.chars().count().saturating_sub(1);
            let mut encoded = String::new();
            for (place, c) in name.chars().enumerate() {
                let is_inner = place > 0 && place < last;
                if c.is_alphanumeric() || matches!(c, '-' | '_') || is_inner && matches!(c, ' ' | '.') {
                    encoded.push(c);
                } else {
                    let mut bytes = [0; 4];
                    encoded.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
                }
            }
            if encoded.len() > LONGEST_NAME {
                let hash = hex(&Sha256::digest(name));
                let start: String = encoded.chars().take(LONGEST_NAME / 8).collect();
                encoded = format!("{start}~{}", &hash[..16]);
            }
            let mut unique = encoded.clone();
            let mut count = 1;
            while !taken.insert(unique.to_lowercase()) {
                count += 1;
                unique = format!("{encoded}~{count}");
            }
            unique
        })
        .collect()
}

/// Bytes of a component that every file system takes, with room for what is put before and behind it.
const LONGEST_NAME: usize = 150;

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
        check_place(path)?;
        disk.create_folder(folder)?;
        // Dropped before it is renamed, it is removed.
        let mut file = disk.create(folder, path, access)?;
        if access == Access::All {
            // Before anything is in it.
            disk.keep_mode(&file, path)?;
        }
        disk.write(&mut file, bytes)?;
        disk.sync(&file)?;
        check(D::path(&file))?;
        disk.rename(file, path, access == Access::All)?;
        disk.sync_folder(folder)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Checks that there is a regular file, or nothing, where one is to be written.
fn check_place(path: &Path) -> Result<()> {
    let mut parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parents.find(|parent| parent.exists()) {
        ensure!(parent.is_dir(), "{} is a file, expected a folder: name another", parent.display());
    }
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
    if there.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        bail!("it is a symbolic link to {}: name that file instead, or remove the link", target.display());
    }
    ensure!(there.is_file(), "it is {}, expected a regular file or nothing: name another", kind_of(there.file_type()));
    Ok(())
}

/// Checks that a folder can be one of outputs: it is one, or is not there yet.
///
/// # Errors
///
/// When a file has its name.
pub fn check_folder(folder: &Path) -> Result<()> {
    let Ok(there) = fs::metadata(folder) else { return Ok(()) };
    ensure!(
        there.is_dir(),
        "{} is {}, expected a folder",
        folder.display(),
        match there.is_file() {
            true => "a file",
            false => kind_of(there.file_type()),
        }
    );
    Ok(())
}
