//! The source of the firmware that runs in QEMU: that of a checkout, or the one in this program.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use attar_shared::checksum;

use crate::support::files;

/// Where the firmware is built.
#[derive(Debug)]
pub(super) struct Firmware {
    /// The folder of its crate.
    pub(super) source: PathBuf,
    /// The folder of what is compiled.
    pub(super) target: PathBuf,
}

impl Firmware {
    /// Finds the firmware: the folder in `ATTAR_FIRMWARE`, that of the checkout which this program was built from, or, where there is
    /// none or `ATTAR_FIRMWARE` is `built-in`, the source in this program, written to the user's cache. What is compiled stays beside it,
    /// or in the folder `ATTAR_FIRMWARE_TARGET`.
    ///
    /// # Errors
    ///
    /// When there is no source, or the cache cannot be written.
    pub(super) fn find() -> Result<Self> {
        let given = env::var_os("ATTAR_FIRMWARE").map(PathBuf::from);
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../device/firmware");
        let (source, target) = match given {
            Some(given) if given.as_os_str() != BUILT_IN => {
                ensure!(
                    given.join("Cargo.toml").exists(),
                    "ATTAR_FIRMWARE: the firmware's source is not at {}: expected the folder device/firmware of the project, or {BUILT_IN}",
                    given.display()
                );
                // The build runs in this folder, so that a relative path would be another one there.
                let given = std::path::absolute(&given).with_context(|| format!("cannot find {}", given.display()))?;
                let target = given.join("target");
                (given, target)
            }
            None if checkout.join("Cargo.toml").exists() => {
                let target = checkout.join("target");
                (checkout, target)
            }
            _ => {
                let cache = dirs::cache_dir().context("there is no folder for caches: set HOME or XDG_CACHE_HOME")?;
                let cache = cache.join("attar/firmware");
                (unpacked(&cache, FILES)?.join(CRATE), cache.join("target"))
            }
        };
        Ok(Self { source, target: env::var_os("ATTAR_FIRMWARE_TARGET").map_or(target, PathBuf::from) })
    }
}

/// Returns the folder in a cache with some files, by their paths and bytes: as it was left, or written now. It is there as a whole, or
/// not at all; its name is a checksum of what is in it.
fn unpacked(cache: &Path, contents: &[(&str, &[u8])]) -> Result<PathBuf> {
    ensure!(
        !contents.is_empty(),
        "this program was built without the firmware's source: set ATTAR_FIRMWARE to the folder device/firmware of the project"
    );
    let bytes =
        contents.iter().flat_map(|(path, bytes)| path.bytes().chain([0]).chain(bytes.iter().copied()).chain([0]));
    let len: usize = contents.iter().map(|(path, bytes)| path.len() + bytes.len()).sum();
    let folder = cache.join(format!("{}-{len}-{:08x}", env!("CARGO_PKG_VERSION"), checksum(bytes)));
    if is_whole(&folder, contents) {
        return Ok(folder);
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let temporary = tempfile::Builder::new().prefix(".attar-firmware-").tempdir_in(cache)?;
    let whole = temporary.path().join("whole");
    for (path, bytes) in contents {
        let place = whole.join(path);
        place.parent().map(fs::create_dir_all).transpose()?;
        files::write_whole(&place, bytes)?;
    }
    // Files that somebody has changed go; another command may have been quicker.
    if folder.exists() && !is_whole(&folder, contents) {
        fs::rename(&folder, temporary.path().join("changed"))
            .with_context(|| format!("cannot move {}", folder.display()))?;
    }
    match fs::rename(&whole, &folder) {
        Err(_) if is_whole(&folder, contents) => Ok(folder),
        renamed => renamed.map(|()| folder.clone()).with_context(|| format!("cannot make {}", folder.display())),
    }
}

/// Returns whether a folder has the files as they are here.
fn is_whole(folder: &Path, contents: &[(&str, &[u8])]) -> bool {
    contents.iter().all(|(path, bytes)| fs::read(folder.join(path)).is_ok_and(|found| found == *bytes))
}

/// The value of `ATTAR_FIRMWARE` for the source in this program.
const BUILT_IN: &str = "built-in";

/// The crate among the files.
const CRATE: &str = "device/firmware";

// FILES: paths in the project and bytes of the firmware's source, with the engine and the boards that it is built with.
include!(concat!(env!("OUT_DIR"), "/firmware.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_written_once_and_again_when_it_was_changed() {
        let cache = tempfile::tempdir().unwrap();
        let first: &[(&str, &[u8])] = &[("a/b.rs", b"one"), ("c", b"two")];
        let folder = unpacked(cache.path(), first).unwrap();
        let written = || fs::metadata(folder.join("c")).unwrap().modified().unwrap();
        let before = written();
        assert_eq!(unpacked(cache.path(), first).unwrap(), folder);
        assert_eq!(written(), before, "an unchanged folder was written again");
        fs::write(folder.join("a/b.rs"), "other").unwrap();
        assert_eq!(unpacked(cache.path(), first).unwrap(), folder);
        assert_eq!(fs::read(folder.join("a/b.rs")).unwrap(), b"one");
        let second: &[(&str, &[u8])] = &[("a/b.rs", b"oneX"), ("c", b"two")];
        assert_ne!(unpacked(cache.path(), second).unwrap(), folder);
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 2, "something half made was left");
        let none = unpacked(cache.path(), &[]).unwrap_err();
        assert!(none.to_string().contains("set ATTAR_FIRMWARE"), "{none}");
    }

    #[test]
    fn source_has_the_engine_and_every_board_of_qemu() {
        let has = |path: &str| FILES.iter().any(|(known, _)| *known == path);
        for path in ["Cargo.toml", "shared/src/lib.rs", "device/src/lib.rs", "device/firmware/Cargo.lock"] {
            assert!(has(path), "{path}");
        }
        for board in crate::boards::boards().unwrap().iter().filter(|board| board.is_simulated()) {
            for file in ["board.toml", "memory.x"] {
                assert!(has(&format!("host/boards/{}/{file}", board.name)), "{}/{file}", board.name);
            }
        }
        assert!(!FILES.iter().any(|(path, _)| path.contains("/target/")));
    }
}
