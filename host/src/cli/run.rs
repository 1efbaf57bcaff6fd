//! `attar run`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use attar::data::csv::{Dialect, Table};
use attar::data::read_array;
use attar::progress::say;
use attar::recipe::Recipe;
use attar::{engine, nearest};
use attar_device::{Error, Facts, HeadOutput, Session, Student};
use attar_shared::{Category, FactKind, HeadKind};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{parse_model, print, print_json, read_model};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model.
    model: PathBuf,
    /// The samples in raw units: CSV with a column for each channel or value, npy, npz, safetensors or IDX. A CSV's
    /// columns named like facts are those facts; they may be called as in the model, or as in the data of its recipe,
    /// recipe.toml beside it. Of a model over series, a row of a CSV is the next step of one series,
    /// a row of an array a whole one.
    /// Of a model over texts, a CSV with a column called like its input, or a text file with a text in each line.
    #[arg(long, value_name = "FILE", required_unless_present = "text")]
    input: Option<PathBuf>,
    /// A text, of a model that reads texts; may be repeated.
    #[arg(long, value_name = "TEXT", conflicts_with = "input")]
    text: Vec<String>,
    /// A fact for all samples, in its own unit, as in rpm=1772; may be repeated. Those not given are missing.
    #[arg(long = "fact", value_name = "NAME=VALUE")]
    facts: Vec<String>,
    /// Runs this many samples at most.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Prints the answers as one JSON array.
    #[arg(long)]
    json: bool,
}

/// What samples hold.
enum Inputs {
    Numbers(Vec<Vec<f32>>),
    Texts(Vec<String>),
}

/// Samples with the facts that came with them, by name.
struct Samples {
    inputs: Inputs,
    facts: Vec<(String, Vec<String>)>,
    /// Whether each is a whole series, which starts afresh.
    series: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let bytes = read_model(&arguments.model)?;
    let student = parse_model(&arguments.model, &bytes)?;
    let samples = match &arguments.input {
        Some(path) => read_samples(path, &student, attar::distill::recipe_beside(&arguments.model)?.as_ref())?,
        None => {
            let is_text = student.model().input().is_some_and(|input| input.is_text);
            ensure!(is_text, "--text: the model takes numbers: say --input FILE");
            Samples { inputs: Inputs::Texts(arguments.text.clone()), facts: Vec::new(), series: false }
        }
    };
    let file = arguments.input.as_ref().map_or("--text".into(), |path| path.display().to_string());
    let common = facts_of(&student, &arguments.facts)?;
    let mut arena = vec![0; student.model().arena_bytes()];
    let mut session = Session::new(*student.model(), &mut arena)?;
    let mut answers = Vec::new();
    let mut clamped = 0;
    let count = match &samples.inputs {
        Inputs::Numbers(inputs) => inputs.len(),
        Inputs::Texts(texts) => texts.len(),
    };
    for index in 0..count.min(arguments.limit.unwrap_or(usize::MAX)) {
        let mut facts = common.clone();
        for (name, values) in &samples.facts {
            if !attar::facts::is_missing(&values[index]) {
                set_fact(&mut facts, name, &values[index]).with_context(|| format!("{file}: sample {index}"))?;
            }
        }
        let sample = || format!("{file}: sample {index}");
        match &samples.inputs {
            Inputs::Numbers(inputs) if samples.series => {
                engine::run_series(&mut session, &inputs[index], &facts).with_context(sample)?;
            }
            Inputs::Numbers(inputs) => drop(session.run(&inputs[index], &facts).with_context(sample)?),
            Inputs::Texts(texts) => drop(session.run_text(&texts[index], &facts).with_context(sample)?),
        }
        let beyond = match &samples.inputs {
            Inputs::Numbers(inputs) => facts.known(&inputs[index]).clamped(),
            Inputs::Texts(_) => 0,
        };
        clamped += usize::from(beyond > 0);
        let outputs = session.outputs()?;
        if arguments.json {
            let heads: Map<String, Value> =
                outputs.heads().map(|head| (head.head().name.to_string(), head_json(&head))).collect();
            answers.push(json!({"sample": index, "heads": heads}));
        } else {
            let heads: Vec<String> = outputs.heads().map(|head| head_text(&head)).collect();
            print(&format!("{index}: {}", heads.join("; ")))?;
        }
    }
    if clamped > 0 {
        say(&format!(
            "{clamped} samples have a fact outside of what training has seen, which counts as the nearest that it has: \
             `attar facts explain` shows them"
        ));
    }
    if arguments.json { print_json(&answers) } else { Ok(()) }
}

