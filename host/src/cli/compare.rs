//! `attar compare`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use attar::report::{Report, Significance, StudentFigures};
use clap::Args;
use serde_json::json;

use super::distill::{figure, figure_names};
use super::table::{grouped, percent, table};
use super::{print, print_json};

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folders of runs, or their report.json; the others are held against the first.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Prints the table as one JSON array.
    #[arg(long)]
    json: bool,
}

/// A student of a run.
struct Row {
    run: String,
    /// The run's place among the arguments.
    place: usize,
    /// Where its seeds start.
    seed: u64,
    student: StudentFigures,
    flash_bytes: usize,
}

pub(super) fn compare(arguments: &Arguments) -> Result<()> {
    let mut rows = Vec::new();
    for (place, run) in arguments.runs.iter().enumerate() {
        let report = read(run)?;
        let (name, seed) = (run.display().to_string(), report.seed);
        let flash_bytes = report.model.flash_bytes;
        let students = report.students.into_iter();
        rows.extend(students.map(|student| Row { run: name.clone(), place, seed, student, flash_bytes }));
    }
    let base = rows.iter().rev().find(|row| row.place == 0).context("the first run has no students")?;
    let against = |row: &Row| {
        // An accuracy is compared with one of the same head alone.
        let of = |row: &Row| figure_names(&row.student.metrics).into_iter().find(|name| name.ends_with(" accuracy"));
        let comparable = !std::ptr::eq(row, base) && of(row) == of(base);
        comparable
            .then(|| Significance::between(&row.student.accuracies, &base.student.accuracies, row.seed == base.seed))
            .flatten()
    };
    if arguments.json {
        let rows: Vec<_> =
            rows.iter().map(|row| json!({"run": row.run, "student": row.student, "against": against(row)})).collect();
        return print_json(&rows);
    }
    let mut names: Vec<String> = Vec::new();
    for name in rows.iter().flat_map(|row| figure_names(&row.student.metrics)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // The first head's accuracy has a column of its own.
    let first = figure_names(&rows[0].student.metrics).into_iter().find(|name| name.ends_with(" accuracy"));
    names.retain(|name| Some(name) != first.as_ref());
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let student = &row.student;
            let accuracy = student.accuracy.map_or("-".into(), |accuracy| {
                let spread =
                    if student.seeds > 1 { format!(" ± {:.2}", student.deviation * 100.0) } else { String::new() };
                format!("{:.2} %{spread}", accuracy * 100.0)
            });
            let significance = against(row);
            let mut cells = vec![
                format!("{}: {}, {} facts, {}", row.run, student.name, student.facts, student.precision),
                grouped(student.parameters as u64),
                if student.precision == "f32" { String::new() } else { grouped(row.flash_bytes as u64) },
                student.seeds.to_string(),
                accuracy,
                significance.map_or(String::new(), |s| format!("{:+.2}", s.difference * 100.0)),
                significance
                    .and_then(|s| s.p)
                    .map_or(String::new(), |p| if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }),
            ];
            cells.extend(names.iter().map(|name| figure(&student.metrics, name)));
            cells
        })
        .collect();
    let mut header = vec!["student", "parameters", "flash", "seeds", "accuracy", "points", "p"];
    header.extend(names.iter().map(String::as_str));
    let note = format!(
        "points and p: against {}: {}, {}, {}; two-sided t-test, paired where the seeds are the same, otherwise Welch's",
        base.run,
        base.student.name,
        base.student.precision,
        base.student.accuracy.map_or("which has no accuracy".into(), percent)
    );
    print(&format!("{}\n\n{note}", table(&header, &cells)))
}

fn read(run: &Path) -> Result<Report> {
    let path = if run.is_dir() { run.join("report.json") } else { run.to_path_buf() };
    let text = attar::files::read_regular(&path)
        .and_then(|bytes| Ok(String::from_utf8(bytes)?))
        .with_context(|| format!("cannot read {}: is it the folder of a finished run?", path.display()))?;
    let report: Report =
        serde_json::from_str(&text).with_context(|| format!("{}: not a report of attar distill", path.display()))?;
    ensure!(!report.students.is_empty(), "{}: holds no students", path.display());
    Ok(report)
}
