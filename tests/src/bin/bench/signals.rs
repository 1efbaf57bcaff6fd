//! Front-ends on every core in QEMU: instructions of a hop and bytes of RAM, in integers and in floats; and what a stream saves.

use std::fs;

use anyhow::{Context, Result};
use attar_shared::Arithmetic;
use attar_tests::root;
use attar_tests::signal::{FIGURES, FRONT_ENDS, measure, streamed};
use serde_json::{Value, json};

/// The boards by their cores.
const BOARDS: [(&str, &str); 5] = [
    ("mps2-an385-m0", "Cortex-M0"),
    ("mps2-an385", "Cortex-M3"),
    ("mps2-an386", "Cortex-M4"),
    ("mps3-an547", "Cortex-M55"),
    ("riscv32-virt", "RV32IMC"),
];

/// Runs each front-end on each board and prints a table; with `write` the figures take the place of those that tests hold the engine
/// to.
pub(crate) fn table(as_json: bool, write: bool) -> Result<()> {
    let mut rows: Vec<Value> = Vec::new();
    let mut figures_file = String::new();
    for front_end in &FRONT_ENDS {
        for (arithmetic, name) in [(Arithmetic::Fixed, "fixed"), (Arithmetic::Float, "float")] {
            for (board, core) in BOARDS {
                let figures =
                    measure(front_end, arithmetic, board).with_context(|| format!("{} on {board}", front_end.name))?;
                let instructions = figures.front_end.round() as u64;
                figures_file += &format!("{},{name},{board},{instructions},{}\n", front_end.name, 4 * figures.words);
                let hops = front_end.hops_a_second();
                rows.push(json!({
                    "front_end": front_end.name,
                    "arithmetic": name,
                    "core": core,
                    "instructions_per_hop": instructions,
                    "instructions_per_second": (figures.front_end * hops).round() as u64,
                    "share_of_64_mhz": figures.front_end * hops / 64e6,
                    "ram_bytes": 4 * figures.words,
                    "mismatches": figures.mismatches,
                }));
            }
        }
    }
    let mut streams: Vec<Value> = Vec::new();
    for (board, core) in BOARDS {
        let [hop, window] = streamed(board)?;
        streams.push(json!({
            "core": core, "streamed_per_hop": hop, "recomputed_per_hop": window, "ratio": window as f64 / hop as f64,
        }));
    }
    if write {
        fs::write(root().join(FIGURES), figures_file)?;
    }
    let shown = |row: &Value, key: &str| row[key].as_u64().unwrap_or(0);
    if as_json {
        rows.extend(streams);
        println!("{}", Value::from(rows));
        return Ok(());
    }
    println!(
        "{:<12}{:<8}{:<12}{:>14}{:>16}{:>12}{:>8}",
        "front-end", "", "core", "instr./hop", "instr./second", "of 64 MHz", "RAM"
    );
    for row in &rows {
        println!(
            "{:<12}{:<8}{:<12}{:>14}{:>16}{:>11.1}%{:>8}",
            row["front_end"].as_str().unwrap_or_default(),
            row["arithmetic"].as_str().unwrap_or_default(),
            row["core"].as_str().unwrap_or_default(),
            shown(row, "instructions_per_hop"),
            shown(row, "instructions_per_second"),
            row["share_of_64_mhz"].as_f64().unwrap_or(0.0) * 100.0,
            shown(row, "ram_bytes"),
        );
    }
    println!(
        "\na stream of 1 s, hops of 16 ms, 32 bands, four causal layers: a hop streamed, and its window computed anew"
    );
    for row in &streams {
        println!(
            "{:<12}{:>14}{:>16}{:>10.1}",
            row["core"].as_str().unwrap_or_default(),
            shown(row, "streamed_per_hop"),
            shown(row, "recomputed_per_hop"),
            row["ratio"].as_f64().unwrap_or(0.0)
        );
    }
    Ok(())
}
