//! CSV tables whose errors name the file, the line and the column.

mod detect;
mod dialect;
mod rows;
pub(crate) mod screen;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use csv::StringRecord;

use crate::domain::is_missing;
use crate::support::progress::say_once;
use crate::support::suggest::{did_you_mean, listed, shortened};
pub use dialect::Dialect;
use rows::Rows;
use screen::Screen;

/// A table of texts with a header line.
#[derive(Debug, Clone)]
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<StringRecord>,
    lines: Vec<u64>,
    /// Where each row comes from, when that is no line.
    places: Vec<String>,
    dialect: Dialect,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    table: &'a Table,
    index: usize,
}

impl Table {
    /// Returns the table in a file. What the dialect does not say is found and said once: the delimiter by which header and first
    /// rows have as many cells, the encoding by its byte order mark, a line `sep=` and comments at the head.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, has no header or no row, is not of its encoding, has a quote that stays open, or a row with
    /// more or fewer cells than the header.
    pub fn read(path: &Path, dialect: &Dialect) -> Result<Self> {
        let name = path.display();
        let bytes = crate::support::files::read_regular(path)?;
        let (text, encoding) = dialect.decode(bytes).with_context(|| format!("{name}"))?;
        ensure!(!text.trim().is_empty(), "{name}: is empty");
        let dialect_skips: Vec<String> = dialect.skip.iter().map(u64::to_string).collect();
        let (dialect, mut notes) = dialect.found(&text).with_context(|| format!("{name}"))?;
        notes.extend(encoding);
        if !dialect_skips.is_empty() {
            notes.push(format!("lines left out (data.skip): {}", listed(&dialect_skips)));
        }
        if !notes.is_empty() {
            say_once(&format!("how the table is read: {}", notes.join(", ")), &format!("({name})"));
        }
        let mut columns: Vec<String> = Vec::new();
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        let mut record = StringRecord::new();
        let mut reader = Rows::new(&text, &dialect);
        while let Some(line) = reader.next(&mut record).map_err(|error| anyhow!("{name}:{error}"))? {
            if columns.is_empty() {
                columns = record.iter().map(|cell| cell.trim().to_string()).collect();
                continue;
            }
            if let (Some(blank), 1) = (reader.blank, columns.len()) {
                bail!("{name}:{blank}: is empty: write an empty cell of a single column as \"\"");
            }
            if record.len() != columns.len() {
                let advice = if record.get(0).is_some_and(|cell| cell.starts_with('#')) {
                    ": say data.comment = \"#\" if it is a comment"
                } else if rows.is_empty() {
                    ": say data.delimiter, or data.skip if the line is no row"
                } else {
                    ""
                };
                bail!("{name}:{line}: has {} cells, the header has {}{advice}", record.len(), columns.len());
            }
            rows.push(record.clone());
            lines.push(line);
        }
        ensure!(!rows.is_empty(), "{name}: has a header and no row");
        if let Some(line) = dialect.skip.difference(&reader.skipped).next() {
            bail!(
                "{name}: has no line {line} that data.skip could leave out; it ends before, or a cell in quotes holds the line"
            );
        }
        Ok(Self { path: path.into(), columns, rows, lines, places: Vec::new(), dialect })
    }

    /// Returns a table of what is known of other files, one a row; `places` names them.
    pub fn of(
        path: &Path,
        columns: Vec<String>,
        rows: Vec<Vec<String>>,
        places: Vec<String>,
        dialect: &Dialect,
    ) -> Self {
        let rows = rows.into_iter().map(StringRecord::from).collect();
        Self { path: path.into(), columns, rows, lines: Vec::new(), places, dialect: dialect.clone() }
    }

    /// Returns the number of rows, the header aside.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Returns the line of each row in the file; nothing where rows come from several files.
    pub(crate) fn lines(&self) -> &[u64] {
        &self.lines
    }

