//! `[[facts]]` in a recipe: every key that a fact may have, and which of them belong together.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::expression::Expression;
use super::kinds::KindName;
use super::value::EncoderKind;
use crate::support::suggest::did_you_mean;

/// `[[facts]]`: something that is known beside the input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What the fact is called, in the model and on the board.
    pub name: String,
    /// `number`, `category`, `flag`, `derived`, `rule`, `date` or `gazetteer`.
    pub kind: KindName,
    /// csv: the column; the default is the name. gazetteer: the column of the features, otherwise the second of `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What it is for every sample, in the place of a column: a number, or a category's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<Constant>,
    /// A CSV below `--data` that holds the column, in the place of the data's own table. gazetteer: a phrase and one of its
    /// features in each row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The column that the data's table and `file` have in common; without it, rows belong together in their order.
    /// gazetteer: the column of the phrases, otherwise the first of `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// number, derived: the unit in which it is set or computed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// derived, rule: the expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<Expression>,
    /// How it enters the network; the default is the kind's. `none` keeps it for expressions alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderKind>,
    /// z-score, log: the mean; measured on the training split when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f32>,
    /// z-score, log: the deviation; measured on the training split when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f32>,
    /// range: what becomes 0; measured on the training split when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f32>,
    /// range: what becomes 1; measured on the training split when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f32>,
    /// periodic: after which everything is as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<f32>,
    /// embedding: how many values a row has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// category: the values; the default is those of the training data, sorted. gazetteer: the features; the default is those
    /// of its table, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// category: what else is known of each value, for expressions: `name.column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
    /// number: so many facts `name_0`, `name_1`, ... of one kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<usize>,
    /// The chance of being hidden from a sample in training, in the place of the network's `fact_dropout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Whether it is known when training alone: the teacher sees it, the board never does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// Whether it is the condition of a rule, which the recipe writes elsewhere.
    #[serde(skip)]
    pub(crate) is_condition: bool,
}

/// What a fact is for every sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, true, false, or a category's value")]
pub enum Constant {
    /// yes or no.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A text, as a cell would hold it.
    Text(String),
}

impl Constant {
    /// Returns what a cell would hold.
    pub fn text(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// What else is known of each value of a category.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// A CSV below `--data` with a row for each value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The column of the file that holds the values; the default is its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Without a file: for each column a number by value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, BTreeMap<String, f32>>,
    /// The units of columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, String>,
}

impl Fact {
    /// Returns a condition that is computed and that no network sees.
    pub(crate) fn condition(name: String, expr: Expression) -> Self {
        Self {
            name,
            kind: KindName::RULE,
            column: None,
            constant: None,
            file: None,
            key: None,
            unit: String::new(),
            expr: Some(expr),
            encoder: Some(EncoderKind::None),
            mean: None,
            deviation: None,
            low: None,
            high: None,
            period: None,
            width: None,
            values: Vec::new(),
            table: None,
            repeat: None,
            dropout: None,
            privileged: true,
            is_condition: true,
        }
    }

    /// Returns how it enters the network.
    pub fn encoder(&self) -> EncoderKind {
        self.encoder.unwrap_or(self.kind.encoders()[0])
    }

    /// Returns whether data of arrays hold it themselves.
    pub fn is_in_arrays(&self) -> bool {
        !self.kind.is_computed() && self.constant.is_none() && self.file.is_none()
    }

    /// Returns the unit in which it is set or computed.
    pub fn unit(&self) -> &str {
        if self.unit.is_empty() { self.kind.unit() } else { &self.unit }
    }

    /// Checks that its keys belong to its kind and encoder.
    ///
    /// # Errors
    ///
    /// When one does not, or one is missing.
    pub fn check(&self) -> Result<()> {
        let encoder = self.encoder();
        let word = |encoder: EncoderKind| serde_json::to_value(encoder).ok().and_then(|v| v.as_str().map(String::from));
        if !self.kind.encoders().contains(&encoder) {
            let known: Vec<String> = self.kind.encoders().iter().filter_map(|&encoder| word(encoder)).collect();
            bail!("encoder of a {} is one of {}", self.kind.name(), known.join(", "));
        }
        let allowed: BTreeSet<&str> = self.kind.keys().iter().chain(encoder.keys()).copied().collect();
        for key in self.keys() {
            ensure!(
                allowed.contains(key),
                "kind {:?} with encoder {:?} has no key {key}",
                self.kind.name(),
                word(encoder).unwrap_or_default()
            );
        }
        let by_expression = self.kind.keys().contains(&"expr");
        ensure!(!by_expression || self.expr.is_some(), "kind {:?} needs expr = \"...\"", self.kind.name());
        ensure!(encoder != EncoderKind::Periodic || self.period().is_some(), "encoder \"periodic\" needs period = ...");
        ensure!(self.period().is_none_or(|period| period.is_normal() && period > 0.0), "period is not above 0");
        if encoder == EncoderKind::Embedding {
            let width = self.width.context("encoder \"embedding\" needs width = ..., the values of a row")?;
            ensure!((1..=256).contains(&width), "width is {width}, expected 1 to 256");
        }
        ensure!(
            self.dropout.is_none_or(|chance| (0.0..1.0).contains(&chance)),
            "dropout is no share from 0 to below 1"
        );
        ensure!(self.column.is_none() || self.constant.is_none(), "has both a column and a constant");
        ensure!(self.file.is_none() || self.constant.is_none(), "has both a file and a constant");
        ensure!(
            self.key.is_none() || self.file.is_some(),
            "key says which rows of a file belong to which of the data: name the file"
        );
        let mut seen = BTreeSet::new();
        for value in &self.values {
            ensure!(!value.is_empty() && value.len() <= 255, "a value is empty, or has more than 255 bytes");
            ensure!(seen.insert(value), "value {value:?} appears twice");
        }
        for (key, number) in
            [("mean", self.mean), ("deviation", self.deviation), ("low", self.low), ("high", self.high)]
        {
            ensure!(number.is_none_or(f32::is_finite), "{key} is {number:?}, expected a finite number");
        }
        if let Some(table) = &self.table {
            table.check(&self.values)?;
        }
        Ok(())
    }

