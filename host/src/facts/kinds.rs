//! The kinds of facts; each is a file of its own.

mod category;
mod date;
mod derived;
mod flag;
mod gazetteer;
mod number;
mod rule;

use std::fmt;

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::{EncoderKind, Value};
use crate::support::suggest::{did_you_mean, shortened};

/// All kinds, in the order in which errors list them.
const KINDS: [&dyn Kind; 7] = [
    &number::Number,
    &category::Category,
    &flag::Flag,
    &derived::Derived,
    &rule::Rule,
    &date::Date,
    &gazetteer::Gazetteer,
];

/// A kind of fact.
pub trait Kind: Sync {
    /// What recipes call it.
    fn name(&self) -> &'static str;

    /// What it is on the board.
    fn value(&self) -> Value;

    /// The encoders that it may have; the first is the default.
    fn encoders(&self) -> &'static [EncoderKind];

    /// The keys of `[[facts]]` that it takes, beside those that every fact and its encoder have.
    fn keys(&self) -> &'static [&'static str] {
        &["column", "constant", "file", "key", "dropout"]
    }

    /// Whether the board computes it; otherwise it is set.
    fn is_computed(&self) -> bool {
        false
    }

    /// Returns the unit in which it is set when the recipe names none.
    fn unit(&self) -> &'static str {
        ""
    }

    /// Returns the period of the encoder `periodic` when the recipe names none.
    fn period(&self) -> Option<f32> {
        None
    }

    /// Reads a cell that is not empty; of a category, [`super::GivenFact::read`] looks up the text instead.
    ///
    /// # Errors
    ///
    /// Says what the cell should hold.
    fn read(&self, text: &str) -> Result<f32> {
        let number = text.parse().ok().filter(|number: &f32| number.is_finite());
        number.with_context(|| format!("holds {:?}, expected a finite number", shortened(text)))
    }
}

/// A kind by its name.
#[derive(Clone, Copy)]
pub struct KindName(&'static dyn Kind);

impl KindName {
    /// A condition.
    pub(crate) const RULE: Self = Self(&rule::Rule);

    /// Returns the kind of a name, or an error that lists all.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub fn find(name: &str) -> Result<Self> {
        let names = || KINDS.iter().map(|kind| kind.name());
        KINDS.iter().find(|kind| kind.name() == name).map(|kind| Self(*kind)).with_context(|| {
            let near = did_you_mean(name, names());
            format!("there is no kind of fact {name:?}{near}; there are {}", names().collect::<Vec<_>>().join(", "))
        })
    }
}

impl KindName {
    /// Returns whether it is a category on the board.
    pub fn is_category(&self) -> bool {
        self.value() == Value::Category
    }
}

impl std::ops::Deref for KindName {
    type Target = dyn Kind;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl fmt::Debug for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl PartialEq for KindName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Serialize for KindName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for KindName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::find(&name).map_err(serde::de::Error::custom)
    }
}
