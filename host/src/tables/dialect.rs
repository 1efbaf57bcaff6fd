//! How a table is written: what the user says of it, and what is found from its first lines.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use encoding_rs::Encoding;

use crate::domain::is_missing;
use crate::support::suggest::shortened;

/// How a table is written, as far as it is said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dialect {
    /// The delimiter; detected if there is none.
    pub delimiter: Option<u8>,
    /// Whether the decimal separator is a comma.
    pub decimal_comma: bool,
    /// The encoding; otherwise that of the byte order mark, or UTF-8.
    pub encoding: Option<&'static Encoding>,
    /// What lines begin with that are left out.
    pub comment: Option<u8>,
    /// Lines that are left out, counted from 1.
    pub skip: BTreeSet<u64>,
    /// Cells that stand for nothing.
    pub missing: Vec<String>,
}

impl Dialect {
    /// Returns how tables beside the data are read: their lines and delimiters are their own.
    pub fn beside(&self) -> Self {
        Self { delimiter: None, skip: BTreeSet::new(), comment: None, ..self.clone() }
    }

    /// Sets the delimiter.
    ///
    /// # Errors
    ///
    /// When it is not one character that can.
    pub fn delimit(&mut self, text: &str) -> Result<()> {
        let text = if ["tab", "\\t"].contains(&text) { "\t" } else { text };
        self.delimiter = Some(one_byte(text)?);
        Ok(())
    }

    /// Sets the decimal separator.
    ///
    /// # Errors
    ///
    /// When it is neither point nor comma.
    pub fn point(&mut self, text: &str) -> Result<()> {
        ensure!([".", ","].contains(&text), "is {text:?}, expected \".\" or \",\"");
        self.decimal_comma = text == ",";
        Ok(())
    }

    /// Sets the encoding by its name on the web, such as `utf-8`, `windows-1252` or `latin1`.
    ///
    /// # Errors
    ///
    /// When no encoding is called so.
    pub fn encode(&mut self, label: &str) -> Result<()> {
        let encoding = Encoding::for_label(label.as_bytes()).with_context(|| {
            format!("is {label:?}, expected a name such as \"utf-8\", \"windows-1252\", \"utf-16le\" or \"shift_jis\"")
        })?;
        self.encoding = Some(encoding);
        Ok(())
    }

    /// Sets what lines begin with that are left out.
    ///
    /// # Errors
    ///
    /// When it is not one character that can.
    pub fn comment(&mut self, text: &str) -> Result<()> {
        self.comment = Some(one_byte(text)?);
        Ok(())
    }

    /// Leaves lines out, counted from 1.
    ///
    /// # Errors
    ///
    /// When there is a line 0.
    pub fn skip_lines(&mut self, lines: &[u64]) -> Result<()> {
        ensure!(!lines.contains(&0), "holds 0, lines are counted from 1");
        self.skip.extend(lines);
        Ok(())
    }

    /// Returns whether a cell is one of the user's markers of missing values, as text or as number.
    pub fn is_marker(&self, text: &str) -> bool {
        let number = |text: &str| text.parse::<f64>().ok();
        self.missing
            .iter()
            .any(|marker| marker == text || number(marker).is_some_and(|value| number(text) == Some(value)))
    }

    /// Returns whether a cell holds no value: empty, NA, NaN or null, or a marker of the user's.
    pub fn is_missing(&self, text: &str) -> bool {
        is_missing(text) || self.is_marker(text)
    }
}

/// Returns a character that may stand between cells.
fn one_byte(text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii_punctuation() || [b'\t', b' '].contains(byte) => {
            ensure!(*byte != b'"', "is a quote, which has its own meaning");
            Ok(*byte)
        }
        _ => bail!("is {:?}, expected one character of punctuation, or tab", shortened(text)),
    }
}
