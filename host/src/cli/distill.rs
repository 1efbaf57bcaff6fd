//! `attar distill` and `attar demo`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use attar::recipe::Recipe;
use attar::run::distill::{self, Places};
use attar::run::report::{Report, StudentFigures};
use attar::support::files;
use attar::support::progress::{Stopped, one_line, say};
use attar::support::stats::mean_and_deviation;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::table::{grouped, percent, table};
use super::{Common, print, print_json};

/// Arguments of `distill`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The recipe.
    recipe: PathBuf,
    /// The folder that the recipe's data files are in; the default is the recipe's own.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Runs once for each group of recordings (data.split.group), which is then the test split, and gives means over the groups.
    #[arg(long)]
    folds: bool,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    #[command(flatten)]
    common: Common,
}

pub(super) fn distill(arguments: &Arguments) -> Result<()> {
    let recipe = Recipe::read(&arguments.recipe, &arguments.common.sets())?;
    let beside = arguments.recipe.parent().unwrap_or(Path::new("")).to_path_buf();
    let data = arguments.data.clone().unwrap_or(beside);
    let out = out_folder(&recipe, &arguments.common)?;
    let own = out.join(attar::run::folder::RECIPE_FILE);
    let same = own.canonicalize().is_ok_and(|own| arguments.recipe.canonicalize().is_ok_and(|recipe| own == recipe));
    let is_run = out.join(attar::run::folder::MANIFEST_FILE).exists();
    ensure!(
        !same || is_run,
        "--out {}: the recipe itself lies there as recipe.toml and would be written over: take another folder",
        out.display()
    );
    if arguments.folds { folds(&recipe, &data, &arguments.common) } else { perform(&recipe, data, &arguments.common) }
}

/// Says how a run goes on that was stopped.
fn advised(error: anyhow::Error) -> anyhow::Error {
    let is_stopped = error.is::<Stopped>();
    if is_stopped { anyhow!("stopped; the same command goes on from the last whole epoch") } else { error }
}

/// Returns the folder of the run.
fn out_folder(recipe: &Recipe, common: &Common) -> Result<PathBuf> {
    let out = common.out.clone().unwrap_or_else(|| Path::new("runs").join(&recipe.name));
    files::check_folder(&out).context("--out")?;
    Ok(out)
}

/// Runs a recipe once for each group, which is then not trained on, each in a folder of its own.
fn folds(recipe: &Recipe, data: &Path, common: &Common) -> Result<()> {
    let groups = attar::data::groups(recipe, data)?;
    let out = out_folder(recipe, common)?;
    let mut reports = Vec::new();
    // What the data call a group may be no name of a folder.
    for (index, (group, name)) in groups.iter().zip(files::components_of(&groups)).enumerate() {
        let place = out.join(format!("fold-{name}"));
        say(&format!("fold {} of {}: {group} is tested on, in {}", index + 1, groups.len(), place.display()));
        let mut fold = recipe.clone();
        fold.data.split.hold_out = Some(vec![group.clone()]);
        let places = Places { data: data.into(), out: place, device: common.device()?, command: super::command() };
        reports.push(distill::run(&fold, &places).map_err(advised)?);
    }
    let figures = Folds { groups: &groups, students: of_folds(&reports), reports: &reports };
    if common.json { print_json(&figures) } else { print(&figures.table(&recipe.name)) }
}

/// What came of all folds.
#[derive(Serialize)]
struct Folds<'a> {
    groups: &'a [String],
    students: Vec<FoldFigures>,
    reports: &'a [Report],
}

/// A network over the folds.
#[derive(Serialize)]
struct FoldFigures {
    name: String,
    accuracies: Vec<f64>,
    mean: f64,
    /// n - 1 in the denominator.
    deviation: f64,
    /// The greatest of the files, of integers.
    bytes: Option<usize>,
}

fn of_folds(reports: &[Report]) -> Vec<FoldFigures> {
    let Some(first) = reports.first() else { return Vec::new() };
    let mut all = Vec::new();
    let mut add = |name: String, accuracies: Vec<Option<f64>>, bytes: Option<usize>| {
        let accuracies: Vec<f64> = accuracies.into_iter().flatten().collect();
        let (Some(mean), deviation) = mean_and_deviation(&accuracies) else { return };
        all.push(FoldFigures { name, accuracies, mean, deviation, bytes });
    };
    let teachers = reports.iter().map(|report| report.teacher.as_ref().and_then(|teacher| teacher.accuracy));
    add("teacher".into(), teachers.collect(), None);
    for (place, student) in first.students.iter().enumerate() {
        let of_all = || reports.iter().filter_map(|report| report.students.get(place));
        let bytes = if student.precision == "f32" { None } else { of_all().filter_map(|one| one.bytes).max() };
        let name = format!("student, {}, {}", student.name, student.precision);
        add(name, of_all().map(|one| one.accuracy).collect(), bytes);
    }
    all
}

