//! Embeds the boards and the firmware sources for QEMU into the program. A change to one of their files triggers a rebuild.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=boards");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR")).join("..");
    let mut list = String::new();
    // A package of this crate has no firmware beside it.
    if root.join("device/firmware/Cargo.toml").exists() {
        let workspace = root.join("Cargo.toml");
        println!("cargo::rerun-if-changed={}", workspace.display());
        fs::write(out.join("workspace.toml"), workspace_of_device(&fs::read_to_string(workspace)?))?;
        add(&mut list, "Cargo.toml", &out.join("workspace.toml"));
        for path in SOURCES {
            gather(&mut list, path, &root.join(path))?;
        }
        for board in sorted(&root.join("host/boards"))? {
            let folder = format!("host/boards/{}", board.file_name().unwrap_or_default().to_string_lossy());
            for file in ["board.toml", "memory.x"].map(|file| board.join(file)) {
                if folder.starts_with("host/boards/qemu-") && file.exists() {
                    gather(&mut list, &format!("{folder}/{}", name(&file)), &file)?;
                }
            }
        }
    }
    fs::write(out.join("firmware.rs"), format!("static FILES: &[(&str, &[u8])] = &[\n{list}];\n"))
}

/// What the firmware is built from, beside the boards: files, and folders without what is compiled.
const SOURCES: [&str; 11] = [
    "shared/Cargo.toml",
    "shared/README.md",
    "shared/src",
    "device/Cargo.toml",
    "device/build.rs",
    "device/src",
    "device/firmware/Cargo.toml",
    "device/firmware/Cargo.lock",
    "device/firmware/build.rs",
    "device/firmware/src",
    "host/boards/cortex-m/src/board/stack.rs",
];

/// Adds a file, or all files of a folder.
fn gather(list: &mut String, path: &str, place: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", place.display());
    if place.is_dir() {
        for entry in sorted(place)? {
            gather(list, &format!("{path}/{}", name(&entry)), &entry)?;
        }
    } else {
        add(list, path, place);
    }
    Ok(())
}

fn add(list: &mut String, path: &str, place: &Path) {
    // Writing to a string does not fail.
    let _ = writeln!(list, "({path:?}, include_bytes!({:?})),", place.display().to_string());
}

fn name(place: &Path) -> String {
    place.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// The workspace with the engine and the format only.
fn workspace_of_device(text: &str) -> String {
    let line = |line: &str| match line.split_once(" = ") {
        Some(("members", _)) => "members = [\"shared\", \"device\"]\n".into(),
        Some(("default-members", _)) => String::new(),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}
