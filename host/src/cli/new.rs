//! `attar new`.

use std::path::PathBuf;

use anyhow::Result;
use attar::boards;
use attar::boards::scaffold;
use clap::Args;
use serde_json::json;

use super::{parse_model, print, print_json, read_model};

/// Arguments of `new`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder of the crate; it must not be there yet, or be empty.
    folder: PathBuf,
    /// The board; `attar budget MODEL` lists them.
    #[arg(long, value_name = "BOARD")]
    board: String,
    /// The student.
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// Prints the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn new(arguments: &Arguments) -> Result<()> {
    let board = boards::find(&arguments.board)?;
    let bytes = read_model(&arguments.model)?;
    let hears = parse_model(&arguments.model, &bytes)?.model().signal().is_some();
    let recipe = attar::run::distill::recipe_beside(&arguments.model)?;
    scaffold::firmware(&arguments.folder, board, &bytes, recipe.as_ref())?;
    let folder = arguments.folder.display();
    if arguments.json {
        return print_json(
            &json!({"folder": folder.to_string(), "board": board.name, "target": board.target, "engine": scaffold::engine_source()}),
        );
    }
    let target = &board.target;
    let run = if board.is_simulated() { "runs it in QEMU" } else { "flashes it and shows what it says" };
    let listens = "\n  cargo run --release --bin listen   hears the sensor of src/sensor.rs, which is yours to write";
    let listens = if hears { listens } else { "" };
    let engine = scaffold::engine_source().map(|source| {
        format!(
            "\n\nits Cargo.toml takes the engine from {}, a path of this machine: to share the crate, write version = {:?} instead of \
             path there, or give them the source and set ATTAR_DEVICE to its folder before attar new",
            source.display(),
            env!("CARGO_PKG_VERSION")
        )
    });
    print(&format!(
        "{folder}: a firmware for {}\n\n  rustup target add {target}   once\n  cd '{folder}'\n  cargo build --release\n  cargo run --release   {run}\n  cargo run --release --bin verify   answers `attar verify student.attar --on serial:PORT`{listens}{}",
        board.title,
        engine.unwrap_or_default()
    ))
}
