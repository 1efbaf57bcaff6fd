//! Boards: what each has, and the files of a firmware crate for it. A board is a folder in `host/boards`.

pub mod build;
pub mod estimate;
pub mod link;
pub mod scaffold;
pub mod verify;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use include_dir::{Dir, include_dir};
use serde::Deserialize;

use crate::recipe::Bytes;
use crate::support::suggest::nearest;

/// A board.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The name of its folder.
    #[serde(skip)]
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The folders in `host/boards` whose files its crate gets before its own, and is free to put others in their place.
    pub parts: Vec<String>,
    /// Which kernels it runs: m0, m3, m4, m33, m55 or rv32imc.
    pub core: String,
    /// The target of the compiler.
    pub target: String,
    /// Flash.
    pub flash: Bytes,
    /// RAM, that of the stack included.
    pub ram: Bytes,
    /// The clock of the core, in Hz.
    pub clock_hz: u64,
    /// Features of the engine's crate that the core needs.
    #[serde(default)]
    pub features: Vec<String>,
    /// How QEMU simulates it; absent for boards of silicon.
    #[serde(default)]
    pub qemu: Option<Qemu>,
    /// What else its files name in double braces.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// How QEMU simulates a board.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// The program.
    pub program: String,
    /// The arguments that choose machine and core.
    pub arguments: Vec<String>,
    /// The stack of the programs of `attar verify`, at the start of RAM: one that grows too deep faults.
    pub stack: Bytes,
}

impl Board {
    /// Returns whether it is a board of QEMU.
    pub fn is_simulated(&self) -> bool {
        self.qemu.is_some()
    }

    /// Returns its name as a place to verify on: `qemu:mps2-an386`, or that of its folder for a board of silicon.
    pub fn place(&self) -> String {
        match self.name.strip_prefix(QEMU) {
            Some(name) => format!("qemu:{name}"),
            None => self.name.clone(),
        }
    }

    /// Returns how QEMU simulates it.
    ///
    /// # Errors
    ///
    /// When it is a board of silicon.
    pub fn simulation(&self) -> Result<&Qemu> {
        self.qemu.as_ref().with_context(|| format!("{} is no board of QEMU", self.name))
    }

    /// Returns the files of a crate for it, as they are written here: paths and texts. With a `signal` it gets what listens.
    pub fn files(&self, signal: bool) -> BTreeMap<String, &'static str> {
        let mut files = BTreeMap::new();
        let listens = signal.then_some(SIGNAL);
        for folder in self.parts.iter().map(String::as_str).chain(listens).chain([self.name.as_str()]) {
            if let Some(dir) = FOLDERS.get_dir(folder) {
                gather(dir, folder, &mut files);
            }
        }
        files.remove(DESCRIPTION);
        files
    }
}

/// Returns the boards by name.
///
/// # Errors
///
/// When a description in `host/boards` is wrong.
pub fn boards() -> Result<&'static [Board]> {
    static BOARDS: LazyLock<Result<Vec<Board>, String>> = LazyLock::new(|| {
        let mut boards = Vec::new();
        for dir in FOLDERS.dirs() {
            let name = dir.path().display().to_string();
            let Some(file) = dir.get_file(dir.path().join(DESCRIPTION)) else { continue };
            let text = file.contents_utf8().unwrap_or_default();
            let board: Board =
                toml::from_str(text).map_err(|error| format!("host/boards/{name}/{DESCRIPTION}: {error}"))?;
            let board = Board { name, ..board };
            if board.name.starts_with(QEMU) != board.is_simulated() {
                return Err(format!("host/boards/{}: {QEMU} in the name and [qemu] go together", board.name));
            }
            boards.push(board);
        }
        boards.sort_by(|a, b| (a.is_simulated(), &a.name).cmp(&(b.is_simulated(), &b.name)));
        Ok(boards)
    });
    match &*BOARDS {
        Ok(boards) => Ok(boards),
        Err(error) => bail!("{error}"),
    }
}

/// Returns a board by its name.
///
/// # Errors
///
/// When there is none, with the nearest name.
pub fn find(name: &str) -> Result<&'static Board> {
    let boards = boards()?;
    // `attar verify` writes a board of QEMU with a colon.
    let name = &name.replacen("qemu:", QEMU, 1);
    boards.iter().find(|board| board.name == *name).with_context(|| {
        let names = || boards.iter().map(|board| board.name.as_str());
        let advice = nearest(name, names()).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
        format!("there is no board {name:?}{advice}, use one of {}", names().collect::<Vec<_>>().join(", "))
    })
}

/// Returns a board of QEMU by its name, with or without `qemu-` or `qemu:` before it.
///
/// # Errors
///
/// When there is none, with the nearest name.
pub fn find_simulated(name: &str) -> Result<&'static Board> {
    let name = name.strip_prefix("qemu:").or(name.strip_prefix(QEMU)).unwrap_or(name);
    let simulated = || -> Result<_> { Ok(boards()?.iter().filter(|board| board.is_simulated())) };
    simulated()?.find(|board| board.name.strip_prefix(QEMU) == Some(name)).with_context(|| {
        let names: Vec<&str> = simulated().into_iter().flatten().filter_map(|b| b.name.strip_prefix(QEMU)).collect();
        let near = nearest(name, names.iter().copied());
        let advice = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
        format!("there is no board {name:?} of QEMU{advice}, use one of {}", names.join(", "))
    })
}

fn gather(dir: &'static Dir<'static>, folder: &str, files: &mut BTreeMap<String, &'static str>) {
    for file in dir.files() {
        let path = file.path().strip_prefix(folder).unwrap_or(file.path()).display().to_string();
        let path = path.strip_suffix(".in").map_or(path.clone(), String::from);
        files.insert(path.replace('\\', "/"), file.contents_utf8().unwrap_or_default());
    }
    dir.dirs().for_each(|dir| gather(dir, folder, files));
}

/// A file whose name ends in `.in` loses that ending: cargo and git must not take it for their own.
static FOLDERS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/boards");

/// The folder of what listens to a sensor.
const SIGNAL: &str = "signal";

const DESCRIPTION: &str = "board.toml";

/// How names of boards in QEMU begin.
const QEMU: &str = "qemu-";
