//! The names that an expression may read.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::units::Unit;
use crate::facts::value::Value;
use crate::support::suggest::did_you_mean;

/// What stands behind a name.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A fact.
    Fact {
        /// Its index in the model.
        index: u8,
        /// What it is.
        value: Value,
        /// A number's unit, if one is named.
        unit: Option<Unit>,
        /// A category's values, as soon as they are known.
        values: Option<Vec<String>>,
        /// The columns of a category's table or the features of a gazetteer, as soon as they are known.
        columns: Option<Vec<String>>,
        /// Their units.
        units: BTreeMap<String, String>,
    },
    /// A value of the input.
    Input {
        /// Its place in the input.
        place: u16,
        /// Its unit, if one is named.
        unit: Option<Unit>,
    },
}

/// Names with what stands behind them.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub(in crate::facts) entries: BTreeMap<String, Entry>,
}

impl Scope {
    /// Puts in what the data say of a category, or a table of a gazetteer, whose features are the columns.
    pub fn learn(&mut self, name: &str, known_values: &[String], known_columns: Vec<String>) {
        if let Some(Entry::Fact { values, columns, .. }) = self.entries.get_mut(name) {
            *values = Some(known_values.to_vec());
            *columns = Some(known_columns);
        }
    }

    /// Returns what stands behind a name.
    ///
    /// # Errors
    ///
    /// Names the nearest name, and all there are.
    pub fn find(&self, name: &str) -> Result<&Entry> {
        let Some(entry) = self.entries.get(name) else {
            let names = || self.entries.keys().map(String::as_str);
            let near = did_you_mean(name, names());
            bail!("there is no fact or input {name:?}{near}; there are {}", names().collect::<Vec<_>>().join(", "));
        };
        Ok(entry)
    }
}
