//! Whether `[data]` and `[input]` say what their format needs, and no more.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::{Arch, Data, Format, HeadKind, LayerKind, MissingRows, Net, Normalize, Recipe};
use crate::facts::{Fact, Value};
use crate::tables::Dialect;

impl Recipe {
    /// Checks that each format finds the keys that it needs, and none that it does not use.
    pub(super) fn check_data(&self) -> Result<()> {
        let data = &self.data;
        let heads: Vec<_> = self.heads.iter().filter(|head| head.kind != HeadKind::Reconstruction).collect();
        match data.format {
            Format::Csv => {
                ensure!(data.file.is_some(), "data.file is missing: name the CSV file");
                ensure!(
                    self.input.columns.is_empty() != self.input.text.is_none(),
                    "name either the columns of the input, input.columns, or the one that holds its text, input.text"
                );
                for head in &heads {
                    let wide = matches!(head.kind, HeadKind::Multilabel) || !head.columns.is_empty();
                    ensure!(
                        if wide { !head.columns.is_empty() } else { head.column.is_some() },
                        "head {:?}: {} is missing",
                        head.name,
                        if wide { "columns" } else { "column" }
                    );
                }
            }
            Format::Arrays => {
                let train = data.train.as_ref().context("data.train is missing: name the files")?;
                for part in [Some(train), data.test.as_ref()].into_iter().flatten() {
                    for head in &heads {
                        ensure!(part.heads.contains_key(&head.name), "head {:?} has no file in data", head.name);
                    }
                    for fact in self.facts.iter().filter(|fact| fact.is_in_arrays()) {
                        ensure!(part.facts.contains_key(&fact.name), "fact {:?} has no file in data", fact.name);
                    }
                }
            }
            Format::Recordings => {
                ensure!(data.files.is_some(), "data.files is missing: name the recordings, as \"{{label}}_*.wav\"");
                ensure!(self.signal.is_some(), "[signal] is missing: say how recordings become features");
                for head in &heads {
                    ensure!(
                        head.column.is_some() || !head.columns.is_empty(),
                        "head {:?}: column is missing: name a {{field}} of data.files or a column of the CSV files",
                        head.name
                    );
                }
                ensure!(
                    data.split.hold_out.is_none() || data.split.group.is_some(),
                    "data.split.hold_out names groups: say data.split.group"
                );
            }
            Format::Bearing | Format::Commands => {
                ensure!(data.samples.is_some_and(|n| n >= 40), "data.samples is missing or below 40");
            }
            Format::Random => {
                ensure!(data.samples.is_some_and(|n| n >= 1), "data.samples is missing or 0");
                ensure!(!self.input.shape.is_empty(), "input.shape is missing: say how many values to make");
                for head in &heads {
                    ensure!(
                        head.kind == HeadKind::Regression && head.outputs.is_some(),
                        "head {:?}: random data have regression heads with outputs = N",
                        head.name
                    );
                }
            }
        }
        ensure!(
            data.format == Format::Arrays || (data.train.is_none() && data.test.is_none() && data.unlabelled.is_none()),
            "data.train, data.test and data.unlabelled belong to format \"arrays\""
        );
        self.check_tables()?;
        self.check_columns()?;
        self.check_text()?;
        ensure!(data.format == Format::Csv || data.file.is_none(), "data.file belongs to format \"csv\"");
        let recorded = data.format == Format::Recordings;
        ensure!(recorded || data.files.is_none(), "data.files belongs to format \"recordings\"");
        ensure!(
            recorded || data.format == Format::Bearing || self.signal.is_none(),
            "[signal] belongs to formats \"recordings\" and \"bearing\""
        );
        ensure!(recorded || data.split.hold_out.is_none(), "data.split.hold_out belongs to format \"recordings\"");
        ensure!(recorded || data.split.block.is_none(), "data.split.block belongs to format \"recordings\"");
        ensure!(
            data.split.block.is_none() || data.split.group.is_none(),
            "data.split has both group and block: a stretch of a recording stays in one split, or a whole group does"
        );
        ensure!(
            data.split.hold_out.as_ref().is_none_or(|groups| !groups.is_empty()),
            "data.split.hold_out is empty: name the groups that are tested on, or leave it out for a share"
        );
        if let Some(signal) = &self.signal {
            signal.check()?;
        }
        if let Some(signal) = &self.signal
            && signal.detection.is_some()
        {
            ensure!(
                self.heads.first().is_some_and(|head| head.kind == HeadKind::Class),
                "signal.detection reads the first head, which has to be of kind \"class\""
            );
        }
        ensure!(
            !recorded || self.input.shape.is_empty(),
            "input.shape belongs to other formats: windows and features of [signal] make the shape of recordings"
        );
        self.check_unused()?;
        let by_name = data.format == Format::Commands && data.split.group.as_deref() == Some("name");
        ensure!(
            data.format == Format::Csv || recorded || by_name || data.split.group.is_none(),
            "data.split.group belongs to formats \"csv\" and \"recordings\"; of format \"commands\" it is \"name\""
        );
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
        if !matches!(self.data.format, Format::Csv | Format::Recordings) {
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

    /// Checks that no key is there that the format does not read: what is written down has to count.
    fn check_unused(&self) -> Result<()> {
        let format = self.data.format;
        let made = matches!(format, Format::Bearing | Format::Commands | Format::Random);
        let columns = matches!(format, Format::Csv | Format::Recordings);
        let (data, input) = (&self.data, &self.input);
        let rules = [
            (
                "input.shape",
                !input.shape.is_empty(),
                matches!(format, Format::Arrays | Format::Random),
                "arrays and random",
            ),
            ("input.columns", !input.columns.is_empty(), columns, "csv and recordings"),
            ("data.samples", data.samples.is_some(), made, "bearing, commands and random"),
            ("data.seed", data.seed != 0, made, "bearing, commands and random"),
        ];
        for (key, given, is_read, formats) in rules {
            ensure!(!given || is_read, "{key} belongs to format {formats}: leave it out");
        }
        for head in &self.heads {
            let name = &head.name;
            ensure!(
                head.outputs.is_none() || format == Format::Random,
                "head {name:?}: outputs belongs to format \"random\", others have as many as their data: leave it out"
            );
            ensure!(
                columns || (head.column.is_none() && head.columns.is_empty()),
                "head {name:?}: column and columns belong to formats \"csv\" and \"recordings\": leave them out"
            );
        }
        Ok(())
    }

    /// Checks that what is said of tables can be, and that there are any.
    fn check_tables(&self) -> Result<()> {
        let data = &self.data;
        data.dialect()?;
        let reads_tables = matches!(data.format, Format::Csv | Format::Recordings);
        for (key, is_set) in [
            ("delimiter", data.delimiter.is_some()),
            ("comment", data.comment.is_some()),
            ("skip", !data.skip.is_empty()),
        ] {
            ensure!(reads_tables || !is_set, "data.{key} belongs to formats \"csv\" and \"recordings\"");
        }
        // What facts are read from is a table whatever the data are.
        let has_tables = reads_tables || self.facts.iter().any(|fact| fact.file.is_some() || fact.table.is_some());
        for (key, is_set) in [
            ("decimal", data.decimal.is_some()),
            ("encoding", data.encoding.is_some()),
            ("missing", !data.missing.is_empty()),
        ] {
            ensure!(has_tables || !is_set, "data.{key} is of CSV files, and the recipe reads none");
        }
        ensure!(
            data.format == Format::Csv || data.missing_rows == MissingRows::Refuse,
            "data.missing_rows belongs to format \"csv\""
        );
        ensure!(
            self.input.text.is_none() || data.missing_rows == MissingRows::Refuse,
            "data.missing_rows is of numbers, the input is a text"
        );
        Ok(())
    }

    /// Checks that what reads a text can, and that nothing else is asked of one.
    fn check_text(&self) -> Result<()> {
        let is_text = self.input.text.is_some() || self.data.format == Format::Commands;
        ensure!(self.input.text.is_none() || self.data.format == Format::Csv, "input.text belongs to format \"csv\"");
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
            !is_text || self.heads.iter().all(|head| head.kind != HeadKind::Reconstruction),
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
