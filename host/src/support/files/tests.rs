//! A disk that breaks at one operation, or loses its power there and with it all that was not synced.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::disk::Disk;
use super::{
    Access, below, check_component, check_folder, components_of, open_regular, read_at_most, write_on, write_secret,
    write_whole,
};

const PLACE: &str = "run/student.attar";
const OLD: &[u8] = b"the old model";
const NEW: &[u8] = b"the new model, which is longer";

/// A file's bytes as programs see them, and as they are on the platter.
#[derive(Clone, Default)]
struct Content {
    seen: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Break {
    /// An error, after which the disk goes on.
    Error(io::ErrorKind),
    /// The power goes.
    Power,
}

struct State {
    contents: RefCell<Vec<Content>>,
    /// Names as programs see them.
    names: RefCell<BTreeMap<PathBuf, usize>>,
    /// Every state of the names since the folder was synced; after a power cut any of them may be found.
    history: RefCell<Vec<BTreeMap<PathBuf, usize>>>,
    left: Cell<usize>,
    broken: Break,
}

struct Fragile(Rc<State>);

struct Temporary {
    state: Rc<State>,
    path: PathBuf,
    content: usize,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Without power nobody cleans up.
        if self.state.broken != Break::Power || self.state.left.get() > 0 {
            self.state.names.borrow_mut().remove(&self.path);
        }
    }
}

impl Fragile {
    fn new(left: usize, broken: Break, has_old: bool) -> Self {
        let mut contents = Vec::new();
        let mut names = BTreeMap::new();
        if has_old {
            contents.push(Content { seen: OLD.to_vec(), synced: OLD.to_vec() });
            names.insert(PathBuf::from(PLACE), 0);
        }
        Self(Rc::new(State {
            contents: RefCell::new(contents),
            history: RefCell::new(vec![names.clone()]),
            names: RefCell::new(names),
            left: Cell::new(left),
            broken,
        }))
    }

    /// Counts an operation; the last one before the break is not done.
    fn operation(&self) -> io::Result<()> {
        let left = self.0.left.get();
        if left == 0 && self.0.broken == Break::Power {
            return Err(io::Error::other("there is no power"));
        }
        self.0.left.set(left.wrapping_sub(1));
        match (left, self.0.broken) {
            (1, Break::Error(kind)) => Err(kind.into()),
            (1, Break::Power) => Err(io::Error::other("the power goes")),
            _ => Ok(()),
        }
    }

    fn named(&self) {
        self.0.history.borrow_mut().push(self.0.names.borrow().clone());
    }

    /// What may be found in the place after the power comes back.
    fn found(&self) -> Vec<Option<Vec<u8>>> {
        let contents = self.0.contents.borrow();
        let all = self.0.history.borrow();
        let states = all.iter().flat_map(|names| match names.get(Path::new(PLACE)) {
            None => vec![None],
            Some(&content) => {
                let Content { seen, synced } = &contents[content];
                // What was not synced may be there in full, in part, or not at all.
                vec![Some(seen.clone()), Some(synced.clone()), Some(seen[..seen.len() / 2].to_vec())]
                    .into_iter()
                    .take(if seen == synced { 1 } else { 3 })
                    .collect()
            }
        });
        states.collect()
    }
}

impl Disk for Fragile {
    type Temporary = Temporary;

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        self.operation()
    }

    fn create(&self, folder: &Path, _: &Path, _: Access) -> io::Result<Temporary> {
        self.operation()?;
        self.0.contents.borrow_mut().push(Content::default());
        let content = self.0.contents.borrow().len() - 1;
        let path = folder.join(".attar-1");
        self.0.names.borrow_mut().insert(path.clone(), content);
        self.named();
        Ok(Temporary { state: Rc::clone(&self.0), path, content })
    }

    fn write(&self, file: &mut Temporary, bytes: &[u8]) -> io::Result<()> {
        // Half of the bytes are there before it breaks.
        let written = self.operation();
        let len = if written.is_ok() { bytes.len() } else { bytes.len() / 2 };
        self.0.contents.borrow_mut()[file.content].seen = bytes[..len].to_vec();
        written
    }

    fn keep_mode(&self, _: &Temporary, _: &Path) -> io::Result<()> {
        self.operation()
    }

    fn sync(&self, file: &Temporary) -> io::Result<()> {
        self.operation()?;
        let content = &mut self.0.contents.borrow_mut()[file.content];
        content.synced = content.seen.clone();
        Ok(())
    }

    fn rename(&self, file: Temporary, place: &Path, replaces: bool) -> io::Result<()> {
        self.operation()?;
        assert!(replaces || !self.0.names.borrow().contains_key(place));
        let mut names = self.0.names.borrow_mut();
        names.remove(&file.path);
        names.insert(place.to_path_buf(), file.content);
        drop(names);
        self.named();
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.operation()?;
        let now = self.0.names.borrow().clone();
        *self.0.history.borrow_mut() = vec![now];
        Ok(())
    }

    fn path(file: &Temporary) -> &Path {
        &file.path
    }
}

