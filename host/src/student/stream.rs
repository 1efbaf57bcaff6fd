//! Streams: what a student with a front-end makes of recordings, here and on a board.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use attar_device::signal::{Detected, Detector, Stream};
use attar_device::{Facts, Student};
use attar_shared::{Checksum, Signal};
use serde::{Deserialize, Serialize};

use crate::data::recordings::{self, Shape};
use crate::student::engine;
use crate::support::progress::check_stopped;

/// The most classes that a detection tells apart; the firmware has as many.
pub const CLASSES: usize = 32;

/// Hops between two lines of [`Heard::sums`].
const HOPS: u32 = 64;

/// A class that was detected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The hop with which it was.
    pub hop: u32,
    /// The class of the first head.
    pub class: usize,
    /// Its smoothed probability.
    pub probability: f32,
    /// The hop with which it was over, if it was; a board does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u32>,
}

/// Checksums of everything up to a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Hops.
    pub hops: u32,
    /// Runs of the network.
    pub runs: u32,
    /// Of the bits of all features.
    pub features: u32,
    /// Of the int8 of all heads.
    pub outputs: u32,
}

/// What a student made of a signal.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heard {
    /// What was detected.
    pub detections: Vec<Detection>,
    /// Checksums, after every 64 hops and at the end.
    pub sums: Vec<Sums>,
}

/// Returns the front-end of a student.
///
/// # Errors
///
/// When it has none.
pub fn signal_of<'a>(student: &Student<'a>) -> Result<Signal<'a>> {
    let signal = student.model().signal();
    signal.context("the model has no front-end: it takes values, not the samples of a sensor")
}

/// Puts samples through a student that is told facts, which stay the same.
///
/// # Errors
///
/// When the model has no front-end, a sample does not fit, or the work was stopped.
pub fn listen(student: &Student<'_>, samples: &[i16], facts: &Facts<'_>) -> Result<Heard> {
    let signal = signal_of(student)?;
    let (mut memory, mut arena) = (vec![0; signal.words as usize], engine::arena(student)?);
    let mut stream = Stream::new(*student.model(), &mut memory, &mut arena)?;
    let first = student.model().heads().next().and_then(|head| student.model().tensor(head.tensor));
    let classes = first.map_or(0, |tensor| tensor.shape.len());
    ensure!(
        signal.detection.is_none() || classes <= CLASSES,
        "the first head has {classes} classes; this program and the test firmware tell {CLASSES} apart, what `attar new` writes any \
         number"
    );
    let mut detector = signal.detection.map(Detector::<CLASSES>::new);
    let mut heard = Heard::default();
    let (mut hops, mut runs) = (0, 0);
    let (mut features, mut outputs) = (Checksum::new(), Checksum::new());
    let mut rest = samples;
    while stream.fill(&mut rest)? {
        check_stopped()?;
        stream.front_end().features().iter().for_each(|feature| features.add(feature.to_bits().to_le_bytes()));
        if let Some(answers) = stream.run(facts)? {
            runs += 1;
            answers.heads().for_each(|head| outputs.add(head.quantized().iter().map(|q| q.cast_unsigned())));
            if let (Some(detector), Some(head)) = (&mut detector, answers.heads().next()) {
                let began = detector.update(&head);
                if let Some(last) = heard.detections.last_mut().filter(|last| last.until.is_none())
                    && (began.is_some() || detector.active().is_none())
                {
                    last.until = Some(hops);
                }
                heard.detections.extend(began.map(|Detected { class, probability }| Detection {
                    hop: hops,
                    class,
                    probability,
                    until: None,
                }));
            }
        }
        hops += 1;
        if hops % HOPS == 0 {
            heard.sums.push(Sums { hops, runs, features: features.value(), outputs: outputs.value() });
        }
    }
    heard.sums.push(Sums { hops, runs, features: features.value(), outputs: outputs.value() });
    Ok(heard)
}

