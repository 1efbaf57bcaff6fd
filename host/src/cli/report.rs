//! `attar report`.

use std::path::PathBuf;

use anyhow::Result;
use attar::run::page;
use clap::Args;
use serde_json::json;

use super::{print, print_json};

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder of a finished run.
    run: PathBuf,
    /// Prints the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn report(arguments: &Arguments) -> Result<()> {
    let path = page::write(&arguments.run)?;
    if arguments.json { print_json(&json!({"page": path})) } else { print(&format!("page: {}", path.display())) }
}
