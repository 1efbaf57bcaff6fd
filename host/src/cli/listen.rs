//! `attar listen`.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use attar::signal::{Color, noise};
use attar::{listen, verify};
use clap::Args;
use serde_json::json;

use super::run::facts_of;
use super::table::grouped;
use super::{parse_model, print, print_json, read_model};

/// Arguments of `listen`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The model, one with a front-end.
    model: PathBuf,
    /// Recordings, WAV; they are heard one after the other as one signal.
    #[arg(required = true, value_name = "WAV")]
    recordings: Vec<PathBuf>,
    /// Seconds between recordings: silence and pink noise of -50 dB take turns.
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    gap: f64,
    /// A fact, in its own unit, as in rpm=1772; may be repeated. Those not given are missing.
    #[arg(long = "fact", value_name = "NAME=VALUE")]
    facts: Vec<String>,
    /// Where: host, or qemu:BOARD as of `attar verify`; a board is held against this machine.
    #[arg(long, default_value = "host", value_name = "PLACE")]
    on: String,
    /// Prints the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let bytes = read_model(&arguments.model)?;
    let student = parse_model(&arguments.model, &bytes)?;
    let signal = listen::signal_of(&student)?;
    let facts = facts_of(&student, &arguments.facts)?;
    ensure!((0.0..=3600.0).contains(&arguments.gap), "--gap is {}, expected seconds up to 3600", arguments.gap);
    let between = (arguments.gap * f64::from(signal.rate)).round() as usize * usize::from(signal.channels);
    let mut random = attar::random::stream(0, "gaps");
    let mut samples = Vec::new();
    for (index, path) in arguments.recordings.iter().enumerate() {
        match index % 2 {
            0 => samples.extend(std::iter::repeat_n(0, between)),
            _ => samples.extend(noise(between, Color::Pink, -50.0, &mut random).into_iter().map(|x| x as i16)),
        }
        samples.extend(listen::read(&student, path)?);
    }
    let heard = listen::listen(&student, &samples, &facts)?;
    let seconds = samples.len() as f64 / f64::from(signal.channels) / f64::from(signal.rate);
    let hop = f64::from(signal.hop) * signal.decimation() as f64 / f64::from(signal.rate);
    let window = f64::from(signal.window) * signal.decimation() as f64 / f64::from(signal.rate);
    let labels: Vec<&str> = student.model().heads().next().map(|head| head.labels.iter().collect()).unwrap_or_default();
    let label = |class: usize| labels.get(class).map_or_else(|| format!("class {class}"), |label| label.to_string());
    let figures = match arguments.on.strip_prefix("qemu:") {
        Some(board) => {
            let known: Vec<_> = facts.values().collect();
            Some(verify::stream_on_qemu(verify::find_board(board)?, &bytes, &samples, &known)?)
        }
        None if arguments.on == "host" => None,
        None => bail!("--on {}: expected host or qemu:BOARD", arguments.on),
    };
    let at = |detection: &listen::Detection| f64::from(detection.hop) * hop + window;
    if arguments.json {
        let detections: Vec<_> = heard
            .detections
            .iter()
            .map(|one| json!({"seconds": at(one), "label": label(one.class), "probability": one.probability}))
            .collect();
        print_json(&json!({"seconds": seconds, "detections": detections, "board": figures}))?;
    } else {
        for one in &heard.detections {
            print(&format!("{:9.3} s  {}  {:.2}", at(one), label(one.class), one.probability))?;
        }
        let count = heard.detections.len();
        print(&format!("{count} detections in {seconds:.1} s"))?;
        if let Some(figures) = &figures {
            print(&format!(
                "{}: {} mismatches in {} hops; {} instructions for the features of a hop, {} for a run of the network, \
                 {} for a second; {} bytes beside the arena",
                figures.on,
                figures.mismatches,
                grouped(u64::from(figures.hops)),
                grouped(figures.front_end as u64),
                grouped(figures.network as u64),
                grouped(figures.second as u64),
                grouped(4 * figures.words as u64)
            ))?;
        }
    }
    if figures.is_some_and(|figures| figures.mismatches > 0) {
        bail!("{} does not hear what this machine hears", arguments.on);
    }
    Ok(())
}
