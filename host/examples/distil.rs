//! Distils from a program of your own: `cargo run --release -p attar --example distil`.

use std::path::Path;

use anyhow::Result;
use attar::boards::verify;
use attar::recipe::Recipe;
use attar::run::distill::{self, Places};
use attar::run::folder;
use candle_core::Device;

fn main() -> Result<()> {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/bearing.toml");
    // As on the command line: short, and from one seed.
    let sets = ["student.epochs=4", "teacher.epochs=4", "teacher.ensemble=1", "compare.seeds=1"].map(String::from);
    let recipe = Recipe::read(&recipe, &sets)?;
    let out = std::env::temp_dir().join("attar-example");
    let places =
        Places { data: "".into(), out: out.clone(), device: Device::Cpu, command: "the example distil".into() };
    let report = distill::run(&recipe, &places)?;
    for student in &report.students {
        println!("{}, {}: {:?}", student.name, student.precision, student.accuracy);
    }
    let model = std::fs::read(out.join(folder::STUDENT_FILE))?;
    let figures = verify::on_host(&model, &verify::random_samples(&model, 100, 0)?)?;
    println!("{} bytes, {} of {} samples differ; {}", model.len(), figures.mismatches, figures.samples, out.display());
    Ok(())
}