impl Folds<'_> {
    fn table(&self, name: &str) -> String {
        let mut header = vec![""];
        header.extend(self.groups.iter().map(String::as_str));
        header.extend(["mean", "deviation", "bytes"]);
        let rows: Vec<Vec<String>> = self
            .students
            .iter()
            .map(|row| {
                let folds = row.accuracies.iter().map(|&accuracy| percent(accuracy));
                let bytes = row.bytes.map(|bytes| grouped(bytes as u64)).unwrap_or_default();
                let ends = [percent(row.mean), format!("{:.1}", row.deviation * 100.0), bytes];
                [row.name.clone()].into_iter().chain(folds).chain(ends).collect()
            })
            .collect();
        format!("{name}: accuracy on each group, which was not trained on\n\n{}", table(&header, &rows))
    }
}

pub(super) fn demo(arguments: &DemoArguments) -> Result<()> {
    let text = include_str!("../../recipes/bearing.toml");
    let recipe = Recipe::parse(text, "the built-in recipe", "bearing", &arguments.common.sets())?;
    perform(&recipe, PathBuf::new(), &arguments.common)
}

fn perform(recipe: &Recipe, data: PathBuf, common: &Common) -> Result<()> {
    let out = out_folder(recipe, common)?;
    let places = Places { data, out, device: common.device()?, command: super::command() };
    let report = distill::run(recipe, &places).map_err(advised)?;
    if common.json { print_json(&report) } else { print(&summary(&report, &places.out)) }
}

/// Returns the table of a run and what its file takes.
fn summary(report: &Report, out: &Path) -> String {
    let names = report.students.first().map(|student| figure_names(&student.metrics)).unwrap_or_default();
    let mut header = vec!["", "parameters"];
    header.extend(names.iter().map(String::as_str));
    let figures = |metrics: &Value| -> Vec<String> { names.iter().map(|name| figure(metrics, name)).collect() };
    let mut rows = Vec::new();
    if let Some(teacher) = &report.teacher {
        rows.push([vec!["teacher".into(), grouped(teacher.parameters as u64)], figures(&teacher.metrics)].concat());
    }
    for student in &report.students {
        let facts = if student.facts == "all" && !student.name.contains("facts") { " + facts" } else { "" };
        let name = format!("student, {}{facts}, {}", student.name, student.precision);
        let cells = names.iter().map(|name| figure_of_seeds(student, name)).collect();
        rows.push([vec![name, grouped(student.parameters as u64)], cells].concat());
    }
    let seeds = report.students.iter().map(|student| student.seeds).max().unwrap_or(1);
    let means = if seeds > 1 { format!(" (mean of {seeds} seeds ± deviation)") } else { String::new() };
    let model = &report.model;
    let gains = gains(report);
    let mut lines = vec![
        format!("{}: figures of the test split{means}", report.dataset),
        String::new(),
        table(&header, &rows),
        if gains.is_empty() { String::new() } else { format!("\n{gains}\n") },
        format!(
            "{}: {} bytes of flash, {} bytes of arena, {} MACs",
            out.join(&model.file).display(),
            grouped(model.flash_bytes as u64),
            grouped(model.arena_bytes as u64),
            grouped(u64::from(model.macs))
        ),
    ];
    if let Some(agreement) = &report.quantization {
        let equal = agreement.equal_argmax.values().copied().fold(f64::INFINITY, f64::min);
        let argmax = if equal.is_finite() { format!(" the same answer on {},", percent(equal)) } else { String::new() };
        let widest = agreement.layers.iter().map(|layer| layer.mean_absolute_difference).fold(0.0, f64::max);
        lines.push(format!(
            "network and integers:{argmax} no layer more than {widest:.2} steps of int8 apart in the mean ({} samples)",
            agreement.samples
        ));
    }
    lines.push(format!("page: {}", out.join(attar::run::folder::PAGE_FILE).display()));
    lines.extend(report.warnings.iter().map(|warning| format!("warning: {}", one_line(warning))));
    lines.extend(report.verify.iter().map(|verify| {
        format!(
            "verify: {} mismatches ({} samples on {})",
            verify.mismatches,
            grouped(verify.samples as u64),
            verify.on
        )
    }));
    lines.join("\n")
}

