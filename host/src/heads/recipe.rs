//! `[[heads]]` of a recipe.

use serde::{Deserialize, Serialize};

use super::HeadKind;
use crate::domain::RegressionLoss;

/// `[[heads]]`: something that the network answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// What the head is called, in the model and on the board.
    pub name: String,
    /// `class`, `binary`, `multilabel`, `regression` or `reconstruction`.
    pub kind: HeadKind,
    /// csv, one column: class, binary, regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// csv, several columns: multilabel, regression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Names of the classes or outputs; a class head of a csv takes those of the data when it is not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// csv, recordings: the class of everything that `labels` do not name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<String>,
    /// random: how many outputs a regression has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<usize>,
    /// What the head's loss is multiplied by.
    #[serde(default = "one")]
    pub weight: f64,
    /// regression: how far an answer is from its label: `mse`, `huber` or `cosine` (the direction of all outputs together).
    #[serde(default)]
    pub loss: RegressionLoss,
    /// What the logits are divided by against the teacher, in the place of the recipe's temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Whether labels may be missing: an empty cell, NaN, or a class below 0. What is not known teaches nothing.
    #[serde(default)]
    pub partial: bool,
}

impl Head {
    /// Returns the columns that its labels are in.
    pub fn column_names(&self) -> &[String] {
        if self.columns.is_empty() { self.column.as_slice() } else { &self.columns }
    }
}

fn one() -> f64 {
    1.0
}
