//! `attar budget`.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};
use attar::boards::{self, Board, boards};
use attar::build::Build;
use attar::estimate::{CYCLES_AN_INSTRUCTION, Estimate};
use attar::new;
use attar::progress::{check_stopped, say};
use clap::Args;
use serde_json::json;

use super::table::{grouped, table};
use super::{parse_model, print, print_json, read_model};

/// Arguments of `budget`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The models; none lists the boards.
    models: Vec<PathBuf>,
    /// One board alone; may be repeated. The default is all that are no boards of QEMU.
    #[arg(long = "board", value_name = "BOARD")]
    boards: Vec<String>,
    /// Builds the firmware of `attar new` for each board and says what it takes, not what is estimated. It needs the boards'
    /// targets and, the first time, half a minute a board.
    #[arg(long)]
    build: bool,
    /// Prints the result as an array of JSON objects.
    #[arg(long)]
    json: bool,
}

pub(super) fn budget(arguments: &Arguments) -> Result<()> {
    let chosen: Vec<&Board> = match arguments.boards.as_slice() {
        [] => boards()?.iter().filter(|board| arguments.models.is_empty() || !board.is_simulated()).collect(),
        names => names.iter().map(|name| boards::find(name)).collect::<Result<_>>()?,
    };
    if arguments.models.is_empty() {
        return list(&chosen, arguments.json);
    }
    let mut rows = Vec::new();
    let mut objects = Vec::new();
    for path in &arguments.models {
        let bytes = read_model(path)?;
        let student = parse_model(path, &bytes)?;
        for board in &chosen {
            check_stopped()?;
            let estimate = Estimate::of(student.model(), bytes.len(), board)?;
            let (flash, ram) = (board.flash.get()?, board.ram.get()?);
            let mut object = json!({
                "model": path.display().to_string(), "board": board.name, "title": board.title, "core": board.core,
                "clock_hz": board.clock_hz, "flash": flash, "ram": ram, "fits": fits(&estimate, flash, ram),
                "estimate": estimate,
            });
            let mut row = vec![format!("{} on {}", path.display(), board.name), board.core.clone()];
            if arguments.build {
                let built = if fits(&estimate, flash, ram) { Some(built(board, &bytes)?) } else { None };
                match &built {
                    Some(built) => row.extend([of(built.flash, flash), of(built.ram, ram)]),
                    None => row.extend(["does not fit".into(), String::new()]),
                }
                object["built"] = json!(built.map(|built| json!({"flash": built.flash, "ram": built.ram})));
            } else {
                let verdict = if fits(&estimate, flash, ram) { "yes" } else { "no" };
                let time = estimate.milliseconds.map_or("-".into(), |time| format!("{time:.2} ms"));
                row.extend([of(estimate.flash(), flash), of(estimate.ram(), ram), verdict.into()]);
                row.extend([grouped(estimate.instructions), time]);
            }
            rows.push(row);
            objects.push(object);
        }
    }
    if arguments.json {
        return print_json(&objects);
    }
    let lines = if arguments.build {
        [table(&["", "core", "flash", "RAM without stack"], &rows), "\nthe whole firmware of `attar new`, built".into()]
    } else {
        let header = ["", "core", "flash", "RAM", "fits", "instructions", "an inference"];
        let notes = format!(
            "\nflash: model and engine; RAM: arena and stack. Instructions are estimated from measurements in QEMU (`attar verify \
             --on qemu:BOARD` counts them), times from {CYCLES_AN_INSTRUCTION} cycles an instruction; nothing was measured on silicon."
        );
        [table(&header, &rows), notes]
    };
    print(&lines.join("\n"))
}

fn list(chosen: &[&Board], as_json: bool) -> Result<()> {
    if as_json {
        let rows: Result<Vec<_>> = chosen
            .iter()
            .map(|board| {
                let (flash, ram) = (board.flash.get()?, board.ram.get()?);
                Ok(json!({
                    "board": board.name, "title": board.title, "core": board.core, "target": board.target,
                    "clock_hz": board.clock_hz, "flash": flash, "ram": ram,
                }))
            })
            .collect();
        return print_json(&rows?);
    }
    let kib = |bytes: u64| format!("{} KiB", grouped(bytes / 1024));
    let mut rows = Vec::new();
    for board in chosen {
        let clock = if board.is_simulated() { "-".into() } else { format!("{} MHz", board.clock_hz / 1_000_000) };
        let (flash, ram) = (board.flash.get()?, board.ram.get()?);
        rows.push(vec![board.name.clone(), board.core.clone(), kib(flash), kib(ram), clock, board.title.clone()]);
    }
    print(&table(&["board", "core", "flash", "RAM", "clock", ""], &rows))
}

fn fits(estimate: &Estimate, flash: u64, ram: u64) -> bool {
    estimate.flash() <= flash && estimate.ram() <= ram
}

fn of(taken: u64, there: u64) -> String {
    format!("{} ({:.1} %)", grouped(taken), taken as f64 / there as f64 * 100.0)
}

/// Builds the firmware for a board.
fn built(board: &Board, bytes: &[u8]) -> Result<new::Size> {
    let folder = tempfile::Builder::new().prefix("attar-budget-").tempdir()?;
    let place = folder.path().join("firmware");
    new::firmware(&place, board, bytes)?;
    say(&format!("building the firmware for {} ({})", board.name, board.target));
    let cache = env::var_os("ATTAR_BOARDS_TARGET").map_or_else(|| env::temp_dir().join("attar-boards"), PathBuf::from);
    let (target, features) = (board.target.as_str(), "");
    // The lock that comes along has the boards' crates; where the engine comes from differs from machine to machine.
    let program =
        Build { folder: &place, program: "run", target, features, cache: &cache, locked: false, variables: &[] }
            .run()?;
    match new::Size::of(&program) {
        Ok(size) => Ok(size),
        Err(error) => bail!("{}: {error:#}", board.name),
    }
}