    /// Returns the names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns a column by its name.
    ///
    /// # Errors
    ///
    /// When two are called so, or none is: then the message names the nearest, and what there is.
    pub fn column(&self, name: &str) -> Result<Column<'_>> {
        let mut found = (0..self.columns.len()).filter(|&index| self.columns[index] == name);
        let index = found.next().with_context(|| {
            let near = did_you_mean(name, self.columns.iter().map(String::as_str));
            format!("{}: has no column {name:?}{near}; it has {}", self.path.display(), listed(&self.columns))
        })?;
        ensure!(found.next().is_none(), "{}: column {name:?} appears twice", self.path.display());
        Ok(Column { table: self, index })
    }

    /// Returns a column by its place.
    pub fn column_at(&self, index: usize) -> Column<'_> {
        Column { table: self, index }
    }

    /// Leaves out the rows in which one of the columns has a missing cell, and returns the places of those that are kept, counted
    /// from 0; what is left out is said.
    ///
    /// # Errors
    ///
    /// When a column is unknown, or no row is left.
    pub fn drop_missing(&mut self, names: &[&String]) -> Result<Vec<usize>> {
        let columns = names.iter().map(|name| Ok(self.column(name)?.index)).collect::<Result<Vec<usize>>>()?;
        let missing = |row: &StringRecord| {
            columns.iter().any(|&index| self.dialect.is_missing(row.get(index).unwrap_or_default().trim()))
        };
        let kept: Vec<usize> = (0..self.rows.len()).filter(|&row| !missing(&self.rows[row])).collect();
        let count = self.rows.len() - kept.len();
        if count > 0 {
            let first =
                (0..self.rows.len()).zip(&kept).find(|(row, kept)| row != *kept).map_or(kept.len(), |(row, _)| row);
            ensure!(!kept.is_empty(), "{}: every row has a missing input", self.path.display());
            crate::support::progress::say(&format!(
                "{}: {count} of {} rows have a missing input and are left out, the first in line {}",
                self.path.display(),
                self.rows.len(),
                self.lines.get(first).copied().unwrap_or(0)
            ));
            let mut place = 0;
            let mut keep = || {
                place += 1;
                kept.binary_search(&(place - 1)).is_ok()
            };
            self.rows.retain(|_| keep());
            self.lines = kept.iter().filter_map(|&row| self.lines.get(row).copied()).collect();
        }
        Ok(kept)
    }
}

