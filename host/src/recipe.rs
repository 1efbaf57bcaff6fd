//! Recipes: what a user writes down about data, facts, teacher and student.
//!
//! Every section and key is documented at its field here; a key that is not known is refused together with the nearest
//! one that is.

mod distill;
mod format;
#[cfg(test)]
mod keys;
mod limits;
mod net;
mod quantize;
mod read;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::{Normalize, Outliers};
use crate::facts::Fact;
use crate::heads::Head;
use crate::signal::recipe as signal;

pub use distill::{Balance, Distill, Linear, Method, Rule, Scheduled, Term};
pub use format::Format;
pub use net::{
    AnswerKind, Arch, FuseAt, Fusion, Gather, Layer, LayerKind, Net, OptimizerKind, Padding, Schedule, Size,
};
pub use quantize::{DenseOrder, Quantize, Weights};

/// A whole recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the run is called; the default is the name of the recipe's file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where all randomness starts.
    #[serde(default)]
    pub seed: u64,
    /// Where samples come from.
    pub data: Data,
    /// What the network sees.
    #[serde(default)]
    pub input: Input,
    /// What is known beside the input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(serialize_with = "crate::facts::written")]
    pub facts: Vec<Fact>,
    /// What the network answers.
    pub heads: Vec<Head>,
    /// recordings: how the samples of a sensor become what the network sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<signal::Signal>,
    /// How training samples are varied.
    #[serde(default, skip_serializing_if = "Augment::is_default")]
    pub augment: Augment,
    /// The large network; left out, the student learns from the labels alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<Net>,
    /// Several teachers, each for the heads that it names, in the place of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<Net>,
    /// A network between teacher and student: it learns from the teacher, the student from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assistant: Option<Net>,
    /// The small network.
    pub student: Net,
    /// How the student learns from the teacher.
    #[serde(default)]
    pub distill: Distill,
    /// How the student becomes integers.
    #[serde(default)]
    pub quantize: Quantize,
    /// Which other students are trained to compare with.
    #[serde(default)]
    pub compare: Compare,
    /// What the student may take.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
}

/// `[data]`: where samples come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// `csv`, `arrays`, `recordings`, `images`, `bearing`, `commands` or `random`.
    pub format: Format,
    /// csv: the file, below `--data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// recordings: WAV or CSV files below `--data`, one recording each; images: PNG or JPEG files; `{name}` makes what stands there in a file's name a column,
    /// `*` is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// arrays: the files of the training part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Arrays>,
    /// arrays: more inputs for training, without labels: the teacher says what they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<String>,
    /// arrays: the files of the test part; without them `split.test` cuts one off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Arrays>,
    /// Which share of the samples is kept for what.
    #[serde(default)]
    pub split: Split,
    /// bearing, commands, random: how many samples are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// bearing: the share of training labels that are wrong, as when a technician misread the machine.
    #[serde(default)]
    pub label_noise: f64,
    /// bearing, commands, random: the seed of the simulator, apart from that of the training.
    #[serde(default)]
    pub seed: u64,
    /// CSV files: the delimiter, as in `";"` or `"tab"`; detected from the first lines by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// CSV files: the decimal separator, `"."` or `","`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<String>,
    /// CSV files: the encoding, as in `"windows-1252"`; the default is that of the byte order mark, or UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// CSV files: lines that begin with this character are left out; at the head of a file those with `#` are anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// CSV files: lines that are left out, counted from 1, such as one of units below the header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<u64>,
    /// CSV files: cells that stand for nothing, as text or as number, beside empty ones, NA, NaN and null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// csv: what becomes of a row with a missing input: `refuse` or `drop`.
    #[serde(default, skip_serializing_if = "MissingRows::is_refuse")]
    pub missing_rows: MissingRows,
}

/// What becomes of a row with a missing input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingRows {
    /// The table is refused.
    #[default]
    Refuse,
    /// The row is left out, and counted.
    Drop,
}

impl MissingRows {
    fn is_refuse(&self) -> bool {
        *self == Self::Refuse
    }
}

/// Files of one part of the data; `file#member` picks an array of an npz or safetensors file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrays {
    /// The inputs, `[samples, ...]`.
    pub input: String,
    /// The targets of each head by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heads: BTreeMap<String, String>,
    /// The values of each fact by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// `split`: shares of all samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The share that is kept for the figures in the report.
    #[serde(default = "Split::default_test")]
    pub test: f64,
    /// The share that chooses the checkpoint.
    #[serde(default = "Split::default_validation")]
    pub validation: f64,
    /// csv, recordings, images: a column whose equal values stay on one side. commands: `name`, so that no name of one split is in another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// recordings: the groups that are the test split, in the place of a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_out: Option<Vec<String>>,
    /// recordings: stretches of a recording, such as `"30 s"`, whose samples stay on one side, in the place of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<signal::Span>,
}

impl Split {
    fn default_test() -> f64 {
        0.2
    }

    fn default_validation() -> f64 {
        0.1
    }
}

impl Default for Split {
    fn default() -> Self {
        Self {
            test: Self::default_test(),
            validation: Self::default_validation(),
            group: None,
            hold_out: None,
            block: None,
        }
    }
}

/// `[input]`: what the network sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What the input is called in the model file; the default of a text is its column.
    #[serde(default = "Input::default_name")]
    pub name: String,
    /// `[height, width, channels]` (a series has height 1), `[height, width]` or `[values]`; the default is what the data
    /// say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shape: Vec<usize>,
    /// csv: the columns that make the input, by the name that they get in the model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// csv: the column whose texts are the input, in the place of `columns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// text: the bytes of the longest text that the model is to take; the default is the longest of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// The units of columns, which expressions of facts are held against.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, String>,
    /// How raw values are brought to mean 0 and deviation 1: `channel`, `all` or `none`.
    #[serde(default)]
    pub normalize: Normalize,
    /// What becomes of values of a channel that lie far outside of nearly all others: `clip` or `keep`.
    #[serde(default)]
    pub outliers: Outliers,
}

