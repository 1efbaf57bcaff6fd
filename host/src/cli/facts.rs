//! `attar facts`: what a model knows and computes beside its input.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use attar_shared::{Binary, Code, Encoder, Fact, FactKind, Instruction, Model, Scaling, Unary};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::run::set_fact;
use super::table::table;
use super::{parse_model, print, print_json, read_model};

/// Arguments of `facts`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints each fact of a model, computed ones with their value.
    Explain(Explain),
}

#[derive(Debug, Args)]
struct Explain {
    /// The model.
    model: PathBuf,
    /// A fact in its own unit, as in bearing=6205; may be repeated. Those not given are missing.
    #[arg(long = "fact", value_name = "NAME=VALUE")]
    facts: Vec<String>,
    /// A value of the input in its raw unit, by its name or its place, as in torque=41.5; may be repeated.
    #[arg(long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// The text that the model reads.
    #[arg(long, value_name = "TEXT", conflicts_with = "inputs")]
    text: Option<String>,
    /// Prints the facts as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn facts(arguments: &Arguments) -> Result<()> {
    let Command::Explain(explain) = &arguments.command;
    let bytes = read_model(&explain.model)?;
    let student = parse_model(&explain.model, &bytes)?;
    let model = student.model();
    let mut facts = student.facts();
    for pair in &explain.facts {
        let (name, value) = pair.split_once('=').with_context(|| format!("--fact {pair}: expected name=value"))?;
        set_fact(&mut facts, name.trim(), value.trim()).with_context(|| format!("--fact {pair}"))?;
    }
    let is_text = model.input().is_some_and(|input| input.is_text);
    let known = match &explain.text {
        Some(text) => {
            ensure!(is_text, "--text: the model takes numbers: say --input");
            let (most, got) = (model.input_shape().len(), text.len());
            ensure!(got <= most, "--text: the text has {got} bytes, the model takes up to {most}");
            facts.known(text.as_bytes())
        }
        None => {
            ensure!(!is_text, "the model reads a text: say --text TEXT");
            facts.known(&input_of(model, &explain.inputs)?)
        }
    };
    let names = Names::of(model);
    let all: Vec<(Fact<'_>, Option<f32>)> = model.facts().zip(known.values()).collect();
    if explain.json {
        let entries = all.iter().map(|(fact, value)| {
            json!({
                "name": fact.name,
                "unit": fact.unit,
                "value": value.map(|value| plain(fact, value)),
                "computed": fact.is_computed().then(|| names.source(fact)),
            })
        });
        return print_json(&json!({"facts": entries.collect::<Vec<_>>(), "clamped": known.clamped()}));
    }
    if all.is_empty() {
        return print("the model takes no facts");
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|(fact, value)| {
            let value = value.map_or("missing".into(), |value| shown(fact, value));
            let from = if fact.is_computed() { names.source(fact) } else { "set".into() };
            vec![fact.name.into(), value, from]
        })
        .collect();
    let mut text = table(&["fact", "value", "from"], &rows);
    if known.clamped() > 0 {
        text += &format!("\n{} outside what training has seen, brought to its limits", known.clamped());
    }
    print(&text)
}

/// Returns what is said of a fact: its kind, and how it enters the network.
pub(super) fn described(model: &Model<'_>, fact: &Fact<'_>) -> String {
    let unit = if fact.unit.is_empty() { String::new() } else { format!(" in {}", fact.unit) };
    let kind = match fact.kind {
        FactKind::Number { .. } => format!("number{unit}"),
        FactKind::Category(category) => format!("one of {}", category.values.iter().collect::<Vec<_>>().join(", ")),
        FactKind::Flag => "yes or no".into(),
        FactKind::Gazetteer(gazetteer) => {
            format!("{} phrases, each {}", gazetteer.len(), gazetteer.features.iter().collect::<Vec<_>>().join(" or "))
        }
    };
    let encoder = match fact.encoder {
        Encoder::None => ", for other facts alone".into(),
        Encoder::OneHot | Encoder::Flag | Encoder::Features => String::new(),
        Encoder::Embedding { width, .. } => format!(", rows of {width}"),
        Encoder::Number(scaling) => match scaling {
            Scaling::ZScore { mean, deviation } => format!(", mean {mean}, deviation {deviation}"),
            Scaling::Range { low, high } => format!(", from {low} to {high}"),
            Scaling::Log { mean, deviation } => format!(", logarithm of mean {mean}, deviation {deviation}"),
            Scaling::Periodic { period } => format!(", again after {period}"),
        },
    };
    let code = if !fact.code.is_empty() {
        format!(" = {} ({} bytes of code)", Names::of(model).expression(fact.code), fact.code.bytes().len())
    } else {
        String::new()
    };
    format!("{kind}{encoder}{code}")
}

fn input_of(model: &Model<'_>, pairs: &[String]) -> Result<Vec<f32>> {
    let names = Names::of(model);
    let mut input = vec![f32::NAN; model.input_shape().len()];
    for pair in pairs {
        let (name, value) = pair.split_once('=').with_context(|| format!("--input {pair}: expected name=value"))?;
        let name = name.trim();
        let place = names.input.iter().position(|known| known == name).or_else(|| name.parse().ok());
        let Some(slot) = place.and_then(|place| input.get_mut(place)) else {
            let near = attar::support::suggest::did_you_mean(name, names.input.iter().map(String::as_str));
            bail!("--input {pair}: the model has no input {name:?}{near}; it has {}", names.input.join(", "));
        };
        let value = value.trim().parse().ok().filter(|value: &f32| value.is_finite());
        *slot = value.with_context(|| format!("--input {pair}: expected a finite number"))?;
    }
    Ok(input)
}

/// Returns a value as it is set.
fn plain(fact: &Fact<'_>, value: f32) -> Value {
    match fact.kind {
        FactKind::Number { .. } => json!(value),
        FactKind::Category(category) => json!(category.values.at(value as usize)),
        FactKind::Flag => json!(value != 0.0),
        FactKind::Gazetteer(gazetteer) => {
            let features = gazetteer.features.iter().enumerate();
            json!(features.filter(|(bit, _)| value as u16 >> bit & 1 == 1).map(|(_, name)| name).collect::<Vec<_>>())
        }
    }
}

fn shown(fact: &Fact<'_>, value: f32) -> String {
    match plain(fact, value) {
        Value::Bool(value) => if value { "yes" } else { "no" }.into(),
        Value::String(text) => text,
        Value::Array(features) if features.is_empty() => "nothing that it knows".into(),
        Value::Array(features) => features.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => format!("{value} {}", fact.unit).trim_end().into(),
    }
}

/// The names of what code reads.
struct Names {
    facts: Vec<String>,
    /// Of each fact, those of a gazetteer; the file does not name the columns of a category's table.
    features: Vec<Vec<String>>,
    input: Vec<String>,
}

impl Names {
    fn of(model: &Model<'_>) -> Self {
        let len = model.input_shape().len();
        let named: Vec<String> =
            model.input().map(|input| input.channels.iter().map(String::from).collect()).unwrap_or_default();
        let input = if named.len() == len { named } else { (0..len).map(|place| format!("input[{place}]")).collect() };
        let features = model.facts().map(|fact| match fact.kind {
            FactKind::Gazetteer(gazetteer) => gazetteer.features.iter().map(String::from).collect(),
            _ => Vec::new(),
        });
        Self { facts: model.facts().map(|fact| fact.name.to_string()).collect(), features: features.collect(), input }
    }

