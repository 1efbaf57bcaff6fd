//! `attar listen`.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use attar::boards::verify;
use attar::data::recordings;
use attar::recipe::Recipe;
use attar::signal::{Color, noise};
use attar::student::stream;
use attar::support::progress::{one_line, say};
use attar_device::Student;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::run::{common_facts, say_unset};
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
    let signal = stream::signal_of(&student)?;
    let recipe = attar::run::distill::recipe_beside(&arguments.model)?;
    let facts = common_facts(&student, recipe.as_ref(), &arguments.facts)?;
    say_unset(&facts);
    let clamped = facts.known(&vec![f32::NAN; student.model().input_shape().len()]).clamped();
    if clamped > 0 {
        say(&format!("{clamped} facts lie outside of what training has seen, and count as the nearest that it has"));
    }
    let is_simulated = ["qemu:", "qemu-"].iter().any(|start| arguments.on.starts_with(start));
    let board = match arguments.on.as_str() {
        "host" => None,
        board if is_simulated => Some(attar::boards::find_simulated(board)?),
        other => bail!("--on {other}: expected host or qemu:BOARD"),
    };
    ensure!((0.0..=3600.0).contains(&arguments.gap), "--gap is {}, expected seconds up to 3600", arguments.gap);
    let channels = usize::from(signal.channels);
    let mut random = attar::support::random::stream(0, "gaps");
    let mut samples = Vec::new();
    let mut places = Vec::new();
    for (index, path) in arguments.recordings.iter().enumerate() {
        // Read before a gap is made, since a file bears out the rate.
        let recording = stream::read(&student, path)?;
        let between = (arguments.gap * f64::from(signal.rate)).round() as usize;
        match index % 2 {
            0 => samples.extend(std::iter::repeat_n(0, between * channels)),
            _ => {
                let gap = noise(between, channels, Color::Pink, -50.0, &mut random);
                samples.extend(gap.into_iter().map(|x| x as i16));
            }
        }
        places.push(samples.len()..samples.len() + recording.len());
        samples.extend(recording);
    }
    let heard = stream::listen(&student, &samples, &facts)?;
    let seconds = samples.len() as f64 / f64::from(signal.channels) / f64::from(signal.rate);
    let hop = f64::from(signal.hop) * signal.decimation() as f64 / f64::from(signal.rate);
    let window = f64::from(signal.window) * signal.decimation() as f64 / f64::from(signal.rate);
    let labels: Vec<&str> = student.model().heads().next().map(|head| head.labels.iter().collect()).unwrap_or_default();
    let label = |class: usize| labels.get(class).map_or_else(|| format!("class {class}"), |label| label.to_string());
    let counts = counts(arguments, recipe.as_ref(), &student, &heard.detections, &places)?;
    if seconds < window {
        say(&format!("warning: {seconds:.3} s are less than a window of {window:.3} s: nothing can be heard"));
    }
    if signal.detection.is_none() {
        say("warning: the model says not when an answer is a detection: add [signal.detection] to its recipe");
    }
    let known: Vec<_> = facts.values().collect();
    let figures = board.map(|board| verify::stream_on_qemu(board, &bytes, &samples, &known)).transpose()?;
    let at = |detected: u32| f64::from(detected) * hop + window;
    if arguments.json {
        let detections: Vec<_> = heard
            .detections
            .iter()
            .map(|one| {
                let until = one.until.map(at);
                json!({"seconds": at(one.hop), "until": until, "label": label(one.class), "probability": one.probability})
            })
            .collect();
        print_json(&json!({"seconds": seconds, "detections": detections, "recordings": counts, "board": figures}))?;
    } else {
        for one in &heard.detections {
            let until =
                one.until.map_or_else(|| "to the end".into(), |until| format!("for {:.3} s", at(until) - at(one.hop)));
            let class = label(one.class);
            print(&format!("{:9.3} s  {}  {:.2}  {until}", at(one.hop), one_line(&class), one.probability))?;
        }
        let count = heard.detections.len();
        print(&format!("{count} detections in {seconds:.1} s"))?;
        if let Some(Counts { recordings, right, wrong, missed, quiet, again, late }) = counts {
            print(&format!(
                "of {recordings} recordings {right} heard right, {wrong} wrong, {missed} missed; {quiet} stayed quiet as they \
                 should; {again} were heard more than once"
            ))?;
            print(&format!(
                "a detection is counted once, for the recording that began last before it: {late} came late, in the gap after \
                 their recording; one that comes after the next recording began counts for the next{}",
                if arguments.gap > 0.0 { "" } else { " (--gap SECONDS keeps them apart)" }
            ))?;
        }
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

/// What was heard of recordings whose names say what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
struct Counts {
    recordings: usize,
    /// Those whose first detection is their class.
    right: usize,
    /// Those whose detection is another, and those of the background that made one.
    wrong: usize,
    /// Those in which nothing was detected, but should have been.
    missed: usize,
    /// Those of the background that made none.
    quiet: usize,
    /// Those that made more than one.
    again: usize,
    /// Detections that came after the end of their recording, in the gap.
    late: usize,
}

/// Holds detections against the names of the recordings, if the recipe beside the model says how to read them.
fn counts(
    arguments: &Arguments,
    recipe: Option<&Recipe>,
    student: &Student<'_>,
    detections: &[stream::Detection],
    places: &[Range<usize>],
) -> Result<Option<Counts>> {
    let signal = stream::signal_of(student)?;
    let Some((Some(pattern), Some(head))) = recipe.map(|recipe| (&recipe.data.files, recipe.heads.first())) else {
        return Ok(None);
    };
    let (Some(column), Some(rules), Some(first)) = (&head.column, signal.detection, student.model().heads().next())
    else {
        return Ok(None);
    };
    let class_of = |path: &PathBuf| -> Result<Option<usize>> {
        let Some(fields) = recordings::fields_of(pattern, path)? else { return Ok(None) };
        let named = |text: &String| first.labels.iter().position(|label| label == text);
        Ok(fields.get(column).and_then(|text| named(text).or_else(|| head.rest.as_ref().and_then(named))))
    };
    let classes = arguments.recordings.iter().map(class_of).collect::<Result<Option<Vec<usize>>>>()?;
    let Some(classes) = classes else {
        say(&format!(
            "not counted what was heard rightly: not every recording fits data.files {pattern:?} with a known {column}"
        ));
        return Ok(None);
    };
    let channels = usize::from(signal.channels);
    let sample_of = |hop: u32| {
        (hop as usize * usize::from(signal.hop) + usize::from(signal.window)) * signal.decimation() * channels
    };
    let (ends, detected): (Vec<usize>, Vec<usize>) =
        detections.iter().map(|one| (sample_of(one.hop), one.class)).unzip();
    Ok(Some(counted(&classes, rules.background.map(usize::from), &ends, &detected, places)))
}

/// Counts detections, which are made at `ends`, the samples at which their windows end. Each is of one recording, the one that
/// began last before it was made; one that lasts into the next recording is not counted there again. What comes in the gap after
/// a recording is of that recording, and late.
fn counted(
    classes: &[usize],
    background: Option<usize>,
    ends: &[usize],
    detected: &[usize],
    places: &[Range<usize>],
) -> Counts {
    let mut counts = Counts { recordings: classes.len(), ..Counts::default() };
    let mut heard = vec![Vec::new(); classes.len()];
    for (&end, &class) in ends.iter().zip(detected) {
        let before = places.partition_point(|place| place.start < end);
        let Some(index) = before.checked_sub(1) else { continue };
        if let (Some(heard), Some(place)) = (heard.get_mut(index), places.get(index)) {
            heard.push(class);
            counts.late += usize::from(end > place.end);
        }
    }
    for (&class, heard) in classes.iter().zip(&heard) {
        match heard.first() {
            None if background == Some(class) => counts.quiet += 1,
            None => counts.missed += 1,
            Some(&first) if first == class => counts.right += 1,
            Some(_) => counts.wrong += 1,
        }
        counts.again += usize::from(heard.len() > 1);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One detection makes one recording right, however many it lasts through.
    #[test]
    fn each_detection_is_of_one_recording() {
        // Three recordings of the same class joined without a gap, and one detection in the first.
        let places = [0..100, 100..200, 200..300];
        let counts = counted(&[1, 1, 1], Some(0), &[50], &[1], &places);
        assert_eq!((counts.right, counts.missed, counts.wrong, counts.late), (1, 2, 0, 0));
        // In the gap after a recording it is late, and of that recording; after the next began, it is of the next.
        let places = [0..100, 150..250];
        let counts = counted(&[1, 2], Some(0), &[120], &[1], &places);
        assert_eq!((counts.right, counts.missed, counts.late), (1, 1, 1));
        let counts = counted(&[1, 2], Some(0), &[151], &[1], &places);
        assert_eq!((counts.missed, counts.wrong, counts.late), (1, 1, 0));
        // A second one of a recording is counted as such, and the background stays quiet.
        let counts = counted(&[1, 0], Some(0), &[50, 60], &[1, 1], &places);
        assert_eq!((counts.right, counts.quiet, counts.again), (1, 1, 1));
    }
}
