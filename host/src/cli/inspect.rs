//! `attar inspect`.

use std::path::PathBuf;

use anyhow::Result;
use attar::heads::HeadKind;
use attar::student::inspect::{layers, shape, stages_and_features};
use attar::support::progress::one_line;
use attar_shared::{Arithmetic, FactKind, Model, Shape};
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
        format!("work   {:>9} steps", grouped(u64::from(header.work))),
        String::new(),
    ];
    let input = model.input().map(|input| match input.is_text {
        true => format!("input  {}, a text of up to {} bytes", input.name, model.input_shape().len()),
        false => format!("input  {} {}{}", input.name, shape(model.input_shape()), channel_names(&input)),
    });
    lines.extend(input.map(|input| one_line(&input).into_owned()));
    if let Some(signal) = model.signal() {
        let rate = f64::from(signal.rate) / signal.decimation() as f64;
        let ms = |samples: u16| f64::from(samples) / rate * 1e3;
        lines.push(format!(
            "signal {} channels at {} Hz, windows of {:.1} ms every {:.1} ms, {} features in {}, {} bytes of memory",
            signal.channels,
            signal.rate,
            ms(signal.window),
            ms(signal.hop),
            signal.features,
            if signal.arithmetic == Arithmetic::Fixed { "integers" } else { "floats" },
            grouped(4 * u64::from(signal.words))
        ));
        let (stages, features) = stages_and_features(&signal);
        if !stages.is_empty() {
            lines.push(format!("       through {}", stages.join("; ")));
        }
        let running = if signal.follow > 0.0 { ", less their running mean" } else { "" };
        lines.push(format!("       of each channel {}{running}", features.join("; ")));
        lines.extend(signal.detection.map(|detection| {
            format!(
                "       a class begins at {} and ends below {}, smoothed by {:.3} a run",
                detection.on, detection.off, detection.smooth
            )
        }));
    }
    for (index, fact) in model.facts().enumerate() {
        let title = if index == 0 { "facts" } else { "" };
        lines.push(one_line(&format!("{title:<6} {}: {}", fact.name, described(model, &fact))).into());
    }
    for head in model.heads() {
        let labels: Vec<&str> = head.labels.iter().collect();
        let labels = if labels.is_empty() { String::new() } else { format!(": {}", labels.join(", ")) };
        let kind = HeadKind::of_format(head.kind).name();
        lines.push(one_line(&format!("head   {} ({kind}){labels}", head.name)).into());
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

fn channel_names(input: &attar_shared::Input<'_>) -> String {
    let names: Vec<&str> = input.channels.iter().collect();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
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
        "work": header.work,
        "input": model.input().map(|input| json!({
            "name": input.name,
            "text": input.is_text,
            "shape": sizes(model.input_shape()),
            "channels": input.channels.iter().collect::<Vec<_>>(),
        })),
        "signal": model.signal().map(|signal| {
            let (stages, features) = stages_and_features(&signal);
            json!({
                "arithmetic": if signal.arithmetic == Arithmetic::Fixed { "fixed" } else { "float" },
                "channels": signal.channels,
                "rate": signal.rate,
                "decimation": signal.decimation(),
                "window": signal.window,
                "hop": signal.hop,
                "every": signal.every,
                "stages": stages,
                "features": features,
                "memory_bytes": 4 * u64::from(signal.words),
                "detection": signal.detection.map(|detection| json!({
                    "smooth": detection.smooth,
                    "on": detection.on,
                    "off": detection.off,
                    "background": detection.background,
                })),
            })
        }),
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
            "kind": HeadKind::of_format(head.kind).name(),
            "labels": head.labels.iter().collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "operators": layers(model).into_iter().map(|layer| json!({
            "kind": layer.kind,
            "window": layer.window,
            "output": layer.output,
            "macs": layer.macs,
            "work": layer.work,
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
