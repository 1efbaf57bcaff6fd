//! What a reader gives: inputs, facts and targets before anything is measured on them.

pub(super) mod facts;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::recordings::Clips;
use crate::domain::Array;
use crate::facts::GivenFact;
use crate::heads::{Head, Target};
use crate::signal::Design;
use crate::support::files;
use crate::tables::Table;

/// What a source gives, before anything is measured on it.
pub(super) struct Raw {
    pub(super) inputs: Array,
    /// Whether the inputs are texts.
    pub(super) is_text: bool,
    /// Phrases with a feature each that the source knows.
    pub(super) phrases: Vec<(String, String)>,
    /// `[height, width, channels]`.
    pub(super) shape: [usize; 3],
    pub(super) channels: Vec<String>,
    /// The facts that are set, in the order of the recipe.
    pub(super) facts: Vec<GivenFact>,
    pub(super) targets: Vec<Target>,
    pub(super) groups: Option<Vec<usize>>,
    pub(super) test_from: Option<usize>,
    /// Which samples are the test split, if groups are named that are.
    pub(super) held: Option<Vec<bool>>,
    /// Whether numbers are looked at for what is odd, since no table has done it.
    pub(super) is_screened: bool,
    /// Where features come from.
    pub(super) signal: Option<(Design, Clips)>,
    /// From which sample on all are made for training alone.
    pub(super) made_from: Option<usize>,
    /// How many of the last samples have no labels.
    pub(super) unlabelled: usize,
    /// What is worth a word about the numbers of an input's channels.
    pub(super) remarks: BTreeMap<usize, String>,
    /// The table's file, and the line of each sample in it.
    pub(super) lines: Option<(String, Vec<u64>)>,
    pub(super) fingerprint: String,
}

impl Raw {
    /// Returns numbers without names, groups or a test part of their own, all of them with labels.
    pub(super) fn new(
        inputs: Array,
        shape: [usize; 3],
        facts: Vec<GivenFact>,
        targets: Vec<Target>,
        fingerprint: String,
    ) -> Self {
        Self {
            inputs,
            is_text: false,
            phrases: Vec::new(),
            shape,
            channels: Vec::new(),
            facts,
            targets,
            groups: None,
            test_from: None,
            held: None,
            is_screened: false,
            signal: None,
            made_from: None,
            unlabelled: 0,
            remarks: BTreeMap::new(),
            lines: None,
            fingerprint,
        }
    }
}

/// Returns the labels of a head in a table.
pub(super) fn target_from_columns(table: &Table, head: &Head) -> Result<Target> {
    let columns = head.column_names().iter().map(|name| table.column(name)).collect::<Result<Vec<_>>>()?;
    head.kind.read_columns(head, &columns)
}

/// Returns `[height, width, channels]` for a shape of one to three sizes.
pub(super) fn channels_last(shape: &[usize]) -> Result<[usize; 3]> {
    let shape = match *shape {
        [values] => [1, 1, values],
        // An image without channels and a series are told apart by nothing but the user: two sizes are an image.
        [height, width] => [height, width, 1],
        [height, width, channels] => [height, width, channels],
        _ => bail!("input.shape {shape:?} has {} sizes, expected 1 to 3", shape.len()),
    };
    ensure!(shape.iter().all(|size| (1..=65_535).contains(size)), "input.shape {shape:?}: expected 1 to 65535 each");
    Ok(shape)
}

/// Returns the bytes of texts as int8, zeros after them, `[samples, length]`; the length is that of the longest when it is
/// not given. `place` says where a text stands.
pub(super) fn array_of_texts(texts: &[&str], length: Option<usize>, place: impl Fn(usize) -> String) -> Result<Array> {
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0).max(1);
    let length = length.unwrap_or(longest);
    let mut values = Vec::with_capacity(texts.len() * length);
    for (row, text) in texts.iter().enumerate() {
        ensure!(
            text.len() <= length,
            "{}: the text has {} bytes, input.length allows {length}",
            place(row),
            text.len()
        );
        let bytes = text.bytes().map(|byte| f32::from(byte.cast_signed())).chain(std::iter::repeat(0.0));
        values.extend(bytes.take(length));
    }
    Array::new(vec![texts.len(), length], values)
}

/// Returns the group of each text: equal texts share an index.
pub(super) fn indices_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let mut seen = BTreeMap::new();
    texts
        .into_iter()
        .map(|text| {
            let next = seen.len();
            *seen.entry(text).or_insert(next)
        })
        .collect()
}

/// Returns a hash of the files' bytes.
pub(super) fn fingerprint(files: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for path in files {
        let mut file = files::open_regular(path)?;
        io::copy(&mut file, &mut hash).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(files::hex(&hash.finalize()))
}