impl<'a> Column<'a> {
    /// Returns the name.
    pub fn name(&self) -> &'a str {
        &self.table.columns[self.index]
    }

    /// Returns the cells, without white space around them.
    pub fn texts(&self) -> Vec<&'a str> {
        self.table.rows.iter().map(|row| row.get(self.index).unwrap_or_default().trim()).collect()
    }

    /// Returns the cells as facts are read from them: those of missing facts are empty, and numbers have a point.
    ///
    /// # Errors
    ///
    /// When a number has a point where a comma is said to be; names file and line.
    pub fn cells(&self, is_number: bool) -> Result<Vec<Cow<'a, str>>> {
        let cell = |(row, text): (usize, &'a str)| {
            if self.table.dialect.is_marker(text) {
                return Ok(Cow::Borrowed(""));
            }
            let plain = text.parse::<f32>().is_ok() && !text.contains('.');
            if !is_number || plain || is_missing(text) || !text.contains([',', '.']) {
                return Ok(Cow::Borrowed(text));
            }
            self.number(row, text)?;
            Ok(if self.table.dialect.decimal_comma { Cow::Owned(text.replace(',', ".")) } else { Cow::Borrowed(text) })
        };
        self.texts().into_iter().enumerate().map(cell).collect()
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
        let missing = |text| self.table.dialect.is_missing(text);
        texts.map(|(row, text)| if missing(text) { Ok(None) } else { self.number(row, text).map(Some) }).collect()
    }

    /// Returns the cells as numbers in double precision, which times need.
    ///
    /// # Errors
    ///
    /// As [`Column::numbers`].
    pub fn wide_numbers(&self) -> Result<Vec<f64>> {
        let wide = |(row, text)| {
            self.number(row, text)?;
            Ok(self.plain(text).and_then(|text| text.parse().ok()).unwrap_or_default())
        };
        self.texts().into_iter().enumerate().map(wide).collect()
    }

    /// Returns whether a cell is a missing value.
    pub fn is_missing(&self, text: &str) -> bool {
        self.table.dialect.is_missing(text)
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

    /// Returns what is worth a word about numbers that this column holds; NaN is one that is missing.
    pub fn remark(&self, numbers: &[f32]) -> Option<String> {
        Screen::of(numbers).remark(&self.full_name(), &|row| self.line_name(row), || numbers.to_vec())
    }

    /// As [`Column::remark`], of readings that are none alone: a few samples may well have one value.
    pub fn odd_reading(&self, numbers: &[f32]) -> Option<String> {
        Screen::of(numbers).odd_reading(&self.full_name(), &|row| self.line_name(row), || numbers.to_vec())
    }

    /// Returns where a row stands in a file that was named.
    fn line_name(&self, row: usize) -> String {
        if self.table.places.is_empty() { format!("line {}", self.line(row)) } else { self.place(row) }
    }

    /// Returns file and column, for messages.
    pub(crate) fn full_name(&self) -> String {
        format!("{}: column {:?}", self.table.path.display(), shortened(self.name()))
    }

    fn number(&self, row: usize, text: &str) -> Result<f32> {
        let number = self.plain(text).and_then(|text| text.parse().ok()).filter(|number: &f32| number.is_finite());
        let number = number.filter(|_| !self.table.dialect.is_marker(text));
        number.with_context(|| {
            format!(
                "{}: column {:?} holds {:?}, expected a finite number{}",
                self.place(row),
                shortened(self.name()),
                shortened(text),
                self.advice(row, text).map(|advice| format!(": {advice}")).unwrap_or_default()
            )
        })
    }

    /// Returns a number with a point, if it has what the dialect says.
    fn plain<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        match self.table.dialect.decimal_comma {
            false => Some(text.into()),
            true => (!text.contains('.')).then(|| text.replace(',', ".").into()),
        }
    }

    /// Returns what may be done about a cell that is no number.
    fn advice(&self, row: usize, text: &str) -> Option<String> {
        let is_number = |text: &str| text.len() < 64 && text.parse::<f32>().is_ok_and(f32::is_finite);
        let dialect = &self.table.dialect;
        if dialect.is_missing(text) {
            return Some(
                "data.missing_rows = \"drop\" leaves out rows with a missing input (format \"csv\"), partial = true in a head is \
                 for missing labels"
                    .into(),
            );
        }
        if dialect.decimal_comma && text.contains('.') {
            return Some("data.decimal is \",\", and a point may stand between thousands".into());
        }
        if text.matches(',').count() == 1 && is_number(&text.replace(',', ".")) {
            return Some("if the comma stands before decimals, say data.decimal = \",\"".into());
        }
        let next = self.texts().get(row + 1).is_some_and(|next| self.plain(next).is_some_and(|next| is_number(&next)));
        if row == 0 && next && !is_number(text) && self.table.places.is_empty() {
            return Some(format!("if the line is no sample, as one of units, say data.skip = [{}]", self.line(row)));
        }
        let short = text.len() < 16 && !is_number(text);
        short.then(|| format!("if it stands for nothing, say data.missing = [{text:?}]"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn table(text: &[u8]) -> Result<Table> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text)?;
        Table::read(file.path(), &Dialect::default())
    }

    fn said(set: impl Fn(&mut Dialect), text: &[u8]) -> Result<Table> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text)?;
        let mut dialect = Dialect::default();
        set(&mut dialect);
        Table::read(file.path(), &dialect)
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
        assert!(error(b"a,b\n1,\xff\n").contains("line 2 is not UTF-8: say how it is encoded, such as data.encoding"));
        assert!(error(b"a,b\n1,\"2\n3,4\n").contains(":2: a quote is opened here and never closed"));
        assert!(error(b"a,b\r\n1,2\r\n3\r\n").contains(":3: has 1 cells"));
        assert!(error(b"a,b\n1,\"2\n3,\"4\n").contains(":3: a quote that was opened in line 2 is closed before \"4\""));
        assert!(error(b"a,b\n1,\"x\ny\"\n3\n").contains(":4: has 1 cells"));
        assert!(error(b"a\n1\n\n2\n").contains(":3: is empty"));
        assert!(error(b"a\0,b\n1,2\n").contains("data.encoding = \"utf-16le\""));
        assert!(error(b"a;b,c\n1;2,3\n").contains("',' and ';' would both do"));
        assert!(error(b"a,b\n1,2\n# end\n").contains(":3: has 1 cells, the header has 2: say data.comment"));
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

    #[test]
    fn a_name_that_appears_twice_is_refused_when_it_is_used() {
        let table = table(b"a,b,b\n1,2,3\n").unwrap();
        assert_eq!(table.column("a").unwrap().numbers().unwrap(), [1.0]);
        assert!(format!("{:#}", table.column("b").unwrap_err()).contains("\"b\" appears twice"));
    }

    #[test]
    fn what_a_table_shows_by_itself_is_found() {
        for text in [
            "a;\"b, kg\"\n1;x,y\n2;z\n",
            "a|\"b, kg\"\n1|\"x,y\"\n",
            "sep=;\na;\"b, kg\"\n1;x,y\n",
            "\"SEP=\t\"\r\na\tb, kg\r\n1\tx,y\r\n",
            "a\t\"b, kg\"\r1\t\"x,y\"\r",
            "# made by hand, in a hurry\n# twice\na;\"b, kg\"\n1;\"x,y\"\n",
            "a;\"b, kg\"\n\n1; \"x,y\" \n\n",
        ] {
            let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
            let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
            for bytes in [
                text.as_bytes().to_vec(),
                marked(b"\xef\xbb\xbf", text.as_bytes().to_vec()),
                marked(b"\xff\xfe", wide(u16::to_le_bytes)),
                marked(b"\xfe\xff", wide(u16::to_be_bytes)),
            ] {
                let table = table(&bytes).unwrap();
                assert_eq!(table.columns(), ["a", "b, kg"], "{text}");
                assert_eq!(table.column("a").unwrap().numbers().unwrap()[0], 1.0, "{text}");
                assert_eq!(table.column("b, kg").unwrap().texts()[0], "x,y", "{text}");
            }
        }
        // What NumPy writes has its header behind a #.
        assert_eq!(table(b"# t,u\n1,2\n").unwrap().columns(), ["# t", "u"]);
        let doubled = table(b"a,b\n\"say \"\"x\"\", y\",2\n").unwrap();
        assert_eq!(doubled.column("a").unwrap().texts(), ["say \"x\", y"]);
    }

    #[test]
    fn what_is_said_of_a_table_is_followed() {
        let comma = said(|dialect| dialect.point(",").unwrap(), b"a;b\n-1,5;2\n3;4e1\n").unwrap();
        assert_eq!(comma.column("a").unwrap().numbers().unwrap(), [-1.5, 3.0]);
        assert_eq!(comma.column("a").unwrap().cells(true).unwrap(), ["-1.5", "3"]);
        assert_eq!(comma.column("a").unwrap().cells(false).unwrap(), ["-1,5", "3"]);
        let thousands = said(|dialect| dialect.point(",").unwrap(), b"a;b\n1.234;2\n").unwrap();
        let column = thousands.column("a").unwrap();
        for error in [column.numbers().unwrap_err(), column.cells(true).unwrap_err()] {
            assert!(format!("{error:#}").contains("a point may stand between thousands"), "{error:#}");
        }
        let latin = said(|dialect| dialect.encode("latin1").unwrap(), b"\xb0C,b\n1,2\n").unwrap();
        assert_eq!(latin.columns(), ["\u{b0}C", "b"]);
        let skipped = said(|dialect| dialect.skip_lines(&[1, 3]).unwrap(), b"title\na,b\nV,s\n1,2\n").unwrap();
        assert_eq!((skipped.column("a").unwrap().line(0), skipped.rows()), (4, 1));
        for lines in [&[9][..], &[3]] {
            let error = said(|dialect| dialect.skip_lines(lines).unwrap(), b"a,b\n1,\"x\ny\"\n3,4\n").unwrap_err();
            assert!(format!("{error:#}").contains("that data.skip could leave out"), "{error:#}");
        }
        let commented = said(|dialect| dialect.comment("%").unwrap(), b"%x\na,b\n%y,z\n1,2\n").unwrap();
        assert_eq!(commented.column("b").unwrap().numbers().unwrap(), [2.0]);
        let text = b"a,b\n1,x\n-999.0,y\n,z\n4,?\n";
        let mut marked = said(|dialect| dialect.missing = vec!["-999".into(), "?".into()], text).unwrap();
        let numbers = marked.column("a").unwrap().numbers_or_missing().unwrap();
        assert_eq!(numbers, [Some(1.0), None, None, Some(4.0)]);
        assert_eq!(marked.column("b").unwrap().cells(false).unwrap(), ["x", "y", "z", ""]);
        assert_eq!(marked.drop_missing(&[&"a".into()]).unwrap(), [0, 3]);
        assert_eq!((marked.column("b").unwrap().texts(), marked.column("a").unwrap().line(1)), (vec!["x", "?"], 5));
        for bad in ["", "ab", "x", "\""] {
            assert!(Dialect::default().delimit(bad).is_err(), "{bad}");
        }
        assert!(Dialect::default().encode("latin-17").is_err() && Dialect::default().skip_lines(&[0]).is_err());
        assert!(said(|dialect| dialect.encode("utf-8").unwrap(), b"\xff\xfea\0").is_err());
    }

    #[test]
    fn a_refused_cell_comes_with_what_to_do() {
        for (text, expected) in [
            ("a;b\n1,5;2\n", "data.decimal = \",\""),
            ("a,b\nmm,s\n1,2\n", "data.skip = [2]"),
            ("a,b\n1,2\n?,2\n", "data.missing = [\"?\"]"),
            ("a,b\n1,2\nNA,2\n", "data.missing_rows = \"drop\""),
        ] {
            let table = table(text.as_bytes()).unwrap();
            let message = format!("{:#}", table.column("a").unwrap().numbers().unwrap_err());
            assert!(message.contains(expected), "{message}");
        }
        let huge = table(format!("a,b\n{},2\n", "x".repeat(5_000_000)).as_bytes()).unwrap();
        assert!(format!("{:#}", huge.column("a").unwrap().numbers().unwrap_err()).len() < 400);
    }
}
