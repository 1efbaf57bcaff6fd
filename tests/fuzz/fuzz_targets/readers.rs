//! Files of data: tables of every dialect, npy and npz arrays, WAV files. What is read or refused takes bounded time and memory.
//!
//! The first byte chooses the reader. The readers are taken in by their source, as in `onnx.rs`.
#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

use std::path::PathBuf;
use std::sync::OnceLock;

#[path = "../../../host/src/support"]
mod support {
    pub(crate) mod files;
    pub(crate) mod suggest;

    pub(crate) mod progress {
        pub(crate) fn say(_: &str) {}
        pub(crate) fn say_once(_: &str, _: &str) {}
        pub(crate) fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
            text.into()
        }
    }
}

#[path = "../../../host/src"]
mod host {
    pub(crate) mod domain;
    pub(crate) mod tables;
}

#[path = "../../../host/src/data/files"]
mod files {
    pub(crate) mod npy;
    pub(crate) mod wav;
}

pub(crate) use host::{domain, tables};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    match choice % 8 {
        0 => {
            let _ = files::npy::read(&written("x.npy", bytes), None);
        }
        1 => {
            let _ = files::npy::read(&written("x.npz", bytes), None);
            let _ = files::npy::read(&written("x.npz", bytes), Some("x"));
        }
        2 => wav(bytes),
        _ => table(choice / 8, bytes),
    }
});

fn wav(bytes: &[u8]) {
    if let Ok(wav) = files::wav::Wav::open(&written("x.wav", bytes)) {
        let _ = wav.samples();
    }
}

/// Reads a table and all its columns in each way.
fn table(keys: u8, bytes: &[u8]) {
    let has = |bit: u8| keys & bit != 0;
    let mut dialect = tables::Dialect::default();
    let set = |dialect: &mut tables::Dialect| -> anyhow::Result<()> {
        if has(1) {
            dialect.delimit(";")?;
        }
        if has(2) {
            dialect.point(",")?;
        }
        if has(4) {
            dialect.encode("windows-1252")?;
        }
        if has(8) {
            dialect.comment("#")?;
        }
        if has(16) {
            dialect.skip_lines(&[2])?;
            dialect.missing.push("?".into());
        }
        Ok(())
    };
    if set(&mut dialect).is_err() {
        return;
    }
    let Ok(table) = tables::Table::read(&written("x.csv", bytes), &dialect) else { return };
    for name in table.columns() {
        if let Ok(column) = table.column(name) {
            let texts = column.texts().len();
            assert_eq!(texts, table.rows());
            let _ = column.numbers();
            let _ = column.place(0);
        }
    }
}

/// Writes a file where there is no disk, and returns its path.
fn written(name: &str, bytes: &[u8]) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let folder = base.join(format!("attar-fuzz-{}", std::process::id()));
        let _ = std::fs::create_dir_all(&folder);
        folder
    });
    let path = folder.join(name);
    let _ = std::fs::write(&path, bytes);
    path
}
