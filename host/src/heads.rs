//! Heads: what a network answers. Each kind is a file of its own, a line in the table here, and all that differs between
//! kinds: labels, figures, probabilities, what `attar run` prints and what the page of a run shows.

mod binary;
mod class;
mod evidence;
mod flags;
mod metrics;
mod multilabel;
mod probabilities;
mod recipe;
mod reconstruction;
mod regression;
mod target;

use std::fmt;

use anyhow::{Context, Result, bail};
use attar_device::HeadOutput;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use evidence::{Bin, MATRIX, Mistake, View};
pub use metrics::{ClassFigures, HeadMetrics, first_greatest};
pub use recipe::Head;
pub use target::{Form, Labels, Target};

use crate::support::suggest::did_you_mean;
use crate::tables::Column;

/// All kinds, in the order in which errors list them.
const KINDS: [&dyn Kind; 5] =
    [&class::Class, &binary::Binary, &multilabel::Multilabel, &regression::Regression, &reconstruction::Reconstruction];

/// A kind of head.
pub trait Kind: Sync {
    /// What recipes call it.
    fn name(&self) -> &'static str;

    /// What it is in a model's file.
    fn format(&self) -> attar_shared::HeadKind;

    /// What its labels are.
    fn form(&self) -> Form;

    /// The keys of `[[heads]]` that it takes, beside those that every head has.
    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether its label is the input itself.
    fn is_input(&self) -> bool {
        false
    }

    /// Whether a table has a column for each of its outputs, so that a recipe names `columns`.
    fn is_wide(&self) -> bool {
        false
    }

    /// Whether a number of an array stands for a label that is not known, where labels may be missing.
    fn is_unknown(&self, number: f32) -> bool {
        number.is_nan()
    }

