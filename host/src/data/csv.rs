//! CSV tables whose errors name the file, the line and the column.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use csv::{ByteRecord, ReaderBuilder, StringRecord};

use crate::facts::is_missing;
use crate::nearest;

/// A table of texts with a header line.
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<StringRecord>,
    lines: Vec<u64>,
    /// Where each row comes from, when that is no line.
    places: Vec<String>,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    table: &'a Table,
    index: usize,
}

impl Table {
    /// Returns the table in a file; comma, semicolon or tab is found from the header line.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, has no header or no row, is not UTF-8, names a column twice, or has a row with more
    /// or fewer cells than the header.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let bytes = crate::files::read_regular(path)?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        ensure!(!text.trim_ascii().is_empty(), "{name}: is empty");
        let header = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let delimiter = [b',', b';', b'\t'].into_iter().find(|delimiter| header.contains(delimiter)).unwrap_or(b',');
        let mut reader = ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text);
        let mut columns: Vec<String> = Vec::new();
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).with_context(|| format!("{name}: is not CSV"))? {
            let line = record.position().map_or(0, csv::Position::line);
            let row = StringRecord::from_byte_record(record.clone())
                .map_err(|_| anyhow::anyhow!("{name}:{line}: is not UTF-8"))?;
            if columns.is_empty() {
                columns = row.iter().map(|cell| cell.trim().to_string()).collect();
                continue;
            }
            ensure!(
                row.len() == columns.len(),
                "{name}:{line}: has {} cells, the header has {}",
                row.len(),
                columns.len()
            );
            rows.push(row);
            lines.push(line);
        }
        ensure!(!rows.is_empty(), "{name}: has a header and no row");
        let mut seen = BTreeSet::new();
        if let Some(twice) = columns.iter().find(|column| !seen.insert(column.as_str())) {
            bail!("{name}:1: column {twice:?} appears twice");
        }
        Ok(Self { path: path.into(), columns, rows, lines, places: Vec::new() })
    }

    /// Returns a table of what is known of other files, one a row; `places` names them.
    pub fn of(path: &Path, columns: Vec<String>, rows: Vec<Vec<String>>, places: Vec<String>) -> Self {
        let rows = rows.into_iter().map(StringRecord::from).collect();
        Self { path: path.into(), columns, rows, lines: Vec::new(), places }
    }

    /// Returns the number of rows, the header aside.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Returns the names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns a column by its name.
    ///
    /// # Errors
    ///
    /// Names the nearest column and all there are.
    pub fn column(&self, name: &str) -> Result<Column<'_>> {
        let index = self.columns.iter().position(|column| column == name).with_context(|| {
            let near = nearest(name, self.columns.iter().map(String::as_str));
            let near = near.map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default();
            format!("{}: has no column {name:?}{near}; it has {}", self.path.display(), self.columns.join(", "))
        })?;
        Ok(Column { table: self, index })
    }
}

impl<'a> Column<'a> {
    /// Returns the cells, without white space around them.
    pub fn texts(&self) -> Vec<&'a str> {
        self.table.rows.iter().map(|row| row.get(self.index).unwrap_or_default().trim()).collect()
    }

    /// Returns the cells as numbers.
    ///
    /// # Errors
    ///
    /// Names file, line and column of the first cell that is not a finite number.
    pub fn numbers(&self) -> Result<Vec<f32>> {
        self.texts().into_iter().enumerate().map(|(row, text)| self.number(row, text)).collect()
    }

    /// Returns the cells as numbers; an empty one, NA, NaN and null are missing.
    ///
    /// # Errors
    ///
    /// As [`Column::numbers`].
    pub fn numbers_or_missing(&self) -> Result<Vec<Option<f32>>> {
        let texts = self.texts().into_iter().enumerate();
        texts.map(|(row, text)| if is_missing(text) { Ok(None) } else { self.number(row, text).map(Some) }).collect()
    }

    /// Returns the line of a row in the file.
    pub fn line(&self, row: usize) -> u64 {
        self.table.lines.get(row).copied().unwrap_or(0)
    }

    /// Returns where a row stands, for messages: its file and line.
    pub fn place(&self, row: usize) -> String {
        match self.table.places.get(row) {
            Some(place) => place.clone(),
            None => format!("{}:{}", self.table.path.display(), self.line(row)),
        }
    }

    fn number(&self, row: usize, text: &str) -> Result<f32> {
        text.parse().ok().filter(|number: &f32| number.is_finite()).with_context(|| {
            let column = &self.table.columns[self.index];
            format!("{}: column {column:?} holds {text:?}, expected a finite number", self.place(row))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn table(text: &[u8]) -> Result<Table> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text)?;
        Table::read(file.path())
    }

    fn error(text: &[u8]) -> String {
        format!("{:#}", table(text).unwrap_err())
    }

    #[test]
    fn delimiters_quotes_and_byte_order_marks_are_understood() {
        for text in ["a,b\n1,\"x,y\"\n", "\u{feff}a;b\n1;x,y\n", "a\tb\r\n1\tx,y\r\n"] {
            let table = table(text.as_bytes()).unwrap();
            assert_eq!(table.column("a").unwrap().numbers().unwrap(), [1.0], "{text}");
            assert_eq!(table.column("b").unwrap().texts(), ["x,y"], "{text}");
        }
    }

    #[test]
    fn broken_tables_are_refused_with_their_line() {
        assert!(error(b"").contains("is empty"));
        assert!(error(b"a,b\n").contains("no row"));
        assert!(error(b"a,b\n1,2\n3\n").contains(":3: has 1 cells, the header has 2"));
        assert!(error(b"a,a\n1,2\n").contains("appears twice"));
        assert!(error(b"a,b\n1,\xff\n").contains(":2: is not UTF-8"));
    }

    #[test]
    fn cells_that_are_no_numbers_are_refused_with_line_and_column() {
        for bad in ["abc", "NaN", "inf", "", "1e99"] {
            let table = table(format!("x,y\n1,2\n3,{bad}\n").as_bytes()).unwrap();
            let message = format!("{:#}", table.column("y").unwrap().numbers().unwrap_err());
            assert!(message.contains(":3: column \"y\" holds"), "{message}");
        }
        let table = table(b"x,y\n1,\n2,5\n3,NA\n").unwrap();
        assert_eq!(table.column("y").unwrap().numbers_or_missing().unwrap(), [None, Some(5.0), None]);
    }

    #[test]
    fn unknown_column_names_the_nearest() {
        let message = format!("{:#}", table(b"Torque,rpm\n1,2\n").unwrap().column("Torqe").unwrap_err());
        assert!(message.contains("did you mean \"Torque\"") && message.contains("Torque, rpm"), "{message}");
    }
}
