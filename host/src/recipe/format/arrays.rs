//! IDX, npy, npz or safetensors files, distinguished by their names and first bytes.

use anyhow::{Context, Result, ensure};

use super::Keys;
use crate::recipe::{Head, Recipe};

pub(super) struct Arrays;

impl Keys for Arrays {
    fn name(&self) -> &'static str {
        "arrays"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["data.train", "data.test", "data.unlabelled", "input.shape"]
    }

    fn check(&self, recipe: &Recipe, heads: &[&Head]) -> Result<()> {
        let train = recipe.data.train.as_ref().context("data.train is missing: name the files")?;
        for part in [Some(train), recipe.data.test.as_ref()].into_iter().flatten() {
            for head in heads {
                ensure!(part.heads.contains_key(&head.name), "head {:?} has no file in data", head.name);
            }
            for fact in recipe.facts.iter().filter(|fact| fact.is_in_arrays()) {
                ensure!(part.facts.contains_key(&fact.name), "fact {:?} has no file in data", fact.name);
            }
        }
        Ok(())
    }
}
