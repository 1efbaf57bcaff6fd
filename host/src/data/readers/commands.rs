//! The built-in generator of spoken commands, as texts.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Reader;
use crate::data::raw::facts::Source;
use crate::data::raw::{Raw, array_of_texts, fingerprint, indices_of};
use crate::data::simulators::commands;
use crate::heads::{Form, Labels, Target};
use crate::recipe::Recipe;

pub(super) struct Commands;

impl Reader for Commands {
    fn format(&self) -> &'static str {
        "commands"
    }

    fn read(&self, recipe: &Recipe, folder: &Path) -> Result<Raw> {
        let samples = recipe.data.samples.context("data.samples is missing")?;
        let commands = commands::generate(samples, recipe.data.seed)?;
        let texts: Vec<&str> = commands.iter().map(|command| command.text.as_str()).collect();
        let inputs = array_of_texts(&texts, recipe.input.length, |sample| format!("command {sample}"))?;
        let source = Source { folder, samples, table: None, dialect: &recipe.data.dialect()?.beside() };
        let (facts, files) = source.facts(recipe, |fact| {
            anyhow::bail!("the commands have no fact of their own but a gazetteer, fact {:?} is none", fact.name)
        })?;
        let targets = recipe
            .heads
            .iter()
            .map(|head| {
                ensure!(
                    head.kind.form() == Form::Classes,
                    "head {:?}: the commands have a class, the intent",
                    head.name
                );
                let labels = commands::INTENTS.map(String::from).to_vec();
                let values = Labels::classes(commands.iter().map(|command| command.intent as u16));
                Ok(Target::new(head, labels.len(), labels, values))
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
}