    /// Returns what a computed fact comes from.
    fn source(&self, fact: &Fact<'_>) -> String {
        match fact.kind {
            FactKind::Gazetteer(_) => "the words of the text".into(),
            _ => self.expression(fact.code),
        }
    }

    /// Returns code as the expression that it computes.
    fn expression(&self, code: Code<'_>) -> String {
        let mut stack: Vec<String> = Vec::new();
        for instruction in code.instructions() {
            let mut take = || stack.pop().unwrap_or_default();
            let text = match instruction {
                Instruction::Constant(value) => value.to_string(),
                Instruction::Fact(fact) => self.facts.get(usize::from(fact)).cloned().unwrap_or_default(),
                Instruction::Input(place) => self.input.get(usize::from(place)).cloned().unwrap_or_default(),
                Instruction::Column { fact, column } => {
                    let name = self.facts.get(usize::from(fact)).cloned().unwrap_or_default();
                    match self.features.get(usize::from(fact)).and_then(|of| of.get(usize::from(column))) {
                        Some(feature) => format!("{name}.{feature}"),
                        None => format!("{name}[{column}]"),
                    }
                }
                Instruction::Unary(unary) => {
                    let x = take();
                    match unary {
                        Unary::Negate => format!("-{x}"),
                        Unary::Not => format!("not {x}"),
                        Unary::Absolute => call("abs", &[x]),
                        Unary::SquareRoot => call("sqrt", &[x]),
                        Unary::Logarithm => call("ln", &[x]),
                        Unary::Exponential => call("exp", &[x]),
                        Unary::Sine => call("sin", &[x]),
                        Unary::Cosine => call("cos", &[x]),
                        Unary::Floor => call("floor", &[x]),
                    }
                }
                Instruction::Binary(binary) => {
                    let (b, a) = (take(), take());
                    match binary {
                        Binary::Minimum => call("min", &[a, b]),
                        Binary::Maximum => call("max", &[a, b]),
                        _ => format!("({a} {} {b})", sign(binary)),
                    }
                }
                Instruction::Select => {
                    let (otherwise, then, when) = (take(), take(), take());
                    format!("(if {when} then {then} else {otherwise})")
                }
            };
            stack.push(text);
        }
        let text = stack.pop().unwrap_or_default();
        // The outermost brackets say nothing.
        let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).map(String::from);
        inner.filter(|inner| is_balanced(inner)).unwrap_or(text)
    }
}

fn call(name: &str, arguments: &[String]) -> String {
    format!("{name}({})", arguments.join(", "))
}

fn sign(binary: Binary) -> &'static str {
    match binary {
        Binary::Add => "+",
        Binary::Subtract => "-",
        Binary::Multiply => "*",
        Binary::Divide => "/",
        Binary::Less => "<",
        Binary::AtMost => "<=",
        Binary::Equal => "==",
        Binary::And => "and",
        Binary::Or => "or",
        Binary::Minimum | Binary::Maximum => "",
    }
}

fn is_balanced(text: &str) -> bool {
    let mut depth = 0i32;
    text.chars().all(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth >= 0
    })
}
