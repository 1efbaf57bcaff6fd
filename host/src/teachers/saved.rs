//! Logits that were saved elsewhere: npy, npz or safetensors files, in the order of the samples.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::data::{Dataset, member_of, read_array};
use crate::recipe;

/// The logits of each head for every sample, as far as they were saved.
#[derive(Debug, Clone)]
pub struct Saved {
    /// A hash of the files.
    pub key: String,
    /// For each head its width, and the values of each sample from the first on.
    heads: Vec<(usize, Vec<f32>)>,
    /// For each head the files of the samples before the test part and of the test part, and where the second begins.
    parts: Vec<[(String, usize); 2]>,
}

impl Saved {
    /// Reads the files that a recipe names for some heads.
    ///
    /// `logits` holds a row for each sample before the test part, in the order of the data's files, or for all samples;
    /// `test_logits` one for each of the test part.
    ///
    /// # Errors
    ///
    /// When a file is missing or broken, has another number of rows or of columns, or holds what is not finite.
    pub(super) fn read(how: &recipe::Net, data: &Dataset, folder: &Path, heads: &[usize]) -> Result<Self> {
        let labelled = data.test_from.unwrap_or(data.len());
        let (mut all, mut parts) = (Vec::new(), Vec::new());
        let mut hashes = Vec::new();
        for &head in heads {
            let target = &data.targets[head];
            let mut read = |reference: &str| -> Result<(usize, Vec<f32>)> {
                let (file, member) = member_of(folder, reference);
                let path = crate::support::files::below(folder, file)?;
                let array = read_array(&path, member)?;
                ensure!(
                    array.row_len() == target.outputs,
                    "{reference}: has {} logits a sample, head {:?} takes {}",
                    array.row_len(),
                    target.name,
                    target.outputs
                );
                array.refuse_non_finite(reference)?;
                let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                hashes.push(crate::support::files::hex(&Sha256::digest(&bytes)));
                Ok((array.rows(), array.values))
            };
            let reference = how
                .logits
                .get(&target.name)
                .with_context(|| format!("[teacher] logits has no file for head {:?}", target.name))?;
            let (rows, mut values) = read(reference)?;
            ensure!(
                rows == labelled || rows == data.len(),
                "{reference}: has logits of {rows} samples, expected {labelled}{}",
                if labelled == data.len() {
                    String::new()
                } else {
                    format!(" without the test part, or {} with it", data.len())
                }
            );
            let test = how.test_logits.get(&target.name);
            if let Some(test) = test {
                ensure!(
                    labelled < data.len(),
                    "[teacher] test_logits = {test:?}: the data have no test part of their own: leave it out"
                );
                ensure!(
                    rows == labelled,
                    "[teacher] test_logits = {test:?}: {reference} has the test part already, {rows} samples in all: leave one \
                     of them out"
                );
                let (rows, more) = read(test)?;
                let expected = data.len() - labelled;
                let unlabelled = if expected > data.splits.test.len() { " with data.unlabelled" } else { "" };
                ensure!(
                    rows == expected,
                    "{test}: has logits of {rows} samples, the test part has {expected}{unlabelled}"
                );
                values.extend(more);
            }
            parts.push([(reference.clone(), 0), (test.unwrap_or(reference).clone(), labelled * target.outputs)]);
            all.push((target.outputs, values));
        }
        let key = json!([hashes, heads, how.logits, how.test_logits, how.outputs]).to_string();
        let key = crate::support::files::hex(&Sha256::digest(key));
        Ok(Self { key, heads: all, parts })
    }

    /// Returns what was saved of each head before the test part and of the test part, each with its file; the second may be empty.
    pub(super) fn parts(&self) -> impl Iterator<Item = [(&str, &[f32]); 2]> {
        self.heads.iter().zip(&self.parts).map(|((_, values), [(train, _), (test, start)])| {
            let (before, after) = values.split_at((*start).min(values.len()));
            [(train.as_str(), before), (test.as_str(), after)]
        })
    }

    /// Returns the logits of each head for some samples, or nothing when one was not saved.
    pub(super) fn rows(&self, samples: &[usize]) -> Option<Vec<Vec<f32>>> {
        self.heads
            .iter()
            .map(|(width, values)| {
                let rows = samples.iter().map(|&sample| values.get(sample * width..(sample + 1) * width));
                Some(rows.collect::<Option<Vec<&[f32]>>>()?.concat())
            })
            .collect()
    }
}