/// Breaks at operation N for N = 1, 2, … until nothing breaks any more, and returns how often it did.
fn for_every_operation(
    broken: Break,
    has_old: bool,
    write: impl Fn(&Fragile) -> anyhow::Result<()>,
    look: impl Fn(&Fragile, usize),
) -> usize {
    for stop in 1.. {
        let disk = Fragile::new(stop, broken, has_old);
        if write(&disk).is_ok() {
            assert_eq!(disk.found(), [Some(NEW.to_vec())]);
            return stop - 1;
        }
        look(&disk, stop);
    }
    unreachable!("the disk has more operations than numbers")
}

fn whole(disk: &Fragile) -> anyhow::Result<()> {
    write_on(disk, Path::new(PLACE), NEW, Access::All, |_| Ok(()))
}

#[test]
fn a_power_cut_at_every_operation_leaves_the_old_file_or_the_new_one() {
    for has_old in [false, true] {
        let old = has_old.then(|| OLD.to_vec());
        let stops = for_every_operation(Break::Power, has_old, whole, |disk, stop| {
            for found in disk.found() {
                assert!(found == old || found == Some(NEW.to_vec()), "operation {stop}: {found:?}");
            }
        });
        assert_eq!(stops, 7);
    }
}

#[test]
fn an_error_of_every_operation_leaves_the_old_file_and_no_litter() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::PermissionDenied, io::ErrorKind::Other] {
        let stops = for_every_operation(Break::Error(kind), true, whole, |disk, stop| {
            let names = disk.0.names.borrow();
            assert_eq!(names.len(), 1, "operation {stop} leaves {:?}", names.keys());
            let content = &disk.0.contents.borrow()[names[Path::new(PLACE)]];
            // After the last operation, which syncs the folder, the new file has its place.
            assert_eq!(content.seen, if stop < 7 { OLD } else { NEW }, "operation {stop}");
        });
        assert_eq!(stops, 7);
    }
}

#[test]
fn a_file_that_fails_its_check_does_not_take_its_place() {
    let disk = Fragile::new(usize::MAX, Break::Power, true);
    let refused = write_on(&disk, Path::new(PLACE), NEW, Access::All, |_| anyhow::bail!("it is no good"));
    assert_eq!(format!("{:#}", refused.unwrap_err()), "cannot write run/student.attar: it is no good");
    assert_eq!(disk.0.names.borrow().len(), 1);
    assert!(disk.found().iter().all(|found| *found == Some(OLD.to_vec())));
}

/// The two mistakes that are made most often have to be caught by what is tested above.
#[test]
fn control_writing_in_place_and_renaming_without_a_sync_are_caught() {
    let torn = |disk: &Fragile| disk.found().into_iter().flatten().any(|found| found != OLD && found != NEW);
    let in_place = |disk: &Fragile| -> anyhow::Result<()> {
        let mut file = disk.create(Path::new("run"), Path::new(PLACE), Access::All)?;
        disk.0.names.borrow_mut().insert(PathBuf::from(PLACE), file.content);
        disk.named();
        disk.write(&mut file, NEW)?;
        disk.sync(&file)?;
        Ok(disk.sync_folder(Path::new("run"))?)
    };
    let without_sync = |disk: &Fragile| -> anyhow::Result<()> {
        let mut file = disk.create(Path::new("run"), Path::new(PLACE), Access::All)?;
        disk.write(&mut file, NEW)?;
        disk.rename(file, Path::new(PLACE), true)?;
        Ok(disk.sync_folder(Path::new("run"))?)
    };
    let caught = |write: &dyn Fn(&Fragile) -> anyhow::Result<()>| {
        (1..8).any(|stop| {
            let disk = Fragile::new(stop, Break::Power, true);
            write(&disk).is_err() && torn(&disk)
        })
    };
    assert!(caught(&in_place) && caught(&without_sync) && !caught(&whole));
}

#[test]
fn secrets_are_for_their_owner_and_are_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    write_secret(&path, b"secret").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(write_secret(&path, b"other").unwrap_err().to_string().contains("is there already"));
    assert_eq!(std::fs::read(&path).unwrap(), b"secret");
}

#[test]
fn files_that_are_too_long_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    std::fs::write(&path, [0; 100]).unwrap();
    assert_eq!(read_at_most(&path, 100).unwrap().len(), 100);
    let error = format!("{:#}", read_at_most(&path, 99).unwrap_err());
    assert!(error.contains("more than 99 bytes"), "{error}");
    #[cfg(target_os = "linux")]
    assert!(read_at_most(Path::new("/dev/zero"), 1000).is_err());
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let error = format!("{:#}", open_regular(folder.path()).unwrap_err());
    assert!(error.contains(&folder.path().display().to_string()) && error.contains("it is a folder"), "{error}");
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Opening it would wait for a writer.
        for (path, what) in [(pipe.as_path(), "a pipe"), (Path::new("/dev/zero"), "a device")] {
            let error = format!("{:#}", open_regular(path).unwrap_err());
            assert!(error.contains(what), "{error}");
            let error = format!("{:#}", write_whole(path, b"x").unwrap_err());
            assert!(error.contains(what), "{error}");
        }
    }
}

