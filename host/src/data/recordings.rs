//! Recordings: WAV and CSV files whose names say what they are, cut into samples of one length.

mod vary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use regex_lite::Regex;

use crate::data::files::wav::Wav;
use crate::signal::Extractor;
use crate::support::files;
use crate::support::progress::{check_stopped, say_once};
use crate::tables::{Dialect, Table};
use vary::Cut;
pub use vary::Variation;

/// What the names of files say, by the names in the pattern.
pub type Fields = BTreeMap<String, String>;

/// csv: the cells of columns, by their names.
pub type Cells = BTreeMap<String, Vec<String>>;

/// A recording: samples of 16 bits, those of several channels taking turns.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Its file.
    pub path: PathBuf,
    /// What its name says, by the names in the pattern.
    pub fields: Fields,
    /// The samples.
    pub samples: Vec<i16>,
    /// csv: the cells of the columns that were asked for, one a sample and channel.
    pub cells: Cells,
}

/// What a recording has to be like.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Samples a second.
    pub rate: f64,
    /// Channels.
    pub channels: usize,
    /// csv: the columns of the channels.
    pub columns: &'a [String],
    /// csv: what the greatest sample stands for.
    pub full_scale: f64,
    /// csv: other columns that are read along.
    pub along: &'a [String],
}

/// Returns the files below a folder that a pattern fits, in order, with what their names say: `{name}` stands for some letters of
/// one file or folder name, `*` for any.
///
/// # Errors
///
/// When the pattern is none, a folder cannot be read, or no file fits.
pub fn find(folder: &Path, pattern: &str) -> Result<Vec<(PathBuf, Fields)>> {
    // A recipe in the folder that the command runs in lies in "", which is no folder to look into.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut found = vec![(folder.to_path_buf(), BTreeMap::new())];
    let mut names: Vec<String> = Vec::new();
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    ensure!(
        !pattern.starts_with('/') && !parts.contains(&".."),
        "data.files is {pattern:?}, expected a pattern below {}: files that a recipe names lie below its folder, or below that of --data",
        folder.display()
    );
    ensure!(!parts.is_empty(), "data.files is empty: name files, as in \"recordings/{{label}}_*.wav\"");
    for (depth, part) in parts.iter().enumerate() {
        let (expression, own) = expression_of(part).with_context(|| format!("data.files {pattern:?}"))?;
        if let Some(twice) = own.iter().find(|name| names.contains(name)) {
            bail!("data.files {pattern:?}: {{{twice}}} appears twice");
        }
        names.extend(own.iter().cloned());
        let last = depth + 1 == parts.len();
        let mut next = Vec::new();
        for (path, fields) in found {
            let entries = fs::read_dir(&path).with_context(|| format!("cannot read the folder {}", path.display()))?;
            let mut entries = entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<PathBuf>>>()
                .with_context(|| format!("cannot read the folder {}", path.display()))?;
            entries.sort();
            for entry in entries {
                let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if entry.is_dir() == last {
                    continue;
                }
                let Some(captures) = expression.captures(&name) else { continue };
                if entry.is_symlink() {
                    files::check_links(folder, &entry).context("data.files")?;
                }
                let mut fields: BTreeMap<String, String> = fields.clone();
                for (index, field) in own.iter().enumerate() {
                    fields.insert(field.clone(), captures[index + 1].to_string());
                }
                next.push((entry, fields));
            }
        }
        found = next;
    }
    ensure!(!found.is_empty(), "no file below {} fits data.files {pattern:?}", folder.display());
    Ok(found)
}

/// Returns whether a recording is in columns of a CSV file.
pub fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"))
}

/// Returns what a path says by a pattern, if the pattern fits its last parts.
///
/// # Errors
///
/// When the pattern is none.
pub fn fields_of(pattern: &str, path: &Path) -> Result<Option<Fields>> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut parts = path.components().rev();
    let mut fields = Fields::new();
    for part in pattern.rsplit('/').filter(|part| !part.is_empty() && *part != ".") {
        let (expression, names) = expression_of(part).with_context(|| format!("data.files {pattern:?}"))?;
        let name = parts.next().map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
        let Some(found) = expression.captures(&name) else { return Ok(None) };
        fields.extend(names.into_iter().zip(1..).map(|(name, n)| (name, found[n].to_string())));
    }
    Ok(Some(fields))
}

