//! The encoding and the dialect of a table, from its first bytes and lines.

use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::Dialect;
use super::rows::Rows;

impl Dialect {
    /// Returns the text of a file, and what was found of its encoding.
    ///
    /// # Errors
    ///
    /// When the bytes are not of the encoding; the message names the line.
    pub fn decode(&self, bytes: Vec<u8>) -> Result<(String, Option<String>)> {
        let mark = Encoding::for_bom(&bytes);
        if let (Some((found, _)), Some(said)) = (mark, self.encoding) {
            ensure!(
                found == said,
                "begins with the byte order mark of {}, data.encoding is {}",
                found.name(),
                said.name()
            );
        }
        let (encoding, start) = mark.or(self.encoding.map(|said| (said, 0))).unwrap_or((UTF_8, 0));
        let text = if encoding == UTF_8 {
            let mut text = String::from_utf8(bytes).map_err(|error| {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
                anyhow::anyhow!(
                    "line {line} is not UTF-8: say how it is encoded, such as data.encoding = \"windows-1252\" (Latin-1)"
                )
            })?;
            text.drain(..start);
            text
        } else {
            let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes[start..]);
            text.with_context(|| format!("is not {}", encoding.name()))?.into_owned()
        };
        if let Some(place) = text.find('\0') {
            let line = 1 + text[..place].matches('\n').count();
            bail!("line {line} holds a zero byte, as no text does: is it UTF-16? say data.encoding = \"utf-16le\"");
        }
        let note = [UTF_16LE, UTF_16BE].contains(&encoding) && mark.is_some();
        Ok((text, note.then(|| format!("{} by its byte order mark", encoding.name()))))
    }

    /// Returns the dialect with what a text shows by itself: its delimiter, a line `sep=`, comments at its head; and what was
    /// found so, in words.
    ///
    /// # Errors
    ///
    /// When two delimiters would do.
    pub fn found(&self, text: &str) -> Result<(Self, Vec<String>)> {
        let mut dialect = self.clone();
        let mut notes = Vec::new();
        let first = text.lines().next().unwrap_or_default().trim().trim_matches('"');
        if let Some((key, value)) = first.split_once('=')
            && key.eq_ignore_ascii_case("sep")
            && value.len() <= 1
        {
            // Excel writes the tab itself, which is trimmed.
            let value = if value.is_empty() { b'\t' } else { value.as_bytes()[0] };
            ensure!(
                self.delimiter.is_none_or(|said| said == value),
                "begins with the line {first:?}, data.delimiter is {:?}",
                char::from(self.delimiter.unwrap_or_default())
            );
            dialect.skip.insert(1);
            if self.delimiter.is_none() {
                notes.push(format!("delimiter {:?} by its line {first:?}", char::from(value)));
            }
            dialect.delimiter = Some(value);
        }
        if self.comment.is_none() {
            dialect.find_comments(text, &mut notes);
        }
        if dialect.delimiter.is_none() {
            let delimiter = dialect.find_delimiter(text)?;
            if delimiter != b',' {
                notes.push(format!("delimiter {:?} (data.delimiter)", char::from(delimiter)));
            }
            dialect.delimiter = Some(delimiter);
        }
        Ok((dialect, notes))
    }

    /// Leaves out lines at the head that begin with `#`, but for one that can only be the header.
    fn find_comments(&mut self, text: &str, notes: &mut Vec<String>) {
        let lines = (1u64..).zip(text.lines());
        let mut lines = lines.filter(|(line, text)| !self.skip.contains(line) && !text.trim().is_empty()).peekable();
        let mut comments = Vec::new();
        while let Some(comment) = lines.next_if(|(_, text)| text.starts_with('#')) {
            comments.push(comment);
        }
        let (Some((_, last)), Some((_, next))) = (comments.last(), lines.next()) else { return };
        // What NumPy writes: the names behind a #, and then numbers.
        let is_header = DELIMITERS.iter().any(|&delimiter| {
            let cells = |line: &str| line.matches(char::from(delimiter)).count() + 1;
            let is_number = |cell: &str| cell.trim().parse::<f64>().is_ok();
            cells(last) > 1 && cells(last) == cells(next) && next.split(char::from(delimiter)).any(is_number)
        });
        if is_header {
            comments.pop();
        }
        if !comments.is_empty() {
            notes.push(format!("{} lines at its head that begin with # are left out", comments.len()));
        }
        self.skip.extend(comments.iter().map(|(line, _)| line));
    }

    /// Returns the delimiter by which header and first rows have as many cells.
    fn find_delimiter(&self, text: &str) -> Result<u8> {
        let counts = DELIMITERS.map(|delimiter| {
            let with = Self { delimiter: Some(delimiter), ..self.clone() };
            let mut rows = Rows::new(text, &with);
            let mut record = StringRecord::new();
            let mut counts = Vec::new();
            while counts.len() < 6 && matches!(rows.next(&mut record), Ok(Some(_))) {
                counts.push(record.len());
            }
            (counts, rows.stray)
        });
        let header = |index: usize| counts[index].0.first().copied().unwrap_or(0);
        let fits = |index: &usize| header(*index) > 1 && counts[*index].0.iter().all(|&count| count == header(*index));
        let mut fitting: Vec<usize> = (0..DELIMITERS.len()).filter(fits).collect();
        // By the wrong one, quotes stand within cells.
        if fitting.iter().any(|&index| !counts[index].1) {
            fitting.retain(|&index| !counts[index].1);
        }
        match fitting.as_slice() {
            [one] => Ok(DELIMITERS[*one]),
            [one, other, ..] => bail!(
                "{:?} and {:?} would both do as delimiter: say data.delimiter",
                char::from(DELIMITERS[*one]),
                char::from(DELIMITERS[*other])
            ),
            [] => {
                let mut best = 0;
                for index in 1..DELIMITERS.len() {
                    if header(index) > header(best) {
                        best = index;
                    }
                }
                Ok(DELIMITERS[best])
            }
        }
    }
}

/// The delimiters that are detected.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