/// Reads a recording for a student: WAV of its rate and channels.
///
/// # Errors
///
/// As [`recordings::read`].
pub fn read(student: &Student<'_>, path: &Path) -> Result<Vec<i16>> {
    let signal = signal_of(student)?;
    ensure!(
        !recordings::is_csv(path),
        "{}: a recording to listen to is a WAV file, of 16 bits with the channels in the order of the model and full scale where \
         signal.full_scale is",
        path.display()
    );
    let channels = usize::from(signal.channels);
    let shape = Shape { rate: f64::from(signal.rate), channels, columns: &[], full_scale: 1.0, along: &[] };
    Ok(recordings::read(path, &shape)?.0)
}

/// A comparison of a board with this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamFigures {
    /// Where it ran.
    pub on: String,
    /// Seconds of signal.
    pub seconds: f64,
    /// Hops.
    pub hops: u32,
    /// Lines of checksums, and detections, that differed.
    pub mismatches: usize,
    /// What was detected.
    pub detections: Vec<Detection>,
    /// Instructions of the front-end for one hop, in the mean.
    pub front_end: f64,
    /// Instructions of the network for one run, in the mean, what encodes the features among them.
    pub network: f64,
    /// Instructions for a second of signal.
    pub second: f64,
    /// Words of memory beside the arena.
    pub words: usize,
}

impl StreamFigures {
    /// Reads what the firmware said and holds it against what this machine has heard.
    ///
    /// # Errors
    ///
    /// When a line is none of the firmware's.
    pub(crate) fn of_lines(on: &str, lines: &[String], heard: &Heard, seconds: f64) -> Result<Self> {
        let mut figures = Self {
            on: on.into(),
            seconds,
            hops: 0,
            mismatches: 0,
            detections: Vec::new(),
            front_end: 0.0,
            network: 0.0,
            second: 0.0,
            words: 0,
        };
        let mut sums = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |text: &str| text.parse::<u64>().with_context(|| format!("{on} said {line:?}"));
            let bits = |text: &str| u32::from_str_radix(text, 16).with_context(|| format!("{on} said {line:?}"));
            match words.as_slice() {
                [
                    "hops",
                    hops,
                    "runs",
                    runs,
                    "front",
                    front,
                    "network",
                    network,
                    "features",
                    features,
                    "outputs",
                    outputs,
                ] => {
                    let (hops, runs) = (number(hops)? as u32, number(runs)? as u32);
                    let (front, network) = (number(front)? as f64, number(network)? as f64);
                    sums.push(Sums { hops, runs, features: bits(features)?, outputs: bits(outputs)? });
                    figures.hops = hops;
                    figures.front_end = front / f64::from(hops.max(1));
                    figures.network = network / f64::from(runs.max(1));
                    figures.second = (front + network) / seconds.max(1e-9);
                }
                ["detected", "hop", hop, "class", class, "probability", probability] => {
                    let (hop, class) = (number(hop)? as u32, number(class)? as usize);
                    let probability = f32::from_bits(bits(probability)?);
                    figures.detections.push(Detection { hop, class, probability, until: None });
                }
                ["stream", words, _] => {
                    let count = words.strip_prefix("words=").unwrap_or_default();
                    figures.words = number(count)? as usize;
                }
                _ => {}
            }
        }
        let differing = |a: usize, b: usize, equal: usize| a.max(b) - equal;
        let equal_sums = sums.iter().zip(&heard.sums).filter(|(a, b)| a == b).count();
        let same = |a: &Detection, b: &Detection| {
            (a.hop, a.class, a.probability.to_bits()) == (b.hop, b.class, b.probability.to_bits())
        };
        let equal_detections = figures.detections.iter().zip(&heard.detections).filter(|(a, b)| same(a, b)).count();
        figures.mismatches = differing(sums.len(), heard.sums.len(), equal_sums)
            + differing(figures.detections.len(), heard.detections.len(), equal_detections);
        Ok(figures)
    }
}