fn read_samples(path: &Path, student: &Student<'_>, recipe: Option<&Recipe>) -> Result<Samples> {
    let model = student.model();
    let expected = model.input_shape().len();
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let text = model.input().filter(|input| input.is_text);
    if text.is_some() && !is_csv {
        let lines = fs::read_to_string(path).with_context(|| format!("cannot read {} as texts", path.display()))?;
        let texts = lines.lines().map(String::from).collect();
        return Ok(Samples { inputs: Inputs::Texts(texts), facts: Vec::new(), series: false });
    }
    if !is_csv {
        let array = read_array(path, None)?;
        // One sample may come without the dimension that counts samples.
        let single = array.values.len() == expected;
        let (rows, got) = if single { (1, expected) } else { (array.rows(), array.row_len()) };
        // A model that keeps something from run to run takes a whole series, step by step.
        let series = got != expected && got.is_multiple_of(expected) && model.tensors().any(|tensor| tensor.held);
        ensure!(got == expected || series, "{}: a sample has {got} values, the model takes {expected}", path.display());
        let inputs = array.values.chunks_exact(got).take(rows).map(<[f32]>::to_vec).collect();
        return Ok(Samples { inputs: Inputs::Numbers(inputs), facts: Vec::new(), series });
    }
    let table = Table::read(path, &Dialect::default())?;
    let has = |name: &str| table.columns().iter().any(|column| column == name);
    // A column is called as in the model, or as in the data that the model is of.
    let of_fact = |name: &str| {
        let in_recipe = recipe.and_then(|recipe| recipe.facts.iter().find(|fact| fact.name == name)?.column.clone());
        in_recipe.filter(|column| !has(name) && has(column)).unwrap_or(name.to_string())
    };
    let of_input = |name: &str| {
        let in_recipe = recipe.and_then(|recipe| recipe.input.columns.get(name));
        in_recipe.filter(|_| !has(name)).cloned().unwrap_or(name.to_string())
    };
    let facts: Vec<(String, Vec<String>)> = model
        .facts()
        .filter(|fact| !fact.is_computed() && has(&of_fact(fact.name)))
        .map(|fact| {
            let column = table.column(&of_fact(fact.name))?;
            Ok((fact.name.to_string(), column.texts().into_iter().map(String::from).collect()))
        })
        .collect::<Result<_>>()?;
    if let Some(input) = text {
        let texts = table.column(input.name)?.texts().into_iter().map(String::from).collect();
        return Ok(Samples { inputs: Inputs::Texts(texts), facts, series: false });
    }
    let names: Vec<String> = match model.input() {
        Some(input) if !input.channels.is_empty() => input.channels.iter().map(of_input).collect(),
        _ => table
            .columns()
            .iter()
            .filter(|name| !facts.iter().any(|(fact, _)| of_fact(fact) == **name))
            .cloned()
            .collect(),
    };
    let columns: Vec<Vec<f32>> = names.iter().map(|name| table.column(name)?.numbers()).collect::<Result<_>>()?;
    ensure!(
        columns.len() == expected,
        "{}: a row has {} values, the model takes {expected}",
        path.display(),
        columns.len()
    );
    let inputs = (0..table.rows()).map(|row| columns.iter().map(|column| column[row]).collect()).collect();
    Ok(Samples { inputs: Inputs::Numbers(inputs), facts, series: false })
}