impl Input {
    fn default_name() -> String {
        "input".into()
    }

    /// A text without a name of its own is called as its column is.
    fn name_text(&mut self) {
        if let (Some(text), true) = (&self.text, self.name == Self::default_name()) {
            self.name.clone_from(text);
        }
    }
}

impl Default for Input {
    fn default() -> Self {
        Self {
            name: Self::default_name(),
            shape: Vec::new(),
            columns: BTreeMap::new(),
            text: None,
            length: None,
            units: BTreeMap::new(),
            normalize: Normalize::default(),
            outliers: Outliers::default(),
        }
    }
}

/// `[augment]`: how training samples are varied, for teacher and student alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Positions by which an image or a series is moved at most, along each of its axes.
    #[serde(default)]
    pub shift: usize,
    /// Whether half of the samples are turned round along their width.
    #[serde(default)]
    pub flip: bool,
    /// The least share of each axis that is kept and stretched over all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
    /// The deviation of noise, in units of the normalised values.
    #[serde(default)]
    pub noise: f64,
    /// How far from 1 the factor of a sample's values is at most.
    #[serde(default)]
    pub scale: f64,
    /// How much of a sample is covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// The parameter of the Beta distribution that the shares of mixed samples come from (Zhang et al. 2018).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixup: Option<f64>,
    /// What a fact says of how samples may vary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// How many views of a sample there are; 0 is a new one in each epoch.
    #[serde(default)]
    pub views: usize,
}

/// Spans that are covered by the mean of the training samples, one along each axis (SpecAugment; Park et al. 2019).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// The greatest share of the rows of an image.
    #[serde(default)]
    pub height: f64,
    /// That of the columns, or of the positions of a series.
    #[serde(default)]
    pub width: f64,
    /// That of the channels.
    #[serde(default)]
    pub channels: f64,
}

impl Mask {
    /// Returns the shares in the order of the axes.
    pub fn shares(&self) -> [f64; 3] {
        [self.height, self.width, self.channels]
    }
}

/// A number that everything in a sample goes with: at another shaft speed the same machine gives the same sample, faster or
/// slower, and the fact says which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// The fact, a number that is set; it is multiplied by the same factor.
    pub fact: String,
    /// How far the factor is from 1 at most: it lies between 1 / (1 + by) and 1 + by.
    pub by: f64,
    /// What the width of a sample is: `time`, or `frequency`.
    pub axis: PaceAxis,
    /// frequency: the number of the first line, which has so many times the distance of two lines.
    #[serde(default)]
    pub first_line: usize,
}

/// What the width of a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaceAxis {
    /// What goes faster is compressed.
    Time,
    /// What goes faster is stretched.
    Frequency,
}

impl Augment {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether samples are varied at all.
    pub fn is_any(&self) -> bool {
        Self { views: 0, ..self.clone() } != Self::default()
    }

    /// Returns how many views a training of some epochs sees.
    pub fn views_in(&self, epochs: usize, signals: bool) -> usize {
        match (signals || self.is_any(), self.views) {
            (false, _) => 1,
            (true, 0) => epochs.max(1),
            (true, views) => views.min(epochs.max(1)),
        }
    }
}

/// `[budget]`: what the student may take; an export that takes more fails, before anything is trained.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Bytes of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash: Option<Bytes>,
    /// Bytes of the arena.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram: Option<Bytes>,
    /// Multiply-accumulates of one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<u64>,
    /// Steps of one run: multiply-accumulates, taps of pools, values of other operators, facts, and the front-end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<u64>,
}

impl Budget {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A number of bytes, or text like `"16 KiB"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of bytes, or text like \"16 KiB\"")]
pub enum Bytes {
    /// Bytes.
    Number(u64),
    /// A number with a unit: B, KiB, kB, MiB or MB.
    Text(String),
}

impl Bytes {
    /// Returns the number of bytes.
    ///
    /// # Errors
    ///
    /// When the text is not a number with a unit.
    pub fn get(&self) -> anyhow::Result<u64> {
        let text = match self {
            Self::Number(bytes) => return Ok(*bytes),
            Self::Text(text) => text.trim(),
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match text[digits.len()..].trim() {
            "" | "B" => Some(1),
            "KiB" => Some(1024),
            "kB" => Some(1000),
            "MiB" => Some(1 << 20),
            "MB" => Some(1_000_000),
            _ => None,
        };
        let number = digits.trim().replace('_', "").parse::<u64>().ok();
        number
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor))
            .ok_or_else(|| anyhow::anyhow!("{text:?} is no number of bytes; write 16384 or \"16 KiB\""))
    }
}

/// `[compare]`: which other students are trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Also a student that sees the labels alone.
    #[serde(default)]
    pub labels: bool,
    /// Also a student that sees neither teacher nor facts.
    #[serde(default)]
    pub without_facts: bool,
    /// Also the integers of the student before it was trained on as if in integers.
    #[serde(default)]
    pub calibrated: bool,
    /// How many seeds each student is trained from; the file is that of the first.
    #[serde(default = "Compare::default_seeds")]
    pub seeds: usize,
}

impl Compare {
    fn default_seeds() -> usize {
        1
    }
}

impl Default for Compare {
    fn default() -> Self {
        Self { labels: false, without_facts: false, calibrated: false, seeds: Self::default_seeds() }
    }
}

fn yes() -> bool {
    true
}