/// Returns by how much facts, teacher and integers change the accuracy, as far as the run compared them.
fn gains(report: &Report) -> String {
    let accuracy = |facts: Option<&str>, distilled: bool, precision: &str| {
        report
            .students
            .iter()
            .find(|student| {
                facts.is_none_or(|facts| student.facts == facts)
                    && student.distilled == distilled
                    && student.precision == precision
            })
            .and_then(|student| student.accuracy)
    };
    let points = |name: &str, before: Option<f64>, after: Option<f64>| {
        before.zip(after).map(|(before, after)| format!("{name} {:+.1} points", (after - before) * 100.0))
    };
    let with_facts = report.students.iter().any(|student| student.facts == "all").then_some("all");
    let exported = report.students.last().is_some_and(|student| student.distilled);
    let precision = report.students.last().map_or("int8", |student| student.precision.as_str());
    let labels = accuracy(with_facts, false, "f32");
    [
        with_facts
            .and_then(|all| points("facts", accuracy(Some("none"), false, "f32"), accuracy(Some(all), false, "f32"))),
        points("distillation", labels, accuracy(with_facts, true, "f32")),
        points(precision, accuracy(with_facts, exported, "f32"), accuracy(with_facts, exported, precision)),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

/// Returns `head figure` for each figure of some heads, most telling first.
pub(super) fn figure_names(metrics: &Value) -> Vec<String> {
    let Value::Object(heads) = metrics else { return Vec::new() };
    let order = ["accuracy", "f1", "average_precision", "cosine", "rmse", "r2"];
    heads
        .iter()
        .flat_map(|(head, figures)| {
            order.iter().filter(|name| figures.get(**name).is_some()).map(move |name| format!("{head} {name}"))
        })
        .collect()
}

/// Returns a figure as a table shows it.
pub(super) fn figure(metrics: &Value, name: &str) -> String {
    match value_of(metrics, name) {
        Some(value) if !is_share(name) => format!("{value:.4}"),
        Some(value) => percent(value),
        None => "-".into(),
    }
}

/// Returns a student's figure as a table shows it, with its deviation where it is the mean of several seeds.
pub(super) fn figure_of_seeds(student: &StudentFigures, name: &str) -> String {
    let figure = figure(&student.metrics, name);
    match value_of(&student.deviations, name).filter(|_| student.seeds > 1) {
        Some(deviation) if is_share(name) => format!("{figure} ± {:.1}", deviation * 100.0),
        Some(deviation) => format!("{figure} ± {deviation:.4}"),
        None => figure,
    }
}

fn value_of(metrics: &Value, name: &str) -> Option<f64> {
    let (head, figure) = name.rsplit_once(' ')?;
    metrics.get(head)?.get(figure)?.as_f64()
}

/// Returns whether a figure is a share, which is shown in percent.
pub(super) fn is_share(name: &str) -> bool {
    !["rmse", "r2", "cosine"].iter().any(|figure| name.ends_with(figure))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each figure that is a mean has its deviation beside it, not the first alone.
    #[test]
    fn every_figure_of_several_seeds_has_its_deviation() {
        let student = serde_json::json!({
            "name": "distilled", "facts": "none", "distilled": true, "precision": "int8", "parameters": 1,
            "deviation": 0.1, "seeds": 2,
            "metrics": {"a": {"accuracy": 0.5, "f1": 0.25}, "b": {"rmse": 2.0}},
            "deviations": {"a": {"accuracy": 0.1, "f1": 0.02}, "b": {"rmse": 0.5}},
        });
        let mut student: StudentFigures = serde_json::from_value(student).unwrap();
        let cells = |student: &StudentFigures| {
            ["a accuracy", "a f1", "b rmse", "b r2"].map(|name| figure_of_seeds(student, name))
        };
        assert_eq!(cells(&student), ["50.0 % ± 10.0", "25.0 % ± 2.0", "2.0000 ± 0.5000", "-"]);
        student.seeds = 1;
        assert_eq!(cells(&student), ["50.0 %", "25.0 %", "2.0000", "-"]);
    }
}
