//! Whether `[data]` and `[input]` say what their format needs, and no more.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::{Arch, Data, LayerKind, MissingRows, Net, Normalize, Recipe};
use crate::facts::{Fact, Value};
use crate::heads::Form;
use crate::tables::Dialect;

impl Recipe {
    /// Checks that each format finds the keys that it needs, and none that it does not use.
    pub(super) fn check_data(&self) -> Result<()> {
        let data = &self.data;
        // What gives back the input needs nothing of the data but that.
        let heads: Vec<_> = self.heads.iter().filter(|head| !head.kind.is_input()).collect();
        data.format.check(self, &heads)?;
        data.format.check_unused(self)?;
        self.check_tables()?;
        self.check_columns()?;
        self.check_text()?;
        if let Some(signal) = &self.signal {
            signal.check()?;
        }
        if let Some(signal) = &self.signal
            && signal.detection.is_some()
        {
            ensure!(
                self.heads.first().is_some_and(|head| head.kind.form() == Form::Classes),
                "signal.detection reads the first head, which has to be of kind \"class\""
            );
        }
        Ok(())
    }

    /// Checks that no column of a head is an input or a fact as well, which would hold the answer, and that no input is there twice.
    fn check_columns(&self) -> Result<()> {
        let uses = self.column_uses();
        for (place, (column, name)) in uses.iter().enumerate().filter(|(_, (_, name))| name.starts_with("input")) {
            if let Some((_, other)) = uses[..place].iter().find(|(used, _)| used == column) {
                bail!("column {column:?} is {other} and {name}: leave one of them out of input.columns");
            }
        }
        for head in &self.heads {
            for column in head.column.iter().chain(&head.columns) {
                if let Some((_, name)) = uses.iter().find(|(used, _)| used == column) {
                    bail!(
                        "head {:?}: its column {column:?} is {name} as well, which gives the answer away: leave one of them out",
                        head.name
                    );
                }
            }
        }
        Ok(())
    }

    /// Returns what is worth a word about columns that are several facts, or an input and a fact.
    pub fn column_remarks(&self) -> Vec<String> {
        let mut uses: Vec<(&str, Vec<String>)> = Vec::new();
        for (column, name) in self.column_uses() {
            match uses.iter_mut().find(|(used, _)| *used == column) {
                Some((_, names)) => names.push(name),
                None => uses.push((column, vec![name])),
            }
        }
        let several = uses.into_iter().filter(|(_, names)| names.len() > 1);
        several.map(|(column, names)| format!("warning: column {column:?} is {}", names.join(" and "))).collect()
    }

    /// Returns the columns of the data's own table that are inputs and facts, with what they are.
    fn column_uses(&self) -> Vec<(&str, String)> {
        if !self.data.format.has_columns() {
            return Vec::new();
        }
        let text = self.input.text.iter().map(|column| (column.as_str(), "input.text".into()));
        let inputs = self.input.columns.iter().map(|(name, column)| (column.as_str(), format!("input {name:?}")));
        let own = |fact: &&Fact| {
            let elsewhere = fact.file.as_ref().is_some_and(|file| self.data.file.as_deref() != Some(Path::new(file)));
            !fact.kind.is_computed() && fact.kind.value() != Value::Features && fact.constant.is_none() && !elsewhere
        };
        let facts = self.facts.iter().filter(own).map(|fact| {
            let column = fact.column.as_ref().unwrap_or(&fact.name);
            (column.as_str(), format!("fact {:?}", fact.name))
        });
        text.chain(inputs).chain(facts).collect()
    }

    /// Checks that what is said of tables can be, and that there are any.
    fn check_tables(&self) -> Result<()> {
        let data = &self.data;
        data.dialect()?;
        // What facts are read from is a table whatever the data are.
        let has_tables = data.format.takes("data.delimiter")
            || self.facts.iter().any(|fact| fact.file.is_some() || fact.table.is_some());
        for (key, is_set) in [
            ("decimal", data.decimal.is_some()),
            ("encoding", data.encoding.is_some()),
            ("missing", !data.missing.is_empty()),
        ] {
            ensure!(has_tables || !is_set, "data.{key} is of CSV files, and the recipe reads none");
        }
        ensure!(
            self.input.text.is_none() || data.missing_rows == MissingRows::Refuse,
            "data.missing_rows is of numbers, the input is a text"
        );
        Ok(())
    }