/// Returns the facts that are given as `name=value`.
pub(super) fn facts_of<'a>(student: &Student<'a>, pairs: &[String]) -> Result<Facts<'a>> {
    let mut facts = student.facts();
    for pair in pairs {
        let (name, value) = pair.split_once('=').with_context(|| format!("--fact {pair}: expected name=value"))?;
        set_fact(&mut facts, name.trim(), value.trim()).with_context(|| format!("--fact {pair}"))?;
    }
    Ok(facts)
}

pub(super) fn set_fact(facts: &mut Facts<'_>, name: &str, value: &str) -> Result<()> {
    let model = *facts.model();
    let Some(fact) = model.facts().find(|fact| fact.name == name) else {
        let names: Vec<&str> = model.facts().map(|fact| fact.name).collect();
        if names.is_empty() {
            bail!("the model takes no facts");
        }
        let near = nearest(name, names.iter().copied()).map(|near| format!(" (did you mean {near:?}?)"));
        bail!("the model has no fact {name:?}{}; it has {}", near.unwrap_or_default(), names.join(", "));
    };
    if fact.is_computed() {
        bail!("fact {name:?} is computed by the model and cannot be given");
    }
    match fact.kind {
        FactKind::Gazetteer(_) => Ok(()),
        FactKind::Number { .. } => {
            let number: f32 = value.parse().with_context(|| format!("fact {name:?} takes a number, got {value:?}"))?;
            Ok(facts.set(name, number)?)
        }
        FactKind::Category(Category { values, .. }) => match facts.choose(name, value) {
            Err(Error::UnknownCategory) => {
                let near = nearest(value, values.iter()).map(|near| format!(" (did you mean {near:?}?)"));
                bail!(
                    "fact {name:?} has no value {value:?}{}; it has {}",
                    near.unwrap_or_default(),
                    values.iter().collect::<Vec<_>>().join(", ")
                )
            }
            other => Ok(other?),
        },
        FactKind::Flag => match value.to_lowercase().as_str() {
            "1" | "1.0" | "true" | "yes" => Ok(facts.flag(name, true)?),
            "0" | "0.0" | "false" | "no" => Ok(facts.flag(name, false)?),
            _ => bail!("fact {name:?} takes true or false, got {value:?}"),
        },
    }
}

fn head_text(output: &HeadOutput<'_>) -> String {
    let head = output.head();
    let label = |index: usize| head.labels.at(index).map_or(index.to_string(), String::from);
    match head.kind {
        HeadKind::Class | HeadKind::Binary => {
            let top = output.top();
            format!("{} = {} ({:.3})", head.name, label(top.class), top.probability)
        }
        HeadKind::Multilabel => {
            let labels = output.probabilities().enumerate().map(|(index, p)| format!("{} {p:.3}", label(index)));
            format!("{} = {}", head.name, labels.collect::<Vec<_>>().join(", "))
        }
        HeadKind::Regression => {
            let values = output.values().map(|value| format!("{value}"));
            format!("{} = {}", head.name, values.collect::<Vec<_>>().join(", "))
        }
    }
}

fn head_json(output: &HeadOutput<'_>) -> Value {
    let head = output.head();
    let quantized = output.quantized();
    match head.kind {
        HeadKind::Class | HeadKind::Binary => {
            let top = output.top();
            json!({
                "class": top.class,
                "label": top.label,
                "probability": top.probability,
                "probabilities": output.probabilities().collect::<Vec<_>>(),
                "quantized": quantized,
            })
        }
        HeadKind::Multilabel => json!({
            "labels": head.labels.iter().collect::<Vec<_>>(),
            "probabilities": output.probabilities().collect::<Vec<_>>(),
            "quantized": quantized,
        }),
        HeadKind::Regression => json!({"values": output.values().collect::<Vec<_>>(), "quantized": quantized}),
    }
}
