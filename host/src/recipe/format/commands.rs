//! The built-in generator of spoken commands, as texts.

use anyhow::{Result, ensure};

use super::{Keys, check_samples};
use crate::recipe::{Head, Recipe};

pub(super) struct Commands;

impl Keys for Commands {
    fn name(&self) -> &'static str {
        "commands"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["data.samples", "data.seed", "data.split.group"]
    }

    fn check(&self, recipe: &Recipe, _heads: &[&Head]) -> Result<()> {
        check_samples(recipe, 40)?;
        let group = recipe.data.split.group.as_deref();
        ensure!(
            group.is_none_or(|group| group == "name"),
            "data.split.group is {:?}, of format \"commands\" it is \"name\"",
            group.unwrap_or_default()
        );
        Ok(())
    }

    fn is_text(&self, _recipe: &Recipe) -> bool {
        true
    }

    fn made(&self, recipe: &Recipe) -> Vec<(&'static str, usize)> {
        vec![("input.length", recipe.input.length.unwrap_or(1))]
    }
}
