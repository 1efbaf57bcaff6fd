//! `attar budget`.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, Result};
use attar::boards::build::Build;
use attar::boards::estimate::{CYCLES_AN_INSTRUCTION, Estimate};
use attar::boards::scaffold::{self, Size};
use attar::boards::{self, Board, boards};
use attar::support::progress::{check_stopped, say};
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
    /// targets and, the first time, half a minute a board; what is compiled stays in the user's cache, or the folder ATTAR_BOARDS.
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
    let (mut objects, mut listening, mut remarks) = (Vec::new(), Vec::new(), String::new());
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
                let time = estimate.milliseconds.map_or("-".into(), about);
                row.extend([of(estimate.flash(), flash), of(estimate.ram(), ram), verdict.into()]);
                row.extend([estimate.instructions.map_or("-".into(), grouped), time]);
            }
            if let (Some(other), false) = (&estimate.other_order, arguments.build) {
                remarks += &format!(
                    "\n{}: with quantize.dense_order = \"{}\" an inference would take {} instructions",
                    row[0],
                    other.dense_order.name(),
                    grouped(other.instructions)
                );
            }
            if let (Some(heard), false) = (&estimate.listening, arguments.build) {
                let load = heard.load.map_or("-".into(), |load| format!("{:.0} % of its time", load * 100.0));
                let memory = format!("{} for the signal", grouped(heard.memory));
                let hop = format!("{} a hop", grouped(heard.instructions));
                listening.push(vec![row[0].clone(), memory, hop, format!("{} a second", grouped(heard.second)), load]);
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
            "\nflash: model and engine; RAM: arena, stack and an input; drivers come on top. Instructions are estimated from measurements in QEMU (`attar verify \
             --on qemu:BOARD` counts them), times from {CYCLES_AN_INSTRUCTION} cycles an instruction: nothing was \
             measured on silicon, and flash that is slower than the core adds to it."
        );
        [table(&header, &rows), notes]
    };
    let heard = if listening.is_empty() {
        String::new()
    } else {
        let header = ["hearing", "of the RAM", "front-end", "with the network", "load"];
        format!("\n\n{}", table(&header, &listening))
    };
    let remarks = if remarks.is_empty() { String::new() } else { format!("\n{remarks}") };
    print(&(lines.join("\n") + &remarks + &heard))
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

/// An estimate of milliseconds, to two digits.
fn about(milliseconds: f64) -> String {
    let digits = if milliseconds < 1.0 {
        2
    } else if milliseconds < 10.0 {
        1
    } else {
        0
    };
    format!("about {milliseconds:.digits$} ms")
}

fn of(taken: u64, there: u64) -> String {
    format!("{} ({:.1} %)", grouped(taken), taken as f64 / there as f64 * 100.0)
}

/// Builds the firmware for a board. The crate is made anew each time in the same place, so that what it depends on is compiled once.
fn built(board: &Board, bytes: &[u8]) -> Result<Size> {
    let given = env::var_os("ATTAR_BOARDS").map(PathBuf::from);
    let cache = given.or_else(|| Some(dirs::cache_dir()?.join("attar/boards")));
    let cache = cache.context("there is no folder for caches: name one in ATTAR_BOARDS")?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    // Another of these commands waits until the sizes are read.
    let lock = cache.join("lock");
    let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    lock.lock().context("cannot lock the cache of boards")?;
    let place = cache.join(format!("on-{}", board.name));
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    scaffold::firmware(&place, board, bytes, None)?;
    say(&format!("building the firmware for {} ({})", board.name, board.target));
    let (target, features, cache) = (board.target.as_str(), "", cache.join("target"));
    // The lock that comes along has the boards' crates; where the engine comes from differs from machine to machine.
    let is_heard = parse_model(&place.join("student.attar"), bytes)?.model().signal().is_some();
    let program = if is_heard { "listen" } else { "run" };
    let program =
        Build { folder: &place, program, target, features, cache: &cache, locked: false, variables: &[] }.run()?;
    Size::of(&program).with_context(|| board.name.clone())
}