/// Returns what a part of a pattern fits, and the names in it.
fn expression_of(part: &str) -> Result<(Regex, Vec<String>)> {
    let mut expression = String::from("^");
    let mut names = Vec::new();
    let mut rest = part;
    while let Some(at) = rest.find(['{', '*']) {
        expression += &regex_lite::escape(&rest[..at]);
        if let Some(named) = rest[at..].strip_prefix('{') {
            let (name, after) = named.split_once('}').context("a { has no }")?;
            ensure!(!name.is_empty(), "{{}} has no name");
            ensure!(!names.iter().any(|other| other == name), "{{{name}}} appears twice");
            names.push(name.to_string());
            expression += "(.+?)";
            rest = after;
        } else {
            expression += ".*";
            rest = &rest[at + 1..];
        }
    }
    expression += &regex_lite::escape(rest);
    expression += "$";
    Ok((Regex::new(&expression)?, names))
}

/// Returns the recording in a file.
///
/// # Errors
///
/// When it cannot be read, is empty, ends too early, or has another rate or other channels than it should; the message names the
/// file and what to do.
pub fn read(path: &Path, shape: &Shape<'_>) -> Result<(Vec<i16>, Cells)> {
    read_as(path, shape, &Dialect::default())
}

/// Returns the recording in a file; a CSV is written in a dialect.
///
/// # Errors
///
/// As [`read`].
pub fn read_as(path: &Path, shape: &Shape<'_>, dialect: &Dialect) -> Result<(Vec<i16>, Cells)> {
    let (samples, cells) =
        if is_csv(path) { read_csv(path, shape, dialect)? } else { (read_wav(path, shape)?, Cells::new()) };
    ensure!(!samples.is_empty(), "{}: has no samples", path.display());
    Ok((samples, cells))
}

/// Reads a WAV file; all samples become 16 bits, full scale stays full scale.
fn read_wav(path: &Path, shape: &Shape<'_>) -> Result<Vec<i16>> {
    let name = path.display();
    let wav = Wav::open(path).with_context(|| format!("{name}"))?;
    ensure!(
        f64::from(wav.rate) == shape.rate,
        "{name}: has {} samples a second, signal.rate is {}: convert it (ffmpeg -i IN -ar RATE OUT), or change the rate of all",
        wav.rate,
        shape.rate
    );
    ensure!(
        usize::from(wav.channels) == shape.channels,
        "{name}: has {} channels, signal.channels is {}: convert it (ffmpeg -i IN -ac CHANNELS OUT), or change the channels of all",
        wav.channels,
        shape.channels
    );
    wav.samples().with_context(|| format!("{name}"))
}

fn read_csv(path: &Path, shape: &Shape<'_>, dialect: &Dialect) -> Result<(Vec<i16>, Cells)> {
    let table = Table::read(path, dialect)?;
    let columns = shape.columns.iter().map(|name| table.column(name)?.numbers()).collect::<Result<Vec<_>>>()?;
    check_time(&table, shape)?;
    let scale = 32_768.0 / shape.full_scale;
    let value = |x: f32| (f64::from(x) * scale).round() as i16;
    let samples = (0..table.rows()).flat_map(|row| columns.iter().map(move |column| value(column[row]))).collect();
    let known = shape.along.iter().filter(|name| table.columns().contains(name));
    let cells = known
        .map(|name| Ok((name.clone(), table.column(name)?.texts().into_iter().map(String::from).collect())))
        .collect::<Result<_>>()?;
    Ok((samples, cells))
}

