//! `attar inspect`.

use std::path::PathBuf;

use anyhow::Result;
use attar_shared::{FactKind, Kind, Model, Operator, Parameters, Shape, Tensor, Weights};
use clap::Args;
use serde_json::{Value, json};

use super::facts::described;
use super::table::{grouped, table};
use super::{parse_model, print, print_json, read_model};

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model.
    model: PathBuf,
    /// Prints the figures as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn inspect(arguments: &Arguments) -> Result<()> {
    let bytes = read_model(&arguments.model)?;
    let student = parse_model(&arguments.model, &bytes)?;
    let model = student.model();
    if arguments.json {
        return print_json(&as_json(model, &arguments.model.display().to_string(), bytes.len()));
    }
    let header = model.header();
    let layers = layers(model);
    let peak = layers.iter().map(|layer| layer.alive).max().unwrap_or(0);
    let rows: Vec<Vec<String>> = layers
        .iter()
        .map(|layer| {
            let mark = if layer.alive == peak { " < peak" } else { "" };
            vec![
                format!("{:>2} {}", layer.index, layer.kind),
                layer.window.clone(),
                layer.output.clone(),
                grouped(layer.macs),
                grouped(layer.weight_bytes as u64),
                layer.bits.map(|bits| bits.to_string()).unwrap_or_default(),
                format!("{:>7} {:<12}{mark:<7}", grouped(layer.alive as u64), bar(layer.alive, peak)),
            ]
        })
        .collect();
    let weights: usize = layers.iter().map(|layer| layer.weight_bytes).sum();
    let mut lines = vec![
        format!(
            "{}: format {}, {} bytes",
            arguments.model.display(),
            attar_shared::VERSION,
            grouped(bytes.len() as u64)
        ),
        String::new(),
        format!("flash  {:>9} bytes, of which weights {}", grouped(bytes.len() as u64), grouped(weights as u64)),
        format!(
            "arena  {:>9} bytes, of which at most {} are in use at a time",
            grouped(u64::from(header.arena_len)),
            grouped(peak as u64)
        ),
        format!("MACs   {:>9}", grouped(u64::from(header.macs))),
        String::new(),
    ];
    lines.extend(model.input().map(|input| match input.is_text {
        true => format!("input  {}, a text of up to {} bytes", input.name, model.input_shape().len()),
        false => format!("input  {} {}{}", input.name, shape(model.input_shape()), channel_names(&input)),
    }));
    for (index, fact) in model.facts().enumerate() {
        let title = if index == 0 { "facts" } else { "" };
        lines.push(format!("{title:<6} {}: {}", fact.name, described(model, &fact)));
    }
    for head in model.heads() {
        let labels: Vec<&str> = head.labels.iter().collect();
        let labels = if labels.is_empty() { String::new() } else { format!(": {}", labels.join(", ")) };
        lines.push(format!("head   {} ({}){labels}", head.name, format!("{:?}", head.kind).to_lowercase()));
    }
    lines.push(String::new());
    lines.push(table(&["operator", "window", "output", "MACs", "weights", "bits", "arena"], &rows));
    let held: usize = model.tensors().filter(|tensor| tensor.held).map(|tensor| tensor.shape.len()).sum();
    if held > 0 {
        lines.push(format!(
            "\nruns a step of a series at a time; {} bytes stay from one step to the next",
            grouped(held as u64)
        ));
    }
    let signed = if header.is_signed { "signed" } else { "not signed" };
    lines.push(format!("\n{} self-test vectors; {signed}, revision {}", model.tests().count(), header.revision));
    print(&lines.join("\n"))
}

/// An operator in figures.
struct Layer {
    index: usize,
    kind: String,
    window: String,
    output: String,
    macs: u64,
    weight_bytes: usize,
    /// The width of its weights, if it has any.
    bits: Option<u32>,
    /// Bytes of the arena that hold something while it runs; those that an output shares with its input count once.
    alive: usize,
    offset: u32,
}

fn layers(model: &Model<'_>) -> Vec<Layer> {
    let tensors: Vec<Tensor> = model.tensors().collect();
    let sources = usize::from(model.header().source_count());
    model
        .operators()
        .enumerate()
        .map(|(index, operator)| {
            let output = tensors[usize::from(operator.output)];
            let input = tensors[usize::from(operator.inputs()[0])];
            let alive = tensors.iter().enumerate().filter(|(tensor, other)| {
                if other.held {
                    return true;
                }
                tensor.saturating_sub(sources) <= index
                    && usize::from(other.last_use) >= index
                    && (*tensor < sources || tensor - sources <= index)
            });
            Layer {
                index,
                kind: describe_kind(&operator),
                window: describe_window(&operator),
                output: shape(output.shape),
                macs: operator.macs(input.shape, output.shape),
                weight_bytes: weight_bytes(&operator),
                bits: bits(&operator),
                alive: covered(alive.map(|(_, tensor)| tensor)),
                offset: output.offset,
            }
        })
        .collect()
}