    /// Returns the period of the encoder `periodic`.
    pub fn period(&self) -> Option<f32> {
        self.period.or_else(|| self.kind.period())
    }

    /// Returns the keys that are given, those aside that every fact has.
    fn keys(&self) -> Vec<&'static str> {
        [
            ("column", self.column.is_some()),
            ("constant", self.constant.is_some()),
            ("file", self.file.is_some()),
            ("key", self.key.is_some()),
            ("unit", !self.unit.is_empty()),
            ("expr", self.expr.is_some()),
            ("mean", self.mean.is_some()),
            ("deviation", self.deviation.is_some()),
            ("low", self.low.is_some()),
            ("high", self.high.is_some()),
            ("period", self.period.is_some()),
            ("width", self.width.is_some()),
            ("values", !self.values.is_empty()),
            ("table", self.table.is_some()),
            ("repeat", self.repeat.is_some()),
            ("dropout", self.dropout.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect()
    }
}

impl Table {
    fn check(&self, values: &[String]) -> Result<()> {
        ensure!(
            self.file.is_some() == self.columns.is_empty(),
            "table needs either file = \"FILE.csv\" or columns = {{ COLUMN = {{ VALUE = NUMBER }} }}"
        );
        ensure!(self.key.is_none() || self.file.is_some(), "table.key belongs to a table in a file");
        for (column, numbers) in &self.columns {
            for (value, number) in numbers {
                ensure!(number.is_finite(), "table.columns.{column}.{value} is {number}, expected a finite number");
                if !values.is_empty() && !values.contains(value) {
                    let near = did_you_mean(value, values.iter().map(String::as_str));
                    bail!("table.columns.{column} has {value:?}, which is none of the values{near}");
                }
            }
        }
        Ok(())
    }
}

/// Writes the facts of a recipe, without the conditions of its rules.
pub(crate) fn written<S: serde::Serializer>(facts: &[Fact], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(facts.iter().filter(|fact| !fact.is_condition))
}

/// Facts as a recipe writes them.
#[derive(Debug)]
pub(crate) struct Written<'a>(pub(crate) &'a [Fact]);

impl Serialize for Written<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        written(self.0, serializer)
    }
}

/// Returns facts in the order of the model: what is computed stands behind what it is computed from, and what only the
/// teacher knows behind everything else.
///
/// # Errors
///
/// When facts are computed from each other in a circle, or one that the board knows from one that it does not.
pub fn in_order(facts: Vec<Fact>) -> Result<Vec<Fact>> {
    let read_by = |fact: &Fact| -> Vec<String> {
        fact.expr.as_ref().map(|expr| expr.names().map(String::from).collect()).unwrap_or_default()
    };
    let hidden: BTreeSet<String> = facts.iter().filter(|fact| fact.privileged).map(|fact| fact.name.clone()).collect();
    for fact in facts.iter().filter(|fact| !fact.privileged) {
        if let Some(source) = read_by(fact).into_iter().find(|name| hidden.contains(name)) {
            bail!(
                "fact {:?} is computed from {source:?}, which is privileged: it has to be privileged as well",
                fact.name
            );
        }
    }
    let (mut ordered, mut rest): (Vec<Fact>, Vec<Fact>) = (Vec::new(), facts);
    rest.sort_by_key(|fact| (fact.privileged, fact.kind.is_computed()));
    while !rest.is_empty() {
        let waits = |fact: &Fact| {
            let sources = read_by(fact);
            rest.iter().any(|other| sources.contains(&other.name))
        };
        let Some(next) = rest.iter().position(|fact| !waits(fact)) else {
            let names: Vec<&str> = rest.iter().map(|fact| fact.name.as_str()).collect();
            bail!("facts {} are computed from each other in a circle", names.join(", "));
        };
        ordered.push(rest.remove(next));
    }
    Ok(ordered)
}

fn is_false(value: &bool) -> bool {
    !value
}
