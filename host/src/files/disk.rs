//! What writing a file asks of a disk; tests have one that breaks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// The operations of a disk, each of which may fail, and before and after each of which the power may go.
pub(super) trait Disk {
    /// A file that has no place yet, and is removed when it is dropped.
    type Temporary;

    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    fn create(&self, folder: &Path) -> io::Result<Self::Temporary>;
    fn write(&self, file: &mut Self::Temporary, bytes: &[u8]) -> io::Result<()>;
    fn open_to_all(&self, file: &Self::Temporary) -> io::Result<()>;
    fn sync(&self, file: &Self::Temporary) -> io::Result<()>;
    /// Gives a file its place, in exchange for what is there, or only where nothing is.
    fn rename(&self, file: Self::Temporary, place: &Path, replaces: bool) -> io::Result<()>;
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    fn path(file: &Self::Temporary) -> &Path;
}

/// The disk of this machine.
pub(super) struct Os;

impl Disk for Os {
    type Temporary = NamedTempFile;

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn create(&self, folder: &Path) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(".attar-").tempfile_in(folder)
    }

    fn write(&self, file: &mut NamedTempFile, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// A temporary file is private; the result is as readable as any other file of the user.
    fn open_to_all(&self, file: &NamedTempFile) -> io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        #[cfg(not(unix))]
        let _ = file;
        Ok(())
    }

    fn sync(&self, file: &NamedTempFile) -> io::Result<()> {
        file.as_file().sync_all()
    }

    fn rename(&self, file: NamedTempFile, place: &Path, replaces: bool) -> io::Result<()> {
        let placed = if replaces { file.persist(place) } else { file.persist_noclobber(place) };
        placed.map(|_| ()).map_err(|error| error.error)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        // Elsewhere a folder is no file that could be opened.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }

    fn path(file: &NamedTempFile) -> &Path {
        file.path()
    }
}
