//! The table of a gazetteer: from a CSV to hashes, and from a text to the features of its phrases.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use attar_shared::text::{self, MAX_WORDS};

use super::Fact;
use super::measurement::Measurement;
use crate::support::files;
use crate::support::suggest::did_you_mean;
use crate::tables::Table as Csv;

/// The phrases of a gazetteer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phrases {
    /// The words of the longest.
    pub words: u8,
    /// Hash and features of each, by rising hashes.
    pub entries: Vec<(u32, u16)>,
}

impl Phrases {
    /// Reads a gazetteer: its features, and the phrases.
    pub(super) fn read(fact: &Fact, at: &Measurement<'_>, files: &mut Vec<PathBuf>) -> Result<(Vec<String>, Self)> {
        ensure!(at.is_text, "fact {:?}: a gazetteer knows words, the input is numbers: say input.text", fact.name);
        let rows: Vec<(String, String, String)> = match &fact.file {
            None => {
                ensure!(!at.phrases.is_empty(), "fact {:?}: file is missing: name the CSV of its phrases", fact.name);
                let rows = at.phrases.iter();
                rows.map(|(phrase, feature)| (phrase.clone(), feature.clone(), "the built-in table".into())).collect()
            }
            Some(file) => {
                let path = files::below(at.folder, file).with_context(|| format!("fact {:?}: file", fact.name))?;
                let csv = Csv::read(&path, at.dialect).with_context(|| format!("fact {:?}", fact.name))?;
                files.push(path.clone());
                let names = csv.columns();
                ensure!(
                    names.len() >= 2,
                    "{}: fact {:?}: a gazetteer has two columns, a phrase and its feature",
                    path.display(),
                    fact.name
                );
                // Each is the first column that the other is not, where it is not named.
                let other = |taken: Option<&String>| names.iter().find(|name| Some(*name) != taken);
                let key = fact.key.as_ref().or_else(|| other(fact.column.as_ref()));
                let column = fact.column.as_ref().or_else(|| other(key));
                let (Some(key), Some(column)) = (key, column) else { bail!("fact {:?}: no columns", fact.name) };
                ensure!(key != column, "fact {:?}: column and key are both {key:?}", fact.name);
                let (phrases, features) = (csv.column(key)?, csv.column(column)?);
                let pairs = phrases.texts().into_iter().zip(features.texts()).enumerate();
                pairs
                    .map(|(row, (phrase, feature))| {
                        (phrase.into(), feature.into(), format!("{}:{}", path.display(), phrases.line(row)))
                    })
                    .collect()
            }
        };
        for (phrase, feature, place) in &rows {
            let good = !feature.is_empty() && feature.len() <= 255;
            ensure!(good, "{place}: fact {:?}: {phrase:?} has no feature, or one of more than 255 bytes", fact.name);
        }
        let mut features = fact.values.clone();
        if features.is_empty() {
            features = rows.iter().map(|(_, feature, _)| feature.clone()).collect();
            features.sort_unstable();
            features.dedup();
        }
        ensure!(
            (1..=attar_shared::MAX_FEATURES).contains(&features.len()),
            "fact {:?}: a gazetteer has {} features, expected 1 to {}",
            fact.name,
            features.len(),
            attar_shared::MAX_FEATURES
        );
        let mut known: BTreeMap<u32, (u16, String)> = BTreeMap::new();
        let mut longest = 1;
        for (phrase, feature, place) in &rows {
            let (hash, words) = text::phrase(&phrase.as_bytes());
            ensure!(
                (1..=usize::from(MAX_WORDS)).contains(&words),
                "{place}: fact {:?}: {phrase:?} has {words} words, expected 1 to {MAX_WORDS}",
                fact.name
            );
            let bit = features.iter().position(|known| known == feature).with_context(|| {
                let near = did_you_mean(feature, features.iter().map(String::as_str));
                format!("{place}: fact {:?} has no feature {feature:?}{near}", fact.name)
            })?;
            longest = longest.max(words);
            let spelt = spelling(phrase);
            let entry = known.entry(hash).or_insert((0, spelt.clone()));
            ensure!(
                entry.1 == spelt,
                "{place}: fact {:?}: {phrase:?} and {:?} have one hash: leave one of them out",
                fact.name,
                entry.1
            );
            entry.0 |= 1 << bit;
        }
        let entries = known.into_iter().map(|(hash, (mask, _))| (hash, mask)).collect();
        Ok((features, Self { words: longest as u8, entries }))
    }

    /// Returns the bits of the features that a text has.
    pub(super) fn features_of(&self, text: &[f32]) -> u16 {
        let look_up = |phrase: u32| match self.entries.binary_search_by_key(&phrase, |(hash, _)| *hash) {
            Ok(place) => self.entries[place].1,
            Err(_) => 0,
        };
        attar_device::features_of(&attar_device::Numbers(text), self.words, look_up)
    }
}

/// Returns a phrase as the device reads it: its words in small letters.
fn spelling(phrase: &str) -> String {
    let words = phrase.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}