fn describe_kind(operator: &Operator<'_>) -> String {
    let name = match operator.kind() {
        Kind::Dense | Kind::Dense4 => "dense",
        Kind::Convolution | Kind::Convolution4 => "convolution",
        Kind::Depthwise => "depthwise",
        Kind::Add => "add",
        Kind::AveragePool => "average pool",
        Kind::MaxPool => "max pool",
        Kind::Table => "table",
        Kind::Concat => "concat",
        Kind::Multiply => "multiply",
        Kind::Delay => "delay",
        Kind::Bag => "bag",
    };
    let sum = if operator.addend.is_some() { " + add" } else { "" };
    let clamped = operator.clamp != attar_shared::Clamp::ALL;
    let relu = if clamped { " + relu" } else { "" };
    format!("{name}{sum}{relu}")
}

fn describe_window(operator: &Operator<'_>) -> String {
    let Some(window) = operator.window() else { return String::new() };
    let [height, width] = window.kernel;
    let stride = match window.stride {
        [1, 1] => String::new(),
        [a, b] if a == b => format!(" / {a}"),
        [a, b] => format!(" / {a}x{b}"),
    };
    format!("{height}x{width}{stride}")
}

fn weight_bytes(operator: &Operator<'_>) -> usize {
    let addition = if operator.addend.is_some() { 16 } else { 0 };
    let own = match operator.parameters {
        Parameters::Dense(channels) | Parameters::Convolution(_, channels) | Parameters::Depthwise(_, channels) => {
            let (Weights::Eight(bytes) | Weights::Four(bytes)) = channels.weights;
            bytes.len() + 9 * channels.shifts.len()
        }
        Parameters::Table(_) => 256,
        Parameters::Add(_) => 16,
        Parameters::AveragePool(..) | Parameters::Multiply(_) => 8,
        Parameters::MaxPool(_) | Parameters::Concat | Parameters::Delay => 0,
        Parameters::Bag(bag) => bag.rows.len() + 16,
    };
    own + addition
}

fn bits(operator: &Operator<'_>) -> Option<u32> {
    match operator.parameters {
        Parameters::Dense(channels) | Parameters::Convolution(_, channels) | Parameters::Depthwise(_, channels) => {
            Some(channels.weights.bits())
        }
        Parameters::Bag(_) => Some(8),
        _ => None,
    }
}

/// Returns the number of bytes that tensors cover together.
fn covered<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> usize {
    let mut spans: Vec<(usize, usize)> =
        tensors.map(|tensor| (tensor.offset as usize, tensor.offset as usize + tensor.shape.len())).collect();
    spans.sort_unstable();
    let (mut total, mut reached) = (0, 0);
    for (start, end) in spans {
        total += end.saturating_sub(start.max(reached));
        reached = reached.max(end);
    }
    total
}

fn channel_names(input: &attar_shared::Input<'_>) -> String {
    let names: Vec<&str> = input.channels.iter().collect();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
}

fn shape(shape: Shape) -> String {
    match shape {
        Shape { height: 1, width: 1, channels } => format!("{channels}"),
        Shape { height: 1, width, channels } => format!("{width} x {channels}"),
        Shape { height, width, channels } => format!("{height} x {width} x {channels}"),
    }
}

fn bar(value: usize, greatest: usize) -> String {
    "#".repeat((value * 12).div_ceil(greatest.max(1)))
}

fn as_json(model: &Model<'_>, file: &str, bytes: usize) -> Value {
    let header = model.header();
    json!({
        "file": file,
        "format": attar_shared::VERSION,
        "bytes": bytes,
        "flash_bytes": bytes,
        "arena_bytes": header.arena_len,
        "macs": header.macs,
        "input": model.input().map(|input| json!({
            "name": input.name,
            "text": input.is_text,
            "shape": sizes(model.input_shape()),
            "channels": input.channels.iter().collect::<Vec<_>>(),
        })),
        "facts": model.facts().map(|fact| match fact.kind {
            FactKind::Number { .. } =>
                json!({"name": fact.name, "kind": "number", "unit": fact.unit, "computed": fact.is_computed()}),
            FactKind::Category(category) =>
                json!({"name": fact.name, "kind": "category", "values": category.values.iter().collect::<Vec<_>>()}),
            FactKind::Flag => json!({"name": fact.name, "kind": "flag", "computed": fact.is_computed()}),
            FactKind::Gazetteer(gazetteer) => json!({
                "name": fact.name,
                "kind": "gazetteer",
                "values": gazetteer.features.iter().collect::<Vec<_>>(),
                "phrases": gazetteer.len(),
                "computed": true,
            }),
        }).collect::<Vec<_>>(),
        "heads": model.heads().map(|head| json!({
            "name": head.name,
            "kind": format!("{:?}", head.kind).to_lowercase(),
            "labels": head.labels.iter().collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "operators": layers(model).into_iter().map(|layer| json!({
            "kind": layer.kind,
            "window": layer.window,
            "output": layer.output,
            "macs": layer.macs,
            "weight_bytes": layer.weight_bytes,
            "bits": layer.bits,
            "alive_bytes": layer.alive,
            "offset": layer.offset,
        })).collect::<Vec<_>>(),
        "tests": model.tests().count(),
        "signed": model.header().is_signed,
        "revision": model.header().revision,
    })
}

fn sizes(shape: Shape) -> [u16; 3] {
    [shape.height, shape.width, shape.channels]
}
