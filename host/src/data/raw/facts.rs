//! Facts that are set: from the data's own columns, from a table beside them, or the same for every sample.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::facts::{Fact, GivenFact, Value};
use crate::recipe::Recipe;
use crate::support::files;
use crate::support::progress::say;
use crate::support::suggest::{did_you_mean, spelling_warnings};
use crate::tables::{Column, Dialect, Table};

/// Where facts are looked for.
pub(in crate::data) struct Source<'a> {
    /// What files are relative to.
    pub(in crate::data) folder: &'a Path,
    /// How many samples there are.
    pub(in crate::data) samples: usize,
    /// The data's own table, if they are one.
    pub(in crate::data) table: Option<&'a Table>,
    /// How tables beside the data are written.
    pub(in crate::data) dialect: &'a Dialect,
}

/// Reads a fact from a column; `rows` are the rows of the samples, where those are not all of them in their order.
pub(in crate::data) fn from_column(fact: &Fact, column: Column<'_>, rows: Option<&[usize]>) -> Result<GivenFact> {
    // A day is written with other signs.
    let is_number = fact.kind.value() == Value::Number && fact.kind.name() != "date";
    let cells = column.cells(is_number)?;
    let given = match rows {
        None => GivenFact::read(fact, &cells, |row| column.place(row))?,
        Some(rows) => {
            let cells: Vec<&str> = rows.iter().map(|&row| &*cells[row]).collect();
            return GivenFact::read(fact, &cells, |sample| column.place(rows[sample]));
        }
    };
    if fact.kind.is_category() {
        let own = cells.iter().map(|cell| &**cell).filter(|cell| !column.is_missing(cell));
        let what = format!("{}: values of fact {:?}", column.full_name(), fact.name);
        spelling_warnings(&what, own, fact.values.iter().map(String::as_str)).iter().for_each(|warning| say(warning));
    }
    if is_number {
        let numbers: Vec<f32> = given.column.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
        column.remark(&numbers).iter().for_each(|remark| say(remark));
    }
    Ok(given)
}

impl Source<'_> {
    /// Returns what the data say of each fact that is set, in the order of the recipe, and the files that were read; `own`
    /// gives those that the data hold themselves.
    pub(in crate::data) fn facts(
        &self,
        recipe: &Recipe,
        mut own: impl FnMut(&Fact) -> Result<GivenFact>,
    ) -> Result<(Vec<GivenFact>, Vec<PathBuf>)> {
        let mut files = Vec::new();
        let set = recipe.facts.iter().filter(|fact| !fact.kind.is_computed());
        let given = set
            .map(|fact| match (&fact.constant, &fact.file) {
                (Some(constant), _) => {
                    let text = constant.text();
                    let one = GivenFact::read(fact, &[&text], |_| "constant".into())?;
                    Ok(GivenFact { column: vec![one.column[0]; self.samples], values: one.values })
                }
                (None, Some(file)) => {
                    let path =
                        files::below(self.folder, file).with_context(|| format!("fact {:?}: file", fact.name))?;
                    let given = self.beside(fact, &path)?;
                    files.push(path);
                    Ok(given)
                }
                (None, None) => own(fact),
            })
            .collect::<Result<_>>()?;
        Ok((given, files))
    }

    /// Reads a fact from a table beside the data.
    fn beside(&self, fact: &Fact, path: &Path) -> Result<GivenFact> {
        let table = Table::read(path, self.dialect).with_context(|| format!("fact {:?}", fact.name))?;
        let column = table.column(fact.column.as_ref().unwrap_or(&fact.name))?;
        let joined = fact.key.as_ref().map_or("row by row, in their order".into(), |key| format!("by {key:?}"));
        say(&format!("{}: fact {:?} is column {:?}, joined {joined}", path.display(), fact.name, column.name()));
        let Some(key) = &fact.key else {
            ensure!(
                table.rows() == self.samples,
                "{}: has {} rows for {} samples: name the column that both have in common, key = \"COLUMN\"",
                path.display(),
                table.rows(),
                self.samples
            );
            return from_column(fact, column, None);
        };
        let own = self.table.with_context(|| format!("fact {:?}: key belongs to data of format \"csv\"", fact.name))?;
        let known = table.column(key)?.texts();
        let wanted = own.column(key)?.texts();
        let mut row_of = std::collections::BTreeMap::new();
        for (row, key) in known.iter().enumerate() {
            let twice = row_of.insert(*key, row);
            ensure!(twice.is_none(), "{}:{}: {key:?} stands there twice", path.display(), column.line(row));
        }
        let rows = wanted
            .iter()
            .map(|value| {
                row_of.get(value).copied().with_context(|| {
                    let near = did_you_mean(value, known.iter().copied());
                    format!("{}: fact {:?}: no row has {key} = {value:?}{near}", path.display(), fact.name)
                })
            })
            .collect::<Result<Vec<usize>>>()?;
        from_column(fact, column, Some(&rows))
    }
}
