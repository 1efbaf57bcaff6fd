//! `attar eval`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use attar::compile::{check_heads, check_inputs};
use attar::run::coverage;
use attar::run::distill::manifest_entry;
use attar::run::report::{metrics_value, recall_warnings};
use attar::student::engine::{self, FactsGiven};
use attar::support::progress::say;
use clap::Args;
use serde_json::{Map, Value, json};

use super::table::{grouped, percent, table};
use super::{parse_model, print, print_json, read_model, recipe_for};

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model.
    model: PathBuf,
    /// The folder of the recipe's data.
    #[arg(long, value_name = "DIR", default_value = ".")]
    data: PathBuf,
    /// The recipe that describes the data; the default is recipe.toml beside the model.
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<PathBuf>,
    /// Prints the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn eval(arguments: &Arguments) -> Result<()> {
    let bytes = read_model(&arguments.model)?;
    let student = parse_model(&arguments.model, &bytes)?;
    let recipe = recipe_for(&arguments.model, &bytes, arguments.recipe.as_deref())?;
    let data = attar::data::load(&recipe, &arguments.data)
        .with_context(|| format!("cannot read the data below {} (--data)", arguments.data.display()))?;
    if let Some(own) = manifest_entry(&arguments.model, "data").filter(|own| *own != data.fingerprint) {
        let test = if data.test_from.is_some() {
            ""
        } else {
            ", and their test split may hold samples that it was trained on"
        };
        let own = own.get(..12).unwrap_or(&own);
        say(&format!("warning: the data are others than those of the run ({own}... in its manifest.json){test}"));
    }
    let model = student.model();
    check_heads(&student, &data)?;
    check_inputs(&student, &recipe, &data)?;
    let with_facts = model.facts().next().is_some();

    // What the board computes is missing or wrong with what it is computed from.
    let set: Vec<(usize, &str)> =
        model.facts().enumerate().filter(|(_, fact)| !fact.is_computed()).map(|(i, fact)| (i, fact.name)).collect();
    let mut ways = vec![(if with_facts { "facts true".into() } else { "as is".into() }, FactsGiven::True)];
    if !set.is_empty() {
        ways.push(("facts missing".into(), FactsGiven::Missing));
        ways.push(("facts shuffled".into(), FactsGiven::Shuffled(recipe.seed)));
    }
    if set.len() > 1 {
        for &(fact, name) in &set {
            ways.push((format!("{name} missing"), FactsGiven::MissingOne(fact)));
            ways.push((format!("{name} shuffled"), FactsGiven::ShuffledOne(fact, recipe.seed)));
        }
    }
    let samples = if data.splits.test.is_empty() { &data.splits.train } else { &data.splits.test };
    let mut rows: Vec<(String, Value)> = Vec::new();
    for (name, given) in ways {
        let figures = engine::evaluate(&student, &data, samples, given)?;
        rows.push((name, metrics_value(&data, &figures)));
    }
    let coverage = coverage::facts_of_student(&student, &data, samples);
    let split = if data.splits.test.is_empty() { "training" } else { "test" };
    let mut warnings = coverage::fact_warnings(&coverage, split);
    // What facts are missing or shuffled does not find is not the student's fault.
    let as_given = rows.first().map(|(_, metrics)| ("the student".to_string(), metrics));
    warnings.extend(recall_warnings(&as_given.into_iter().collect::<Vec<_>>()));
    for warning in &warnings {
        say(&format!("warning: {warning}"));
    }
    if arguments.json {
        let rows: Map<String, Value> = rows.into_iter().collect();
        let all = json!({"samples": samples.len(), "metrics": rows, "facts": coverage, "warnings": warnings});
        return print_json(&all);
    }
    let mut names: Vec<(String, String)> = Vec::new();
    if let Some((_, Value::Object(heads))) = rows.first() {
        for (head, figures) in heads {
            let figures = figures.as_object().into_iter().flatten();
            names.extend(figures.filter(|(_, v)| v.is_number()).map(|(figure, _)| (head.clone(), figure.clone())));
        }
    }
    let carried = carried(&rows, &set, &names);
    let header: Vec<String> = names.iter().map(|(head, figure)| format!("{head} {figure}")).collect();
    let header: Vec<&str> = [""].into_iter().chain(header.iter().map(String::as_str)).collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|(name, metrics)| {
            let figures = names.iter().map(|(head, figure)| match metrics[head][figure].as_f64() {
                Some(value) => format!("{value:.4}"),
                None => "-".into(),
            });
            [name.clone()].into_iter().chain(figures).collect()
        })
        .collect();
    let table = table(&header, &cells);
    let classes = classes(&rows);
    print(&format!("{} on {} samples\n\n{table}{carried}{classes}", arguments.model.display(), samples.len()))
}

/// Returns recall and precision of each class of the heads with few of them.
fn classes(rows: &[(String, Value)]) -> String {
    let Some((_, Value::Object(heads))) = rows.first() else { return String::new() };
    let mut cells = Vec::new();
    for (head, figures) in heads {
        let Some(classes) = figures["classes"].as_object().filter(|classes| classes.len() <= FEW_CLASSES) else {
            continue;
        };
        for (class, figures) in classes {
            let share = |name: &str| figures[name].as_f64().map_or("-".into(), percent);
            let samples = figures["samples"].as_u64().unwrap_or_default();
            cells.push(vec![format!("{head}: {class}"), grouped(samples), share("recall"), share("precision")]);
        }
    }
    if cells.is_empty() {
        return String::new();
    }
    format!("\n\n{}", table(&["class", "samples", "recall", "precision"], &cells))
}

/// The most classes of a head that are listed one by one; the JSON has all.
const FEW_CLASSES: usize = 24;

/// Returns which fact carries how much: what the first figure loses when each alone is another sample's.
fn carried(rows: &[(String, Value)], set: &[(usize, &str)], names: &[(String, String)]) -> String {
    let Some((head, figure)) = names.first() else { return String::new() };
    let of =
        |way: &str| rows.iter().find(|(name, _)| name == way).and_then(|(_, metrics)| metrics[head][figure].as_f64());
    let Some(with) = of("facts true") else { return String::new() };
    let mut losses: Vec<(f64, &str)> =
        set.iter().filter_map(|&(_, name)| Some((with - of(&format!("{name} shuffled"))?, name))).collect();
    losses.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    if losses.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = losses.iter().map(|(loss, name)| format!("{name} {loss:.4}")).collect();
    format!("\n\nof {head} {figure}, shuffling takes away: {}", parts.join(", "))
}