    /// Checks that what reads a text can, and that nothing else is asked of one.
    fn check_text(&self) -> Result<()> {
        let is_text = self.data.format.is_text(self);
        ensure!(is_text || self.input.length.is_none(), "input.length belongs to texts");
        ensure!(
            self.input.length.is_none_or(|length| (1..=16_383).contains(&length)),
            "input.length is {}, expected 1 to 16383",
            self.input.length.unwrap_or_default()
        );
        let reads_text = |net: &Net| match net.arch {
            Arch::Layers => net.layers.first().is_some_and(|layer| layer.kind == LayerKind::Bag),
            arch => arch == Arch::Bag,
        };
        let own = |net: &&Net| !matches!(net.arch, Arch::Onnx | Arch::Saved);
        for net in self.all_teachers().filter(own).chain(&self.assistant).chain([&self.student]) {
            ensure!(
                is_text == reads_text(net),
                "{}",
                if is_text {
                    "the input is a text: take arch = \"bag\", or layers that begin with a bag"
                } else {
                    "a bag reads texts, the input is numbers: say input.text"
                }
            );
        }
        let numbers = !self.input.shape.is_empty() || !self.input.columns.is_empty() || !self.input.units.is_empty();
        let plain = !numbers && self.input.normalize == Normalize::default();
        ensure!(!is_text || plain, "input.shape, columns, units and normalize belong to numbers, the input is a text");
        ensure!(!is_text || !self.augment.is_any(), "[augment] varies numbers, the input is a text");
        ensure!(
            !is_text || self.heads.iter().all(|head| !head.kind.is_input()),
            "a text cannot be given back by a head of kind \"reconstruction\""
        );
        Ok(())
    }
}

impl Data {
    /// Returns how the CSV files of the recipe are written.
    ///
    /// # Errors
    ///
    /// When a key has a value that no table could be read by; the message names the key.
    pub fn dialect(&self) -> Result<Dialect> {
        let mut dialect = Dialect { missing: self.missing.clone(), ..Dialect::default() };
        dialect.skip_lines(&self.skip).context("data.skip")?;
        if let Some(text) = &self.delimiter {
            dialect.delimit(text).context("data.delimiter")?;
        }
        if let Some(text) = &self.decimal {
            dialect.point(text).context("data.decimal")?;
        }
        if let Some(label) = &self.encoding {
            dialect.encode(label).context("data.encoding")?;
        }
        if let Some(text) = &self.comment {
            dialect.comment(text).context("data.comment")?;
        }
        Ok(dialect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(columns: &str, facts: &str) -> Result<Recipe> {
        let text = format!(
            "[data]\nformat='csv'\nfile='d.csv'\n[input]\ncolumns={columns}\n{facts}[[heads]]\nname='y'\nkind='class'\n\
             column='state'\n[student]\narch='mlp'\n[distill]\nmethod='none'\n"
        );
        Recipe::parse(&text, "r.toml", "r", &[])
    }

    #[test]
    fn columns_that_give_the_answer_away_or_come_twice_are_refused() {
        let fact = |more: &str| format!("[[facts]]\nname='f'\nkind='category'\n{more}\n");
        for (columns, facts, expected) in [
            ("{a='a',s='state'}", String::new(), "head \"y\": its column \"state\" is input \"s\" as well"),
            ("{a='a'}", fact("column='state'"), "head \"y\": its column \"state\" is fact \"f\" as well"),
            ("{a='a'}", fact("column='state'\nfile='d.csv'\nkey='id'"), "is fact \"f\" as well"),
            ("{a='a',b='a'}", String::new(), "column \"a\" is input \"a\" and input \"b\""),
        ] {
            let refused = format!("{:#}", recipe(columns, &facts).unwrap_err());
            assert!(refused.contains(expected), "{refused}");
        }
        let elsewhere = recipe("{a='a'}", &fact("column='state'\nfile='other.csv'\nkey='id'")).unwrap();
        assert_eq!(elsewhere.column_remarks(), Vec::<String>::new());
        let both = recipe("{a='a'}", &fact("column='a'")).unwrap();
        assert_eq!(both.column_remarks(), ["warning: column \"a\" is input \"a\" and fact \"f\""]);
    }
}
