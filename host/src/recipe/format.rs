//! Formats of `[data]`: which keys each takes, and what it needs of them.
//!
//! A format is two files of one name: what a recipe may say of it, here, and its reader in `data/readers`. A recipe is checked
//! before anything is read, also where there are no data, and data is listed after recipe.

mod arrays;
mod bearing;
mod commands;
mod csv;
mod images;
mod random;
mod recordings;

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Head, MissingRows, Recipe};
use crate::losses::unknown_variant;

/// All formats, in the order in which errors list them.
const FORMATS: &[&dyn Keys] = &[
    &csv::Csv,
    &arrays::Arrays,
    &recordings::Recordings,
    &images::Images,
    &bearing::Bearing,
    &commands::Commands,
    &random::Random,
];

/// What a format takes of a recipe.
pub trait Keys: Sync {
    /// Returns what recipes call it.
    fn name(&self) -> &'static str;

    /// Returns the keys that it takes, of those that not all formats do.
    fn keys(&self) -> &'static [&'static str];

    /// Checks that the keys that it needs are there; `heads` are those that need labels.
    ///
    /// # Errors
    ///
    /// When one is missing, or contradicts another.
    fn check(&self, recipe: &Recipe, heads: &[&Head]) -> Result<()>;

    /// Returns whether its samples are texts.
    fn is_text(&self, _recipe: &Recipe) -> bool {
        false
    }

    /// Returns whether it has labels, some of which may be missing.
    fn has_labels(&self) -> bool {
        true
    }

    /// Returns what it makes for each of `data.samples`: a number of values, and the key that gives it.
    fn made(&self, _recipe: &Recipe) -> Vec<(&'static str, usize)> {
        Vec::new()
    }
}

/// A format by its name.
#[derive(Clone, Copy)]
pub struct Format(&'static dyn Keys);

impl Format {
    /// Returns all formats.
    pub fn all() -> impl Iterator<Item = Self> {
        FORMATS.iter().copied().map(Self)
    }

    /// Returns whether it takes a key.
    pub fn takes(self, key: &str) -> bool {
        self.keys().contains(&key)
    }

    /// Returns whether heads and facts are columns of its own table.
    pub fn has_columns(self) -> bool {
        self.takes("column")
    }

    /// Checks that a recipe has only keys that its format takes: what is written down has to count.
    pub(super) fn check_unused(self, recipe: &Recipe) -> Result<()> {
        for (key, given) in SOME_KEYS {
            let Some(written) = given(recipe).filter(|_| !self.takes(key)) else { continue };
            let formats: Vec<String> =
                Self::all().filter(|format| format.takes(key)).map(|format| format!("{:?}", format.name())).collect();
            let formats = match formats.as_slice() {
                [one] => format!("format {one}"),
                [others @ .., last] => format!("formats {} and {last}", others.join(", ")),
                [] => "no format".into(),
            };
            anyhow::bail!("{written} belongs to {formats}: leave it out");
        }
        Ok(())
    }
}

impl std::ops::Deref for Format {
    type Target = dyn Keys;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let names = || Self::all().map(|format| format.name());
        let found = Self::all().find(|format| format.name() == name);
        found.ok_or_else(|| serde::de::Error::custom(unknown_variant(&name, names())))
    }
}

/// Returns how a key is written in a recipe, if it is.
type Given = fn(&Recipe) -> Option<String>;

/// The keys that not all formats take.
const SOME_KEYS: &[(&str, Given)] = &[
    ("data.file", |recipe| named("data.file", recipe.data.file.is_some())),
    ("data.files", |recipe| named("data.files", recipe.data.files.is_some())),
    ("data.train", |recipe| named("data.train", recipe.data.train.is_some())),
    ("data.test", |recipe| named("data.test", recipe.data.test.is_some())),
    ("data.unlabelled", |recipe| named("data.unlabelled", recipe.data.unlabelled.is_some())),
    ("data.samples", |recipe| named("data.samples", recipe.data.samples.is_some())),
    ("data.seed", |recipe| named("data.seed", recipe.data.seed != 0)),
    ("data.delimiter", |recipe| named("data.delimiter", recipe.data.delimiter.is_some())),
    ("data.comment", |recipe| named("data.comment", recipe.data.comment.is_some())),
    ("data.skip", |recipe| named("data.skip", !recipe.data.skip.is_empty())),
    ("data.missing_rows", |recipe| named("data.missing_rows", recipe.data.missing_rows != MissingRows::Refuse)),
    ("data.split.group", |recipe| named("data.split.group", recipe.data.split.group.is_some())),
    ("data.split.hold_out", |recipe| named("data.split.hold_out", recipe.data.split.hold_out.is_some())),
    ("data.split.block", |recipe| named("data.split.block", recipe.data.split.block.is_some())),
    ("signal", |recipe| named("[signal]", recipe.signal.is_some())),
    ("input.shape", |recipe| named("input.shape", !recipe.input.shape.is_empty())),
    ("input.columns", |recipe| named("input.columns", !recipe.input.columns.is_empty())),
    ("input.text", |recipe| named("input.text", recipe.input.text.is_some())),
    ("column", |recipe| of_head(recipe, "column", |head| head.column.is_some())),
    ("column", |recipe| of_head(recipe, "columns", |head| !head.columns.is_empty())),
    ("outputs", |recipe| of_head(recipe, "outputs", |head| head.outputs.is_some())),
];

fn named(key: &str, is_given: bool) -> Option<String> {
    is_given.then(|| key.to_string())
}

fn of_head(recipe: &Recipe, key: &str, is_given: fn(&Head) -> bool) -> Option<String> {
    let head = recipe.heads.iter().find(|head| is_given(head))?;
    Some(format!("head {:?}: {key}", head.name))
}

/// Checks that heads name the columns that they are read from; `what` says of which there are any.
fn check_head_columns(heads: &[&Head], what: &str) -> Result<()> {
    for head in heads {
        let named = head.column.is_some() || !head.columns.is_empty();
        ensure!(named, "head {:?}: column is missing: name {what}", head.name);
    }
    Ok(())
}

/// Returns `data.samples` of a simulator.
fn check_samples(recipe: &Recipe, minimum: usize) -> Result<()> {
    let samples = recipe.data.samples.with_context(|| format!("data.samples is missing: at least {minimum}"))?;
    ensure!(samples >= minimum, "data.samples is {samples}, expected at least {minimum}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_keys_are_known() {
        for (place, format) in Format::all().enumerate() {
            assert_eq!(Format::all().position(|other| other == format), Some(place), "{format:?}");
            for key in format.keys() {
                assert!(SOME_KEYS.iter().any(|(known, _)| known == key), "{format:?}: {key}");
            }
        }
        for (key, _) in SOME_KEYS {
            assert!(Format::all().any(|format| format.takes(key)), "no format takes {key}");
        }
    }
}
