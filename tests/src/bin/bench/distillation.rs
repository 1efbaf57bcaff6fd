//! Generalised distillation on synthetic data: a teacher that sees privileged information x*, a student that sees x and
//! the teacher's soft labels (Lopez-Paz, Bottou, Schölkopf, Vapnik 2016, section 5.1).

use anyhow::{Result, ensure};
use attar_tests::generalized::{self, Kind};
use serde_json::{Value, json};

/// Runs every kind and prints accuracies beside the published ones.
pub(crate) fn table(as_json: bool, repeats: usize) -> Result<()> {
    ensure!(repeats > 0, "--repeats is 0, expected at least 1");
    let rows = Kind::ALL.map(|kind| -> Result<Value> {
        let figures = generalized::run(kind, repeats)?;
        let published = kind.published();
        let mut row = json!({"privileged": kind.name(), "repeats": repeats});
        for ((name, figure), published) in ["teacher", "labels", "distilled"].iter().zip(figures).zip(published) {
            row[*name] = json!(figure.mean);
            row[format!("{name}_deviation")] = json!(figure.deviation);
            row[format!("{name}_published")] = json!(published);
        }
        Ok(row)
    });
    let rows: Vec<Value> = rows.into_iter().collect::<Result<_>>()?;
    if as_json {
        println!("{}", Value::from(rows));
        return Ok(());
    }
    println!("accuracy in %, mean ± deviation over {repeats} repetitions, published in brackets");
    println!("{:<20} {:>20} {:>20} {:>20}", "privileged", "teacher", "labels", "distilled");
    for row in rows {
        let cell = |name: &str| {
            let number = |key: String| row[key].as_f64().unwrap_or_default();
            format!(
                "{:.1} ± {:.1} ({:.0})",
                number(name.to_string()),
                number(format!("{name}_deviation")),
                number(format!("{name}_published"))
            )
        };
        let name = row["privileged"].as_str().unwrap_or_default();
        println!("{name:<20} {:>20} {:>20} {:>20}", cell("teacher"), cell("labels"), cell("distilled"));
    }
    Ok(())
}
