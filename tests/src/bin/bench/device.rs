//! The networks of MLPerf Tiny on every core in QEMU, beside CMSIS-NN: instructions in all and an operator at a time.
//!
//! Instructions are those of the operators: CMSIS-NN was measured on int8 too, and what it takes to quantise an input has a
//! column of its own. Instructions under `-icount` are the same on every machine. They are no cycles: loads, multiplies and branches cost more
//! than one on silicon.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use attar::boards::find_simulated;
use attar::boards::verify::{self, engine_cost, random_samples};
use attar_device::{Session, Student};
use attar_tests::nets::{FIGURES, REFERENCES};
use attar_tests::root;
use serde_json::{Value, json};

/// The boards, with the place of their core among the figures of CMSIS-NN; nobody has measured it on the Cortex-M33.
const BOARDS: [(&str, &str, Option<usize>); 6] = [
    // Code for the Cortex-M0 on a board with room for it.
    ("mps2-an385-m0", "Cortex-M0", Some(0)),
    ("mps2-an385", "Cortex-M3", Some(1)),
    ("mps2-an386", "Cortex-M4", Some(2)),
    ("mps2-an505", "Cortex-M33", None),
    ("mps3-an547", "Cortex-M55", Some(4)),
    ("riscv32-virt", "RV32IMC", Some(3)),
];

/// Runs each network on each board and prints a table; with `layers` each operator has a line, with `write` the figures take
/// the place of those that tests hold the engine to.
pub(crate) fn table(as_json: bool, layers: bool, write: bool, only: Option<&str>) -> Result<()> {
    let mut rows: Vec<Value> = Vec::new();
    let mut figures_file = String::new();
    for net in &REFERENCES {
        for (board, core, place) in BOARDS.iter().filter(|(board, ..)| only.is_none_or(|only| only == *board)) {
            let bytes = net.for_board(board)?;
            let student = Student::parse(&bytes)?;
            let samples = random_samples(&bytes, 1, 3)?;
            let figures = verify::on(&format!("qemu:{board}"), &bytes, &samples)
                .with_context(|| format!("{} on {board}", net.name))?;
            let instructions = figures.network_instructions();
            let cost = engine_cost(find_simulated(board)?, &bytes)?;
            figures_file += &format!("{},{board},{instructions},{},{}\n", net.name, cost.flash, cost.stack);
            let peer = place.map(|place| net.cmsis_nn[place]);
            rows.push(json!({
                "net": net.name,
                "core": core,
                "instructions": instructions,
                "instructions_with_input": figures.instructions,
                "instructions_per_mac": instructions as f64 / f64::from(net.macs),
                "cmsis_nn": peer,
                "ratio": peer.map(|peer| instructions as f64 / peer as f64),
                "arena_bytes": student.model().arena_bytes(),
                "code_bytes": cost.flash,
                "stack_bytes": cost.stack,
                "mismatches": figures.mismatches,
                "operators": figures.operators,
            }));
            if layers && !as_json {
                print_layers(net.name, core, &student, &figures.operators);
            }
        }
    }
    if write {
        ensure!(only.is_none(), "--write takes all boards");
        fs::write(root().join(FIGURES), figures_file)?;
    }
    if as_json {
        println!("{}", Value::from(rows));
        return Ok(());
    }
    println!(
        "{:<14}{:<12}{:>14}{:>10}{:>14}{:>8}{:>14}{:>10}{:>8}{:>8}",
        "net", "core", "instructions", "per MAC", "CMSIS-NN", "ratio", "with input", "arena", "code", "stack"
    );
    for row in &rows {
        let shown = |key: &str| row[key].as_u64().map_or("-".into(), |number| number.to_string());
        let decimal = |key: &str| row[key].as_f64().map_or("-".into(), |number| format!("{number:.2}"));
        println!(
            "{:<14}{:<12}{:>14}{:>10}{:>14}{:>8}{:>14}{:>10}{:>8}{:>8}",
            row["net"].as_str().unwrap_or_default(),
            row["core"].as_str().unwrap_or_default(),
            shown("instructions"),
            decimal("instructions_per_mac"),
            shown("cmsis_nn"),
            decimal("ratio"),
            shown("instructions_with_input"),
            shown("arena_bytes"),
            shown("code_bytes"),
            shown("stack_bytes"),
        );
    }
    println!("\non this machine, one thread");
    for net in &REFERENCES {
        println!("{:<14}{:>10.0} samples/s", net.name, samples_a_second(&net.export(true)?)?);
    }
    Ok(())
}

/// Runs a network on this machine for half a second.
fn samples_a_second(bytes: &[u8]) -> Result<f64> {
    let student = Student::parse(bytes)?;
    let samples = random_samples(bytes, 1, 3)?;
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena)?;
    let facts = student.facts();
    let (start, mut runs) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(500) {
        session.run(&samples[0].input, &facts)?;
        runs += 1;
    }
    Ok(f64::from(runs) / start.elapsed().as_secs_f64())
}

/// Prints what each operator takes.
fn print_layers(net: &str, core: &str, student: &Student<'_>, operators: &[u64]) {
    println!("{net} on {core}");
    for (operator, instructions) in student.model().operators().zip(operators) {
        let shape = |tensor| student.model().tensor(tensor).map(|tensor| tensor.shape);
        let (Some(input), Some(output)) = (shape(operator.inputs()[0]), shape(operator.output)) else { continue };
        let macs = operator.macs(input, output);
        let each = if macs > 0 { format!("{:.2} per MAC", *instructions as f64 / macs as f64) } else { String::new() };
        let sides = format!("{}x{}x{}", output.height, output.width, output.channels);
        println!("  {:<14}{sides:>12}{macs:>10} MACs{instructions:>12}  {each}", format!("{:?}", operator.kind()));
    }
}