#[test]
fn files_of_recipes_lie_below_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("data");
    std::fs::create_dir_all(inside.join("deep")).unwrap();
    std::fs::write(inside.join("deep/a.csv"), "x").unwrap();
    std::fs::write(folder.path().join("secret"), "x").unwrap();
    assert_eq!(below(&inside, "deep/a.csv").unwrap(), inside.join("deep/a.csv"));
    assert_eq!(below(Path::new(""), "./a.csv").unwrap(), Path::new("./a.csv"));
    // What is not there is refused where it is read.
    below(&inside, "none.csv").unwrap();
    let error = |name: &str| format!("{:#}", below(&inside, name).unwrap_err());
    for (name, expected) in [
        ("../secret", "holds \"..\""),
        ("deep/../../secret", "holds \"..\""),
        ("deep/../deep/a.csv", "holds \"..\""),
        ("/etc/passwd", "absolute"),
        ("", "names no file"),
        (".", "names no file"),
    ] {
        assert!(error(name).contains(expected), "{name}: {}", error(name));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("../secret", inside.join("link")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("deep", inside.join("other")).unwrap();
        assert!(error("link").contains("by a symbolic link"), "{}", error("link"));
        assert!(error("up/secret").contains("by a symbolic link"));
        // A link within the folder is no way out of it, and the folder itself may be one.
        below(&inside, "other/a.csv").unwrap();
        symlink("data", folder.path().join("linked")).unwrap();
        below(&folder.path().join("linked"), "deep/a.csv").unwrap();
    }
}

#[test]
fn components_stay_in_their_folder_and_no_two_names_share_one() {
    for good in ["bearing", "a b", "mühle-7", "x.y", "..."] {
        check_component("name", good).unwrap();
    }
    let long = "x".repeat(200);
    for bad in ["", ".", "..", "/abs", "a/b", "../../x", "a/", "a\\b", "a\0", "a\nb", &long] {
        let error = check_component("name", bad).unwrap_err().to_string();
        assert!(error.starts_with("name is"), "{error}");
    }
    let other = format!("{}y", "x".repeat(199));
    let names = [
        "x/../../../elsewhere",
        "x%2F..%2F..%2F..%2Felsewhere",
        "..",
        ".",
        "",
        "A",
        "a",
        "a~2",
        "Mühle 7",
        "a b",
        " a",
        "a ",
        "a.",
        "%",
        "%25",
        "A/",
        "a/",
        "u\u{308}",
        "ü",
        &long,
        &other,
    ];
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let components = components_of(&names);
    let distinct: std::collections::BTreeSet<String> = components.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(distinct.len(), names.len(), "{components:?}");
    for component in &components {
        check_component("fold", &format!("fold-{component}")).unwrap();
    }
    assert_eq!(components[5..9], ["A", "a~2", "a%7E2", "Mühle 7"]);
}

#[cfg(unix)]
#[test]
fn written_files_honour_the_umask_and_keep_the_mode_of_what_they_replace() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    // Whatever the umask is, a new file has the mode that any other has.
    let (plain, own) = (folder.path().join("plain"), folder.path().join("own"));
    std::fs::write(&plain, "x").unwrap();
    write_whole(&own, b"x").unwrap();
    assert_eq!(mode(&own), mode(&plain));
    for kept in [0o600, 0o640, 0o664, 0o755, 0o444] {
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(kept)).unwrap();
        write_whole(&own, kept.to_string().as_bytes()).unwrap();
        assert_eq!((mode(&own), std::fs::read_to_string(&own).unwrap()), (kept, kept.to_string()));
    }
    // A link is neither replaced nor followed.
    let link = folder.path().join("link");
    symlink("plain", &link).unwrap();
    let error = format!("{:#}", write_whole(&link, b"new").unwrap_err());
    assert!(error.contains("a symbolic link to plain"), "{error}");
    assert_eq!(std::fs::read(&plain).unwrap(), b"x");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_file_is_no_folder_to_write_into() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for result in [write_whole(&file.join("a"), b"x"), write_whole(&file.join("a/b"), b"x")] {
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.contains("file is a file, expected a folder"), "{error}");
    }
    assert!(check_folder(&file).unwrap_err().to_string().contains("is a file, expected a folder"));
    check_folder(folder.path()).unwrap();
    check_folder(&folder.path().join("none")).unwrap();
}