/// Holds the rate of a recording against its own column of times, if it has one: refuses times that go backwards and another rate
/// in a unit that the column names; gaps are said.
fn check_time(table: &Table, shape: &Shape<'_>) -> Result<()> {
    let is_free = |name: &String| !shape.columns.contains(name) && !shape.along.contains(name);
    let found = table.columns().iter().filter(|name| is_free(name)).find_map(|name| Some((name, unit_of_time(name)?)));
    let Some((name, unit)) = found else { return Ok(()) };
    let column = table.column(name)?;
    let Ok(times) = column.wide_numbers() else {
        say_once(
            &format!("warning: column {name:?} holds no numbers, and signal.rate is not held against it"),
            &format!("({} the first)", column.place(0)),
        );
        return Ok(());
    };
    let steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if let Some(row) = steps.iter().position(|&step| step < 0.0) {
        bail!(
            "{}: column {name:?} goes backwards, from {} to {}: sort the rows, or make two recordings of them",
            column.place(row + 1),
            times[row],
            times[row + 1]
        );
    }
    let mut sorted = steps.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let (Some(&median), Some(first), Some(last)) = (sorted.get(sorted.len() / 2), times.first(), times.last()) else {
        return Ok(());
    };
    let long = sorted.iter().filter(|&&step| step > 1.5 * median).count();
    // Times in few digits are steps of nothing and of one in turns; then their mean alone is known.
    let has_gaps = median > 0.0 && long * 20 < steps.len();
    let typical = if has_gaps {
        let short = sorted.iter().filter(|&&step| step <= 1.5 * median);
        short.sum::<f64>() / (steps.len() - long) as f64
    } else {
        (last - first) / steps.len() as f64
    };
    let agrees = |unit: f64| (typical * unit * shape.rate - 1.0).abs() < 0.02;
    match unit {
        Some(unit) => ensure!(
            agrees(unit),
            "{}: column {name:?} has {:.1} samples a second, signal.rate is {}",
            column.place(0),
            1.0 / (typical * unit),
            shape.rate
        ),
        // Without a unit it may count the samples.
        None if typical == 1.0 || UNITS.iter().any(|&(_, unit)| agrees(unit)) => {}
        None => say_once(
            &format!(
                "warning: column {name:?} rises by {typical} a sample, which is no signal.rate of {} in s, ms, us or ns",
                shape.rate
            ),
            &format!("({} the first)", column.place(0)),
        ),
    }
    if let Some(row) = steps.iter().position(|&step| has_gaps && step > 1.5 * typical) {
        say_once(
            &format!("warning: recordings have gaps in their column {name:?}, over which samples are joined"),
            &format!(
                "({}, from {} to {}, the first of {long} in it)",
                column.place(row + 1),
                times[row],
                times[row + 1]
            ),
        );
    }
    Ok(())
}

/// Returns the unit in a column's name, if it is one of times.
fn unit_of_time(name: &str) -> Option<Option<f64>> {
    let name = name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_time = words.next().is_some_and(|word| ["time", "t", "timestamp", "times"].contains(&word));
    let unit = words.next().and_then(|word| UNITS.iter().find(|(names, _)| names.contains(&word)));
    is_time.then_some(unit.map(|(_, unit)| *unit))
}

const UNITS: [(&[&str], f64); 4] = [
    (&["s", "sec", "seconds"], 1.0),
    (&["ms", "milliseconds"], 1e-3),
    (&["us", "µs", "μs", "microseconds"], 1e-6),
    (&["ns", "nanoseconds"], 1e-9),
];

/// Recordings cut into samples of one length, and the front-end that makes features of them.
#[derive(Debug)]
pub struct Clips {
    /// The recordings.
    pub recordings: Vec<Recording>,
    /// Where each sample comes from: a recording, and where in it, in samples of each channel.
    pub cuts: Vec<(usize, usize)>,
    /// Samples of each channel.
    pub length: usize,
    /// Samples of each channel before these that the front-end hears without making features of them.
    pub settle: usize,
    /// Channels.
    pub channels: usize,
    /// Samples a second and channel.
    pub rate: f64,
    /// Where a shorter recording stands.
    pub place: f64,
    /// The front-end.
    pub extractor: Extractor,
    /// How training samples are varied.
    pub vary: Option<Variation>,
}

