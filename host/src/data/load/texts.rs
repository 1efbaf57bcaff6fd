//! Texts: how they stand in an array, and the built-in commands.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::facts::Source;
use super::{Raw, fingerprint, indices_of, target_of};
use crate::data::readers::commands;
use crate::domain::{Array, HeadKind};
use crate::heads::Labels;
use crate::recipe::Recipe;

/// Returns the bytes of texts as int8, zeros after them, `[samples, length]`; the length is that of the longest when it is
/// not given. `place` says where a text stands.
pub(super) fn array_of(texts: &[&str], length: Option<usize>, place: impl Fn(usize) -> String) -> Result<Array> {
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

pub(super) fn from_commands(recipe: &Recipe, folder: &Path) -> Result<Raw> {
    let samples = recipe.data.samples.context("data.samples is missing")?;
    let commands = commands::generate(samples, recipe.data.seed)?;
    let texts: Vec<&str> = commands.iter().map(|command| command.text.as_str()).collect();
    let inputs = array_of(&texts, recipe.input.length, |sample| format!("command {sample}"))?;
    let source = Source { folder, samples, table: None, dialect: &recipe.data.dialect()?.beside() };
    let (facts, files) = source.facts(recipe, |fact| {
        anyhow::bail!("the commands have no fact of their own but a gazetteer, fact {:?} is none", fact.name)
    })?;
    let targets = recipe
        .heads
        .iter()
        .map(|head| {
            ensure!(head.kind == HeadKind::Class, "head {:?}: the commands have a class, the intent", head.name);
            let labels = commands::INTENTS.map(String::from).to_vec();
            let values = Labels::classes(commands.iter().map(|command| command.intent as u16));
            Ok(target_of(head, labels.len(), labels, values))
        })
        .collect::<Result<_>>()?;
    let names = commands.iter().enumerate().map(|(sample, command)| match command.name.is_empty() {
        true => format!("{sample}"),
        false => command.name.clone(),
    });
    let names: Vec<String> = names.collect();
    let grouped = recipe.data.split.group.is_some();
    let groups = grouped.then(|| indices_of(names.iter().map(String::as_str)));
    let shape = [1, inputs.row_len(), 1];
    let fingerprint = format!("commands, {samples}, seed {} {}", recipe.data.seed, fingerprint(&files)?);
    let phrases = commands::gazetteer(recipe.data.seed);
    Ok(Raw { is_text: true, phrases, groups, ..Raw::new(inputs, shape, facts, targets, fingerprint) })
}
