//! The rows of a text of cells (RFC 4180), each with its line.
//!
//! The csv crate neither says that a quote stays open nor that text follows one, and its lines are off behind CRLF; such a
//! table would be read as another one.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use csv::StringRecord;

use super::Dialect;
use crate::support::suggest::shortened;

/// Reads rows one after the other.
pub(super) struct Rows<'a> {
    text: &'a str,
    at: usize,
    line: u64,
    delimiter: u8,
    comment: Option<u8>,
    skip: &'a BTreeSet<u64>,
    /// The first blank line since the last row.
    pub(super) blank: Option<u64>,
    /// Lines that were left out because the dialect names them.
    pub(super) skipped: BTreeSet<u64>,
    /// Whether a cell without quotes around it has one within.
    pub(super) stray: bool,
}

impl<'a> Rows<'a> {
    /// Returns the rows of a text; lines that the dialect leaves out are no rows.
    pub(super) fn new(text: &'a str, dialect: &'a Dialect) -> Self {
        let delimiter = dialect.delimiter.unwrap_or(b',');
        Self {
            text,
            at: 0,
            line: 1,
            delimiter,
            comment: dialect.comment,
            skip: &dialect.skip,
            blank: None,
            skipped: BTreeSet::new(),
            stray: false,
        }
    }

    /// Reads the next row and returns its line; nothing at the end.
    ///
    /// # Errors
    ///
    /// When a quote stays open, or is followed by more text; the message begins with the line.
    pub(super) fn next(&mut self, record: &mut StringRecord) -> Result<Option<u64>> {
        record.clear();
        self.blank = None;
        loop {
            let Some(byte) = self.peek() else { return Ok(None) };
            let skipped = self.skip.contains(&self.line);
            if skipped || Some(byte) == self.comment {
                if skipped {
                    self.skipped.insert(self.line);
                }
                self.at += self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
                self.end_line();
            } else if byte == b'\n' || byte == b'\r' {
                self.blank.get_or_insert(self.line);
                self.end_line();
            } else {
                break;
            }
        }
        let line = self.line;
        loop {
            self.cell(record)?;
            if self.peek() != Some(self.delimiter) {
                self.end_line();
                return Ok(Some(line));
            }
            self.at += 1;
        }
    }

    /// Reads a cell, up to what ends it.
    fn cell(&mut self, record: &mut StringRecord) -> Result<()> {
        let rest = self.rest();
        let spaces = rest.bytes().take_while(|&byte| self.is_space(byte)).count();
        let Some(quoted) = rest[spaces..].strip_prefix('"') else {
            let end = rest.bytes().position(|byte| byte == self.delimiter || byte == b'\n' || byte == b'\r');
            let end = end.unwrap_or(rest.len());
            self.stray |= rest[..end].contains('"');
            record.push_field(&rest[..end]);
            self.at += end;
            return Ok(());
        };
        let opened = self.line;
        let start = self.at + spaces + 1;
        let (mut from, mut inside) = (0, String::new());
        let end = loop {
            let Some(quote) = quoted[from..].find('"') else {
                bail!("{opened}: a quote is opened here and never closed");
            };
            inside.push_str(&quoted[from..from + quote]);
            from += quote + 1;
            if !quoted[from..].starts_with('"') {
                break from;
            }
            inside.push('"');
            from += 1;
        };
        self.line += line_ends(&inside);
        self.at = start + end;
        self.at += self.rest().bytes().take_while(|&byte| self.is_space(byte)).count();
        let ends = [Some(self.delimiter), Some(b'\n'), Some(b'\r'), None];
        if !ends.contains(&self.peek()) {
            let after = self.rest().lines().next().unwrap_or_default();
            bail!(
                "{}: a quote that was opened in line {opened} is closed before {:?}: a quote within a cell is doubled",
                self.line,
                shortened(after)
            );
        }
        record.push_field(&inside);
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn is_space(&self, byte: u8) -> bool {
        (byte == b' ' || byte == b'\t') && byte != self.delimiter
    }

    /// Goes behind the end of a line, if there is one.
    fn end_line(&mut self) {
        let len = match self.rest().as_bytes() {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => return,
        };
        self.at += len;
        self.line += 1;
    }
}

/// Returns how many lines end within a text.
fn line_ends(text: &str) -> u64 {
    let (feeds, returns) = (text.matches('\n').count(), text.matches('\r').count());
    (feeds + returns - text.matches("\r\n").count()) as u64
}