impl Clips {
    /// Returns the signal of a sample, what comes before it included.
    pub fn clip(&self, sample: usize) -> Vec<i16> {
        let (recording, start) = self.cuts[sample];
        let all = &self.recordings[recording].samples;
        let mut clip = vec![0; (self.settle + self.length) * self.channels];
        let count = all.len() / self.channels - start;
        let missing = (self.length.saturating_sub(count) as f64 * self.place).round() as usize;
        // Where the recording begins in the clip, or the clip in the recording.
        let before = (self.settle + missing).saturating_sub(start);
        let first = (start + before).saturating_sub(self.settle + missing);
        let kept = (all.len() / self.channels - first).min(self.settle + self.length - before);
        clip[before * self.channels..(before + kept) * self.channels]
            .copy_from_slice(&all[first * self.channels..(first + kept) * self.channels]);
        clip
    }

    /// Returns the signal of a sample as another recording of it might be.
    fn varied(&self, sample: usize, random: &mut ChaCha8Rng) -> Vec<i16> {
        let Some(vary) = &self.vary else { return self.clip(sample) };
        let (recording, start) = self.cuts[sample];
        let recording = &self.recordings[recording].samples;
        let Self { length, settle, place, channels, rate, .. } = *self;
        vary.apply(Cut { recording, start, length, settle, place, channels, rate }, random)
    }

    /// Returns the features of a view of a sample, `[windows, features]`.
    pub(super) fn view(&self, sample: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
        // A clip has a whole number of samples for each channel.
        self.features_of(&self.varied(sample, random)).unwrap_or_default()
    }

    /// Returns the features of a clip without those of the windows before it.
    fn features_of(&self, clip: &[i16]) -> Result<Vec<f32>> {
        let signal = self.extractor.signal()?;
        let settled = self.settle / (usize::from(signal.hop) * signal.decimation()) * usize::from(signal.features);
        let mut features = self.extractor.features(clip)?;
        features.drain(..settled);
        Ok(features)
    }

    /// Returns the features of all samples as they are, row by row.
    ///
    /// # Errors
    ///
    /// When the front-end cannot be run.
    pub fn features(&self) -> Result<Vec<f32>> {
        let rows: Vec<Vec<f32>> = (0..self.cuts.len())
            .into_par_iter()
            .map(|sample| {
                check_stopped()?;
                self.features_of(&self.clip(sample))
            })
            .collect::<Result<_>>()?;
        Ok(rows.concat())
    }

    /// Returns what is worth a word about the recordings: those that are silent, clipped, or of a few steps.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let silent = self.recordings.iter().filter(|one| one.samples.iter().all(|&x| x == one.samples[0]));
        let clipped = self.recordings.iter().filter(|one| {
            let full = one.samples.iter().filter(|&&x| x == i16::MAX || x == i16::MIN).count();
            full * 1000 > one.samples.len()
        });
        let changes = |one: &&Recording| one.samples.iter().any(|&x| x != one.samples[0]);
        let is_faint = |one: &&Recording| one.samples.iter().all(|&x| x.unsigned_abs() < FAINT);
        let has_few_levels = |one: &&Recording| {
            let mut levels = std::collections::BTreeSet::new();
            !one.samples.iter().any(|&x| {
                levels.insert(x);
                levels.len() >= FEW_LEVELS
            })
        };
        let (changing, tables) = (|| self.recordings.iter().filter(changes), |one: &&Recording| is_csv(&one.path));
        let faint = changing().filter(|one| tables(one) && is_faint(one));
        let coarse = changing().filter(|one| has_few_levels(one) && !(tables(one) && is_faint(one)));
        let mut say = |what: &str, which: Vec<&Recording>| {
            if let Some(first) = which.first() {
                remarks.push(format!("warning: {} recordings {what}, {} the first", which.len(), first.path.display()));
            }
        };
        say("never change: the sensor was off", silent.collect());
        say("are clipped: more than one sample in a thousand is at full scale", clipped.collect());
        say(
            "stay below 1 % of signal.full_scale, of which 16 bits leave a few steps: take a smaller one",
            faint.collect(),
        );
        say("have fewer than 16 different samples", coarse.collect());
        remarks
    }
}

/// A hundredth of full scale.
const FAINT: u16 = 328;

/// Fewer levels than that make a signal of steps.
const FEW_LEVELS: usize = 16;
