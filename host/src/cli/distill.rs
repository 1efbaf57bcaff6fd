//! `attar distill` and `attar demo`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use attar::distill::{self, Places};
use attar::recipe::Recipe;
use attar::report::Report;
use clap::Args;
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
    perform(&recipe, data, &arguments.common)
}

pub(super) fn demo(arguments: &DemoArguments) -> Result<()> {
    let text = include_str!("../../recipes/bearing.toml");
    let recipe = Recipe::parse(text, "the built-in recipe", "bearing", &arguments.common.sets())?;
    perform(&recipe, PathBuf::new(), &arguments.common)
}

fn perform(recipe: &Recipe, data: PathBuf, common: &Common) -> Result<()> {
    let out = common.out.clone().unwrap_or_else(|| Path::new("runs").join(&recipe.name));
    let places = Places { data, out, device: common.device()?, command: super::command() };
    let report = distill::run(recipe, &places)?;
    if common.json { print_json(&report) } else { print(&summary(&report)) }
}

/// Returns the table of a run and what its file takes.
fn summary(report: &Report) -> String {
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
        let mut cells = figures(&student.metrics);
        if let (Some(cell), Some(_), true) = (cells.first_mut(), student.accuracy, student.seeds > 1) {
            *cell = format!("{cell} ± {:.1}", student.deviation * 100.0);
        }
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
            model.file,
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
    let page = Path::new(&model.file).with_file_name(attar::page::PAGE_FILE);
    lines.push(format!("page: {}", page.display()));
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
    let value = name.rsplit_once(' ').and_then(|(head, figure)| metrics.get(head)?.get(figure)?.as_f64());
    match value {
        Some(value) if name.ends_with("rmse") || name.ends_with("r2") || name.ends_with("cosine") => {
            format!("{value:.4}")
        }
        Some(value) => percent(value),
        None => "-".into(),
    }
}
