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

#[path = "../../../host/src/data"]
mod data {
    pub(crate) mod array;
    pub(crate) mod screen;

    pub(crate) mod readers {
        pub(crate) mod csv;
        pub(crate) mod npy;
        pub(crate) mod wav;
    }

    pub(crate) use array::Array;
}

mod facts {
    pub(crate) fn is_missing(text: &str) -> bool {
        ["", "na", "n/a", "nan", "null"].iter().any(|word| word.eq_ignore_ascii_case(text))
    }
}

mod recipe {
    /// The keys of `[data]` that say how a table is written.
    #[derive(Default)]
    pub(crate) struct Data {
        pub(crate) delimiter: Option<String>,
        pub(crate) decimal: Option<String>,
        pub(crate) encoding: Option<String>,
        pub(crate) comment: Option<String>,
        pub(crate) skip: Vec<u64>,
        pub(crate) missing: Vec<String>,
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    match choice % 8 {
        0 => {
            let _ = data::readers::npy::read(&written("x.npy", bytes), None);
        }
        1 => {
            let _ = data::readers::npy::read(&written("x.npz", bytes), None);
            let _ = data::readers::npy::read(&written("x.npz", bytes), Some("x"));
        }
        2 => wav(bytes),
        _ => table(choice / 8, bytes),
    }
});

fn wav(bytes: &[u8]) {
    if let Ok(wav) = data::readers::wav::Wav::open(&written("x.wav", bytes)) {
        let _ = wav.samples();
    }
}

/// Reads a table and all its columns in each way.
fn table(keys: u8, bytes: &[u8]) {
    let some = |bit: u8, text: &str| (keys & bit != 0).then(|| text.to_string());
    let keys = recipe::Data {
        delimiter: some(1, ";"),
        decimal: some(2, ","),
        encoding: some(4, "windows-1252"),
        comment: some(8, "#"),
        skip: if keys & 16 != 0 { vec![2] } else { Vec::new() },
        missing: some(16, "?").into_iter().collect(),
    };
    let Ok(dialect) = data::readers::csv::Dialect::of(&keys) else { return };
    let Ok(table) = data::readers::csv::Table::read(&written("x.csv", bytes), &dialect) else { return };
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
