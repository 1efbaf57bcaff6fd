//! The ways in which facts enter a network, side by side: what each brings, and what it costs on a board.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use attar::boards::verify;
use attar::facts::EncoderKind;
use attar::recipe::{Fusion, Recipe};
use attar::run::distill::{self, Places};
use attar::run::folder;
use attar_tests::root;
use candle_core::Device;
use serde_json::{Value, json};

/// A data set with the figure that is looked at.
struct Task {
    recipe: &'static str,
    /// What the recipe's file is looked for in; nothing for built-in data.
    file: Option<&'static str>,
    head: &'static str,
    figure: &'static str,
    epochs: usize,
}

const TASKS: [Task; 2] = [
    Task { recipe: "bearing", file: None, head: "fault", figure: "accuracy", epochs: 40 },
    Task { recipe: "ai4i", file: Some("ai4i2020.csv"), head: "failure", figure: "average_precision", epochs: 80 },
];

const FUSIONS: [(&str, Fusion); 6] = [
    ("concat", Fusion::Concat),
    ("add", Fusion::Add),
    ("film", Fusion::Film),
    ("gate", Fusion::Gate),
    ("prior", Fusion::Prior),
    ("sum", Fusion::Sum),
];

/// The board whose instructions are counted.
const BOARD: &str = "qemu:mps2-an386";

/// Runs every way on every data set that is there and prints a table.
pub(crate) fn table(as_json: bool, data: &Path, seeds: usize) -> Result<()> {
    let folder = root().join("target/bench/facts");
    let mut rows: Vec<Value> = Vec::new();
    for task in &TASKS {
        if let Some(file) = task.file
            && !data.join(file).exists()
        {
            eprintln!("{}: skipped, {} is not in {}: name its folder with --data", task.recipe, file, data.display());
            continue;
        }
        rows.push(row(task, "without", None, data, &folder, seeds)?);
        for (name, fusion) in FUSIONS {
            rows.push(row(task, name, Some(fusion), data, &folder, seeds)?);
        }
    }
    if as_json {
        println!("{}", Value::from(rows));
        return Ok(());
    }
    println!("in int8, mean ± deviation over {seeds} seeds; instructions on a Cortex-M4 ({BOARD})");
    println!(
        "{:<10} {:<10} {:<24} {:>14} {:>9} {:>8} {:>13}",
        "data", "fusion", "figure", "", "bytes", "MACs", "instructions"
    );
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap_or_default();
        let value = format!("{:.1} ± {:.1} %", number("mean") * 100.0, number("deviation") * 100.0);
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_string();
        println!(
            "{:<10} {:<10} {:<24} {value:>14} {:>9} {:>8} {:>13}",
            text("data"),
            text("fusion"),
            text("figure"),
            number("bytes"),
            number("macs"),
            number("instructions")
        );
    }
    Ok(())
}

/// Trains a student from several seeds with one way of fusing, and runs the first on the board.
fn row(task: &Task, name: &str, fusion: Option<Fusion>, data: &Path, folder: &Path, seeds: usize) -> Result<Value> {
    let path = root().join(format!("host/recipes/{}.toml", task.recipe));
    let mut recipe = Recipe::read(&path, &[])?;
    recipe.student.epochs = task.epochs;
    recipe.compare.seeds = seeds;
    recipe.compare.labels = false;
    recipe.compare.without_facts = false;
    match fusion {
        Some(fusion) => recipe.student.fusion = fusion,
        None => recipe.facts.iter_mut().for_each(|fact| fact.privileged = true),
    }
    if fusion == Some(Fusion::Sum) {
        // A row for each value, so that the facts are as wide as the input; without a mask none may be missing.
        let values = attar::data::load(&recipe, data)?.inputs.row_len();
        let others = recipe.facts.len() - 1;
        let category = recipe.facts.iter_mut().find(|fact| fact.kind.is_category());
        let category = category.with_context(|| format!("{}: has no category to look up", task.recipe))?;
        category.encoder = Some(EncoderKind::Embedding);
        category.width = Some(values - others);
        recipe.student.fact_dropout = 0.0;
    }
    let out: PathBuf = folder.join(task.recipe).join(name);
    let report = distill::run(
        &recipe,
        &Places { data: data.into(), out: out.clone(), device: Device::Cpu, command: "attar".into() },
    )?;
    let student = report.students.last().context("a run without students")?;
    let bytes = fs::read(out.join(folder::STUDENT_FILE))?;
    let samples = verify::random_samples(&bytes, 20, 1)?;
    let verified = verify::on(BOARD, &bytes, &samples)?;
    ensure!(verified.mismatches == 0, "{name}: the board does not give the outputs of this machine");
    let figure = |of: &Value| of[task.head][task.figure].as_f64().context("a figure is missing");
    Ok(json!({
        "data": task.recipe,
        "fusion": name,
        "figure": format!("{} {}", task.head, task.figure),
        "mean": figure(&student.metrics)?,
        "deviation": figure(&student.deviations)?,
        "seeds": seeds,
        "bytes": report.model.bytes,
        "macs": report.model.macs,
        "instructions": verified.instructions,
    }))
}
