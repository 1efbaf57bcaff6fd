//! What writing a file asks of a disk; tests have one that breaks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::Access;

/// The operations of a disk, each of which may fail, and before and after each of which the power may go.
pub(super) trait Disk {
    /// A file that has no place yet, and is removed when it is dropped.
    type Temporary;

    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Creates a file that is to take a place, for all whom the umask allows or for its owner alone.
    fn create(&self, folder: &Path, place: &Path, access: Access) -> io::Result<Self::Temporary>;
    /// Gives a file the mode of what has its place, if something has.
    fn keep_mode(&self, file: &Self::Temporary, place: &Path) -> io::Result<()>;
    fn write(&self, file: &mut Self::Temporary, bytes: &[u8]) -> io::Result<()>;
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

    fn create(&self, folder: &Path, place: &Path, access: Access) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".attar-");
        #[cfg(unix)]
        if access == Access::All {
            use std::os::unix::fs::PermissionsExt;
            // What has the place may be private. The system takes the umask away from either.
            let mode = fs::metadata(place).map_or(0o666, |there| there.permissions().mode() & 0o666);
            // A temporary file has to be written to, whatever may be done with the result.
            builder.permissions(fs::Permissions::from_mode(mode | 0o200));
        }
        #[cfg(not(unix))]
        let _ = (place, access);
        builder.tempfile_in(folder)
    }

    fn keep_mode(&self, file: &NamedTempFile, place: &Path) -> io::Result<()> {
        #[cfg(unix)]
        match fs::metadata(place) {
            Ok(there) => file.as_file().set_permissions(there.permissions())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        #[cfg(not(unix))]
        let _ = (file, place);
        Ok(())
    }

    fn write(&self, file: &mut NamedTempFile, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
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
