//! `attar compare`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use attar::run::distill::manifest_entry;
use attar::run::report::{Report, Significance, StudentFigures};
use attar::support::progress::say;
use clap::Args;
use serde_json::json;

use super::distill::{figure, figure_names, figure_of_seeds, is_share};
use super::table::{grouped, table};
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

impl Row {
    /// Returns the name of the figure that is tested, with its values from each seed: what checkpoints are chosen by, of the
    /// first head.
    fn figure(&self) -> Option<(String, Vec<f64>)> {
        if let Some(selection) = &self.student.selection {
            return Some((format!("{} {}", selection.head, selection.figure), selection.values.clone()));
        }
        // Earlier reports hold the accuracies of the first head alone.
        self.student.accuracy?;
        let name = figure_names(&self.student.metrics).into_iter().find(|name| name.ends_with(" accuracy"))?;
        Some((name, self.student.accuracies.clone()))
    }
}

pub(super) fn compare(arguments: &Arguments) -> Result<()> {
    let mut rows = Vec::new();
    let tested = |run: &Path| manifest_entry(&report_of(run), "test");
    let of_first = arguments.runs.first().and_then(|run| tested(run));
    for (place, run) in arguments.runs.iter().enumerate() {
        let report = read(run)?;
        if tested(run).zip(of_first.as_ref()).is_some_and(|(own, of_first)| own != *of_first) {
            say(&format!(
                "warning: {}: its figures are of other samples or labels than those of {}: they do not say which run is better",
                run.display(),
                arguments.runs[0].display()
            ));
        }
        let (name, seed) = (run.display().to_string(), report.seed);
        let flash_bytes = report.model.flash_bytes;
        let students = report.students.into_iter();
        rows.extend(students.map(|student| Row { run: name.clone(), place, seed, student, flash_bytes }));
    }
    let base = rows.iter().rev().find(|row| row.place == 0).context("the first run has no students")?;
    let base_figure = base.figure();
    let against = |row: &Row| {
        // A figure is compared with the same of the same head alone.
        let (name, values) = row.figure()?;
        let (_, base_values) = base_figure.as_ref().filter(|(base_name, _)| *base_name == name)?;
        (!std::ptr::eq(row, base)).then(|| Significance::between(&values, base_values, row.seed == base.seed)).flatten()
    };
    if arguments.json {
        let of_row = |row: &Row| {
            let name = row.figure().map(|(name, _)| name);
            json!({"run": row.run, "student": row.student, "figure": name, "against": against(row)})
        };
        return print_json(&rows.iter().map(of_row).collect::<Vec<_>>());
    }
    let mut names: Vec<String> = Vec::new();
    for name in rows.iter().flat_map(|row| figure_names(&row.student.metrics)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // What is tested has a column of its own.
    let tested = base_figure.as_ref().map(|(name, _)| name.clone());
    names.retain(|name| Some(name) != tested.as_ref());
    let in_points = tested.as_deref().is_none_or(is_share);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let student = &row.student;
            let significance = against(row);
            let mut cells = vec![
                format!("{}: {}, {} facts, {}", row.run, student.name, student.facts, student.precision),
                grouped(student.parameters as u64),
                if student.precision == "f32" { String::new() } else { grouped(row.flash_bytes as u64) },
                student.seeds.to_string(),
                tested.as_deref().map_or("-".into(), |name| figure_of_seeds(student, name)),
                significance.map_or(String::new(), |s| match in_points {
                    true => format!("{:+.2}", s.difference * 100.0),
                    false => format!("{:+.4}", s.difference),
                }),
                significance
                    .and_then(|s| s.p)
                    .map_or(String::new(), |p| if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }),
            ];
            cells.extend(names.iter().map(|name| figure_of_seeds(student, name)));
            cells
        })
        .collect();
    let difference = if in_points { "points" } else { "difference" };
    let mut header = vec!["student", "parameters", "flash", "seeds", tested.as_deref().unwrap_or("-"), difference, "p"];
    header.extend(names.iter().map(String::as_str));
    let note = format!(
        "{difference} and p: of {} against {}: {}, {}, {}; two-sided t-test, paired where the seeds are the same, otherwise Welch's",
        tested.as_deref().unwrap_or("nothing"),
        base.run,
        base.student.name,
        base.student.precision,
        tested.as_deref().map_or("which has no figure to test".into(), |name| figure(&base.student.metrics, name))
    );
    print(&format!("{}\n\n{note}", table(&header, &cells)))
}

/// Returns the report of a run that is named by its folder or by that file.
fn report_of(run: &Path) -> PathBuf {
    if run.is_dir() { run.join(attar::run::folder::REPORT_FILE) } else { run.to_path_buf() }
}

fn read(run: &Path) -> Result<Report> {
    let path = report_of(run);
    let text = attar::support::files::read_regular(&path)
        .and_then(|bytes| Ok(String::from_utf8(bytes)?))
        .with_context(|| format!("cannot read {}: is it the folder of a finished run?", path.display()))?;
    let report: Report =
        serde_json::from_str(&text).with_context(|| format!("{}: not a report of attar distill", path.display()))?;
    ensure!(!report.students.is_empty(), "{}: holds no students", path.display());
    Ok(report)
}
