//! A table with a header line, a sample a row.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::Reader;
use crate::data::raw::facts::{Source, from_column};
use crate::data::raw::target_from_columns;
use crate::data::raw::{Raw, array_of_texts, fingerprint, indices_of};
use crate::domain::Array;
use crate::recipe::{MissingRows, Recipe};
use crate::support::files;
use crate::support::progress::say;
use crate::support::suggest::listed;
use crate::tables::Table;

pub(super) struct Csv;

impl Reader for Csv {
    fn format(&self) -> &'static str {
        "csv"
    }

    fn read(&self, recipe: &Recipe, folder: &Path) -> Result<Raw> {
        let file = recipe.data.file.as_deref().context("data.file is missing")?;
        let path = files::below(folder, file).context("data.file")?;
        let dialect = recipe.data.dialect()?;
        let mut table = Table::read(&path, &dialect)?;
        if recipe.data.missing_rows == MissingRows::Drop {
            table.drop_missing(&recipe.input.columns.values().collect::<Vec<_>>())?;
        }
        let table = table;
        let rows = table.rows();
        let channels: Vec<String> = recipe.input.columns.keys().cloned().collect();
        let mut remarks = BTreeMap::new();
        let inputs = match &recipe.input.text {
            Some(name) => {
                let column = table.column(name)?;
                array_of_texts(&column.texts(), recipe.input.length, |row| column.place(row))?
            }
            None => {
                let columns: Vec<Vec<f32>> = recipe
                    .input
                    .columns
                    .values()
                    .enumerate()
                    .map(|(channel, name)| {
                        let column = table.column(name)?;
                        let numbers = column.numbers()?;
                        remarks.extend(column.remark(&numbers).map(|remark| (channel, remark)));
                        Ok(numbers)
                    })
                    .collect::<Result<_>>()?;
                let values = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
                Array::new(vec![rows, columns.len()], values)?
            }
        };

        let source = Source { folder, samples: rows, table: Some(&table), dialect: &dialect.beside() };
        let (facts, mut files) = source.facts(recipe, |fact| {
            let column = table.column(fact.column.as_ref().unwrap_or(&fact.name))?;
            from_column(fact, column, None)
        })?;
        let targets = recipe.heads.iter().map(|head| target_from_columns(&table, head)).collect::<Result<_>>()?;
        let groups = match &recipe.data.split.group {
            None => None,
            Some(name) => Some(indices_of(table.column(name)?.texts())),
        };
        say(&format!("{}: {rows} rows; {}", path.display(), matched(recipe)));
        let is_text = recipe.input.text.is_some();
        let shape = if is_text { [1, inputs.row_len(), 1] } else { [1, 1, inputs.row_len()] };
        files.insert(0, path);
        let fingerprint = fingerprint(&files)?;
        let lines = Some((file.display().to_string(), table.lines().to_vec()));
        Ok(Raw { is_text, channels, groups, lines, remarks, ..Raw::new(inputs, shape, facts, targets, fingerprint) })
    }
}

/// Returns which columns of a table are what, in words.
fn matched(recipe: &Recipe) -> String {
    let pair = |name: &str, column: &str| {
        if name == column { format!("{name:?}") } else { format!("{name} = {column:?}") }
    };
    let inputs: Vec<String> = match &recipe.input.text {
        Some(text) => vec![pair(&recipe.input.name, text)],
        None => recipe.input.columns.iter().map(|(name, column)| pair(name, column)).collect(),
    };
    let in_table =
        recipe.facts.iter().filter(|fact| !fact.kind.is_computed() && fact.constant.is_none() && fact.file.is_none());
    let facts: Vec<String> =
        in_table.map(|fact| pair(&fact.name, fact.column.as_ref().unwrap_or(&fact.name))).collect();
    let heads: Vec<String> = recipe
        .heads
        .iter()
        .map(|head| {
            let columns: Vec<&String> = head.column.iter().chain(&head.columns).collect();
            match columns.as_slice() {
                [one] => pair(&head.name, one),
                _ => format!("{} = {}", head.name, listed(&columns)),
            }
        })
        .collect();
    let parts = [("input", inputs), ("facts", facts), ("heads", heads)];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    parts.map(|(what, names)| format!("{what} {}", listed(names))).collect::<Vec<_>>().join("; ")
}