    /// Reads the labels in the columns of a table.
    ///
    /// # Errors
    ///
    /// When a cell is no label of the head; the message names file and line.
    fn read_columns(&self, head: &Head, columns: &[Column<'_>]) -> Result<Target>;

    /// Reads the labels in an array, `[samples, width]` row by row; `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// When a number is no label of the head; the message names the sample.
    fn read_numbers(&self, head: &Head, numbers: Vec<Option<f32>>, width: usize, file: &str) -> Result<Target>;

    /// Returns the figures of logits for some samples, `[samples, outputs]` row by row, over those whose label is known.
    fn measure(&self, target: &Target, samples: &[usize], logits: &[f32]) -> HeadMetrics;

    /// Returns why figures are no better than those of an answer that ignores its input, if they are not.
    fn no_better_than_chance(&self, _target: &Target, _samples: &[usize], _figures: &HeadMetrics) -> Option<String> {
        None
    }

    /// Returns the probabilities of a sample's logits, or numbers in the target's unit.
    fn probabilities(&self, target: &Target, logits: &[f32]) -> Vec<f32>;

    /// Returns how many samples have each label; nothing for numbers.
    fn counts(&self, target: &Target, samples: &[usize]) -> Vec<(String, usize)>;

    /// Returns the output of a label that a rule names.
    ///
    /// # Errors
    ///
    /// When the head has no such label.
    fn output_of(&self, target: &Target, label: Option<&str>) -> Result<usize> {
        let label = label.with_context(|| format!("distill.rules: label is missing for head {:?}", target.name))?;
        target.labels.iter().position(|known| known == label).with_context(|| {
            let near = did_you_mean(label, target.labels.iter().map(String::as_str));
            format!(
                "distill.rules: head {:?} has no label {label:?}{near}; it has {}",
                target.name,
                target.labels.join(", ")
            )
        })
    }

    /// Takes a rule's strength from the logits of all answers that break it: that an output holds, or does not.
    fn shift(&self, logits: &mut [f32], output: usize, holds: bool, strength: f32) {
        logits[output] += if holds { strength } else { -strength };
    }

    /// Returns the names of the answers on the page of a run.
    fn answer_names(&self, target: &Target) -> Vec<String> {
        (0..target.outputs).map(|output| target.output_name(output)).collect()
    }

    /// Returns what the page shows of the answers to some samples, logits of `[samples, outputs]`.
    fn view(&self, target: &Target, samples: &[usize], logits: &[f32]) -> View;

    /// Returns what is wrong with the answer to a sample, if it is known to be.
    fn mistake(&self, target: &Target, sample: usize, logits: &[f32]) -> Option<Mistake>;

    /// Returns the names of columns and rows of [`View::confusion`]; in row r, column r modulo the columns is right.
    fn confusion_names(&self, answers: &[String]) -> [Vec<String>; 2] {
        [answers.to_vec(), answers.to_vec()]
    }

    /// Returns a sample's label in words; `truth` is what [`Target::written`] gives, `answers` the names of the answers.
    fn truth_text(&self, answers: &[String], truth: &[Option<f32>]) -> String;

    /// Returns probabilities in words.
    fn answer_text(&self, answers: &[String], probabilities: &[f32]) -> String;

    /// Returns the line that `attar run` prints of an answer, behind the head's name.
    fn output_text(&self, output: &HeadOutput<'_>) -> String;

    /// Returns what `attar run --json` prints of an answer.
    fn output_json(&self, output: &HeadOutput<'_>) -> Value;
}

/// A kind by its name.
#[derive(Clone, Copy)]
pub struct HeadKind(&'static dyn Kind);

impl HeadKind {
    /// One of several classes.
    pub const CLASS: Self = Self(&class::Class);
    /// Yes or no.
    pub const BINARY: Self = Self(&binary::Binary);
    /// Several labels that may hold at once.
    pub const MULTILABEL: Self = Self(&multilabel::Multilabel);
    /// Numbers.
    pub const REGRESSION: Self = Self(&regression::Regression);

    /// Returns the kind of a name.
    ///
    /// # Errors
    ///
    /// When there is none of that name; the message lists all.
    pub fn find(name: &str) -> Result<Self> {
        let names = || KINDS.iter().map(|kind| kind.name());
        match KINDS.iter().find(|kind| kind.name() == name) {
            Some(kind) => Ok(Self(*kind)),
            None => {
                let near = did_you_mean(name, names());
                bail!("there is no kind of head {name:?}{near}; there are {}", names().collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Returns the kind of a head in a model's file.
    pub fn of_format(kind: attar_shared::HeadKind) -> Self {
        match kind {
            attar_shared::HeadKind::Class => Self::CLASS,
            attar_shared::HeadKind::Binary => Self::BINARY,
            attar_shared::HeadKind::Multilabel => Self::MULTILABEL,
            attar_shared::HeadKind::Regression => Self::REGRESSION,
        }
    }
}

impl std::ops::Deref for HeadKind {
    type Target = dyn Kind;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl fmt::Debug for HeadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.name())
    }
}

impl PartialEq for HeadKind {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for HeadKind {}

impl Serialize for HeadKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for HeadKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::find(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind in a file is one of the kinds, and that one is written as it was read.
    #[test]
    fn kinds_have_a_name_each_and_come_back_from_the_format() {
        for (place, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..place].iter().all(|other| other.name() != kind.name()), "{}", kind.name());
            assert_eq!(HeadKind::find(kind.name()).unwrap().name(), kind.name());
            assert_eq!(HeadKind::of_format(kind.format()).format(), kind.format(), "{}", kind.name());
        }
        let error = HeadKind::find("clas").unwrap_err().to_string();
        assert!(error.starts_with("there is no kind of head \"clas\" (did you mean \"class\"?)"), "{error}");
        assert!(error.ends_with("there are class, binary, multilabel, regression, reconstruction"), "{error}");
    }

    /// A third name would be a label that is neither no nor yes.
    #[test]
    fn a_binary_head_has_two_names_or_none() {
        for (labels, is_good) in [("[]", true), ("['ok', 'worn']", true), ("['ok']", false), ("['a', 'b', 'c']", false)]
        {
            let head: Head = toml::from_str(&format!("name = 'y'\nkind = 'binary'\nlabels = {labels}")).unwrap();
            let read = head.kind.read_numbers(&head, vec![Some(1.0), None], 1, "y.npy");
            assert_eq!(read.is_ok(), is_good, "{labels}");
            match read {
                Ok(target) => assert_eq!(target.values, Labels::Flags(vec![Some(true), None])),
                Err(error) => assert!(error.to_string().contains("expected no and yes"), "{error}"),
            }
        }
        assert!(HeadKind::CLASS.is_unknown(-1.0) && !HeadKind::REGRESSION.is_unknown(-1.0));
    }
}
